/* SPDX-License-Identifier: Apache-2.0 */
/* Files, devices, streams. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

/* 40 MiB in 256 KiB chunks, so that a stream has several windows; some in several packs; odd lengths. */
static const struct chunk image[] = {{256 * KIB, 1, 20}, {256 * KIB, 0, 30}, {100 * KIB, 2, 3},
                                     {1000, 3, 7},       {256 * KIB, 4, 1},  {256 * KIB, 0, 77},
                                     {3 * MIB, 5, 2},    {512 * KIB, 6, 1},  {256 * KIB, 1, 2},
                                     {700 * KIB, 0, 3},  {5000, 7, 1},       END};

static struct image *open_it(struct fixture *fx, struct snapshot *snapshot)
{
    struct nacre_err e = {0};
    struct image *opened = NULL;
    must(image_open(fx->repo, fx->index, snapshot, NULL, &opened, &e), &e);
    return opened;
}

static int open_file(struct fixture *fx, const char *name, int flags)
{
    char path[192];
    snprintf(path, sizeof path, "%s/%s", fx->dir, name);
    int fd = open(path, flags, 0600);
    assert_true(fd >= 0);
    return fd;
}

static uint64_t allocated(int fd)
{
    struct stat st;
    assert_int_equal(0, fstat(fd, &st));
    return (uint64_t)st.st_blocks * 512;
}

static int to_fd(struct fixture *fx, struct image *opened, int fd, bool compare, bool zero,
                 struct restore_stats *stats, struct nacre_err *e)
{
    const struct restore_options options = {.compare = compare, .target_is_zero = zero};
    struct restore_progress progress = {0};
    int result = restore_to_fd(fx->repo, fx->index, opened, fd, &options, &progress, stats, e);
    if (result == 0) {
        assert_int_equal(image_bytes(opened), progress.bytes_done);
        assert_int_equal(progress.bytes_total, stats->bytes_written + stats->bytes_hole + stats->bytes_same);
    }
    return result;
}

static void new_file(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    CLEANUP(fd_close) int fd = open_file(fx, "out", O_CREAT | O_EXCL | O_RDWR);
    must(to_fd(fx, opened, fd, false, true, &stats, &e), &e);
    assert_int_equal(0, shell(fx, "cmp expected out"));
    assert_int_equal(7, stats.blobs - 1); /* the zeros of 700 KiB are known as such only once fetched */
    assert_true(allocated(fd) <= stats.bytes_written + 16 * 64 * KIB);
    assert_true(stats.bytes_hole >= (30 + 77) * 256ull * KIB + 3 * 700 * KIB);
}

/* Over a longer file full of something else, with and without comparing. */
static void old_file(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    for (int compare = 0; compare < 2; compare++) {
        struct restore_stats stats;
        assert_int_equal(0, shell(fx, "head -c 50M /dev/urandom > out"));
        CLEANUP(fd_close) int fd = open_file(fx, "out", O_RDWR);
        must(to_fd(fx, opened, fd, compare, false, &stats, &e), &e);
        assert_int_equal(0, shell(fx, "cmp expected out"));
        assert_true(allocated(fd) < stats.bytes_written + 2 * MIB);
        must(to_fd(fx, opened, fd, true, false, &stats, &e), &e);
        assert_int_equal(0, stats.bytes_written);
        assert_int_equal(0, shell(fx, "cmp expected out"));
    }
}

/* Bytes inside a chunk that are zeros stay a hole in a new file: 64 KiB at a time. */
static void thin_inside_a_chunk(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    CLEANUP(buf_free) struct buf ids = {0};
    CLEANUP(mem_free) uint8_t *data = calloc(1, MIB);
    struct id id, root;
    bool added;
    memset(data + 100 * KIB, 7, 10);
    memset(data + 512 * KIB - 1, 7, 2);
    memset(data + MIB - 1, 7, 1);
    id_hash(&id, data, MIB);
    must(writer_save(fx->writer, BLOB_DATA, &id, data, MIB, &added, &e), &e);
    buf_append(&ids, &id, sizeof id);
    const struct node node = file_node("disk.img", &ids, MIB);
    save_tree(fx, &node, 1, &root);
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_snapshot(fx, &root);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    CLEANUP(fd_close)
    int fd = open_file(fx, "out", O_CREAT | O_RDWR), expected = open_file(fx, "expected", O_CREAT | O_RDWR);
    assert_int_equal(MIB, pwrite(expected, data, MIB, 0));
    must(to_fd(fx, opened, fd, false, true, &stats, &e), &e);
    assert_int_equal(0, shell(fx, "cmp expected out"));
    assert_int_equal(4 * 64 * KIB, stats.bytes_written);
    assert_int_equal(12 * 64 * KIB, stats.bytes_hole);
}

/* What a loop device is made of, where one can be had. */
static void device(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    if (geteuid() || shell(fx, "head -c 60M /dev/urandom > disk && head -c 1M /dev/urandom > tiny && "
                               "losetup -f --show disk > dev 2> /dev/null"))
        skip();
    char path[64];
    FILE *file = fdopen(open_file(fx, "dev", O_RDONLY), "r");
    assert_int_equal(1, fscanf(file, "%63s", path));
    fclose(file);
    int fd = open(path, O_RDWR);
    int result = to_fd(fx, opened, fd, false, false, &stats, &e);
    close(fd);
    int equal = shell(fx, "sync && cmp -n $(stat -c %%s expected) expected $(cat dev)");
    int attached = shell(fx, "losetup -d $(cat dev); losetup -f --show tiny > dev");
    fd = open(path, O_RDWR);
    struct nacre_err small = {0};
    int refused = to_fd(fx, opened, fd, false, false, &stats, &small);
    close(fd);
    attached |= shell(fx, "losetup -d $(cat dev)");
    must(result, &e);
    assert_int_equal(0, equal);
    assert_int_equal(0, attached);
    must_fail_with(refused, &small, NACRE_NO_SPACE, "1048576", (char *)NULL);
}

static void not_seekable(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    int ends[2];
    assert_int_equal(0, pipe(ends));
    must_fail(to_fd(fx, opened, ends[1], false, false, &stats, &e), NACRE_INVALID,
              "neither a file nor a block");
    close(ends[0]);
    close(ends[1]);
}

/* A full file system is an error with its own code, not a short file. */
static void full(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    CLEANUP(fd_close) int fd = open_file(fx, "out", O_CREAT | O_RDWR);
    signal(SIGXFSZ, SIG_IGN); /* no file may grow beyond 1 MiB for a while; without this it would kill */
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &(struct rlimit){MIB, RLIM_INFINITY}));
    int result = to_fd(fx, opened, fd, false, true, &stats, &e);
    assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}));
    must_fail_with(result, &e, NACRE_NO_SPACE, "target", (char *)NULL);
}

struct reader {
    int fd;
    uint64_t stop_after; /* 0 = read all */
    int out;
    uint64_t got;
};

static void *read_stream(void *ctx)
{
    struct reader *reader = ctx;
    static uint8_t data[64 * KIB];
    for (ssize_t got; (got = read(reader->fd, data, sizeof data)) > 0;) {
        assert_int_equal(got, write(reader->out, data, (size_t)got));
        reader->got += (uint64_t)got;
        if (reader->stop_after && reader->got >= reader->stop_after)
            break;
    }
    close(reader->fd);
    return NULL;
}

static int to_stream(struct fixture *fx, struct image *opened, const char *out, uint64_t stop_after,
                     unsigned workers, struct restore_stats *stats, struct nacre_err *e)
{
    int ends[2];
    pthread_t thread;
    assert_int_equal(0, pipe(ends));
    struct reader reader = {ends[0], stop_after, open_file(fx, out, O_CREAT | O_TRUNC | O_WRONLY), 0};
    assert_int_equal(0, pthread_create(&thread, NULL, read_stream, &reader));
    const struct restore_options options = {.workers = workers};
    struct restore_progress progress = {0};
    int result = restore_to_stream(fx->repo, fx->index, opened, ends[1], &options, &progress, stats, e);
    close(ends[1]);
    pthread_join(thread, NULL);
    close(reader.out);
    if (result == 0)
        assert_int_equal(image_bytes(opened), progress.bytes_done);
    return result;
}

static void stream(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    for (unsigned workers = 0; workers < 3; workers++) {
        must(to_stream(fx, opened, "out", 0, workers, &stats, &e), &e);
        assert_int_equal(0, shell(fx, "cmp expected out"));
        assert_int_equal(image_bytes(opened), stats.bytes_written);
    }
}

/* The reader goes away: an error, and no SIGPIPE, which would end this program. */
static void stream_cut(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    signal(SIGPIPE, SIG_DFL);
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    must_fail(to_stream(fx, opened, "out", MIB, 0, &stats, &e), NACRE_FAILED, "closed it before its end");
}

/* A fault in the middle ends a stream early with an error; what was written until then is right. */
static void stream_fails(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    CLEANUP(image_free) struct image *opened = open_it(fx, snapshot);
    counts.fail_get_in = 1;
    counts.fail_code = NACRE_DENIED;
    must_fail(to_stream(fx, opened, "out", 0, 0, &stats, &e), NACRE_DENIED, "told to fail", "/data/");
    assert_int_equal(0, shell(fx, "test $(stat -c %%s out) -lt $(stat -c %%s expected) && "
                                  "cmp -n $(stat -c %%s out) expected out"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(new_file), TEST(old_file), TEST(thin_inside_a_chunk), TEST(device),       TEST(not_seekable),
        TEST(full),     TEST(stream),   TEST(stream_cut),          TEST(stream_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

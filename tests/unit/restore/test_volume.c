/* SPDX-License-Identifier: Apache-2.0 */
/* A whole volume: made, filled over, resumed, refused; what is written, and what is not. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cancel.h"
#include "fixture.h"

/* 32 chunks of 64 KiB: data, holes, a chunk that comes again, and a tail that is not a power of two. */
static const struct chunk image[] = {
    {64 * KIB, 1, 1}, {64 * KIB, 0, 8}, {64 * KIB, 2, 3}, {64 * KIB, 3, 1}, {64 * KIB, 0, 8},
    {64 * KIB, 2, 1}, {64 * KIB, 4, 9}, {64 * KIB, 0, 1}, {5000, 5, 1},     END};
#define IMAGE_BYTES (32 * 64 * KIB + 5000)
#define HOLE_BYTES (17 * 64 * KIB)

static void made(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    char value[256];
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    must(restore_to(fx, snapshot, "v", false, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_int_equal(HOLE_BYTES, stats.bytes_hole);
    assert_int_equal(IMAGE_BYTES - HOLE_BYTES, stats.bytes_written);
    assert_int_equal(0, stats.bytes_same);
    assert_int_equal(5, stats.blobs); /* each once, however often it is wanted */
    assert_int_equal(1, stats.packs);
    assert_int_equal(1, counts.gets - 1); /* one for the tree, one for all blobs */
    assert_string_equal("", volume_metadata(fx, "v", RESTORE_UNFINISHED_KEY, value));
    assert_string_equal("somebody", volume_metadata(fx, "v", "owner", value));
    assert_true(volume_allocated(fx, "v") <= IMAGE_BYTES - HOLE_BYTES + 64 * KIB);
}

static void refused(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    char value[256];
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    volume_make(fx, "taken", IMAGE_BYTES);
    volume_make(fx, "small", IMAGE_BYTES - 1);
    must_fail(restore_to(fx, snapshot, "taken", false, NULL, &e), NACRE_EXISTS, "hostpath/local/taken",
              "--overwrite", "--volume-mapping");
    must_fail(restore_to(fx, snapshot, "small", true, NULL, &e), NACRE_INVALID, "hostpath/local/small",
              "nacre volume expand");
    assert_int_equal(0, volume_allocated(fx, "taken"));
    assert_string_equal("", volume_metadata(fx, "small", RESTORE_UNFINISHED_KEY, value));
    /* In use by another writer. */
    struct nacre_block *block = NULL;
    must(fx->driver->block->open(fx->driver, "taken", NULL, NACRE_BLOCK_WRITE, &block, &e), &e);
    must_fail(restore_to(fx, snapshot, "taken", true, NULL, &e), NACRE_BUSY, "hostpath/local/taken");
    assert_string_equal("", volume_metadata(fx, "taken", RESTORE_UNFINISHED_KEY, value));
    fx->driver->block->close(block);
    struct volume_ref snap = volume_ref_of("taken");
    snprintf(snap.snap, sizeof snap.snap, "s");
    const struct restore_volume_options options = {.overwrite = true};
    must_fail(
        restore_volume(fx->repo, fx->index, snapshot, NULL, fx->driver, &snap, &options, NULL, NULL, &e),
        NACRE_INVALID, "snapshot");
}

/* Over a volume that differs in places: exactly these are written, and exactly their blobs fetched. */
static void overwritten(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    char value[256];
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    must(restore_to(fx, snapshot, "v", false, NULL, &e), &e);
    must(restore_to(fx, snapshot, "v", true, &stats, &e), &e);
    assert_int_equal(0, stats.bytes_written);
    assert_int_equal(0, stats.blobs);
    assert_int_equal(0, stats.bytes_fetched);
    assert_int_equal(IMAGE_BYTES - HOLE_BYTES, stats.bytes_same);
    volume_write(fx, "v", 0, 1, 77);                              /* chunk 0: blob 1 */
    volume_write(fx, "v", 9 * 64 * KIB + 100, 100, 77);           /* chunk 9: blob 2 */
    volume_write(fx, "v", 22 * 64 * KIB - 10, 64 * KIB + 20, 77); /* chunks 21 (blob 2), 22, 23 (blob 4) */
    volume_write(fx, "v", 4 * 64 * KIB, 5000, 77);                /* in a hole */
    assert_int_equal(1, shell(fx, "cmp -s expected volumes/v/data"));
    must(restore_to(fx, snapshot, "v", true, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_int_equal(5 * 64 * KIB, stats.bytes_written);
    assert_int_equal(3, stats.blobs);
    assert_int_equal(IMAGE_BYTES - HOLE_BYTES - 5 * 64 * KIB, stats.bytes_same);
    assert_true(volume_allocated(fx, "v") <= IMAGE_BYTES - HOLE_BYTES + 64 * KIB);
    assert_string_equal("", volume_metadata(fx, "v", RESTORE_UNFINISHED_KEY, value));
}

/* A larger volume keeps its size, and what it had behind the image becomes zeros. */
static void over_a_larger_one(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    volume_make(fx, "v", 16 * MIB);
    volume_write(fx, "v", 0, 16 * MIB, 99);
    must(restore_to(fx, snapshot, "v", true, NULL, &e), &e);
    assert_int_equal(0, shell(fx, "truncate -s 16M expected"));
    expect_equal(fx, "v");
    assert_true(volume_allocated(fx, "v") < 2 * MIB);
}

static void interrupted(struct fixture *fx, const struct snapshot *snapshot, enum nacre_code code)
{
    struct nacre_err e = {0};
    counts.fail_get_in = 1; /* the tree is read, the pack is not */
    counts.fail_code = code;
    must_fail(restore_to(fx, snapshot, "v", false, NULL, &e), code, "unfinished", "told to fail");
    counts.fail_get_in = -1;
}

static void resumed(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    char mark[256], hex[ID_HEX_SIZE];
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    interrupted(fx, snapshot, NACRE_TRANSIENT);
    id_format(&snapshot->id, hex);
    assert_string_equal(hex, volume_metadata(fx, "v", RESTORE_UNFINISHED_KEY, mark));
    assert_string_equal("somebody", volume_metadata(fx, "v", "owner", mark));
    /* As if some of it had arrived: right, half right, and rubbish where a hole belongs. */
    volume_write(fx, "v", 0, 64 * KIB, 1);
    volume_write(fx, "v", 9 * 64 * KIB, 32 * KIB, 2);
    volume_write(fx, "v", 2 * 64 * KIB, 4096, 88);
    must(restore_to(fx, snapshot, "v", false, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_int_equal(64 * KIB, stats.bytes_same);
    assert_string_equal("", volume_metadata(fx, "v", RESTORE_UNFINISHED_KEY, mark));
}

/* The mark of one backup does not let another in. */
static void marked_by_another(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    static const struct chunk other[] = {{64 * KIB, 9, 20}, END};
    CLEANUP(snapshot_free) struct snapshot *first = save_image(fx, image);
    interrupted(fx, first, NACRE_FAILED);
    CLEANUP(snapshot_free) struct snapshot *second = save_image(fx, other);
    must_fail(restore_to(fx, second, "v", false, NULL, &e), NACRE_EXISTS,
              "unfinished restore of another backup", "--overwrite");
    must(restore_to(fx, second, "v", true, NULL, &e), &e);
    assert_int_equal(0, shell(fx, "truncate -s %u expected", (unsigned)IMAGE_BYTES));
    expect_equal(fx, "v");
}

static void request_cancel(void *ctx)
{
    if (--*(int *)ctx == 0)
        cancel_request();
}

static void sleep_a_little(void *ctx)
{
    (void)ctx;
    usleep(2000);
}

/* What this program does as a child: `cancel` or `kill` DIRECTORY SNAPSHOT [overwrite]. Restores into v; told
 * to cancel, asks itself to stop when the first pack is read, and succeeds when it was; else reads slowly. */
static int child_main(int argc, char **argv)
{
    struct fixture fx;
    struct nacre_err e = {0};
    struct snapshot *snapshot = NULL;
    int left = 2;
    bool cancel = !strcmp(argv[1], "cancel");
    fixture_adopt(&fx, argv[2]);
    must(snapshot_find(fx.repo, argv[3], &snapshot, &e), &e);
    counts.on_get = cancel ? request_cancel : sleep_a_little;
    counts.ctx = &left;
    assert_int_equal(0, shell(&fx, "touch ready")); /* before this, most of the time goes into the password */
    int result = restore_to(&fx, snapshot, "v", argc > 4, NULL, &e);
    snapshot_free(snapshot);
    fixture_close(&fx);
    if (cancel)
        return !(result < 0 && e.code == NACRE_CANCELLED && strstr(e.message, "interrupted"));
    return result < 0;
}

static pid_t start_child(struct fixture *fx, const char *what, const struct snapshot *snapshot,
                         bool overwrite)
{
    char hex[ID_HEX_SIZE];
    id_format(&snapshot->id, hex);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child)
        return child;
    execl("/proc/self/exe", "test_restore_volume", what, fx->dir, hex, overwrite ? "overwrite" : NULL, NULL);
    _exit(127);
}

static void cancelled(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    char value[256];
    int status;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    pid_t child = start_child(fx, "cancel", snapshot, false);
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
    assert_int_equal(64, strlen(volume_metadata(fx, "v", RESTORE_UNFINISHED_KEY, value)));
    must(restore_to(fx, snapshot, "v", false, NULL, &e), &e);
    expect_equal(fx, "v");
}

/* kill -9 at random moments, over the one volume again and again: absent, marked, or whole. */
static void killed(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    char value[256];
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    unsigned seed = (unsigned)getpid(), whole = 0, marked = 0;
    char ready[192];
    snprintf(ready, sizeof ready, "%s/ready", fx->dir);
    print_message("seed %u\n", seed);
    for (int round = 0; round < 40; round++) {
        unlink(ready);
        pid_t child = start_child(fx, "kill", snapshot, round % 2);
        for (int i = 0; i < 30000 && access(ready, F_OK); i++)
            usleep(1000);
        usleep((unsigned)rand_r(&seed) % 50000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        const char *mark = volume_metadata(fx, "v", RESTORE_UNFINISHED_KEY, value);
        if (!*mark) {
            whole++;
            expect_equal(fx, "v");
            must(fx->driver->lifecycle->remove(fx->driver, "v", &e), &e);
        } else if (strcmp(mark, "absent") != 0) {
            marked++;
            if (round % 3 == 0) {
                must(restore_to(fx, snapshot, "v", false, NULL, &e), &e);
                expect_equal(fx, "v");
                must(fx->driver->lifecycle->remove(fx->driver, "v", &e), &e);
            }
        }
    }
    print_message("%u whole, %u marked\n", whole, marked);
    assert_true(marked > 0);
}

/* Tags are anybody's text: nacre's own keys are not taken from them, unknown properties are the driver's to
 * refuse, and can be dropped. */
static void properties(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    char value[256];
    CLEANUP(buf_free) struct buf ids = {0};
    struct id root;
    uint64_t size = save_blobs(fx, image, &ids);
    const struct node node = file_node("disk.img", &ids, size);
    save_tree(fx, &node, 1, &root);
    CLEANUP(snapshot_free)
    struct snapshot *odd =
        save_snapshot(fx, &root, "driver=hostpath", "property.data-pool=fast", "metadata.nacre.id=mine",
                      "metadata.a=b=c", "metadata.=x", "metadata.", "property.none");
    struct volume_ref ref = volume_ref_of("v");
    struct restore_volume_options options = {0};
    must_fail(restore_volume(fx->repo, fx->index, odd, NULL, fx->driver, &ref, &options, NULL, NULL, &e),
              NACRE_INVALID, "hostpath/local/v", "data-pool", "--property data-pool=");
    assert_string_equal("absent", volume_metadata(fx, "v", "a", value));
    options.properties = &(struct nacre_option){"data-pool", ""};
    options.property_count = 1;
    must(restore_volume(fx->repo, fx->index, odd, NULL, fx->driver, &ref, &options, NULL, NULL, &e), &e);
    assert_string_equal("b=c", volume_metadata(fx, "v", "a", value));
    assert_string_equal("", volume_metadata(fx, "v", "nacre.id", value));
    options.properties = &(struct nacre_option){"colour", "red"};
    ref = volume_ref_of("w");
    must_fail(restore_volume(fx->repo, fx->index, odd, NULL, fx->driver, &ref, &options, NULL, NULL, &e),
              NACRE_INVALID, "hostpath/local/w");
    /* Of another driver only the size comes. */
    CLEANUP(snapshot_free)
    struct snapshot *rbd = save_snapshot(fx, &root, "driver=rbd", "property.data-pool=fast", "metadata.a=b",
                                         "volume-bytes=2102152");
    options = (struct restore_volume_options){0};
    must(restore_volume(fx->repo, fx->index, rbd, NULL, fx->driver, &ref, &options, NULL, NULL, &e), &e);
    assert_string_equal("", volume_metadata(fx, "w", "a", value));
    /* The tag and the image must agree. */
    CLEANUP(snapshot_free) struct snapshot *lies = save_snapshot(fx, &root, "volume-bytes=2102153");
    must_fail(restore_to(fx, lies, "x", false, NULL, &e), NACRE_CORRUPT, "2102153", "2102152");
    assert_string_equal("absent", volume_metadata(fx, "x", "a", value));
}

static int restore_again(struct fixture *fx, const struct snapshot *snapshot, struct restore_stats *stats,
                         struct nacre_err *e)
{
    const struct restore_volume_options options = {.again = true};
    const struct volume_ref ref = volume_ref_of("v");
    return restore_volume(fx->repo, fx->index, snapshot, NULL, fx->driver, &ref, &options, NULL, stats, e);
}

/* An earlier run finished the volume but did not get to say so: it is looked at, and never written. */
static void again(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    char value[256];
    static const uint64_t changed[] = {0, 64 * KIB, 30 * 64 * KIB + 5, IMAGE_BYTES - 1};
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    must(restore_again(fx, snapshot, &stats, &e), &e); /* not there at all */
    assert_int_equal(IMAGE_BYTES - HOLE_BYTES, stats.bytes_written);
    unsigned gets = counts.gets;
    must(restore_again(fx, snapshot, &stats, &e), &e);
    assert_int_equal(IMAGE_BYTES - HOLE_BYTES, stats.bytes_same);
    assert_int_equal(0, stats.bytes_written + stats.bytes_fetched);
    assert_int_equal(gets + 1, counts.gets); /* the tree */
    expect_equal(fx, "v");
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        volume_write(fx, "v", changed[i], 1, 77 + i);
        must_fail(restore_again(fx, snapshot, &stats, &e), NACRE_EXISTS, "exists already");
        assert_string_equal("", volume_metadata(fx, "v", RESTORE_UNFINISHED_KEY, value));
        assert_int_equal(1, shell(fx, "cmp -s expected volumes/v/data"));
        must(restore_to(fx, snapshot, "v", true, NULL, &e), &e);
    }
    /* Larger: what is behind the image counts. */
    must(fx->driver->lifecycle->expand(fx->driver, "v", 4 * MIB, &e), &e);
    must(restore_again(fx, snapshot, &stats, &e), &e);
    volume_write(fx, "v", 4 * MIB - 1, 1, 1);
    must_fail(restore_again(fx, snapshot, &stats, &e), NACRE_EXISTS, "exists already");
}

static void empty(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    static const struct chunk nothing[] = {END}, zeros[] = {{64 * KIB, 0, 3}, {777, 0}, END};
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *none = save_image(fx, nothing);
    must(restore_to(fx, none, "none", false, &stats, &e), &e);
    expect_equal(fx, "none");
    CLEANUP(snapshot_free) struct snapshot *holes = save_image(fx, zeros);
    must(restore_to(fx, holes, "holes", false, &stats, &e), &e);
    expect_equal(fx, "holes");
    assert_int_equal(0, stats.bytes_written);
    assert_int_equal(0, volume_allocated(fx, "holes"));
    /* Over data: all of it goes, also the last bytes, which are known to be zeros only once fetched. */
    volume_write(fx, "holes", 0, 3 * 64 * KIB + 777, 5);
    must(restore_to(fx, holes, "holes", true, &stats, &e), &e);
    expect_equal(fx, "holes");
}

int main(int argc, char **argv)
{
    if (argc > 3)
        return child_main(argc, argv);
    _Static_assert(IMAGE_BYTES == 2102152, "the tags above say so");
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(made),        TEST(refused),
        TEST(overwritten), TEST(over_a_larger_one),
        TEST(resumed),     TEST(marked_by_another),
        TEST(cancelled),   TEST(killed),
        TEST(properties),  TEST(again),
        TEST(empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

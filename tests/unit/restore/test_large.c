/* SPDX-License-Identifier: Apache-2.0 */
/* A thin image of 1 TiB with a little data: quick, and in little memory, into a volume and over it. */
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "common/timestamp.h"
#include "fixture.h"

#define SEGMENT_CHUNKS 65536ull /* of 1 MiB: 64 GiB */
#define SEGMENTS 16

static const struct chunk holes[] = {{MIB, 0, SEGMENT_CHUNKS}, END};
/* 192 different chunks, and one that comes 64 times, scattered over the first segment and the last. */
static struct chunk scattered[2 * 256 + 2];

static void make_scattered(void)
{
    uint64_t left = SEGMENT_CHUNKS;
    for (unsigned i = 0; i < 256; i++) {
        scattered[2 * i] = (struct chunk){MIB, i % 4 ? 1000 + i : 7, 1};
        scattered[2 * i + 1] = (struct chunk){MIB, 0, 254};
        left -= 255;
    }
    scattered[512] = (struct chunk){MIB, 0, left};
}

static struct snapshot *save(struct fixture *fx)
{
    static struct id trees[SEGMENTS];
    static struct node nodes[SEGMENTS];
    static char names[SEGMENTS][16];
    struct id disk, root;
    for (size_t i = 0; i < SEGMENTS; i++) {
        CLEANUP(buf_free) struct buf ids = {0};
        snprintf(names[i], sizeof names[i], "%06zu", i);
        if (i == 0 || i == 1 || i == SEGMENTS - 1) {
            uint64_t size = save_blobs(fx, i == 1 ? holes : scattered, &ids);
            const struct node node = file_node("segment.img", &ids, size);
            save_tree(fx, &node, 1, &trees[i]);
        } else {
            trees[i] = trees[1];
        }
        nodes[i] = dir_node(names[i], &trees[i]);
    }
    save_tree(fx, nodes, SEGMENTS, &disk);
    const struct node top = dir_node("disk.img", &disk);
    save_tree(fx, &top, 1, &root);
    return save_snapshot(fx, &root, "driver=hostpath");
}

/* What must be at a chunk of the image. */
static void check_chunk(int fd, uint64_t segment, unsigned data)
{
    static uint8_t got[MIB], expected[MIB];
    chunk_bytes(&scattered[2 * data], expected);
    assert_int_equal(MIB, pread(fd, got, MIB, (off_t)(segment * 64 * GIB + data * 255ull * MIB)));
    assert_memory_equal(expected, got, MIB);
}

static void check(struct fixture *fx)
{
    char path[192];
    snprintf(path, sizeof path, "%s/volumes/v/data", fx->dir);
    CLEANUP(fd_close) int fd = open(path, O_RDONLY);
    assert_int_equal(1024 * GIB, lseek(fd, 0, SEEK_END));
    for (unsigned data = 0; data < 256; data++) {
        check_chunk(fd, 0, data);
        check_chunk(fd, SEGMENTS - 1, data);
    }
    assert_int_equal(15 * 64 * GIB, lseek(fd, (off_t)(256 * 255ull * MIB), SEEK_DATA));
    assert_true(volume_allocated(fx, "v") < 520ull * MIB);
}

/* The peak since the last reset, which forgets what making the image took. */
static void peak_reset(void)
{
    malloc_trim(0);
    FILE *file = fopen("/proc/self/clear_refs", "w");
    assert_non_null(file);
    fputs("5", file);
    assert_int_equal(0, fclose(file));
}

static long peak_mib(void)
{
    char line[128];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (kib < 0 && fgets(line, sizeof line, file))
        if (!strncmp(line, "VmHWM:", 6))
            kib = strtol(line + 6, NULL, 10);
    fclose(file);
    return kib / 1024;
}

static void one_tib(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    make_scattered();
    CLEANUP(snapshot_free) struct snapshot *snapshot = save(fx);
    peak_reset();
    long before = peak_mib();
    int64_t start = timestamp_elapsed();
    must(restore_to(fx, snapshot, "v", false, &stats, &e), &e);
    int64_t made = timestamp_elapsed();
    check(fx);
    assert_int_equal(512ull * MIB, stats.bytes_written);
    assert_int_equal(193, stats.blobs);
    assert_true(stats.bytes_fetched < 200ull * MIB);
    volume_write(fx, "v", 70 * GIB, 4096, 3);
    int64_t again = timestamp_elapsed();
    must(restore_to(fx, snapshot, "v", true, &stats, &e), &e);
    int64_t compared = timestamp_elapsed();
    check(fx);
    assert_int_equal(0, stats.bytes_written);
    print_message("made in %ld ms, compared in %ld ms, peak %ld MiB of which %ld before\n",
                  (long)((made - start) / 1000000), (long)((compared - again) / 1000000), peak_mib(), before);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    assert_true(peak_mib() <= 200);
    assert_true(peak_mib() - before <= 128);
#endif
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {TEST(one_tib)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

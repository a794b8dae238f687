/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes beyond one segment: their trees, what an incremental rewrites, and how much memory a thin one
 * takes. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "backup/segments.h"
#include "common/timestamp.h"
#include "repository/blob_load.h"

#define GIB (1ull << 30)
#define MIB (1ull << 20)

/* ---- comparing without reading terabytes of zeros ---- */

struct comparing {
    struct fixture *fx;
    struct index *index;
    struct zeros zeros;
    int data; /* the volume's file */
    uint64_t chunk;
    bool file_found;
    uint64_t data_chunks;
    struct id subtrees[32];
    size_t subtree_count;
};

static void compare_chunk(struct comparing *c, const struct id *id)
{
    uint64_t offset = c->chunk * c->zeros.chunk_size;
    uint32_t length = zeros_chunk_length(&c->zeros, c->chunk);
    if (zeros_is(&c->zeros, c->chunk++, id)) {
        off_t at = lseek(c->data, (off_t)offset, SEEK_DATA);
        assert_true(at < 0 || (uint64_t)at >= offset + length);
        return;
    }
    CLEANUP(buf_free) struct buf blob = {0};
    CLEANUP(mem_free) uint8_t *wanted = malloc(length);
    struct nacre_err e = {0};
    assert_int_equal(0, blob_load(c->fx->repo, c->index, BLOB_DATA, id, &blob, &e));
    assert_int_equal(length, blob.size);
    assert_int_equal(length, pread(c->data, wanted, length, (off_t)offset));
    assert_memory_equal(wanted, blob.data, length);
    c->data_chunks++;
}

static int on_node(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct comparing *c = ctx;
    (void)e;
    if (node->type == NODE_DIR) {
        c->subtrees[c->subtree_count++] = node->subtree;
    } else {
        c->file_found = true;
        for (size_t i = 0; i < node->content_count; i++)
            compare_chunk(c, &node->content[i]);
    }
    return 0;
}

/* The content of a saved volume is that of its file now. Returns the chunks that are not zeros. */
static uint64_t expect_equal(struct fixture *fx, const struct backup_volume *saved, const char *volume)
{
    char path[256];
    struct nacre_err e = {0};
    struct comparing c = {.fx = fx};
    CLEANUP(index_free) struct index *index = NULL;
    snprintf(path, sizeof path, "%s/volumes/%s/data", fx->dir, volume);
    CLEANUP(fd_close) int data = open(path, O_RDONLY);
    assert_true(data >= 0);
    c.data = data;
    assert_int_equal(0, zeros_init(&c.zeros, saved->volume_bytes, saved->chunk_size, &e));
    assert_int_equal(0, index_load(fx->repo, &index, &e));
    c.index = index;
    c.subtrees[0] = saved->tree;
    c.subtree_count = 1;
    for (size_t i = 0; i < c.subtree_count; i++) /* segments are appended, and so visited, in order */
        assert_int_equal(0, tree_load(fx->repo, index, &c.subtrees[i], on_node, &c, &e));
    assert_int_equal(saved->chunks_total, c.chunk);
    return c.data_chunks;
}

/* ---- */

static void segments(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved, again;
    options.chunk_size = MIB;
    volume_make(fx, "v", 192 * GIB + MIB + 5);
    volume_fill(fx, "v", 7 * MIB + 5, 3 * MIB, 1);
    volume_fill(fx, "v", 128 * GIB - MIB, 2 * MIB, 2); /* across the border of two segments */
    volume_fill(fx, "v", 192 * GIB, MIB + 5, 3);
    back_up(fx, &options, "v", &saved);
    assert_int_equal(192 * 1024 + 2, saved.chunks_total);
    assert_int_equal(4 + 2 + 2, saved.chunks_read);
    assert_int_equal(8, expect_equal(fx, &saved, "v"));
    expect_sound(fx);
    assert_int_equal(0,
                     shell(fx, "$R ls latest | grep -v ^snap | tr '\\n' ' ' > ls; test \"$(cat ls)\" = "
                               "'/disk.img /disk.img/000000 /disk.img/000000/segment.img /disk.img/000001 "
                               "/disk.img/000001/segment.img /disk.img/000002 /disk.img/000002/segment.img "
                               "/disk.img/000003 /disk.img/000003/segment.img '"));
    assert_int_equal(0, shell(fx,
                              "$R dump latest /disk.img/000003/segment.img > last; "
                              "tail -c %llu volumes/v/data | cmp - last",
                              MIB + 5));
    /* a change in one segment rewrites that segment's list, and no other */
    volume_fill(fx, "v", 64 * GIB + 5, 1, 4);
    back_up(fx, &options, "v", &again);
    assert_true(again.incremental);
    assert_int_equal(1, again.chunks_read);
    assert_int_equal(saved.chunks_total - 1, again.chunks_unchanged);
    assert_int_equal(9, expect_equal(fx, &again, "v"));
    assert_true(again.bytes_uploaded < MIB);
    saved = again;
    back_up(fx, &options, "v", &again);
    assert_true(id_equal(&saved.tree, &again.tree));
    assert_int_equal(0, again.bytes_uploaded);
}

static void across_the_border(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved;
    options.chunk_size = 8 * MIB;
    volume_make(fx, "v", 64 * GIB - 100);
    volume_fill(fx, "v", 64 * GIB - 5 * MIB, 5 * MIB - 100, 1);
    volume_fill(fx, "v", 0, 10, 1);
    back_up(fx, &options, "v", &saved);
    assert_int_equal(2, expect_equal(fx, &saved, "v"));
    volume_truncate(fx, "v", 64 * GIB); /* one file still */
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental);
    assert_int_equal(1, saved.chunks_read);
    assert_int_equal(2, expect_equal(fx, &saved, "v"));
    volume_truncate(fx, "v", 64 * GIB + 1); /* a directory of segments now */
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental);
    assert_int_equal(0, saved.chunks_read);
    assert_int_equal(2, expect_equal(fx, &saved, "v"));
    volume_truncate(fx, "v", 3 * GIB + 1); /* and back */
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental && !saved.warning[0]);
    assert_int_equal(1, saved.chunks_read); /* the one that the end cuts */
    assert_int_equal(1, expect_equal(fx, &saved, "v"));
    volume_truncate(fx, "v", 256 * GIB);
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental);
    back_up(fx, &options, "v", &saved);
    assert_int_equal(saved.chunks_total, saved.chunks_unchanged);
    expect_sound(fx);
}

/* In a process of its own, whose peak of memory is then known. */
static void thin(void **state)
{
    struct fixture *fx = *state;
    volume_make(fx, "v", 1024 * GIB);
    for (unsigned i = 0; i < 64; i++) {
        volume_fill(fx, "v", 16 * GIB * i + 5 * MIB * i, 4 * MIB, i);
    }
    for (unsigned round = 0; round < 2; round++) {
        fflush(NULL);
        pid_t child = fork();
        if (!child) {
            struct fixture mine;
            struct backup_options options = {.name = "thin", .level = 3};
            struct backup_volume saved;
            fixture_open(&mine, fx->dir);
            int64_t started = timestamp_elapsed();
            back_up(&mine, &options, "v", &saved);
            bool right = saved.chunks_read == (round ? 0 : 256) && saved.chunks_total == 1024ull * 1024 &&
                         (round || expect_equal(&mine, &saved, "v") == 256);
            printf("thin: %.1f s\n", (double)(timestamp_elapsed() - started) / 1e9);
            fflush(stdout);
            fixture_close(&mine);
            _exit(right ? 0 : 1);
        }
        int status = -1;
        struct rusage usage;
        assert_int_equal(child, wait4(child, &status, 0, &usage));
        assert_int_equal(0, status);
        printf("thin: peak of %ld MiB\n", usage.ru_maxrss / 1024);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__ /* their own memory is counted, too */
        assert_true(usage.ru_maxrss <= 200L * 1024);
#endif
    }
    expect_sound(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(segments, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(across_the_border, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(thin, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

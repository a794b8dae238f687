/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the image in a snapshot: its one file, a path, segments; and trees that lie. */
#include "fixture.h"
#include "repository/tree.h"

static const struct chunk some[] = {{100, 1}, {4096, 2}, END};

/* Opens, and gives the size; frees the snapshot's image. */
static int open_image(struct fixture *fx, const struct snapshot *snapshot, const char *path, uint64_t *bytes,
                      struct nacre_err *e)
{
    CLEANUP(image_free) struct image *image = NULL;
    if (image_open(fx->repo, fx->index, snapshot, path, &image, e) < 0)
        return -1;
    *bytes = image_bytes(image);
    return 0;
}

/* A root with a/b/{one,two} and c/. */
static struct snapshot *save_nested(struct fixture *fx, bool with_two)
{
    CLEANUP(buf_free) struct buf ids = {0};
    struct id inner, a, empty, root;
    uint64_t size = save_blobs(fx, some, &ids);
    const struct node files[] = {file_node("one", &ids, size), file_node("two", &ids, size)};
    save_tree(fx, files, with_two ? 2 : 1, &inner);
    const struct node b = dir_node("b", &inner);
    save_tree(fx, &b, 1, &a);
    save_tree(fx, NULL, 0, &empty);
    const struct node top[] = {dir_node("a", &a), dir_node("c", &empty)};
    save_tree(fx, top, 2, &root);
    return save_snapshot(fx, &root);
}

static void found(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    uint64_t bytes = 0;
    CLEANUP(snapshot_free)
    struct snapshot *one = save_nested(fx, false), *two = save_nested(fx, true), *disk = save_image(fx, some);
    must(open_image(fx, disk, NULL, &bytes, &e), &e);
    assert_int_equal(4196, bytes);
    must(open_image(fx, disk, "disk.img", &bytes, &e), &e);
    must(open_image(fx, one, NULL, &bytes, &e), &e);
    must(open_image(fx, two, "/a/b/two", &bytes, &e), &e);
    must(open_image(fx, two, "a//b/one/", &bytes, &e), &e);
    assert_int_equal(4196, bytes);
    must_fail(open_image(fx, two, NULL, &bytes, &e), NACRE_INVALID, "a/b/one", "a/b/two", "name the one");
    must_fail(open_image(fx, two, "/a/b/three", &bytes, &e), NACRE_ABSENT, "three");
    must_fail(open_image(fx, two, "/a/x/one", &bytes, &e), NACRE_ABSENT, "there is no \"x\"");
    must_fail(open_image(fx, two, "/a/b/one/two", &bytes, &e), NACRE_ABSENT, "no directory");
    must_fail(open_image(fx, two, "/a/b", &bytes, &e), NACRE_ABSENT, "is a directory");
    must_fail(open_image(fx, two, "/c", &bytes, &e), NACRE_ABSENT, "is a directory");
    must_fail(open_image(fx, two, "/", &bytes, &e), NACRE_INVALID, "names no file");
}

static void nothing_there(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct id empty;
    uint64_t bytes;
    save_tree(fx, NULL, 0, &empty);
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_snapshot(fx, &empty);
    must_fail(open_image(fx, snapshot, NULL, &bytes, &e), NACRE_ABSENT, "holds no file");
    memset(&snapshot->tree, 7, sizeof snapshot->tree);
    must_fail(open_image(fx, snapshot, NULL, &bytes, &e), NACRE_CORRUPT, "lost");
}

/* Directories that contain each other without end cannot be made of hashes, but very deep ones can. */
static void too_deep(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct id tree;
    uint64_t bytes;
    save_tree(fx, NULL, 0, &tree);
    for (int i = 0; i < 300; i++) {
        const struct node node = dir_node("d", &tree);
        save_tree(fx, &node, 1, &tree);
    }
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_snapshot(fx, &tree);
    must_fail(open_image(fx, snapshot, NULL, &bytes, &e), NACRE_CORRUPT, "deep");
}

/* And few trees can stand for very many directories. */
static void too_many(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct id tree;
    uint64_t bytes;
    save_tree(fx, NULL, 0, &tree);
    for (int i = 0; i < 40; i++) {
        const struct node nodes[] = {dir_node("a", &tree), dir_node("b", &tree)};
        save_tree(fx, nodes, 2, &tree);
    }
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_snapshot(fx, &tree);
    must_fail(open_image(fx, snapshot, NULL, &bytes, &e), NACRE_INVALID, "too many directories");
}

/* disk.img as a directory of segments with these sizes; `name` of the second. */
static struct snapshot *save_segments(struct fixture *fx, const struct chunk *const *parts, size_t count,
                                      const char *file, const char *second)
{
    struct id trees[8], disk, root;
    struct node nodes[8];
    char names[8][16];
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_free) struct buf ids = {0};
        uint64_t size = save_blobs(fx, parts[i], &ids);
        const struct node node = file_node(file, &ids, size);
        save_tree(fx, &node, 1, &trees[i]);
        snprintf(names[i], sizeof names[i], "%06zu", i);
        nodes[i] = dir_node(i == 1 ? second : names[i], &trees[i]);
    }
    save_tree(fx, nodes, count, &disk);
    const struct node top = dir_node("disk.img", &disk);
    save_tree(fx, &top, 1, &root);
    return save_snapshot(fx, &root, "driver=hostpath");
}

static void segments(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    static const struct chunk a[] = {{64 * KIB, 1}, {64 * KIB, 0}, END}, b[] = {{128 * KIB, 0}, END},
                              c[] = {{1000, 3}, END};
    static const struct chunk whole[] = {
        {64 * KIB, 1}, {64 * KIB, 0}, {128 * KIB, 0}, {64 * KIB, 1}, {64 * KIB, 0}, {1000, 3}, END};
    const struct chunk *const parts[] = {a, b, a, c};
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_segments(fx, parts, 4, "segment.img", "000001");
    uint64_t bytes = 0;
    must(open_image(fx, snapshot, NULL, &bytes, &e), &e);
    assert_int_equal(3 * 128 * KIB + 1000, bytes);
    write_expected(fx, whole);
    struct restore_stats stats;
    must(restore_to(fx, snapshot, "v", false, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_int_equal(2, stats.blobs);
}

/* More than any volume of today has; all of them are one hole. */
static void very_many_segments(void **state)
{
    enum { COUNT = 150000, NAME_SIZE = 8 };
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    static const struct chunk hole[] = {{64 * KIB, 0}, END};
    CLEANUP(buf_free) struct buf ids = {0};
    CLEANUP(mem_free) struct node *nodes = calloc(COUNT, sizeof *nodes);
    CLEANUP(mem_free) char *names = calloc(COUNT, NAME_SIZE);
    struct id tree, disk, root;
    uint64_t bytes = 0;
    assert_true(nodes && names);
    uint64_t size = save_blobs(fx, hole, &ids);
    const struct node file = file_node("segment.img", &ids, size);
    save_tree(fx, &file, 1, &tree);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(names + (size_t)i * NAME_SIZE, NAME_SIZE, "%06u", i % 1000000);
        nodes[i] = dir_node(names + (size_t)i * NAME_SIZE, &tree);
    }
    save_tree(fx, nodes, COUNT, &disk);
    const struct node top = dir_node("disk.img", &disk);
    save_tree(fx, &top, 1, &root);
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_snapshot(fx, &root, "driver=hostpath");
    must(open_image(fx, snapshot, NULL, &bytes, &e), &e);
    assert_int_equal(size * COUNT, bytes);
}

static void segments_that_lie(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    static const struct chunk a[] = {{128 * KIB, 1}, END}, small[] = {{64 * KIB, 2}, END};
    const struct chunk *const middle[] = {a, small, a}, *const last[] = {small, a}, *const none[] = {a, a};
    uint64_t bytes;
    CLEANUP(snapshot_free)
    struct snapshot *m = save_segments(fx, middle, 3, "segment.img", "000001"),
                    *l = save_segments(fx, last, 2, "segment.img", "000001"),
                    *gap = save_segments(fx, none, 2, "segment.img", "000002"),
                    *file = save_segments(fx, none, 2, "other.img", "000001");
    must_fail(restore_to(fx, m, "v", false, NULL, &e), NACRE_CORRUPT, "segment 1", "65536", "131072");
    must_fail(open_image(fx, l, NULL, &bytes, &e), NACRE_CORRUPT, "cannot be");
    must_fail(open_image(fx, gap, NULL, &bytes, &e), NACRE_ABSENT, "is a directory");
    must_fail(open_image(fx, file, NULL, &bytes, &e), NACRE_CORRUPT, "segment.img");
}

/* A file whose size is not that of its blobs, or whose blob is unknown: an error, and the volume stays
 * marked. */
static void sizes_that_lie(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    char value[256];
    static const int64_t differences[] = {-1, 1, -4096, 1000000};
    for (size_t i = 0; i < sizeof differences / sizeof *differences; i++) {
        CLEANUP(buf_free) struct buf ids = {0};
        struct id root;
        char name[16];
        uint64_t size = save_blobs(fx, some, &ids);
        const struct node node = file_node("disk.img", &ids, size + (uint64_t)differences[i]);
        save_tree(fx, &node, 1, &root);
        CLEANUP(snapshot_free) struct snapshot *snapshot = save_snapshot(fx, &root);
        snprintf(name, sizeof name, "v%zu", i);
        must_fail(restore_to(fx, snapshot, name, false, NULL, &e), NACRE_CORRUPT, "disk.img", "blobs");
        assert_int_equal(64, strlen(volume_metadata(fx, name, RESTORE_UNFINISHED_KEY, value)));
    }
}

static void lost_blob(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf ids = {0};
    struct id root, lost;
    memset(&lost, 0xab, sizeof lost);
    uint64_t size = save_blobs(fx, some, &ids);
    buf_append(&ids, &lost, sizeof lost);
    const struct node node = file_node("disk.img", &ids, size + 100);
    save_tree(fx, &node, 1, &root);
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_snapshot(fx, &root);
    must_fail(restore_to(fx, snapshot, "v", false, NULL, &e), NACRE_CORRUPT, "abababab", "lost");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(found),     TEST(nothing_there),      TEST(too_deep),          TEST(too_many),
        TEST(segments),  TEST(very_many_segments), TEST(segments_that_lie), TEST(sizes_that_lie),
        TEST(lost_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

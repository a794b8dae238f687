/* SPDX-License-Identifier: Apache-2.0 */
/* The golden repositories (tests/golden) open, check and give their content, byte for byte. `make DIRECTORY`
 * in place of a test run writes a new one. */
#include "support.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "common/timestamp.h"
#include "plugins/load.h"
#include "plugins/store.h"
#include "repository/blob_load.h"
#include "repository/check.h"
#include "repository/snapshot.h"
#include "repository/tree.h"
#include "repository/tree_name.h"
#include "repository/writer.h"

#define GOLDEN_PASSWORD "golden"
#define CHUNK ((size_t)1 << 20)

/* --- reading --- */

struct reading {
    struct repo *repo;
    struct index *index;
    char prefix[256];     /* of the directory, quoted */
    struct buf *lines;    /* as CONTENT */
    struct buf *subtrees; /* of struct subtree, of this directory */
};

struct subtree {
    struct id id;
    char name[256];
};

static int read_node(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct reading *r = ctx;
    CLEANUP(buf_free) struct buf content = {0}, name = {0};
    struct id hash;
    char hex[ID_HEX_SIZE];
    tree_name_quote(&name, node->name, node->name_size);
    if (node->type == NODE_DIR) {
        struct subtree subtree = {.id = node->subtree};
        assert_true(node->has_subtree);
        snprintf(subtree.name, sizeof subtree.name, "%s%s/", r->prefix, (char *)name.data);
        buf_append(r->subtrees, &subtree, sizeof subtree);
    }
    if (node->type == NODE_SYMLINK)
        assert_string_equal(node->linktarget, "dir/text");
    if (node->type != NODE_FILE)
        return 0;
    for (size_t i = 0; i < node->content_count; i++)
        if (blob_load(r->repo, r->index, BLOB_DATA, &node->content[i], &content, e) < 0)
            return -1;
    assert_int_equal(content.size, node->size);
    id_hash(&hash, content.data, content.size);
    id_format(&hash, hex);
    buf_printf(r->lines, "%s  %s%s\n", hex, r->prefix, (char *)name.data);
    return 0;
}

static void read_tree(struct reading *r, const struct id *tree)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf subtrees = {0};
    r->subtrees = &subtrees; /* cppcheck-suppress autoVariables ; every level sets its own */
    assert_ok(tree_load(r->repo, r->index, tree, read_node, r, &e));
    const struct subtree *list = (const void *)subtrees.data;
    for (size_t i = 0; i < subtrees.size / sizeof *list; i++) {
        struct reading below = *r;
        snprintf(below.prefix, sizeof below.prefix, "%s", list[i].name);
        read_tree(&below, &list[i].id);
    }
}

static void on_text(void *ctx, const char *text)
{
    (void)ctx;
    print_error("%s\n", text);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a + 66, *(char *const *)b + 66); /* by path */
}

/* Both may list in another order: sorted by path, they are the same. */
static void sort_lines(struct buf *text, struct buf *out)
{
    char *lines[64];
    size_t count = 0;
    for (char *line = strtok((char *)text->data, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(count < 64 && strlen(line) > 66);
        lines[count++] = line;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s\n", lines[i]);
}

static void read_golden(const char *path)
{
    struct nacre_err e;
    CLEANUP(store_close) struct nacre_object_store *store = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
    CLEANUP(buf_free) struct buf lines = {0}, content = {0}, actual = {0}, expected = {0};
    char url[PATH_MAX + 16], list[PATH_MAX + 16];
    snprintf(url, sizeof url, "file://%s", path);
    snprintf(list, sizeof list, "%s/CONTENT", path);
    assert_ok(plugin_open_store(url, NULL, 0, &store, &e));
    const struct repo_options options = {.path = "", .where = path};
    assert_ok(repo_open(store, &options, GOLDEN_PASSWORD, &repo, &e));
    struct check_result result;
    const struct check_options check = {.read_data = true, .read_of = 1, .fault = on_text, .note = on_text};
    assert_ok(check_run(repo, &check, &result, &e));
    assert_int_equal(result.faults, 0);
    assert_int_equal(result.packs_unused, 0);
    assert_int_equal(result.packs_read, result.packs);
    assert_int_equal(result.snapshots, 1);

    assert_ok(index_load(repo, &index, &e));
    assert_ok(snapshot_find(repo, "latest", &snapshot, &e));
    struct reading reading = {.repo = repo, .index = index, .lines = &lines};
    read_tree(&reading, &snapshot->tree);
    read_whole(list, &content);
    sort_lines(&content, &expected);
    sort_lines(&lines, &actual);
    assert_string_equal((char *)actual.data, (char *)expected.data);
}

static void all_golden(void **state)
{
    (void)state;
    const char *directory = getenv("NACRE_GOLDEN");
    size_t count = 0;
    assert_non_null(directory);
    DIR *dir = opendir(directory);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[PATH_MAX];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
            continue;
        print_message("%s\n", entry->d_name);
        read_golden(path);
        count++;
    }
    closedir(dir);
    assert_true(count >= 3);
}

/* --- making one --- */

static void make_disk(uint8_t *disk, size_t size)
{
    for (size_t at = 0; at < size; at += 4096)
        if (at / CHUNK % 3 != 1) /* whole chunks of zeros, too */
            snprintf((char *)disk + at, 4096, "sector %zu of a disk", at / 512);
}

static int write_disk(struct repo *repo, struct index *index, const uint8_t *disk, size_t size,
                      struct id *tree, struct nacre_err *e)
{
    CLEANUP(writer_free) struct writer *writer = NULL;
    CLEANUP(buf_free) struct buf json = {0};
    struct id ids[64];
    bool added;
    if (writer_new(repo, index, &(struct writer_options){.level = 3}, &writer, e) < 0)
        return -1;
    for (size_t i = 0; i < size / CHUNK; i++) {
        id_hash(&ids[i], disk + i * CHUNK, CHUNK);
        if (writer_save(writer, BLOB_DATA, &ids[i], disk + i * CHUNK, CHUNK, &added, e) < 0)
            return -1;
    }
    tree_begin(&json);
    tree_node(&json, &(struct node){.name = "disk.img",
                                    .name_size = 8,
                                    .type = NODE_FILE,
                                    .mode = 0600,
                                    .mtime_ns = timestamp_now(),
                                    .atime_ns = timestamp_now(),
                                    .ctime_ns = timestamp_now(),
                                    .size = size,
                                    .content = ids,
                                    .content_count = size / CHUNK});
    tree_end(&json);
    id_hash(tree, json.data, json.size);
    if (writer_save(writer, BLOB_TREE, tree, json.data, json.size, &added, e) < 0)
        return -1;
    return writer_finish(writer, e);
}

static int write_golden(struct nacre_object_store *store, const char *path, struct nacre_err *e)
{
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    CLEANUP(snapshot_free) struct snapshot *snapshot = snapshot_new();
    const size_t size = 8 * CHUNK;
    CLEANUP(mem_free) uint8_t *disk = calloc(1, size);
    const struct repo_options options = {.path = "", .where = path};
    make_disk(disk, size);
    if (repo_init(store, &options, GOLDEN_PASSWORD, 2, &repo, e) < 0 || index_load(repo, &index, e) < 0 ||
        write_disk(repo, index, disk, size, &snapshot->tree, e) < 0)
        return -1;
    snapshot->time_ns = timestamp_now();
    snapshot->hostname = strdup("golden");
    snapshot->program_version = strdup("nacre " NACRE_VERSION);
    if (snapshot_add_path(snapshot, "/hostpath/local/golden", e) < 0 ||
        snapshot_add_tag(snapshot, "volume=hostpath/local/golden", e) < 0 ||
        snapshot_add_tag(snapshot, "chunk-size=1048576", e) < 0 || snapshot_save(repo, snapshot, e) < 0)
        return -1;
    char list[PATH_MAX + 16], line[ID_HEX_SIZE + 16], hex[ID_HEX_SIZE];
    struct id hash;
    id_hash(&hash, disk, size);
    id_format(&hash, hex);
    snprintf(list, sizeof list, "%s/CONTENT", path);
    int used = snprintf(line, sizeof line, "%s  disk.img\n", hex);
    write_whole(list, line, (size_t)used);
    return 0;
}

static int make_golden(const char *path)
{
    struct nacre_err e;
    CLEANUP(store_close) struct nacre_object_store *store = NULL;
    char url[PATH_MAX + 16];
    snprintf(url, sizeof url, "file://%s", path);
    if (plugin_open_store(url, NULL, 0, &store, &e) < 0 || write_golden(store, path, &e) < 0) {
        fprintf(stderr, "%s\n", e.message);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_golden)};
    if (argc == 3 && !strcmp(argv[1], "make"))
        return make_golden(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

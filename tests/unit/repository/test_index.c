/* SPDX-License-Identifier: Apache-2.0 */
/* The index: against a plain list of what was put in, through every way of building it, and with every kind
 * of damage to the local file. */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "common/timestamp.h"
#include "repository/index.h"
#include "repository/index_file.h"

/* --- the JSON --- */

static int keep_pack(void *ctx, const struct id *pack, const struct pack_blob *blobs, size_t count,
                     struct nacre_err *e)
{
    (void)e;
    struct buf *out = ctx;
    if (out->size)
        buf_char(out, ',');
    index_json_pack(out, pack, blobs, count);
    return 0;
}

#define ID_A "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"
#define ID_B "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

static void parses_and_writes(void **state)
{
    (void)state;
    struct nacre_err e;
    const char json[] =
        "{\"supersedes\":[\"" ID_A "\"],\"later\":{\"packs\":[7]},\"packs\":[{\"id\":\"" ID_A
        "\",\"blobs\":[{\"id\":\"" ID_B "\",\"type\":\"data\",\"offset\":4294967000,\"length\":32},"
        "{\"id\":\"" ID_A "\",\"type\":\"tree\",\"offset\":0,\"length\":47,\"uncompressed_length\":6,"
        "\"x\":[1]}]},{\"blobs\":[],\"id\":\"" ID_B "\"}]}";
    const char expected[] =
        "{\"id\":\"" ID_A "\",\"blobs\":[{\"id\":\"" ID_B
        "\",\"type\":\"data\",\"offset\":4294967000,\"length\":32},{\"id\":\"" ID_A
        "\",\"type\":\"tree\",\"offset\":0,\"length\":47,\"uncompressed_length\":6}]},{\"id\":\"" ID_B
        "\",\"blobs\":[]}";
    CLEANUP(buf_free) struct buf out = {0};
    assert_ok(index_parse(json, strlen(json), keep_pack, &out, &e));
    assert_string_equal((char *)out.data, expected);
    buf_clear(&out);
    assert_ok(index_parse("{\"packs\":null}", 14, keep_pack, &out, &e));
    assert_int_equal(out.size, 0);
}

static void refuses(void **state)
{
    (void)state;
#define BLOB(fields) "{\"packs\":[{\"id\":\"" ID_A "\",\"blobs\":[{" fields "}]}]}"
#define GOOD_ID "\"id\":\"" ID_B "\""
    const struct {
        const char *json, *why;
    } cases[] = {
        {"", "not JSON"},
        {"[]", "unexpectedly"},
        {"{}", "\"packs\" is missing"},
        {"{\"packs\":7}", "unexpectedly a number"},
        {"{\"packs\":[],\"packs\":[]}", "unexpectedly"},
        {"{\"packs\":[{}]}", "has no id"},
        {"{\"packs\":[{\"id\":\"x\"}]}", "not an id"},
        {"{\"packs\":[{\"id\":\"" ID_A "\",\"blobs\":[],\"blobs\":[]}]}", "unexpectedly"},
        {"{\"packs\":[{\"id\":\"" ID_A "\",\"blobs\":[[]]}]}", "unexpectedly"},
        {BLOB(""), "lacks its id"},
        {BLOB(GOOD_ID ",\"type\":\"data\",\"offset\":0"), "lacks its id"},
        {BLOB(GOOD_ID ",\"type\":\"link\",\"offset\":0,\"length\":32"), "neither data nor tree"},
        {BLOB(GOOD_ID ",\"type\":\"data\",\"offset\":-1,\"length\":32"), "not a whole number"},
        {BLOB(GOOD_ID ",\"type\":\"data\",\"offset\":0,\"length\":31"), "cannot lie"},
        {BLOB(GOOD_ID ",\"type\":\"data\",\"offset\":4294967295,\"length\":32"), "cannot lie"},
        {BLOB(GOOD_ID ",\"type\":\"data\",\"offset\":4294967296,\"length\":32"), "more than"},
        {BLOB(GOOD_ID ",\"type\":\"data\",\"offset\":0,\"length\":4294967295"), "more than"},
        {BLOB(GOOD_ID ",\"type\":\"data\",\"offset\":0,\"length\":32,\"uncompressed_length\":4000000000"),
         "more than"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nacre_err e = {0};
        CLEANUP(buf_free) struct buf out = {0};
        int result = index_parse(cases[i].json, strlen(cases[i].json), keep_pack, &out, &e);
        if (result != -1 || e.code != NACRE_CORRUPT || !strstr(e.message, cases[i].why))
            fail_msg("%s: %d, %s", cases[i].json, result, e.message);
    }
}

/* --- the whole --- */

static struct id number_id(const char *kind, unsigned number)
{
    struct id id;
    char text[64];
    snprintf(text, sizeof text, "%s %u", kind, number);
    id_hash(&id, text, strlen(text));
    return id;
}

#define PER_PACK 7u

/* The blobs of pack `number`: PER_PACK of them, some compressed, some trees. */
static void make_pack(unsigned number, struct id *pack, struct pack_blob blobs[PER_PACK])
{
    *pack = number_id("pack", number);
    for (unsigned i = 0; i < PER_PACK; i++) {
        unsigned n = number * PER_PACK + i;
        blobs[i] = (struct pack_blob){.id = number_id("blob", n),
                                      .offset = i * 1000,
                                      .length = 1000,
                                      .plain_length = n % 2 ? 968 : 5000 + n % 1000,
                                      .type = n % 3 ? BLOB_DATA : BLOB_TREE,
                                      .compressed = n % 2 == 0};
    }
}

/* Writes an index file of packs [first, first + count). */
static struct id write_index(struct repo *repo, unsigned first, unsigned count)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf json = {0};
    struct id id;
    buf_string(&json, "{\"packs\":[");
    for (unsigned i = 0; i < count; i++) {
        struct id pack;
        struct pack_blob blobs[PER_PACK];
        make_pack(first + i, &pack, blobs);
        if (i)
            buf_char(&json, ',');
        index_json_pack(&json, &pack, blobs, PER_PACK);
    }
    buf_string(&json, "]}");
    assert_ok(repo_file_save(repo, REPO_INDEX, json.data, json.size, &id, &e));
    return id;
}

static void expect_pack(struct index *index, unsigned number)
{
    struct id pack;
    struct pack_blob blobs[PER_PACK];
    make_pack(number, &pack, blobs);
    for (unsigned i = 0; i < PER_PACK; i++) {
        struct index_entry entry;
        struct id pack_by_number;
        assert_true(index_find(index, blobs[i].type, &blobs[i].id, &entry));
        assert_true(id_equal(&entry.pack, &pack));
        assert_true(id_equal(&entry.blob.id, &blobs[i].id));
        assert_int_equal(entry.blob.offset, blobs[i].offset);
        assert_int_equal(entry.blob.length, blobs[i].length);
        assert_int_equal(entry.blob.plain_length, blobs[i].plain_length);
        assert_int_equal(entry.blob.type, blobs[i].type);
        assert_int_equal(entry.blob.compressed, blobs[i].compressed);
        index_pack_id(index, entry.pack_number, &pack_by_number);
        assert_true(id_equal(&pack_by_number, &pack));
        assert_false(index_find(index, !blobs[i].type, &blobs[i].id, &entry));
    }
    uint32_t found;
    assert_true(index_find_pack(index, &pack, &found));
}

static int count_in_order(void *ctx, const struct index_entry *entry)
{
    struct {
        struct id last;
        uint64_t count;
    } *seen = ctx;
    assert_true(!seen->count || id_compare(&seen->last, &entry->blob.id) <= 0);
    seen->last = entry->blob.id;
    seen->count++;
    return 0;
}

/* Packs 0 … count - 1 and nothing else. */
static void expect_packs(struct index *index, unsigned count)
{
    struct index_entry entry;
    struct {
        struct id last;
        uint64_t count;
    } seen = {0};
    assert_int_equal(index_blob_count(index), (uint64_t)count * PER_PACK);
    assert_int_equal(index_pack_count(index), count);
    for (unsigned i = 0; i < count; i++)
        expect_pack(index, i);
    for (unsigned i = count * PER_PACK; i < count * PER_PACK + 1000; i++) {
        struct id absent = number_id("blob", i);
        assert_false(index_find(index, BLOB_DATA, &absent, &entry));
        assert_false(index_find(index, BLOB_TREE, &absent, &entry));
    }
    assert_int_equal(index_each(index, count_in_order, &seen), 0);
    assert_int_equal(seen.count, (uint64_t)count * PER_PACK);
}

static void load_and_expect(struct repo *repo, unsigned packs)
{
    struct nacre_err e;
    CLEANUP(index_free) struct index *index = NULL;
    assert_ok(index_load(repo, &index, &e));
    expect_packs(index, packs);
}

static struct repo *make_repo(struct place *place, bool cached)
{
    struct nacre_err e;
    struct repo *repo = NULL;
    static char cache[128];
    snprintf(cache, sizeof cache, "%s/a/cache", place->dir);
    place->options.cache_dir = cached ? cache : NULL;
    assert_ok(repo_init(place->store, &place->options, PASSWORD, 2, &repo, &e));
    return repo;
}

static void cache_path(const struct repo *repo, char path[512])
{
    snprintf(path, 512, "%s/%s/index", repo_cache_dir(repo), repo_id(repo));
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    return st.st_ino;
}

static void without_a_cache(void **state)
{
    CLEANUP(repo_free) struct repo *repo = make_repo(*state, false);
    load_and_expect(repo, 0);
    write_index(repo, 0, 10);
    load_and_expect(repo, 10);
}

static void follows_the_repository(void **state)
{
    struct nacre_err e;
    char path[512];
    CLEANUP(repo_free) struct repo *repo = make_repo(*state, true);
    cache_path(repo, path);
    load_and_expect(repo, 0);
    ino_t inode = inode_of(path);
    load_and_expect(repo, 0);
    assert_int_equal(inode_of(path), inode); /* it fits: not made again */
    for (unsigned i = 0; i < 9; i++)
        write_index(repo, i * 300, 300);
    load_and_expect(repo, 2700);
    struct id last = write_index(repo, 2700, 100);
    load_and_expect(repo, 2800); /* merged */
    inode = inode_of(path);
    load_and_expect(repo, 2800);
    assert_int_equal(inode_of(path), inode);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true((uint64_t)st.st_size <= 64 * 2800 * (uint64_t)PER_PACK);
    assert_ok(repo_file_remove(repo, REPO_INDEX, &last, &e));
    load_and_expect(repo, 2700);
}

/* Two index files may name the same pack (an interrupted prune); a blob may lie in two packs. */
static void duplicates(void **state)
{
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make_repo(*state, true);
    write_index(repo, 0, 50);
    write_index(repo, 20, 60);
    load_and_expect(repo, 80);
    write_index(repo, 79, 3);
    load_and_expect(repo, 82);

    CLEANUP(buf_free) struct buf json = {0};
    struct id pack, twin = number_id("twin", 0), id;
    struct pack_blob blobs[PER_PACK];
    make_pack(7, &pack, blobs);
    buf_string(&json, "{\"packs\":[");
    index_json_pack(&json, &twin, blobs, PER_PACK);
    buf_string(&json, "]}");
    assert_ok(repo_file_save(repo, REPO_INDEX, json.data, json.size, &id, &e));
    CLEANUP(index_free) struct index *index = NULL;
    assert_ok(index_load(repo, &index, &e));
    assert_int_equal(index_blob_count(index), 83 * PER_PACK);
    struct id third = number_id("third", 0);
    assert_ok(index_add_pack(index, &third, blobs, 1, &e));
    struct index_entry first, second, last;
    assert_true(index_find_nth(index, blobs[0].type, &blobs[0].id, 0, &first));
    assert_true(index_find_nth(index, blobs[0].type, &blobs[0].id, 1, &second));
    assert_true(index_find_nth(index, blobs[0].type, &blobs[0].id, 2, &last));
    assert_false(id_equal(&first.pack, &second.pack));
    assert_true(id_equal(&last.pack, &third));
    assert_false(index_find_nth(index, blobs[0].type, &blobs[0].id, 3, &last));
}

/* More than one run a loader, hence a merge of many. */
static void many_blobs(void **state)
{
    CLEANUP(repo_free) struct repo *repo = make_repo(*state, true);
    for (unsigned i = 0; i < 8; i++)
        write_index(repo, i * 10000, 10000);
    int64_t start = timestamp_elapsed();
    load_and_expect(repo, 80000);
    print_message("560,000 blobs built and checked in %.2f s\n", (double)(timestamp_elapsed() - start) / 1e9);
}

static void grows_by_what_is_added(void **state)
{
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make_repo(*state, true);
    CLEANUP(index_free) struct index *index = NULL;
    write_index(repo, 0, 100);
    assert_ok(index_load(repo, &index, &e));
    for (unsigned i = 100; i < 3000; i++) {
        struct id pack;
        struct pack_blob blobs[PER_PACK];
        make_pack(i, &pack, blobs);
        assert_ok(index_add_pack(index, &pack, blobs, PER_PACK, &e));
    }
    expect_packs(index, 3000);
}

/* A flipped bit anywhere, a cut, garbage: never a wrong answer, never an error, always made anew. */
static void damage_is_mended(void **state)
{
    char path[512];
    CLEANUP(repo_free) struct repo *repo = make_repo(*state, true);
    CLEANUP(buf_free) struct buf good = {0};
    cache_path(repo, path);
    write_index(repo, 0, 3);
    write_index(repo, 3, 2);
    load_and_expect(repo, 5);
    read_whole(path, &good);
    for (size_t i = 0; i < good.size; i += i < 400 ? 3 : 41) {
        flip_byte(path, (long)i);
        load_and_expect(repo, 5);
        CLEANUP(buf_free) struct buf mended = {0};
        read_whole(path, &mended);
        if (mended.size != good.size || memcmp(mended.data, good.data, good.size) != 0)
            fail_msg("a flipped byte at %zu went unnoticed", i);
    }
    for (size_t size = 0; size < good.size; size += 61) {
        assert_int_equal(truncate(path, (off_t)size), 0);
        load_and_expect(repo, 5);
    }
    write_whole(path, "garbage", 7);
    load_and_expect(repo, 5);
    CLEANUP(buf_free) struct buf mended = {0};
    read_whole(path, &mended);
    assert_memory_equal(mended.data, good.data, good.size);
}

static void a_cache_of_another_repository_is_not_used(void **state)
{
    struct place *place = *state;
    char path[512], other_path[512];
    CLEANUP(repo_free) struct repo *repo = make_repo(place, true);
    write_index(repo, 0, 3);
    load_and_expect(repo, 3);
    place->options.path = "other";
    CLEANUP(repo_free) struct repo *other = make_repo(place, true);
    load_and_expect(other, 0);
    cache_path(repo, path);
    cache_path(other, other_path);
    assert_int_equal(shell(NULL, "cp %s %s", path, other_path), 0);
    load_and_expect(other, 0);
}

/* A cache directory that cannot be: a warning, and the index all the same. */
static void a_useless_cache_directory_is_no_failure(void **state)
{
    struct place *place = *state;
    CLEANUP(repo_free) struct repo *repo = make_repo(place, true);
    char path[512];
    write_index(repo, 0, 3);
    snprintf(path, sizeof path, "%s/a", place->dir);
    write_whole(path, "a file", 6); /* where the directory should be */
    load_and_expect(repo, 3);
    assert_int_equal(unlink(path), 0);
    load_and_expect(repo, 3);
    cache_path(repo, path);
    assert_int_equal(unlink(path), 0);
    strcat(path, ".new");
    assert_int_equal(mkdir(path, 0700), 0); /* the new file cannot be made */
    load_and_expect(repo, 3);
}

static void several_processes(void **state)
{
    CLEANUP(repo_free) struct repo *repo = make_repo(*state, true);
    for (unsigned i = 0; i < 6; i++)
        write_index(repo, i * 200, 200);
    pid_t children[6];
    fflush(NULL);
    for (size_t i = 0; i < 6; i++) {
        children[i] = fork();
        if (!children[i]) {
            struct nacre_err e;
            struct index *index = NULL;
            struct index_entry entry;
            struct id id = number_id("blob", 1199 * PER_PACK + 1);
            bool good = index_load(repo, &index, &e) == 0 && index_blob_count(index) == 1200 * PER_PACK &&
                        index_find(index, (1199 * PER_PACK + 1) % 3 ? BLOB_DATA : BLOB_TREE, &id, &entry);
            index_free(index);
            _exit(good ? 0 : 1);
        }
    }
    for (size_t i = 0; i < 6; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    load_and_expect(repo, 1200);
}

struct finder {
    struct index *index;
    atomic_bool *stop;
    atomic_uint *wrong;
};

static void *find_all_the_time(void *ctx)
{
    struct finder *f = ctx;
    while (!atomic_load(f->stop)) {
        for (unsigned n = 0; n < 2000; n++) {
            struct index_entry entry;
            struct id id = number_id("blob", n);
            bool found = index_find(f->index, n % 3 ? BLOB_DATA : BLOB_TREE, &id, &entry);
            if ((n < 700 && !found) || (found && !id_equal(&entry.blob.id, &id)))
                atomic_fetch_add(f->wrong, 1);
        }
    }
    return NULL;
}

static void finds_while_it_grows(void **state)
{
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make_repo(*state, false);
    CLEANUP(index_free) struct index *index = NULL;
    atomic_bool stop = false;
    atomic_uint wrong = 0;
    pthread_t threads[3];
    write_index(repo, 0, 100);
    assert_ok(index_load(repo, &index, &e));
    struct finder finder = {index, &stop, &wrong};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_all_the_time, &finder), 0);
    int result = 0;
    for (unsigned i = 100; i < 2000 && !result; i++) {
        struct id pack;
        struct pack_blob blobs[PER_PACK];
        make_pack(i, &pack, blobs);
        result = index_add_pack(index, &pack, blobs, PER_PACK, &e);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(result, 0);
    assert_int_equal(wrong, 0);
    expect_packs(index, 2000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_and_writes),
        cmocka_unit_test(refuses),
        TEST(without_a_cache),
        TEST(follows_the_repository),
        TEST(duplicates),
        TEST(many_blobs),
        TEST(grows_by_what_is_added),
        TEST(damage_is_mended),
        TEST(a_cache_of_another_repository_is_not_used),
        TEST(a_useless_cache_directory_is_no_failure),
        TEST(several_processes),
        TEST(finds_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

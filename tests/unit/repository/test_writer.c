/* SPDX-License-Identifier: Apache-2.0 */
/* Writing blobs, trees and snapshots, with restic as the referee of what is stored. */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "plugins/load.h"
#include "repository/blob_load.h"
#include "repository/id_set.h"
#include "repository/snapshot.h"
#include "repository/tree.h"
#include "repository/writer.h"

#define CHUNK ((size_t)1 << 20)

struct session {
    struct repo *repo;
    struct index *index;
    struct writer *writer;
};

static void session_begin(struct session *s, struct place *place, unsigned version, uint32_t pack_size)
{
    struct nacre_err e;
    *s = (struct session){0};
    if (version)
        assert_ok(repo_init(place->store, &place->options, PASSWORD, version, &s->repo, &e));
    else
        assert_ok(repo_open(place->store, &place->options, PASSWORD, &s->repo, &e));
    assert_ok(index_load(s->repo, &s->index, &e));
    const struct writer_options options = {.level = 3, .pack_size = pack_size};
    assert_ok(writer_new(s->repo, s->index, &options, &s->writer, &e));
}

static void session_end(struct session *s)
{
    writer_free(s->writer);
    index_free(s->index);
    repo_free(s->repo);
}

/* Chunk number n of a disk: the same for the same n; every fourth is zeros, every third is random. */
static void make_chunk(unsigned n, uint8_t chunk[CHUNK])
{
    uint64_t x = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < CHUNK; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t word = n % 4 == 0 ? 0 : n % 3 == 0 ? x : x & 0x0f0f0f0f;
        memcpy(chunk + i, &word, 8);
    }
}

static bool save(struct session *s, enum blob_type type, const void *data, size_t size, struct id *id)
{
    struct nacre_err e;
    bool added;
    id_hash(id, data, size);
    assert_ok(writer_save(s->writer, type, id, data, size, &added, &e));
    return added;
}

/* Saves a disk of `count` chunks as disk.img and a snapshot of it. */
static void save_disk(struct session *s, unsigned count)
{
    struct nacre_err e;
    CLEANUP(mem_free) struct id *ids = calloc(count + 1, sizeof *ids);
    CLEANUP(mem_free) uint8_t *chunk = malloc(CHUNK);
    CLEANUP(buf_free) struct buf tree = {0};
    CLEANUP(snapshot_free) struct snapshot *snapshot = snapshot_new();
    for (unsigned i = 0; i < count; i++) {
        make_chunk(i, chunk);
        save(s, BLOB_DATA, chunk, CHUNK, &ids[i]);
    }
    tree_begin(&tree);
    tree_node(&tree, &(struct node){.name = "disk.img",
                                    .name_size = 8,
                                    .type = NODE_FILE,
                                    .mode = 0600,
                                    .mtime_ns = 1,
                                    .atime_ns = NODE_TIME_NONE,
                                    .size = count * CHUNK,
                                    .links = 1,
                                    .content = ids,
                                    .content_count = count});
    tree_end(&tree);
    save(s, BLOB_TREE, tree.data, tree.size, &snapshot->tree);
    assert_ok(writer_finish(s->writer, &e));
    snapshot->time_ns = 1767323045000000006;
    snapshot->hostname = strdup("host");
    assert_ok(snapshot_add_path(snapshot, "/hostpath/local/v", &e));
    assert_ok(snapshot_add_tag(snapshot, "volume=hostpath/local/v", &e));
    assert_ok(snapshot_add_tag(snapshot, "a,b<c>", &e));
    assert_ok(snapshot_save(s->repo, snapshot, &e));
}

static void restic_reads(struct place *place, unsigned version)
{
    struct session s;
    CLEANUP(buf_free) struct buf check = {0}, snapshots = {0};
    session_begin(&s, place, version, 0);
    save_disk(&s, 40);
    struct writer_stats stats;
    writer_get_stats(s.writer, &stats);
    assert_int_equal(stats.blobs_new, 31 + 1); /* ten chunks of zeros are one blob; and the tree */
    assert_int_equal(stats.blobs_known, 9);
    assert_true(stats.packs >= 2 && stats.bytes_uploaded > 9 * CHUNK);
    session_end(&s);

    if (restic(place, &check, "check --read-data") != 0)
        fail_msg("%s", check.data);
    assert_int_equal(restic(place, NULL, "dump latest disk.img > %s/disk", place->dir), 0);
    CLEANUP(buf_free) struct buf disk = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/disk", place->dir);
    read_whole(path, &disk);
    assert_int_equal(disk.size, 40 * CHUNK);
    CLEANUP(mem_free) uint8_t *chunk = malloc(CHUNK);
    for (unsigned i = 0; i < 40; i++) {
        make_chunk(i, chunk);
        assert_memory_equal(disk.data + i * CHUNK, chunk, CHUNK);
    }
    assert_int_equal(restic(place, &snapshots, "snapshots --json"), 0);
    assert_non_null(strstr((char *)snapshots.data, "2026-01-02T03:04:05.000000006Z"));
    assert_non_null(strstr((char *)snapshots.data, "volume=hostpath/local/v"));
}

static void restic_reads_version_2(void **state)
{
    restic_reads(*state, 2);
}

static void restic_reads_version_1(void **state)
{
    restic_reads(*state, 1);
}

static void knows_what_it_saved(void **state)
{
    struct place *place = *state;
    struct session s;
    struct nacre_err e;
    struct id id;
    session_begin(&s, place, 2, 0);
    assert_true(save(&s, BLOB_DATA, "data", 4, &id));
    assert_false(save(&s, BLOB_DATA, "data", 4, &id)); /* in flight */
    assert_true(save(&s, BLOB_TREE, "data", 4, &id));  /* of another type: another blob */
    assert_ok(writer_finish(s.writer, &e));
    assert_false(save(&s, BLOB_DATA, "data", 4, &id)); /* in the overlay */
    assert_ok(writer_finish(s.writer, &e));
    session_end(&s);

    session_begin(&s, place, 0, 0);
    assert_false(save(&s, BLOB_DATA, "data", 4, &id)); /* in the loaded index */
    assert_true(save(&s, BLOB_DATA, "", 0, &id));
    assert_ok(writer_finish(s.writer, &e));
    assert_int_equal(place_count(place, "index"), 2);
    CLEANUP(buf_free) struct buf empty = {0};
    assert_ok(blob_load(s.repo, s.index, BLOB_DATA, &id, &empty, &e));
    assert_int_equal(empty.size, 0);
    session_end(&s);
    assert_int_equal(restic(place, NULL, "check --read-data"), 0);
}

struct worker {
    struct session *s;
    unsigned start;
    atomic_uint *added, *failed;
};

/* cmocka's assertions belong to the main thread. */
static void *save_many(void *ctx)
{
    struct worker *w = ctx;
    for (unsigned i = 0; i < 3000; i++) {
        char text[600] = {0};
        struct id id;
        struct nacre_err e;
        bool added;
        snprintf(text, sizeof text, "blob number %u", (w->start + i) % 3000);
        id_hash(&id, text, sizeof text);
        if (writer_save(w->s->writer, BLOB_DATA, &id, text, sizeof text, &added, &e) < 0)
            atomic_fetch_add(w->failed, 1);
        else if (added)
            atomic_fetch_add(w->added, 1);
    }
    return NULL;
}

static void saves_once_from_many_threads(void **state)
{
    struct place *place = *state;
    struct session s;
    struct nacre_err e;
    atomic_uint added = 0, failed = 0;
    session_begin(&s, place, 2, 4000);
    pthread_t threads[8];
    struct worker workers[8];
    for (unsigned i = 0; i < 8; i++) {
        workers[i] = (struct worker){&s, i * 300, &added, &failed};
        assert_int_equal(pthread_create(&threads[i], NULL, save_many, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_ok(writer_finish(s.writer, &e));
    assert_int_equal(failed, 0);
    assert_int_equal(added, 3000);
    assert_int_equal(index_blob_count(s.index), 3000);
    struct writer_stats stats;
    writer_get_stats(s.writer, &stats);
    assert_int_equal(stats.blobs_new, 3000);
    assert_int_equal(stats.blobs_known, 7 * 3000);
    assert_int_equal(stats.plain_bytes_new, 3000 * 600);
    assert_int_equal(stats.packs, index_pack_count(s.index));
    assert_true(stats.packs > 10);
    for (unsigned i = 0; i < 3000; i += 37) {
        char text[600] = {0};
        struct id id;
        CLEANUP(buf_free) struct buf loaded = {0};
        snprintf(text, sizeof text, "blob number %u", i);
        id_hash(&id, text, sizeof text);
        assert_ok(blob_load(s.repo, s.index, BLOB_DATA, &id, &loaded, &e));
        assert_int_equal(loaded.size, sizeof text);
        assert_memory_equal(loaded.data, text, sizeof text);
    }
    session_end(&s);
    assert_int_equal(restic(place, NULL, "check --read-data"), 0);
}

static void splits_index_files(void **state)
{
    struct place *place = *state;
    struct session s;
    struct nacre_err e;
    CLEANUP(buf_free) struct buf check = {0};
    session_begin(&s, place, 2, 0);
    for (unsigned i = 0; i < 101000; i++) {
        struct id id;
        save(&s, BLOB_DATA, &i, sizeof i, &id);
    }
    assert_ok(writer_finish(s.writer, &e));
    assert_int_equal(index_blob_count(s.index), 101000);
    assert_int_equal(place_count(place, "index"), 3);
    session_end(&s);
    if (restic(place, &check, "check") != 0)
        fail_msg("%s", check.data);
}

static void failures_stick(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    const struct nacre_option faults[] = {
        {"fail-op", "put"}, {"fail-name", "data/"}, {"fail-after-ops", "3"}, {"code", "no-space"}};
    assert_ok(plugin_wrap_store("fault", faults, 4, &place->store, &e));
    struct session s;
    session_begin(&s, place, 2, 20000);
    int result = 0;
    for (unsigned i = 0; i < 100000 && !result; i++) {
        char text[600] = {0};
        struct id id;
        bool added;
        snprintf(text, sizeof text, "blob number %u", i);
        id_hash(&id, text, sizeof text);
        result = writer_save(s.writer, BLOB_DATA, &id, text, sizeof text, &added, &e);
    }
    assert_int_equal(result, -1);
    assert_int_equal(e.code, NACRE_NO_SPACE);
    assert_fails(writer_finish(s.writer, &e), NACRE_NO_SPACE, "uploading a pack");
    assert_int_equal(place_count(place, "index"), 0);
    assert_int_equal(index_pack_count(s.index), 3);
    session_end(&s);

    /* The same backup again, on a store that works. */
    session_begin(&s, place, 0, 20000);
    session_end(&s); /* given up at once: nothing hangs, nothing is written */
    assert_int_equal(place_count(place, "index"), 0);
}

static int refuse(void *ctx, struct nacre_err *e)
{
    if (!*(bool *)ctx)
        return 0;
    e->code = NACRE_LOCKED;
    snprintf(e->message, sizeof e->message, "the lock is lost");
    return -1;
}

static void no_index_without_the_lock(void **state)
{
    struct place *place = *state;
    struct session s;
    struct nacre_err e;
    struct id id;
    bool lost = false, added;
    const struct writer_options options = {.level = 3, .check = refuse, .ctx = &lost};
    session_begin(&s, place, 2, 0);
    writer_free(s.writer);
    assert_ok(writer_new(s.repo, s.index, &options, &s.writer, &e));
    save(&s, BLOB_DATA, "before", 6, &id);
    assert_ok(writer_finish(s.writer, &e));
    assert_int_equal(place_count(place, "index"), 1);
    save(&s, BLOB_DATA, "after", 5, &id);
    lost = true;
    assert_fails(writer_finish(s.writer, &e), NACRE_LOCKED, "the lock is lost");
    assert_int_equal(place_count(place, "index"), 1);
    lost = false; /* it may be another's by now: for good */
    assert_fails(writer_save(s.writer, BLOB_DATA, &id, "after", 5, &added, &e), NACRE_LOCKED, "lost");
    assert_fails(writer_finish(s.writer, &e), NACRE_LOCKED, "lost");
    session_end(&s);
    session_begin(&s, place, 0, 0);
    struct index_entry entry;
    assert_false(index_find(s.index, BLOB_DATA, &id, &entry));
    session_end(&s);
    assert_int_equal(restic(place, NULL, "check --read-data"), 0);
}

static void too_large_a_blob_changes_nothing(void **state)
{
    struct place *place = *state;
    struct session s;
    struct nacre_err e;
    struct id id;
    bool added;
    session_begin(&s, place, 2, 0);
    id_hash(&id, "any", 3);
    assert_fails(writer_save(s.writer, BLOB_DATA, &id, "any", (size_t)BLOB_PLAIN_MAX + 1, &added, &e),
                 NACRE_INVALID, "larger than any reader accepts");
    assert_true(save(&s, BLOB_DATA, "any", 3, &id));
    assert_ok(writer_finish(s.writer, &e));
    session_end(&s);
}

static void a_lost_blob_is_told(void **state)
{
    struct place *place = *state;
    struct session s;
    struct nacre_err e;
    struct id id;
    char pack[512], directory[128];
    CLEANUP(buf_free) struct buf out = {0};
    session_begin(&s, place, 2, 0);
    save(&s, BLOB_DATA, "one of a kind", 13, &id);
    assert_fails(blob_load(s.repo, s.index, BLOB_DATA, &id, &out, &e), NACRE_CORRUPT,
                 "no index file names it");
    assert_ok(writer_finish(s.writer, &e));
    assert_ok(blob_load(s.repo, s.index, BLOB_DATA, &id, &out, &e));
    assert_string_equal((char *)out.data, "one of a kind");

    struct index_entry entry;
    char hex[ID_HEX_SIZE];
    assert_true(index_find(s.index, BLOB_DATA, &id, &entry));
    id_format(&entry.pack, hex);
    snprintf(directory, sizeof directory, "data/%.2s", hex);
    place_file(place, directory, pack);
    flip_byte(pack, (long)entry.blob.offset + 20);
    assert_fails(blob_load(s.repo, s.index, BLOB_DATA, &id, &out, &e), NACRE_CORRUPT, hex);
    assert_int_equal(unlink(pack), 0);
    assert_fails(blob_load(s.repo, s.index, BLOB_DATA, &id, &out, &e), NACRE_CORRUPT, "gone or cut short");
    assert_int_equal(out.size, 13);
    session_end(&s);
}

static void id_set_keeps_its_members(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(id_set_free) struct id_set set = {0};
    static struct id ids[5000];
    bool added;
    for (unsigned i = 0; i < 5000; i++) {
        id_hash(&ids[i], &i, sizeof i);
        ids[i].bytes[8] = (uint8_t)(i % 7); /* long probes: 16 bits of home */
        ids[i].bytes[9] = 0;
        assert_ok(id_set_add(&set, &ids[i], &added, &e));
        assert_true(added);
    }
    for (unsigned i = 0; i < 5000; i += 3)
        id_set_remove(&set, &ids[i]);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(id_set_has(&set, &ids[i]), i % 3 != 0);
    assert_ok(id_set_add(&set, &ids[1], &added, &e));
    assert_false(added);
    assert_int_equal(set.count, 5000 - 1667);
    struct id zero = {{0}};
    assert_fails(id_set_add(&set, &zero, &added, &e), NACRE_INVALID, "zeros");
    assert_false(id_set_has(&set, &zero));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(restic_reads_version_2, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(restic_reads_version_1, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(knows_what_it_saved, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(saves_once_from_many_threads, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(splits_index_files, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(failures_stick, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(no_index_without_the_lock, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(too_large_a_blob_changes_nothing, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_lost_blob_is_told, place_setup, place_teardown),
        cmocka_unit_test(id_set_keeps_its_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

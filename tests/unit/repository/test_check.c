/* SPDX-License-Identifier: Apache-2.0 */
/* The check must find every kind of damage, name what it hurts, and find nothing where nothing is wrong. The
 * repositories are restic's own. */
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "plugins/load.h"
#include "repository/check.h"
#include "repository/pack.h"
#include "repository/snapshot.h"

struct outcome {
    struct check_result result;
    struct buf faults, notes;
    uint64_t calls;
};

static void outcome_free(struct outcome *o)
{
    buf_free(&o->faults);
    buf_free(&o->notes);
}

static void on_fault(void *ctx, const char *text)
{
    struct outcome *o = ctx;
    buf_string(&o->faults, text);
    buf_char(&o->faults, '\n');
}

static void on_note(void *ctx, const char *text)
{
    struct outcome *o = ctx;
    buf_string(&o->notes, text);
    buf_char(&o->notes, '\n');
}

static void on_progress(void *ctx, uint64_t done, uint64_t total, const char *what)
{
    struct outcome *o = ctx;
    assert_true(done <= total);
    assert_non_null(what);
    o->calls++;
}

static int run_check(struct place *place, struct check_options options, struct outcome *o,
                     struct nacre_err *e)
{
    CLEANUP(repo_free) struct repo *repo = NULL;
    *o = (struct outcome){0};
    if (repo_open(place->store, &place->options, PASSWORD, &repo, e) < 0)
        return -1;
    options.fault = on_fault;
    options.note = on_note;
    options.progress = on_progress;
    options.ctx = o;
    return check_run(repo, &options, &o->result, e);
}

static const struct check_options read_all = {.read_data = true, .read_of = 1};

#define SOME UINT64_MAX /* two at least: restic spreads blobs over packs at random */

static void expect(struct place *place, struct check_options options, uint64_t faults,
                   const char *const texts[])
{
    struct nacre_err e;
    struct outcome o;
    assert_ok(run_check(place, options, &o, &e));
    if (faults == SOME ? o.result.faults < 2 : o.result.faults != faults)
        fail_msg("%llu faults instead of %llu:\n%s", (unsigned long long)o.result.faults,
                 (unsigned long long)faults, o.faults.data ? (char *)o.faults.data : "");
    for (size_t i = 0; texts && texts[i]; i++)
        if (!o.faults.data || !strstr((char *)o.faults.data, texts[i]))
            fail_msg("no \"%s\" in:\n%s", texts[i], o.faults.data ? (char *)o.faults.data : "");
    outcome_free(&o);
}

/* A repository of restic with a directory and a file of 3 MiB, backed up twice. */
static int setup(void **state)
{
    if (place_setup(state) < 0)
        return -1;
    struct place *place = *state;
    return shell(NULL,
                 "mkdir -p %s/src/dir && head -c 3000000 /dev/urandom > %s/src/dir/big && echo hi > "
                 "%s/src/small",
                 place->dir, place->dir, place->dir) |
           restic(place, NULL, "init") | restic(place, NULL, "backup %s/src", place->dir) |
           shell(NULL, "echo more > %s/src/new", place->dir) |
           restic(place, NULL, "backup %s/src", place->dir);
}

/* Where a blob of a type lies: the first one in the index that is at least that long. */
static void find_blob(struct place *place, enum blob_type type, uint32_t at_least, char pack[512],
                      struct index_entry *found)
{
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    assert_ok(repo_open(place->store, &place->options, PASSWORD, &repo, &e));
    assert_ok(index_load(repo, &index, &e));
    CLEANUP(buf_free) struct buf list = {0};
    assert_int_equal(restic(place, &list, "-q list blobs"), 0);
    const char *word = type == BLOB_TREE ? "tree " : "data ";
    for (char *at = (char *)list.data; (at = strstr(at, word)); at += 5) {
        struct id id;
        char hex[ID_HEX_SIZE];
        memcpy(hex, at + 5, ID_HEX_SIZE - 1);
        hex[ID_HEX_SIZE - 1] = 0;
        assert_true(id_parse(&id, hex));
        assert_true(index_find(index, type, &id, found));
        if (found->blob.length < at_least)
            continue;
        id_format(&found->pack, hex);
        snprintf(pack, 512, "%s/data/%.2s/%s", place->repo_dir, hex, hex);
        return;
    }
    fail_msg("no such blob");
}

static void finds_nothing_where_nothing_is(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct outcome o;
    assert_ok(run_check(place, read_all, &o, &e));
    assert_int_equal(o.result.faults, 0);
    assert_null(o.faults.data);
    assert_null(o.notes.data);
    assert_int_equal(o.result.snapshots, 2);
    assert_true(o.result.trees >= 4);
    assert_int_equal(o.result.packs_read, o.result.packs);
    assert_true(o.result.packs >= 4 && o.result.blobs >= 9);
    assert_true(o.result.bytes_read > 3000000);
    assert_true(o.calls > 5);
    outcome_free(&o);
}

static void finds_a_missing_pack(void **state)
{
    struct place *place = *state;
    char pack[512];
    struct index_entry entry;
    find_blob(place, BLOB_DATA, 100000, pack, &entry);
    assert_int_equal(unlink(pack), 0);
    const char *const texts[] = {"is missing", "/src/dir/big lacks", "gone or cut short", NULL};
    expect(place, (struct check_options){0}, SOME, texts);
}

static void finds_a_missing_tree(void **state)
{
    struct place *place = *state;
    char pack[512];
    struct index_entry entry;
    find_blob(place, BLOB_TREE, 0, pack, &entry);
    assert_int_equal(unlink(pack), 0);
    struct nacre_err e;
    struct outcome o;
    assert_ok(run_check(place, (struct check_options){0}, &o, &e));
    assert_true(o.result.faults >= 2);
    assert_non_null(strstr((char *)o.faults.data, "and all below it is lost"));
    outcome_free(&o);
}

static void finds_a_truncated_pack(void **state)
{
    struct place *place = *state;
    char pack[512];
    struct index_entry entry;
    find_blob(place, BLOB_DATA, 100000, pack, &entry);
    struct stat st;
    assert_int_equal(stat(pack, &st), 0);
    assert_int_equal(truncate(pack, st.st_size - 10), 0);
    /* All blobs are still there: the structure is wrong, no file is hurt. */
    const char *const size[] = {"where the index makes it", NULL};
    expect(place, (struct check_options){0}, 1, size);
    const char *const read[] = {"where the index makes it", "its header cannot be read",
                                "do not hash to its name", NULL};
    expect(place, read_all, 3, read);
    assert_int_equal(truncate(pack, 1000), 0);
    const char *const hurt[] = {"where the index makes it", "/src/dir/big lacks", NULL};
    expect(place, (struct check_options){0}, SOME, hurt);
}

static void finds_a_flipped_byte(void **state)
{
    struct place *place = *state;
    char pack[512];
    struct index_entry entry;
    find_blob(place, BLOB_DATA, 100000, pack, &entry);
    flip_byte(pack, (long)entry.blob.offset + 5000);
    expect(place, (struct check_options){0}, 0, NULL); /* nothing reads it */
    const char *const texts[] = {"do not hash to its name", "at offset", "/src/dir/big lacks 1 of its",
                                 "damaged", NULL};
    expect(place, read_all, 3, texts);
}

static void finds_a_damaged_header(void **state)
{
    struct place *place = *state;
    char pack[512];
    struct index_entry entry;
    struct stat st;
    find_blob(place, BLOB_DATA, 100000, pack, &entry);
    assert_int_equal(stat(pack, &st), 0);
    flip_byte(pack, (long)st.st_size - 10);
    const char *const texts[] = {"its header cannot be read", "do not hash to its name", NULL};
    expect(place, read_all, 2, texts); /* and every blob is still whole, by the index */
}

static void finds_a_damaged_index(void **state)
{
    struct place *place = *state;
    char path[512];
    place_file(place, "index", path);
    flip_byte(path, 40);
    struct nacre_err e;
    struct outcome o;
    assert_ok(run_check(place, (struct check_options){0}, &o, &e));
    assert_true(o.result.faults >= 2);
    assert_non_null(strstr((char *)o.faults.data, strrchr(path, '/') + 1)); /* names it */
    assert_non_null(strstr((char *)o.faults.data, "no index file names it"));
    assert_true(o.result.packs_unused >= 1);
    assert_non_null(strstr((char *)o.notes.data, "is in no index file"));
    outcome_free(&o);

    CLEANUP(repo_free) struct repo *repo = NULL;
    struct index *index = NULL;
    assert_ok(repo_open(place->store, &place->options, PASSWORD, &repo, &e));
    assert_fails(index_load(repo, &index, &e), NACRE_CORRUPT, "nacre repo check");
}

static void finds_a_damaged_snapshot(void **state)
{
    struct place *place = *state;
    char path[512];
    place_file(place, "snapshots", path);
    flip_byte(path, 40);
    const char *const texts[] = {strrchr(path, '/') + 1, NULL};
    expect(place, (struct check_options){0}, 1, texts);

    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(snapshot_list_free) struct snapshot_list list = {0};
    assert_ok(repo_open(place->store, &place->options, PASSWORD, &repo, &e));
    assert_ok(snapshot_list_load(repo, &list, &e));
    assert_int_equal(list.count, 1);
}

static void parts_read_everything(void **state)
{
    struct place *place = *state;
    uint64_t packs = 0, bytes = 0;
    struct nacre_err e;
    struct outcome o;
    for (unsigned part = 1; part <= 3; part++) {
        assert_ok(run_check(place, (struct check_options){.read_data = true, .read_part = part, .read_of = 3},
                            &o, &e));
        packs += o.result.packs_read;
        bytes += o.result.bytes_read;
        outcome_free(&o);
    }
    assert_ok(run_check(place, read_all, &o, &e));
    assert_int_equal(packs, o.result.packs);
    assert_int_equal(bytes, o.result.bytes_read);
    outcome_free(&o);
    assert_ok(run_check(place, (struct check_options){.read_data = true, .read_percent = 0.001}, &o, &e));
    assert_int_equal(o.result.packs_read, 1);
    outcome_free(&o);
    assert_ok(run_check(place, (struct check_options){.read_data = true, .read_percent = 50}, &o, &e));
    assert_int_equal(o.result.packs_read, (o.result.packs + 1) / 2);
    outcome_free(&o);
    assert_fails(
        run_check(place, (struct check_options){.read_data = true, .read_part = 4, .read_of = 3}, &o, &e),
        NACRE_INVALID, "no part 4 of 3");
    outcome_free(&o);
}

/* In front of the real store: a backup of restic's comes to pass between two listings of the check. */
struct shim {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    struct place *place;
    const char *before; /* the listing that it comes before; NULL: it was made */
};

static int shim_get(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
                    nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct shim *shim = (struct shim *)store;
    return shim->inner->ops->get(shim->inner, name, offset, length, sink, ctx, e);
}

static int shim_stat(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
                     struct nacre_err *e)
{
    struct shim *shim = (struct shim *)store;
    return shim->inner->ops->stat(shim->inner, name, out, e);
}

static int shim_list(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry, void *ctx,
                     struct nacre_err *e)
{
    struct shim *shim = (struct shim *)store;
    if (shim->before && !strcmp(prefix, shim->before)) {
        shim->before = NULL;
        assert_int_equal(shell(NULL, "date +%%N > %s/src/fresh", shim->place->dir), 0);
        assert_int_equal(restic(shim->place, NULL, "backup %s/src", shim->place->dir), 0);
    }
    return shim->inner->ops->list(shim->inner, prefix, entry, ctx, e);
}

static void a_backup_meanwhile_is_no_fault(void **state)
{
    static const char *const listings[] = {"snapshots/", "index/", "data/"};
    static const struct nacre_object_store_ops ops = {
        .size = sizeof ops, .get = shim_get, .stat = shim_stat, .list = shim_list};
    struct place *place = *state;
    for (size_t i = 0; i < sizeof listings / sizeof *listings; i++) {
        struct shim shim = {.base.ops = &ops, .inner = place->store, .place = place, .before = listings[i]};
        struct nacre_err e;
        struct outcome o;
        place->store = &shim.base;
        int result = run_check(place, read_all, &o, &e);
        place->store = shim.inner;
        assert_int_equal(result, 0);
        assert_null(shim.before);
        if (o.faults.data)
            fail_msg("with a backup before the listing of %s: %s", listings[i], (char *)o.faults.data);
        outcome_free(&o);
    }
}

static void a_store_that_goes_away_ends_it(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct outcome o;
    const struct nacre_option faults[] = {
        {"fail-op", "list"}, {"fail-name", "data"}, {"fail-after-ops", "0"}};
    assert_ok(plugin_wrap_store("fault", faults, 3, &place->store, &e));
    assert_fails(run_check(place, read_all, &o, &e), NACRE_TRANSIENT, "injected");
    outcome_free(&o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_nothing_where_nothing_is), TEST(finds_a_missing_pack),
        TEST(finds_a_missing_tree),           TEST(finds_a_truncated_pack),
        TEST(finds_a_flipped_byte),           TEST(finds_a_damaged_header),
        TEST(finds_a_damaged_index),          TEST(finds_a_damaged_snapshot),
        TEST(parts_read_everything),          TEST(a_backup_meanwhile_is_no_fault),
        TEST(a_store_that_goes_away_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

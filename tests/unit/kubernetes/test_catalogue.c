/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue over a real file store: Velero's layout in the bytes that lie in the directory, the order of
 * writing and removing, what a killed writer leaves, racing writers, and hostile entries. */
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/err.h"
#include "common/log.h"
#include "kubernetes/catalogue.h"
#include "plugins/load.h"
#include "plugins/store.h"

#define SECOND INT64_C(1000000000)
#define STARTED (1767323045 * SECOND) /* 2026-01-02T03:04:05Z */

struct fixture {
    char dir[64];
    struct nacre_object_store *store;
};

static void must(int result, const struct nacre_err *e)
{
    if (result < 0)
        fail_msg("%s: %s", err_code_name(e->code), e->message);
}

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof *fx);
    struct nacre_err e = {0};
    char url[96];
    snprintf(fx->dir, sizeof fx->dir, "/tmp/nacre-catalogue-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    snprintf(url, sizeof url, "file://%s/bucket", fx->dir);
    must(plugin_open_store(url, NULL, 0, &fx->store, &e), &e);
    *state = fx;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    store_close(fx->store);
    nftw(fx->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(fx);
    return 0;
}

/* Runs a command in the bucket's directory: its exit status. */
static int shell(const struct fixture *fx, const char *command)
{
    char text[1024];
    snprintf(text, sizeof text, "cd %s/bucket && { %s; }", fx->dir, command);
    int status = system(text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int write_entry(struct fixture *fx, const char *name, enum catalogue_phase phase, const char *mark,
                       struct nacre_err *e)
{
    CLEANUP(mem_free) char *log = NULL;
    json_t *details = json_pack("{s:[{s:s}]}", "volumes", "volume", mark);
    json_t *warnings = json_pack("[ss]", "one", "two"), *errors = json_pack("[s]", "a failure");
    assert_true(asprintf(&log, "the log of %s\n", mark) > 0);
    const struct catalogue_entry entry = {.name = name,
                                          .phase = phase,
                                          .started_ns = STARTED,
                                          .completed_ns = STARTED + 90 * SECOND,
                                          .expires_ns = STARTED + 3600 * SECOND,
                                          .details = details,
                                          .log = log,
                                          .log_size = strlen(log),
                                          .errors = errors,
                                          .warnings = warnings,
                                          .location = "default"};
    int result = catalogue_backup_write(fx->store, &entry, e);
    json_decref(details);
    json_decref(warnings);
    json_decref(errors);
    return result;
}

static void names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "0", "nightly", "a-b", "a.b", "a--b", "2026-01-02.nightly"};
    static const char *const bad[] = {"",     "A",   "-a",  "a-",  ".a",   "a.",       "a..b",     "a.-b",
                                      "a-.b", "a/b", "a b", "a_b", "../x", "\xc3\xa4", "nightly\n"};
    struct nacre_err e = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        must(catalogue_name_check(good[i], &e), &e);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(-1, catalogue_name_check(bad[i], &e));
        assert_int_equal(NACRE_INVALID, e.code);
    }
    char name[CATALOGUE_NAME_MAX + 2];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(-1, catalogue_name_check(name, &e));
    name[CATALOGUE_NAME_MAX] = 0;
    must(catalogue_name_check(name, &e), &e);
    struct fixture *fx = *state;
    must(write_entry(fx, name, CATALOGUE_COMPLETED, "long", &e), &e); /* and the store takes its objects */
}

static void written_and_read(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    CLEANUP(catalogue_backup_free) struct catalogue_backup *backup = NULL;
    CLEANUP(buf_free) struct buf log = {0};
    bool exists = true;
    must(catalogue_backup_exists(fx->store, "demo", &exists, &e), &e);
    assert_false(exists);
    must(write_entry(fx, "demo", CATALOGUE_PARTIALLY_FAILED, "v", &e), &e);
    must(catalogue_backup_exists(fx->store, "demo", &exists, &e), &e);
    assert_true(exists);
    must(catalogue_backup_read(fx->store, "demo", &backup, &e), &e);
    assert_string_equal("demo", backup->name);
    assert_int_equal(CATALOGUE_PARTIALLY_FAILED, backup->phase);
    assert_string_equal("PartiallyFailed", backup->phase_text);
    assert_int_equal(STARTED, backup->started_ns);
    assert_int_equal(STARTED + 90 * SECOND, backup->completed_ns);
    assert_int_equal(STARTED + 3600 * SECOND, backup->expires_ns);
    assert_int_equal(1, backup->errors);
    assert_int_equal(2, backup->warnings);
    const json_t *volume = json_array_get(json_object_get(backup->details, "volumes"), 0);
    assert_string_equal("v", json_string_value(json_object_get(volume, "volume")));
    must(catalogue_backup_log(fx->store, "demo", &log, &e), &e);
    assert_string_equal("the log of v\n", (const char *)log.data);
    assert_int_equal(-1, write_entry(fx, "demo", CATALOGUE_COMPLETED, "w", &e));
    assert_int_equal(NACRE_EXISTS, e.code);
    catalogue_backup_free(MOVE(backup));
    must(catalogue_backup_read(fx->store, "demo", &backup, &e), &e);
    assert_int_equal(CATALOGUE_PARTIALLY_FAILED, backup->phase);
}

/* By tools that know nothing of nacre. */
static void layout_is_veleros(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    must(write_entry(fx, "demo", CATALOGUE_COMPLETED, "v", &e), &e);
    assert_int_equal(
        0, shell(fx, "cd backups/demo && for f in demo.tar.gz demo-logs.gz demo-results.gz "
                     "demo-podvolumebackups.json.gz demo-volumesnapshots.json.gz "
                     "demo-itemoperations.json.gz demo-resource-list.json.gz demo-volumeinfo.json.gz "
                     "demo-csi-volumesnapshotclasses.json.gz demo-nacre-????????.json.gz; do "
                     "gzip -t $f || exit 1; done; test $(ls | wc -l) = 11"));
    assert_int_equal(0, shell(fx, "test \"$(tar -xzOf backups/demo/demo.tar.gz metadata/version)\" = 1.1.0"));
    assert_int_equal(0,
                     shell(fx, "test \"$(tar -tvzf backups/demo/demo.tar.gz | cut -c1-10)\" = -rwxr-xr-x"));
    json_error_t error;
    char path[128];
    snprintf(path, sizeof path, "%s/bucket/backups/demo/velero-backup.json", fx->dir);
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    const char *kind, *version, *name, *namespace, *created, *label, *uid, *ttl, *format, *phase, *start,
        *end, *expires;
    int number;
    assert_int_equal(
        0, json_unpack(
               root, "{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:{s:s}}, s:{s:s}, s:{s:s, s:i, s:s, s:s, s:s, s:s}}",
               "kind", &kind, "apiVersion", &version, "metadata", "name", &name, "namespace", &namespace,
               "creationTimestamp", &created, "uid", &uid, "labels", "velero.io/storage-location", &label,
               "spec", "ttl", &ttl, "status", "formatVersion", &format, "version", &number, "phase", &phase,
               "startTimestamp", &start, "completionTimestamp", &end, "expiration", &expires));
    assert_string_equal("Backup", kind);
    assert_string_equal("velero.io/v1", version);
    assert_string_equal("demo", name);
    assert_string_equal("velero", namespace);
    assert_string_equal("default", label);
    assert_int_equal(36, strlen(uid));
    assert_string_equal("1h0m0s", ttl);
    assert_string_equal("1.1.0", format);
    assert_int_equal(1, number);
    assert_string_equal("Completed", phase);
    assert_string_equal("2026-01-02T03:04:05Z", created);
    assert_string_equal("2026-01-02T03:04:05Z", start);
    assert_string_equal("2026-01-02T03:05:35Z", end);
    assert_string_equal("2026-01-02T04:04:05Z", expires);
    json_decref(root);
}

static int gather(void *ctx, const struct catalogue_backup *backup)
{
    struct buf *out = ctx;
    buf_printf(out, "%s:%s ", backup->name, backup->phase_text);
    return 0;
}

static void listed(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf out = {0};
    must(catalogue_backup_each(fx->store, gather, &out, &e), &e);
    assert_int_equal(0, out.size);
    must(write_entry(fx, "a-b", CATALOGUE_FAILED, "v", &e), &e);
    must(write_entry(fx, "a", CATALOGUE_COMPLETED, "v", &e), &e);
    must(write_entry(fx, "c", CATALOGUE_COMPLETED, "v", &e), &e);
    must(write_entry(fx, "b", CATALOGUE_COMPLETED, "v", &e), &e);
    /* Damaged: a warning, the others are listed. Without velero-backup.json: not a backup. */
    assert_int_equal(0,
                     shell(fx, "chmod u+w backups/c/* && echo '{\"kind\":' > backups/c/velero-backup.json && "
                               "mkdir backups/d && cp backups/a/a-logs.gz backups/d/d-logs.gz && "
                               "cp backups/a/velero-backup.json backups/velero-backup.json"));
    must(catalogue_backup_each(fx->store, gather, &out, &e), &e);
    assert_string_equal("a:Completed a-b:Failed b:Completed ", (const char *)out.data);
}

static void removed(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf out = {0};
    must(write_entry(fx, "a", CATALOGUE_COMPLETED, "v", &e), &e);
    must(write_entry(fx, "a-b", CATALOGUE_COMPLETED, "v", &e), &e);
    must(write_entry(fx, "a.b", CATALOGUE_COMPLETED, "v", &e), &e);
    must(catalogue_backup_remove(fx->store, "a", &e), &e);
    assert_int_equal(-1, catalogue_backup_remove(fx->store, "a", &e));
    assert_int_equal(NACRE_ABSENT, e.code);
    assert_int_equal(-1, catalogue_backup_log(fx->store, "a", &out, &e));
    assert_int_equal(NACRE_ABSENT, e.code);
    must(catalogue_backup_each(fx->store, gather, &out, &e), &e);
    assert_string_equal("a-b:Completed a.b:Completed ", (const char *)out.data);
    /* What a killed writer left can be removed, and its name used. */
    assert_int_equal(
        0, shell(fx, "rm -f backups/a-b/velero-backup.json && test -z \"$(find backups/a -type f)\""));
    must(catalogue_backup_remove(fx->store, "a-b", &e), &e);
    must(write_entry(fx, "a-b", CATALOGUE_COMPLETED, "w", &e), &e);
    assert_int_equal(0, shell(fx, "test $(ls backups/a-b | wc -l) = 11"));
}

struct racer {
    struct fixture *fx;
    char mark[16];
    int result;
    enum nacre_code code;
    pthread_barrier_t *start;
};

static void *race(void *ctx)
{
    struct racer *racer = ctx;
    struct nacre_err e = {0};
    pthread_barrier_wait(racer->start);
    racer->result = write_entry(racer->fx, "raced", CATALOGUE_COMPLETED, racer->mark, &e);
    racer->code = e.code;
    return NULL;
}

/* One wins, and the entry shows its volumes, not those of a loser. */
static void raced(void **state)
{
    enum { RACERS = 8 };
    pthread_t threads[RACERS];
    struct racer racers[RACERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.fx = *state, .start = &start};
        snprintf(racers[i].mark, sizeof racers[i].mark, "racer-%d", i);
        assert_int_equal(0, pthread_create(&threads[i], NULL, race, &racers[i]));
    }
    int winner = -1;
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        if (racers[i].result == 0) {
            assert_int_equal(-1, winner);
            winner = i;
        } else {
            assert_int_equal(NACRE_EXISTS, racers[i].code);
        }
    }
    pthread_barrier_destroy(&start);
    assert_true(winner >= 0);
    struct nacre_err e = {0};
    CLEANUP(catalogue_backup_free) struct catalogue_backup *backup = NULL;
    must(catalogue_backup_read(((struct fixture *)*state)->store, "raced", &backup, &e), &e);
    const json_t *volume = json_array_get(json_object_get(backup->details, "volumes"), 0);
    assert_string_equal(racers[winner].mark, json_string_value(json_object_get(volume, "volume")));
    assert_int_equal(0, shell(*state, "test $(ls backups/raced | wc -l) = 11"));
}

static void expect_read(struct fixture *fx, const char *json, enum nacre_code code)
{
    struct nacre_err e = {0};
    CLEANUP(catalogue_backup_free) struct catalogue_backup *backup = NULL;
    must(store_put(fx->store, "backups/x/velero-backup.json", json, strlen(json), &e), &e);
    int result = catalogue_backup_read(fx->store, "x", &backup, &e);
    assert_int_equal(code == NACRE_OK ? 0 : -1, result);
    if (code != NACRE_OK)
        assert_int_equal(code, e.code);
}

#define OPENING "{\"apiVersion\":\"velero.io/v1\",\"kind\":\"Backup\",\"metadata\":{\"name\":\"x\""

static void hostile(void **state)
{
    struct fixture *fx = *state;
    expect_read(fx, "", NACRE_CORRUPT);
    expect_read(fx, "[]", NACRE_CORRUPT);
    expect_read(fx, "{}", NACRE_CORRUPT);
    expect_read(fx, OPENING "}}", NACRE_CORRUPT);
    expect_read(fx, OPENING "},\"status\":{}}", NACRE_OK); /* Velero's before it begins */
    expect_read(fx, OPENING "},\"status\":{\"phase\":7}}", NACRE_CORRUPT);
    expect_read(fx, OPENING "},\"status\":{\"errors\":-1}}", NACRE_CORRUPT);
    expect_read(fx, OPENING "},\"status\":{\"startTimestamp\":\"yesterday\"}}", NACRE_CORRUPT);
    expect_read(fx, OPENING ",\"uid\":\"../../../etc\"},\"status\":{}}", NACRE_OK);
    expect_read(fx, "{\"apiVersion\":\"velero.io/v1\",\"kind\":\"Restore\",\"metadata\":{\"name\":\"x\"}}",
                NACRE_CORRUPT);
    expect_read(fx,
                "{\"apiVersion\":\"velero.io/v1\",\"kind\":\"Backup\",\"metadata\":{\"name\":\"y\"},"
                "\"status\":{}}",
                NACRE_CORRUPT);
    /* Details that are not gzip, or not an object. */
    struct nacre_err e = {0};
    must(store_put(fx->store, "backups/x/x-nacre-0123abcd.json.gz", "rubbish", 7, &e), &e);
    expect_read(fx, OPENING ",\"uid\":\"0123abcd-0000-4000-8000-000000000000\"},\"status\":{}}",
                NACRE_CORRUPT);
    expect_read(fx, OPENING ",\"uid\":\"0123abce-0000-4000-8000-000000000000\"},\"status\":{}}", NACRE_OK);
}

/* A Backup as Velero 1.15 writes one, with fields and a phase that are not ours. */
static void one_of_veleros(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    static const char json[] =
        "{\"kind\":\"Backup\",\"apiVersion\":\"velero.io/"
        "v1\",\"metadata\":{\"name\":\"v\",\"namespace\":\"velero\","
        "\"uid\":\"5d7b4a6e-2a7c-4d11-9a53-0f9d9a3c8e11\",\"resourceVersion\":\"12\",\"annotations\":{\"a\":"
        "\"b\"}},"
        "\"spec\":{\"metadata\":{},\"includedNamespaces\":[\"*\"],\"ttl\":\"720h0m0s\",\"hooks\":{}},"
        "\"status\":{\"version\":1,\"formatVersion\":\"1.1.0\",\"expiration\":\"2026-02-01T03:04:05Z\","
        "\"phase\":\"FinalizingPartiallyFailed\",\"startTimestamp\":\"2026-01-02T03:04:05Z\","
        "\"completionTimestamp\":null,\"progress\":{\"totalItems\":3},\"warnings\":4}}";
    must(store_put(fx->store, "backups/v/velero-backup.json", json, sizeof json - 1, &e), &e);
    CLEANUP(catalogue_backup_free) struct catalogue_backup *backup = NULL;
    CLEANUP(buf_free) struct buf log = {0};
    must(catalogue_backup_read(fx->store, "v", &backup, &e), &e);
    assert_string_equal("FinalizingPartiallyFailed", backup->phase_text);
    assert_int_equal(CATALOGUE_FAILED, backup->phase);
    assert_int_equal(STARTED, backup->started_ns);
    assert_int_equal(0, backup->completed_ns);
    assert_int_equal(4, backup->warnings);
    assert_null(backup->details);
    must(catalogue_backup_log(fx->store, "v", &log, &e), &e);
    assert_int_equal(0, log.size);
}

static int gather_restore(void *ctx, const char *name, json_t *record)
{
    buf_printf(ctx, "%s:%s ", name, json_string_value(json_object_get(record, "phase")));
    return 0;
}

static void restores(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf out = {0}, log = {0};
    json_t *begun = json_pack("{s:s}", "phase", "InProgress"), *record = NULL;
    json_t *ended = json_pack("{s:s, s:[s], s:[]}", "phase", "Failed", "errors", "no room", "warnings");
    must(catalogue_restore_write(fx->store, "r-1", begun, NULL, 0, &e), &e);
    must(catalogue_restore_write(fx->store, "r", begun, NULL, 0, &e), &e);
    must(catalogue_restore_log(fx->store, "r", &log, &e), &e);
    assert_int_equal(0, log.size);
    must(catalogue_restore_write(fx->store, "r", ended, "a line\n", 7, &e), &e);
    must(store_put(fx->store, "restores/velero/restore-velero-logs.gz", "x", 1, &e), &e);
    must(catalogue_restore_each(fx->store, gather_restore, &out, &e), &e);
    assert_string_equal("r:Failed r-1:InProgress ", (const char *)out.data);
    must(catalogue_restore_read(fx->store, "r", &record, &e), &e);
    assert_true(json_equal(record, ended));
    must(catalogue_restore_log(fx->store, "r", &log, &e), &e);
    assert_string_equal("a line\n", (const char *)log.data);
    assert_int_equal(0, shell(fx, "test \"$(gzip -dc restores/r/restore-r-results.gz)\" = "
                                  "'{\"errors\":{\"velero\":[\"no room\"]},\"warnings\":{}}'"));
    must(catalogue_restore_remove(fx->store, "r", &e), &e);
    assert_int_equal(-1, catalogue_restore_remove(fx->store, "r", &e));
    assert_int_equal(NACRE_ABSENT, e.code);
    assert_int_equal(-1, catalogue_restore_read(fx->store, "velero", &record, &e));
    assert_int_equal(NACRE_ABSENT, e.code);
    assert_int_equal(-1, catalogue_restore_write(fx->store, "../r", ended, NULL, 0, &e));
    assert_int_equal(NACRE_INVALID, e.code);
    json_decref(begun);
    json_decref(ended);
    json_decref(record);
}

/* A store that fails at any one call leaves either no backup or a whole one. */
static void failing_store(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    unsigned failures = 0;
    for (int after = 1; after < 40; after++) {
        char every[16], url[96];
        snprintf(every, sizeof every, "%d", after);
        snprintf(url, sizeof url, "file://%s/bucket%d", fx->dir, after);
        const struct nacre_option options[] = {{"fail-every", every}, {"fail-op", "put,put_if_absent"}};
        struct fixture other = {0};
        must(plugin_open_store(url, NULL, 0, &other.store, &e), &e);
        must(plugin_wrap_store("fault", options, 2, &other.store, &e), &e);
        bool written = write_entry(&other, "demo", CATALOGUE_COMPLETED, "v", &e) == 0, exists;
        must(catalogue_backup_exists(other.store, "demo", &exists, &e), &e);
        assert_int_equal(written, exists);
        failures += !written;
        if (exists) {
            CLEANUP(catalogue_backup_free) struct catalogue_backup *backup = NULL;
            must(catalogue_backup_read(other.store, "demo", &backup, &e), &e);
            assert_non_null(backup->details);
        }
        store_close(other.store);
    }
    assert_int_equal(11, failures); /* one for each object that is written */
}

int main(void)
{
    log_set_level(NACRE_LOG_ERROR);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names), TEST(written_and_read), TEST(layout_is_veleros), TEST(listed),   TEST(removed),
        TEST(raced), TEST(hostile),          TEST(one_of_veleros),    TEST(restores), TEST(failing_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

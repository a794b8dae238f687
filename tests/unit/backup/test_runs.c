/* SPDX-License-Identifier: Apache-2.0 */
/* Several volumes, several runs at once, and runs that end badly: what is left behind, and what the next
 * makes of it. */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/cancel.h"
#include "common/err.h"
#include "snapshot/history.h"
#include "snapshot/take.h"

static void together(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    CLEANUP(backup_result_free) struct backup_result result = {0};
    struct nacre_err e = {0};
    for (unsigned i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i), 0};
        volume_make(fx, name, (8 + i) * CHUNK);
        volume_fill(fx, name, i * CHUNK, CHUNK, i / 2); /* a and b hold the same bytes in different places */
    }
    assert_int_equal(0, back_up_all(fx, &options, &result, &e, "a", "b", "c", END));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(BACKUP_COMPLETED, result.volumes[i].phase);
        assert_true(result.volumes[i].grouped);
        assert_string_equal(result.volumes[0].source_snapshot, result.volumes[i].source_snapshot);
    }
    assert_int_equal(3, snapshot_count(fx));
    expect_sound(fx);
}

static void some_fail(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume again;
    struct backup_result result = {0};
    struct nacre_err e = {0};
    /* b has a chunk that a read, saved, and whose pack is on its way when a fails */
    volume_make(fx, "a", 128 * CHUNK);
    volume_fill(fx, "a", 0, 128 * CHUNK, 1);
    volume_make(fx, "b", 100 * CHUNK);
    volume_fill(fx, "b", 0, 100 * CHUNK, 1);
    faults.fail_read_at = 120 * CHUNK;
    options.writer.pack_size = 4u << 20;
    assert_int_equal(-1, back_up_all(fx, &options, &result, &e, "a", "gone", "b", "b2@none", END));
    assert_int_equal(NACRE_PARTIAL, e.code);
    assert_non_null(strstr(e.message, "3 of 4"));
    assert_int_equal(BACKUP_FAILED, result.volumes[0].phase);
    assert_int_equal(NACRE_TRANSIENT, result.volumes[0].error.code);
    assert_non_null(strstr(result.volumes[0].error.message, "told to fail"));
    assert_int_equal(NACRE_ABSENT, result.volumes[1].error.code);
    assert_int_equal(BACKUP_COMPLETED, result.volumes[2].phase);
    assert_int_equal(NACRE_ABSENT, result.volumes[3].error.code);
    assert_int_equal(0, bases_of(fx, "a", NULL));
    assert_int_equal(1, bases_of(fx, "b", NULL));
    assert_int_equal(1, snapshot_count(fx));
    assert_int_equal(0, lock_count(fx));
    expect_sound(fx);
    expect_dump(fx, &result.volumes[2], "b");
    backup_result_free(&result);
    faults.fail_read_at = UINT64_MAX;
    back_up(fx, &options, "a", &again);
    assert_true(again.chunks_known >= 100);
    expect_dump(fx, &again, "a");
    expect_sound(fx);
}

static void refused(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct backup_options options = options_of("one");
    struct backup_result result = {0};
    struct lock *lock = NULL;
    volume_make(fx, "a", CHUNK);
    assert_int_equal(-1, back_up_all(fx, &options, &result, &e, "a", "a@x", END));
    assert_int_equal(NACRE_INVALID, e.code);
    assert_non_null(strstr(e.message, "hostpath/local/a"));
    assert_int_equal(NACRE_INVALID, result.volumes[1].error.code);
    backup_result_free(&result);
    static const uint32_t sizes[] = {1, CHUNK - 1, CHUNK + 1, 3 * CHUNK, 16u << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        options.chunk_size = sizes[i];
        assert_int_equal(-1, back_up_all(fx, &options, &result, &e, "a", END));
        assert_int_equal(NACRE_INVALID, e.code);
        backup_result_free(&result);
    }
    options = options_of("");
    assert_int_equal(-1, back_up_all(fx, &options, &result, &e, "a", END));
    assert_int_equal(NACRE_INVALID, e.code);
    backup_result_free(&result);
    options = options_of("one");
    assert_int_equal(-1, back_up_all(fx, &options, &result, &e, END));
    assert_int_equal(NACRE_INVALID, e.code);
    backup_result_free(&result);
    assert_int_equal(0, lock_acquire(fx->repo, true, 0, &lock, &e));
    assert_int_equal(-1, back_up_all(fx, &options, &result, &e, "a", END));
    assert_int_equal(NACRE_LOCKED, e.code);
    assert_int_equal(NACRE_LOCKED, result.volumes[0].error.code);
    backup_result_free(&result);
    lock_release(lock);
    assert_int_equal(0, bases_of(fx, "a", NULL));
    assert_int_equal(0, snapshot_count(fx));
}

/* ---- several runs at once ---- */

struct runner {
    struct fixture *fx;
    struct repo *repo;
    struct backup_result result;
    struct nacre_err e;
    int rc;
};

static void *run_one(void *arg)
{
    struct runner *runner = arg;
    struct backup_options options = options_of("at once");
    struct backup_source source = {.driver = runner->fx->driver};
    volume_ref_parse("hostpath/local/v", &source.ref, &runner->e);
    runner->rc = backup_run(runner->repo, &source, 1, &options, 0, NULL, &runner->result, &runner->e);
    return NULL;
}

static void at_once(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("before");
    struct backup_volume saved;
    const struct repo_options place = {.path = "restic/default", .where = "the same"};
    volume_make(fx, "v", 64 * CHUNK);
    volume_fill(fx, "v", 0, 32 * CHUNK, 1);
    for (unsigned round = 0; round < 5; round++) {
        struct runner runners[3] = {0};
        pthread_t threads[3];
        struct nacre_err e = {0};
        back_up(fx, &options, "v", &saved);
        volume_fill(fx, "v", round * CHUNK, 5, round + 2);
        for (unsigned i = 0; i < 3; i++) {
            runners[i].fx = fx;
            assert_int_equal(0, repo_open(fx->store, &place, PASSWORD, &runners[i].repo, &e));
            assert_int_equal(0, pthread_create(&threads[i], NULL, run_one, &runners[i]));
        }
        for (unsigned i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        for (unsigned i = 0; i < 3; i++) {
            if (runners[i].rc)
                fail_msg("%s", runners[i].e.message);
            expect_dump(fx, &runners[i].result.volumes[0], "v");
            backup_result_free(&runners[i].result);
            repo_free(runners[i].repo);
        }
        assert_true(bases_of(fx, "v", NULL) >= 1);
    }
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental && saved.chunks_read == 0);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    expect_sound(fx);
}

/* Runs at once may all upload the same chunk: a blob in several packs, named by several index files. */
static void stored_many_times(void **state)
{
    enum { WRITERS = 12, BLOBS = 50 };
    struct fixture *fx = *state;
    struct index *indexes[WRITERS];
    struct writer *writers[WRITERS];
    struct id ids[BLOBS];
    struct nacre_err e = {0};
    bool added;
    for (unsigned i = 0; i < WRITERS; i++) {
        const struct writer_options options = {.level = 1};
        assert_int_equal(0, index_load(fx->repo, &indexes[i], &e));
        assert_int_equal(0, writer_new(fx->repo, indexes[i], &options, &writers[i], &e));
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        for (unsigned k = 0; k < BLOBS; k++) {
            char text[32];
            int length = snprintf(text, sizeof text, "blob %u", k);
            id_hash(&ids[k], text, (size_t)length);
            assert_int_equal(0,
                             writer_save(writers[i], BLOB_DATA, &ids[k], text, (size_t)length, &added, &e));
            assert_true(added);
        }
        assert_int_equal(0, writer_finish(writers[i], &e));
        writer_free(writers[i]);
        index_free(indexes[i]);
    }
    for (unsigned round = 0; round < 10; round++) {
        CLEANUP(index_free) struct index *index = NULL;
        struct index_entry entry;
        if (index_load(fx->repo, &index, &e))
            fail_msg("%s", e.message);
        assert_int_equal(WRITERS * BLOBS, index_blob_count(index));
        for (unsigned k = 0; k < BLOBS; k++)
            assert_true(index_find(index, BLOB_DATA, &ids[k], &entry));
    }
    expect_sound(fx);
}

static void remove_base(void *ctx)
{
    struct fixture *fx = ctx;
    CLEANUP(history_free) struct history history = {0};
    struct nacre_err e;
    faults.on_mapped = NULL;
    assert_int_equal(0, history_load(fx->hostpath, "v", &history, &e));
    assert_int_equal(2, history.count); /* the base, then the fresh one */
    source_snapshot_remove(fx, "v", history.items[0].name);
}

static void base_removed_meanwhile(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    back_up(fx, &options, "v", &saved);
    faults.on_mapped = remove_base;
    faults.ctx = fx;
    back_up(fx, &options, "v", &saved);
    assert_false(saved.incremental);
    assert_non_null(strstr(saved.warning, "while it was compared"));
    assert_int_equal(4, saved.chunks_read);
    expect_dump(fx, &saved, "v");
}

/* ---- leftovers ---- */

static void leftovers(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved;
    char ours[NACRE_SNAPSHOT_NAME_MAX + 1], dead[NACRE_SNAPSHOT_NAME_MAX + 1];
    char living[NACRE_SNAPSHOT_NAME_MAX + 1] = "";
    int to_parent[2];
    volume_make(fx, "v", 4 * CHUNK);
    snapshot_name_make(repo_id(fx->repo), ours); /* of a process that had our number before us */
    snprintf(dead, sizeof dead, "nacre-%.12s-20260102T030405Z-00000000.77", repo_id(fx->repo));
    source_snapshot(fx, "v", ours);
    source_snapshot(fx, "v", dead);
    source_snapshot(fx, "v", "nacre-ffffffffffff-20260102T030405Z-00000000.77"); /* another repository's */
    source_snapshot(fx, "v", "daily");
    assert_true(!pipe(to_parent));
    pid_t child = fork();
    if (!child) { /* another run, at work */
        struct lock *lock = NULL;
        struct nacre_err e = {0};
        snapshot_name_make(repo_id(fx->repo), living);
        if (lock_acquire(fx->repo, false, 0, &lock, &e))
            _exit(1);
        (void)!write(to_parent[1], living, sizeof living);
        pause();
        _exit(0);
    }
    assert_int_equal(sizeof living, read(to_parent[0], living, sizeof living));
    source_snapshot(fx, "v", living);
    CLEANUP(backup_result_free) struct backup_result result = {0};
    struct nacre_err e = {0};
    assert_int_equal(0, back_up_all(fx, &options, &result, &e, "v", END));
    assert_int_equal(0, shell(fx, "test -e volumes/v/snapshots/%s", living));
    assert_int_not_equal(0, shell(fx, "test -e volumes/v/snapshots/%s", dead));
    assert_int_not_equal(0, shell(fx, "test -e volumes/v/snapshots/%s", ours));
    assert_int_equal(0, shell(fx, "test -e volumes/v/snapshots/daily"));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental);
    assert_int_not_equal(0, shell(fx, "test -e volumes/v/snapshots/%s", living));
    assert_int_equal(2, bases_of(fx, "v", NULL)); /* ours, and the other repository's */
    close(to_parent[0]);
    close(to_parent[1]);
}

static void old_base_stays_once(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved;
    volume_make(fx, "v", 4 * CHUNK);
    back_up(fx, &options, "v", &saved);
    faults.remove_result = NACRE_BUSY;
    back_up(fx, &options, "v", &saved); /* a success all the same */
    assert_int_equal(2, bases_of(fx, "v", NULL));
    faults.remove_result = NACRE_OK;
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental);
    assert_int_equal(1, bases_of(fx, "v", NULL));
}

/* ---- ends ---- */

static void stop_at_third(void *ctx, unsigned number)
{
    (void)ctx;
    if (number == 3)
        cancel_request();
}

static void die_at_third(void *ctx, unsigned number)
{
    (void)ctx;
    if (number == 3)
        kill(getpid(), SIGKILL);
}

/* A backup in a process of its own: what wait says of it. */
static int in_child(struct fixture *fx, void (*on_read)(void *ctx, unsigned number))
{
    pid_t child = fork();
    if (!child) {
        struct fixture mine;
        struct backup_options options = options_of("child");
        CLEANUP(backup_result_free) struct backup_result result = {0};
        struct nacre_err e = {0};
        fixture_open(&mine, fx->dir);
        faults.on_read = on_read;
        int rc = back_up_all(&mine, &options, &result, &e, "v", "w", END);
        bool right = rc == -1 && e.code == NACRE_CANCELLED &&
                     result.volumes[0].error.code == NACRE_CANCELLED &&
                     result.volumes[1].error.code == NACRE_CANCELLED;
        fixture_close(&mine);
        _exit(right ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(child, waitpid(child, &status, 0));
    return status;
}

static void prepare_two(struct fixture *fx, struct backup_volume *saved)
{
    struct backup_options options = options_of("before");
    volume_make(fx, "v", 256 * CHUNK);
    volume_make(fx, "w", 2 * CHUNK);
    back_up(fx, &options, "v", saved);
    volume_fill(fx, "v", 0, 200 * CHUNK, 1);
}

static void after_two(struct fixture *fx, const struct backup_volume *before)
{
    struct backup_options options = options_of("after");
    struct backup_volume saved;
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental);
    assert_string_equal(before->source_snapshot, saved.base);
    assert_int_equal(200, saved.chunks_read);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    back_up(fx, &options, "w", &saved);
    assert_int_equal(1, bases_of(fx, "w", NULL));
    back_up(fx, &options, "v", &saved);
    expect_dump(fx, &saved, "v");
    expect_sound(fx);
}

static void cancelled(void **state)
{
    struct fixture *fx = *state;
    struct backup_volume before;
    prepare_two(fx, &before);
    assert_int_equal(0, in_child(fx, stop_at_third));
    assert_int_equal(1, bases_of(fx, "v", NULL));
    assert_int_equal(0, bases_of(fx, "w", NULL));
    assert_int_equal(0, lock_count(fx));
    assert_int_equal(1, snapshot_count(fx));
    after_two(fx, &before);
}

static void killed(void **state)
{
    struct fixture *fx = *state;
    struct backup_volume before;
    prepare_two(fx, &before);
    int status = in_child(fx, die_at_third);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(2, bases_of(fx, "v", NULL));
    assert_int_equal(1, bases_of(fx, "w", NULL));
    assert_int_equal(1, lock_count(fx));
    after_two(fx, &before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(together, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(some_fail, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(at_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(stored_many_times, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(base_removed_meanwhile, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(leftovers, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(old_base_stays_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(cancelled, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(killed, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

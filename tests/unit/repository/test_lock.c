/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: against each other, against the real restic, against clocks, crashes and stores that fail. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/cancel.h"
#include "common/timestamp.h"
#include "plugins/store.h"
#include "repository/lock_file.h"
#include "repository/lock_timing.h"

#define MINUTE (60 * INT64_C(1000000000))

static const struct lock_timing quick = {.look_ms = 20, .refresh_ms = 50, .again_ms = 50, .lost_ms = 60000};

static struct repo *make(struct place *place)
{
    struct nacre_err e;
    struct repo *repo = NULL;
    assert_ok(repo_init(place->store, &place->options, PASSWORD, 0, &repo, &e));
    return repo;
}

static void pause_ms(long ms)
{
    struct nacre_err e;
    assert_ok(cancel_sleep((uint64_t)ms, NULL, &e));
}

static void shared_and_exclusive(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock *a = NULL, *b = NULL, *c = NULL;
    char pid[32];
    assert_ok(lock_acquire(repo, false, 0, &a, &e));
    assert_ok(lock_acquire(repo, false, 0, &b, &e));
    assert_int_equal(place_count(place, "locks"), 2);
    assert_fails(lock_acquire(repo, true, 0, &c, &e), NACRE_LOCKED, "is locked by ");
    snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
    assert_non_null(strstr(e.message, pid));
    assert_non_null(strstr(e.message, "nacre repo unlock"));
    assert_int_equal(place_count(place, "locks"), 2);
    lock_release(a);
    lock_release(b);
    assert_int_equal(place_count(place, "locks"), 0);
    assert_ok(lock_acquire(repo, true, 0, &c, &e));
    assert_fails(lock_acquire(repo, false, 0, &a, &e), NACRE_LOCKED, "exclusively");
    assert_fails(lock_acquire(repo, true, 0, &a, &e), NACRE_LOCKED, "exclusively");
    assert_ok(lock_check(c, &e));
    lock_release(c);
    lock_release(NULL);
    assert_int_equal(place_count(place, "locks"), 0);
}

static void restic_respects_ours(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    CLEANUP(buf_free) struct buf text = {0};
    struct lock *lock = NULL;
    assert_int_equal(shell(NULL, "echo hello > %s/f", place->dir), 0);
    assert_ok(lock_acquire(repo, false, 0, &lock, &e));
    assert_int_not_equal(restic(place, &text, "check"), 0);
    assert_non_null(strstr((char *)text.data, "already locked"));
    buf_clear(&text);
    assert_int_equal(restic(place, &text, "unlock"), 0); /* removes stale ones only: ours is not */
    assert_int_equal(place_count(place, "locks"), 1);
    assert_false(cancel_requested());
    assert_int_equal(restic(place, NULL, "backup %s/f", place->dir), 0);
    lock_release(lock);
    assert_ok(lock_acquire(repo, true, 0, &lock, &e));
    buf_clear(&text);
    assert_int_not_equal(restic(place, &text, "backup %s/f", place->dir), 0);
    assert_non_null(strstr((char *)text.data, "locked exclusively"));
    lock_release(lock);
    assert_int_equal(restic(place, NULL, "check --read-data"), 0);
}

static int take_info(void *ctx, const struct lock_info *info)
{
    assert_int_equal(info->exclusive, false);
    assert_false(info->stale);
    *(int *)ctx = info->pid;
    return 0;
}

static void we_respect_a_live_restic(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock *lock = NULL;
    const char *program = getenv("RESTIC");
    char command[512];
    int pid = 0;
    snprintf(command, sizeof command,
             "RESTIC_PASSWORD='" PASSWORD "' %s -q -r %s --no-cache backup --stdin >/dev/null",
             program ? program : "restic", place->repo_dir);
    FILE *input = popen(command, "w"); /* backs up until its input ends */
    assert_non_null(input);
    for (int i = 0; i < 1200 && !pid;
         i++) { /* until it is there under its name: restic writes to another first */
        pause_ms(50);
        assert_ok(lock_each(repo, take_info, &pid, &e));
    }
    assert_true(pid > 0 && pid != getpid());
    assert_int_equal(place_count(place, "locks"), 1);
    assert_fails(lock_acquire(repo, true, 0, &lock, &e), NACRE_LOCKED, "is locked by ");
    assert_ok(lock_acquire(repo, false, 0, &lock, &e));
    lock_release(lock);
    fputs("data", input);
    assert_int_equal(pclose(input), 0);
    assert_ok(lock_acquire(repo, true, 0, &lock, &e));
    lock_release(lock);
}

/* Writes a lock with this time, and gives its file that age. */
static void plant(struct place *place, struct repo *repo, const struct lock_file *file, int64_t modified_ns)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf json = {0};
    struct id id;
    char hex[ID_HEX_SIZE], path[512];
    lock_file_format(file, &json);
    assert_ok(repo_file_save(repo, REPO_LOCK, json.data, json.size, &id, &e));
    id_format(&id, hex);
    snprintf(path, sizeof path, "%s/locks/%s", place->repo_dir, hex);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {modified_ns / 1000000000, modified_ns % 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static struct lock_file foreign(int64_t age_ns)
{
    struct lock_file file = {.time_ns = timestamp_now() - age_ns, .exclusive = true, .pid = 12};
    snprintf(file.hostname, sizeof file.hostname, "elsewhere");
    snprintf(file.username, sizeof file.username, "someone");
    return file;
}

static void expect_stale(struct place *place, struct repo *repo)
{
    struct nacre_err e;
    struct lock *lock = NULL;
    assert_int_equal(place_count(place, "locks"), 1);
    assert_ok(lock_acquire(repo, true, 0, &lock, &e));
    lock_release(lock);
    assert_int_equal(place_count(place, "locks"), 0);
}

static void expect_held(struct place *place, struct repo *repo, const char *message)
{
    struct nacre_err e;
    struct lock *lock = NULL;
    size_t removed = 9;
    assert_fails(lock_acquire(repo, true, 0, &lock, &e), NACRE_LOCKED, message);
    assert_ok(lock_remove(repo, false, &removed, &e));
    assert_int_equal(removed, 0);
    assert_int_equal(place_count(place, "locks"), 1);
    assert_ok(lock_remove(repo, true, &removed, &e));
    assert_int_equal(removed, 1);
    assert_int_equal(place_count(place, "locks"), 0);
}

static void tells_stale_from_live(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    int64_t now = timestamp_now();
    size_t removed = 0;

    struct lock_file file = foreign(31 * MINUTE);
    plant(place, repo, &file, now - 31 * MINUTE);
    expect_stale(place, repo);
    plant(place, repo, &file, now - 31 * MINUTE);
    assert_ok(lock_remove(repo, false, &removed, &e));
    assert_int_equal(removed, 1);

    file = foreign(29 * MINUTE);
    plant(place, repo, &file, now - 29 * MINUTE);
    expect_held(place, repo, "someone@elsewhere (pid 12)");
    file = foreign(120 * MINUTE); /* its clock is two hours slow */
    plant(place, repo, &file, now);
    expect_held(place, repo, "elsewhere");
    file = foreign(-120 * MINUTE); /* two hours fast */
    plant(place, repo, &file, now);
    expect_held(place, repo, "minutes ahead of this host: check the clocks");
    plant(place, repo, &file, now - 31 * MINUTE);
    expect_held(place, repo, "ahead");
}

static void a_dead_process_holds_nothing(void **state)
{
    struct place *place = *state;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock_file file;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    lock_file_self(&file, true);
    file.pid = (int)child;
    plant(place, repo, &file, timestamp_now());
    expect_stale(place, repo);
    snprintf(file.pid_namespace, sizeof file.pid_namespace, "pid:[1]"); /* of another container's numbers */
    plant(place, repo, &file, timestamp_now());
    expect_held(place, repo, "(pid ");
    *file.pid_namespace = 0; /* as restic writes it */
    plant(place, repo, &file, timestamp_now());
    expect_stale(place, repo);
    file.pid = 1; /* alive, and not ours to signal unless we are root */
    plant(place, repo, &file, timestamp_now());
    expect_held(place, repo, "(pid 1)");
    snprintf(file.hostname, sizeof file.hostname, "elsewhere");
    file.pid = (int)child; /* a number that says nothing about another host */
    plant(place, repo, &file, timestamp_now());
    expect_held(place, repo, "elsewhere");
    file.pid = 0;
    lock_file_self(&file, true);
    file.pid = 0;
    plant(place, repo, &file, timestamp_now());
    expect_held(place, repo, "(pid 0)");
}

static void damaged_locks_count_until_they_are_old(void **state)
{
    struct place *place = *state;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock_file file = foreign(0);
    char path[512];
    plant(place, repo, &file, timestamp_now());
    place_file(place, "locks", path);
    flip_byte(path, 30);
    expect_held(place, repo, "cannot be read");
    plant(place, repo, &file, timestamp_now());
    place_file(place, "locks", path);
    flip_byte(path, 30);
    int64_t then = timestamp_now() - 31 * MINUTE;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {then / 1000000000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    expect_stale(place, repo);
}

static void refreshes_by_a_new_file(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock *lock = NULL;
    char first[512], later[512];
    assert_ok(lock_acquire_timed(repo, true, 0, &quick, &lock, &e));
    place_file(place, "locks", first);
    pause_ms(400);
    assert_int_not_equal(access(first, F_OK), 0);
    assert_ok(lock_check(lock, &e));
    lock_release(lock);
    assert_int_equal(place_count(place, "locks"), 0);

    const struct lock_timing slow = {.look_ms = 20, .refresh_ms = 60000, .again_ms = 50, .lost_ms = 60000};
    assert_ok(lock_acquire_timed(repo, true, 0, &slow, &lock, &e));
    place_file(place, "locks", first);
    pause_ms(300);
    place_file(place, "locks", later);
    assert_string_equal(first, later);
    int64_t before = timestamp_elapsed();
    lock_release(lock); /* at once, whatever the interval */
    assert_true(timestamp_elapsed() - before < MINUTE / 2);
}

static void notices_that_it_was_removed(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock *lock = NULL;
    size_t removed;
    assert_ok(lock_acquire_timed(repo, false, 0, &quick, &lock, &e));
    assert_ok(lock_check(lock, &e));
    /* A removal may fall between the two files of a refresh; then the next one is the test. */
    for (int i = 0; i < 20 && lock_check(lock, &e) == 0; i++) {
        assert_ok(lock_remove(repo, true, &removed, &e));
        pause_ms(120);
    }
    assert_fails(lock_check(lock, &e), NACRE_LOCKED, "somebody removed it");
    lock_release(lock);
    assert_int_equal(place_count(place, "locks"), 0);
}

/* Without waiting for the next refresh. */
static void looks_for_its_file(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock *lock = NULL;
    size_t removed;
    assert_ok(lock_acquire(repo, false, 0, &lock, &e));
    assert_ok(lock_verify(lock, &e));
    assert_ok(lock_remove(repo, true, &removed, &e));
    assert_int_equal(removed, 1);
    assert_ok(lock_check(lock, &e));
    assert_fails(lock_verify(lock, &e), NACRE_LOCKED, "somebody removed it");
    assert_fails(lock_check(lock, &e), NACRE_LOCKED, "somebody removed it");
    lock_release(lock);
}

/* While the thread refreshes it all the time. */
static void looks_while_it_is_refreshed(void **state)
{
    static const struct lock_timing hasty = {.look_ms = 1, .refresh_ms = 1, .again_ms = 1, .lost_ms = 60000};
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock *lock = NULL;
    assert_ok(lock_acquire_timed(repo, false, 0, &hasty, &lock, &e));
    for (int i = 0; i < 300; i++)
        assert_ok(lock_verify(lock, &e));
    lock_release(lock);
}

/* A store in front of the real one whose writes fail on demand. */
struct shim {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    atomic_bool failing;
    atomic_bool losing; /* the first answer to a removal, which is repeated as the wrapper `retry` does */
    atomic_int refused;
    atomic_int repeated;
};

static int shim_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                    struct nacre_err *e)
{
    struct shim *shim = (struct shim *)store;
    if (!shim->failing)
        return shim->inner->ops->put(shim->inner, name, input, e);
    shim->refused++;
    *e = (struct nacre_err){.code = NACRE_TRANSIENT, .message = "the network is away"};
    return -1;
}

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
    return shim->inner->ops->list(shim->inner, prefix, entry, ctx, e);
}

static int shim_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e)
{
    struct shim *shim = (struct shim *)store;
    int result = shim->inner->ops->remove(shim->inner, name, e);
    if (result < 0 || !shim->losing)
        return result;
    shim->repeated += shim->inner->ops->remove(shim->inner, name, e) < 0 && e->code == NACRE_ABSENT;
    return 0; /* gone is what was wanted */
}

static void shim_put_around(struct shim *shim, struct nacre_object_store *inner)
{
    static const struct nacre_object_store_ops ops = {.size = sizeof ops,
                                                      .put = shim_put,
                                                      .get = shim_get,
                                                      .stat = shim_stat,
                                                      .list = shim_list,
                                                      .remove = shim_remove};
    *shim = (struct shim){.base.ops = &ops, .inner = inner};
}

static void outlives_a_store_that_fails_for_a_while(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct shim shim;
    struct repo *repo = NULL;
    struct lock *lock = NULL;
    char first[512];
    repo_free(make(place));
    shim_put_around(&shim, place->store);
    assert_ok(repo_open(&shim.base, &place->options, PASSWORD, &repo, &e));
    assert_ok(lock_acquire_timed(repo, true, 0, &quick, &lock, &e));
    shim.failing = true;
    for (int i = 0; i < 100 && shim.refused < 3; i++)
        pause_ms(50);
    assert_true(shim.refused >= 3);
    assert_ok(lock_check(lock, &e));
    place_file(place, "locks", first);
    shim.failing = false;
    pause_ms(300);
    assert_int_not_equal(access(first, F_OK), 0);
    assert_ok(lock_check(lock, &e));
    lock_release(lock);
    assert_int_equal(place_count(place, "locks"), 0);
    repo_free(repo);
}

static void outlives_an_answer_that_got_lost(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct shim shim;
    struct repo *repo = NULL;
    struct lock *lock = NULL;
    repo_free(make(place));
    shim_put_around(&shim, place->store);
    assert_ok(repo_open(&shim.base, &place->options, PASSWORD, &repo, &e));
    assert_ok(lock_acquire_timed(repo, true, 0, &quick, &lock, &e));
    shim.losing = true;
    for (int i = 0; i < 100 && shim.repeated < 3 && lock_check(lock, &e) == 0; i++)
        pause_ms(50);
    assert_ok(lock_check(lock, &e));
    assert_true(shim.repeated >= 3);
    shim.losing = false;
    lock_release(lock);
    assert_int_equal(place_count(place, "locks"), 0);
    repo_free(repo);
}

static void is_lost_when_it_cannot_be_refreshed(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct shim shim;
    struct repo *repo = NULL;
    struct lock *lock = NULL;
    const struct lock_timing timing = {.look_ms = 20, .refresh_ms = 50, .again_ms = 50, .lost_ms = 300};
    repo_free(make(place));
    shim_put_around(&shim, place->store);
    assert_ok(repo_open(&shim.base, &place->options, PASSWORD, &repo, &e));
    assert_ok(lock_acquire_timed(repo, true, 0, &timing, &lock, &e));
    shim.failing = true;
    pause_ms(600);
    assert_fails(lock_check(lock, &e), NACRE_LOCKED, "could not be refreshed in time");
    shim.failing = false;
    pause_ms(200);
    assert_fails(lock_check(lock, &e), NACRE_LOCKED, "nothing more may be written"); /* for good */
    lock_release(lock);
    assert_int_equal(place_count(place, "locks"), 0);
    repo_free(repo);
}

static void *release_later(void *ctx)
{
    pause_ms(1200);
    lock_release(ctx);
    return NULL;
}

static void waits_for_its_turn(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock *held = NULL, *waiting = NULL;
    pthread_t thread;
    assert_ok(lock_acquire(repo, false, 0, &held, &e));
    int64_t before = timestamp_elapsed();
    assert_fails(lock_acquire(repo, true, 1, &waiting, &e), NACRE_LOCKED, "locked");
    assert_true(timestamp_elapsed() - before >= MINUTE / 60);
    assert_int_equal(pthread_create(&thread, NULL, release_later, held), 0);
    assert_ok(lock_acquire(repo, true, 60, &waiting, &e));
    pthread_join(thread, NULL);
    lock_release(waiting);
}

struct contest {
    struct repo *repo;
    atomic_int inside, overlaps, wins;
};

static void *contend(void *ctx)
{
    struct contest *contest = ctx;
    struct nacre_err e;
    struct lock *lock = NULL;
    if (lock_acquire(contest->repo, true, 120, &lock, &e) < 0)
        return NULL;
    contest->overlaps += contest->inside++ > 0;
    cancel_sleep(20, NULL, &e);
    contest->inside--;
    contest->wins++;
    lock_release(lock);
    return NULL;
}

static void only_one_is_exclusive(void **state)
{
    enum { CONTENDERS = 5 };
    struct place *place = *state;
    struct contest contest = {.repo = make(place)};
    pthread_t threads[CONTENDERS];
    for (int i = 0; i < CONTENDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &contest), 0);
    for (int i = 0; i < CONTENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(contest.overlaps, 0);
    assert_int_equal(contest.wins, CONTENDERS);
    assert_int_equal(place_count(place, "locks"), 0);
    repo_free(contest.repo);
}

static void ends_a_wait_when_asked_to_stop(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct lock *held = NULL;
    assert_ok(lock_acquire(repo, true, 0, &held, &e));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) { /* the flag cannot be taken back: in a process of its own */
        struct lock *lock = NULL;
        cancel_on_signals();
        _exit(lock_acquire(repo, false, 600, &lock, &e) < 0 && e.code == NACRE_CANCELLED ? 42 : 1);
    }
    int status;
    pause_ms(500);
    assert_int_equal(kill(child, SIGTERM), 0);
    int64_t before = timestamp_elapsed();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    assert_true(timestamp_elapsed() - before < 5 * MINUTE);
    assert_int_equal(place_count(place, "locks"), 1);
    lock_release(held);
}

static void parses_only_locks(void **state)
{
    (void)state;
    struct nacre_err e;
    struct lock_file file;
    static const char restic_lock[] =
        "{\"time\":\"2026-11-21T02:08:11.861307612+01:00\",\"exclusive\":true,\"hostname\":\"vm\","
        "\"username\":\"root\",\"pid\":4711,\"uid\":1000,\"gid\":100,\"new\":{\"a\":[1]}}";
    assert_ok(lock_file_parse(restic_lock, strlen(restic_lock), &file, &e));
    assert_true(file.exclusive);
    assert_int_equal(file.pid, 4711);
    assert_int_equal(file.uid, 1000);
    assert_string_equal(file.hostname, "vm");
    assert_int_equal(file.time_ns % 1000000000, 861307612);
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"time\":5}",
                                      "{\"time\":\"yesterday\"}",
                                      "{\"time\":\"2026-11-21T02:08:11Z\",\"pid\":-1}",
                                      "{\"time\":\"2026-11-21T02:08:11Z\",\"pid\":99999999999}",
                                      "{\"time\":\"2026-11-21T02:08:11Z\",\"exclusive\":\"no\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(lock_file_parse(bad[i], strlen(bad[i]), &file, &e), NACRE_CORRUPT, "");
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(shared_and_exclusive),
        WITH_PLACE(restic_respects_ours),
        WITH_PLACE(we_respect_a_live_restic),
        WITH_PLACE(tells_stale_from_live),
        WITH_PLACE(a_dead_process_holds_nothing),
        WITH_PLACE(damaged_locks_count_until_they_are_old),
        WITH_PLACE(refreshes_by_a_new_file),
        WITH_PLACE(notices_that_it_was_removed),
        WITH_PLACE(looks_for_its_file),
        WITH_PLACE(looks_while_it_is_refreshed),
        WITH_PLACE(outlives_a_store_that_fails_for_a_while),
        WITH_PLACE(outlives_an_answer_that_got_lost),
        WITH_PLACE(is_lost_when_it_cannot_be_refreshed),
        WITH_PLACE(waits_for_its_turn),
        WITH_PLACE(only_one_is_exclusive),
        WITH_PLACE(ends_a_wait_when_asked_to_stop),
        cmocka_unit_test(parses_only_locks),
    };
    cancel_on_signals(); /* as every program does: `restic unlock` sends a SIGHUP to who holds a lock */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Taking, keeping and releasing a lock.
 *
 * Taking: look for locks in the way, write the own one, wait 200 ms, look again. Of two that write at the
 * same time both see the other at their second look and step back; they try again after waits of random
 * length.
 *
 * Keeping: a thread writes a new lock file every 5 minutes and removes the one before. When that fails it
 * tries again every half minute. After 22.5 minutes without success the lock counts as lost, well before the
 * 30 minutes at which others take it for stale. Time is counted with the machine's sleep (CLOCK_BOOTTIME):
 * others go on counting while this host is suspended. A lock that somebody removed is lost too.
 *
 * A crash leaves the file, which the next one on this host removes at once, others after 30 minutes. */
#include "repository/lock.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "plugins/store.h"
#include "repository/lock_scan.h"
#include "repository/lock_timing.h"

#define LEFTOVERS_MAX 8
#define SLICE_MS 5000 /* how late a refresh may be after the machine slept */
#define WAIT_FIRST_MS 500
#define WAIT_MAX_MS 10000

static const struct lock_timing timing_default = {.look_ms = 200,
                                                  .refresh_ms = UINT64_C(300000),
                                                  .again_ms = UINT64_C(30000),
                                                  .lost_ms = UINT64_C(1350000) /* 22.5 minutes */};

struct lock {
    struct repo *repo; /* borrowed */
    bool exclusive;
    struct lock_timing timing;
    pthread_t thread;
    pthread_mutex_t mutex; /* of everything below; id and leftovers only the thread changes */
    pthread_cond_t stopping;
    bool stop;
    bool lost;
    const char *lost_reason;
    uint64_t refreshed_ms; /* when the last file that was written says it was written */
    struct id id;
    struct id leftovers[LEFTOVERS_MAX]; /* other files of it that may still be there */
    size_t leftover_count;
};

static uint64_t boot_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int write_file(struct lock *lock, struct id *id, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    struct lock_file file;
    lock_file_self(&file, lock->exclusive);
    lock_file_format(&file, &json);
    if (buf_failed(&json))
        return err_no_memory(e, "a lock");
    return repo_file_save(lock->repo, REPO_LOCK, json.data, json.size, id, e);
}

/* False when the file may still be there. */
static bool remove_file(struct lock *lock, const struct id *id, struct nacre_err *e)
{
    return repo_file_remove(lock->repo, REPO_LOCK, id, e) == 0 || e->code == NACRE_ABSENT;
}

static void remove_leftovers(struct lock *lock)
{
    struct nacre_err e;
    size_t kept = 0;
    for (size_t i = 0; i < lock->leftover_count; i++) {
        if (!remove_file(lock, &lock->leftovers[i], &e))
            lock->leftovers[kept++] = lock->leftovers[i];
    }
    lock->leftover_count = kept;
}

static void add_leftover(struct lock *lock, const struct id *id)
{
    if (lock->leftover_count < LEFTOVERS_MAX)
        lock->leftovers[lock->leftover_count++] = *id;
}

static void set_lost(struct lock *lock, const char *reason)
{
    pthread_mutex_lock(&lock->mutex);
    lock->lost = true;
    lock->lost_reason = reason;
    pthread_mutex_unlock(&lock->mutex);
    log_error("the lock of repository %s is lost: %s", repo_where(lock->repo), reason);
}

static bool too_late(const struct lock *lock)
{
    return boot_ms() - lock->refreshed_ms > lock->timing.lost_ms;
}

enum refresh { REFRESHED, REFRESH_FAILED, REFRESH_LOST };

static enum refresh replace_file(struct lock *lock, struct nacre_err *e)
{
    char name[REPO_NAME_SIZE];
    struct nacre_object_info info;
    struct id fresh = {{0}};
    uint64_t now = boot_ms();
    repo_name(lock->repo, REPO_LOCK, &lock->id, name);
    if (store_stat(repo_store(lock->repo), name, &info, e) < 0)
        return e->code == NACRE_ABSENT ? REFRESH_LOST : REFRESH_FAILED;
    if (write_file(lock, &fresh, e) < 0) {
        add_leftover(lock, &fresh); /* it may have been written all the same */
        return REFRESH_FAILED;
    }
    struct id before = lock->id;
    pthread_mutex_lock(&lock->mutex);
    lock->id = fresh; /* before the other is gone: who looks for the lock's file finds one of them */
    pthread_mutex_unlock(&lock->mutex);
    /* *e says something only after a failure: what is in it after a success may be an attempt's before. */
    bool failed = repo_file_remove(lock->repo, REPO_LOCK, &before, e) < 0;
    bool gone = failed && e->code == NACRE_ABSENT;
    if (failed && !gone)
        add_leftover(lock, &before);
    /* A write that took so long may have come after others saw the old file as stale. */
    if (gone || too_late(lock))
        return REFRESH_LOST;
    pthread_mutex_lock(&lock->mutex);
    lock->refreshed_ms = now;
    pthread_mutex_unlock(&lock->mutex);
    remove_leftovers(lock);
    return REFRESHED;
}

static enum refresh refresh(struct lock *lock)
{
    struct nacre_err e = {0};
    enum refresh result = too_late(lock) ? REFRESH_LOST : replace_file(lock, &e);
    if (result == REFRESH_LOST)
        set_lost(lock, too_late(lock) ? "it could not be refreshed in time" : "somebody removed it");
    if (result == REFRESH_FAILED)
        log_warning("the lock of repository %s could not be refreshed, trying again: %s",
                    repo_where(lock->repo), e.message);
    return result;
}

/* Waits with the mutex held; false when the lock is being released. */
static bool wait_until(struct lock *lock, uint64_t due_ms)
{
    for (uint64_t now = boot_ms(); !lock->stop && now < due_ms; now = boot_ms()) {
        uint64_t wait = due_ms - now < SLICE_MS ? due_ms - now : SLICE_MS;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t ns = (uint64_t)until.tv_nsec + wait % 1000 * 1000000;
        until.tv_sec += (time_t)(wait / 1000 + ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        pthread_cond_timedwait(&lock->stopping, &lock->mutex, &until);
    }
    return !lock->stop;
}

static void *keep(void *ctx)
{
    struct lock *lock = ctx;
    pthread_mutex_lock(&lock->mutex);
    uint64_t due = lock->refreshed_ms + lock->timing.refresh_ms;
    while (wait_until(lock, due)) {
        pthread_mutex_unlock(&lock->mutex);
        enum refresh result = refresh(lock);
        pthread_mutex_lock(&lock->mutex);
        if (result == REFRESH_LOST)
            break;
        due = result == REFRESHED ? lock->refreshed_ms + lock->timing.refresh_ms
                                  : boot_ms() + lock->timing.again_ms;
    }
    pthread_mutex_unlock(&lock->mutex);
    return NULL;
}

/* Signals are the main thread's business. */
static int start_thread(struct lock *lock, struct nacre_err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&lock->thread, NULL, keep, lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? err_errno(e, error, "starting the thread that keeps the lock") : 0;
}

static void drop(struct lock *lock)
{
    struct nacre_err e;
    if (!remove_file(lock, &lock->id, &e))
        log_warning("a lock stays behind for 30 minutes: %s", e.message);
    remove_leftovers(lock);
}

/* 0: taken; 1: *conflict is in the way; -1. */
static int try_once(struct lock *lock, struct lock_seen *conflict, struct nacre_err *e)
{
    int result = lock_find_conflict(lock->repo, lock->exclusive, NULL, conflict, e);
    if (result)
        return result;
    lock->refreshed_ms = boot_ms();
    if (write_file(lock, &lock->id, e) < 0) {
        struct nacre_err ignored;
        remove_file(lock, &lock->id, &ignored);
        return -1;
    }
    result = cancel_sleep(lock->timing.look_ms, NULL, e);
    if (result == 0)
        result = lock_find_conflict(lock->repo, lock->exclusive, &lock->id, conflict, e);
    if (result)
        drop(lock);
    return result;
}

/* Half to all of the wait, so that two that met do not meet again. */
static int wait_random(uint64_t wait_ms, uint64_t left_ms, struct nacre_err *e)
{
    uint32_t random;
    if (random_bytes(&random, sizeof random, e) < 0)
        return -1;
    wait_ms = wait_ms / 2 + random % (wait_ms / 2 + 1);
    return cancel_sleep(wait_ms < left_ms ? wait_ms : left_ms, NULL, e);
}

static int take(struct lock *lock, unsigned retry_seconds, struct nacre_err *e)
{
    struct lock_seen conflict;
    uint64_t deadline = boot_ms() + (uint64_t)retry_seconds * 1000, wait = WAIT_FIRST_MS;
    for (bool told = false;; wait = wait < WAIT_MAX_MS / 2 ? 2 * wait : WAIT_MAX_MS) {
        int result = try_once(lock, &conflict, e);
        if (result <= 0)
            return result;
        uint64_t now = boot_ms();
        if (now >= deadline)
            return lock_report(lock->repo, &conflict, e);
        if (!told) {
            lock_report(lock->repo, &conflict, e);
            log_info("waiting up to %u s: %s", retry_seconds, e->message);
            told = true;
        }
        if (wait_random(wait, deadline - now, e) < 0)
            return -1;
    }
}

static void lock_free(struct lock *lock)
{
    if (!lock)
        return;
    pthread_cond_destroy(&lock->stopping);
    pthread_mutex_destroy(&lock->mutex);
    free(lock);
}
CLEANUP_DEFINE(struct lock *, lock_free)

int lock_acquire_timed(struct repo *repo, bool exclusive, unsigned retry_seconds,
                       const struct lock_timing *timing, struct lock **out, struct nacre_err *e)
{
    CLEANUP(lock_free) struct lock *lock = calloc(1, sizeof *lock);
    if (!lock)
        return err_no_memory(e, "a lock");
    lock->repo = repo;
    lock->exclusive = exclusive;
    lock->timing = *timing;
    pthread_mutex_init(&lock->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lock->stopping, &attributes);
    pthread_condattr_destroy(&attributes);
    if (take(lock, retry_seconds, e) < 0)
        return -1;
    if (start_thread(lock, e) < 0) {
        drop(lock);
        return -1;
    }
    *out = MOVE(lock);
    return 0;
}

int lock_acquire(struct repo *repo, bool exclusive, unsigned retry_seconds, struct lock **out,
                 struct nacre_err *e)
{
    return lock_acquire_timed(repo, exclusive, retry_seconds, &timing_default, out, e);
}

void lock_release(struct lock *lock)
{
    if (!lock)
        return;
    pthread_mutex_lock(&lock->mutex);
    lock->stop = true;
    pthread_cond_signal(&lock->stopping);
    pthread_mutex_unlock(&lock->mutex);
    pthread_join(lock->thread, NULL);
    drop(lock);
    lock_free(lock);
}

int lock_check(struct lock *lock, struct nacre_err *e)
{
    pthread_mutex_lock(&lock->mutex);
    const char *reason = lock->lost ? lock->lost_reason : NULL;
    if (!reason && too_late(lock))
        reason = "it could not be refreshed in time";
    pthread_mutex_unlock(&lock->mutex);
    if (!reason)
        return 0;
    return err_set(e, NACRE_LOCKED,
                   "the lock of repository %s is lost (%s), so nothing more may be written; "
                   "run this again",
                   repo_where(lock->repo), reason);
}

static struct id current_id(struct lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    struct id id = lock->id;
    pthread_mutex_unlock(&lock->mutex);
    return id;
}

int lock_verify(struct lock *lock, struct nacre_err *e)
{
    for (;;) {
        char name[REPO_NAME_SIZE];
        struct nacre_object_info info;
        struct id id = current_id(lock), after;
        if (lock_check(lock, e) < 0)
            return -1;
        repo_name(lock->repo, REPO_LOCK, &id, name);
        if (store_stat(repo_store(lock->repo), name, &info, e) == 0)
            return 0;
        if (e->code != NACRE_ABSENT)
            return err_wrap(e, "looking for the lock of repository %s", repo_where(lock->repo));
        after = current_id(lock); /* another when the thread refreshed it just now */
        if (id_equal(&id, &after)) {
            set_lost(lock, "somebody removed it");
            return lock_check(lock, e);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Listing and reading locks.
 *
 * A holder refreshes by writing a new file and then removing the old. Who lists in between and then finds the
 * old one gone has not seen a lock end but perhaps one move: so a look during which a lock vanished is
 * repeated, until it is of one piece. */
#include "repository/lock_scan.h"

#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "repository/lock.h"
#include "repository/repo_internal.h"

#define LOOKS_MAX 8

/* 1: read, or found damaged; 0: gone; -1: error. */
static int read_lock(struct repo *repo, const struct file_entry *entry, struct lock_seen *out,
                     struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    int64_t now = timestamp_now();
    *out = (struct lock_seen){.id = entry->id, .modified_ns = entry->modified_ns};
    if (repo_file_load(repo, REPO_LOCK, &entry->id, &json, e) == 0 &&
        lock_file_parse(json.data, json.size, &out->file, e) == 0) {
        out->stale = lock_file_stale(&out->file, entry->modified_ns, now);
        return 1;
    }
    if (e->code == NACRE_ABSENT)
        return 0;
    if (e->code != NACRE_CORRUPT)
        return -1;
    out->damaged = true;
    out->problem = *e;
    out->stale = entry->modified_ns && entry->modified_ns < now - LOCK_STALE_NS;
    return 1;
}

int lock_scan(struct repo *repo, int (*entry)(void *ctx, const struct lock_seen *seen), void *ctx,
              bool *vanished, struct nacre_err *e)
{
    CLEANUP(file_list_free) struct file_list files = {0};
    if (vanished)
        *vanished = false;
    if (repo_file_gather(repo, REPO_LOCK, &files, e) < 0)
        return -1;
    for (size_t i = 0; i < files.count; i++) {
        struct lock_seen seen;
        int result = read_lock(repo, &files.items[i], &seen, e);
        if (result < 0)
            return -1;
        if (result == 0 && vanished)
            *vanished = true;
        if (result == 1 && entry(ctx, &seen))
            return 0;
    }
    return 0;
}

struct search {
    struct repo *repo;
    bool exclusive;
    const struct id *own;
    bool found;
    struct lock_seen *conflict;
};

static void remove_stale(struct repo *repo, const struct lock_seen *seen)
{
    char holder[LOCK_HOLDER_SIZE] = "an unknown holder", time[TIMESTAMP_SIZE];
    struct nacre_err e;
    if (!seen->damaged)
        lock_file_holder(&seen->file, holder);
    timestamp_format_seconds(seen->damaged ? seen->modified_ns : seen->file.time_ns, time);
    if (repo_file_remove(repo, REPO_LOCK, &seen->id, &e) == 0)
        log_info("removed a stale lock of %s, last refreshed %s", holder, time);
    else if (e.code != NACRE_ABSENT)
        log_warning("passing over a stale lock of %s, which cannot be removed: %s", holder, e.message);
}

static int search_entry(void *ctx, const struct lock_seen *seen)
{
    struct search *search = ctx;
    if (search->own && id_equal(&seen->id, search->own))
        return 0;
    if (seen->stale) {
        remove_stale(search->repo, seen);
        return 0;
    }
    /* What a damaged lock said nobody knows, so it stands in everyone's way until it is old. */
    if (!search->exclusive && !seen->damaged && !seen->file.exclusive)
        return 0;
    *search->conflict = *seen;
    search->found = true;
    return 1;
}

int lock_find_conflict(struct repo *repo, bool exclusive, const struct id *own, struct lock_seen *conflict,
                       struct nacre_err *e)
{
    struct search search = {.repo = repo, .exclusive = exclusive, .own = own, .conflict = conflict};
    bool vanished = true;
    for (int looks = 0; looks < LOOKS_MAX && vanished && !search.found; looks++) {
        if (lock_scan(repo, search_entry, &search, &vanished, e) < 0)
            return -1;
    }
    return search.found;
}

int lock_report(const struct repo *repo, const struct lock_seen *conflict, struct nacre_err *e)
{
    char hex[ID_HEX_SIZE], holder[LOCK_HOLDER_SIZE], time[TIMESTAMP_SIZE], clock[96] = "";
    id_format(&conflict->id, hex);
    if (conflict->damaged)
        return err_set(
            e, NACRE_LOCKED,
            "repository %s has a lock that cannot be read (%s); once nobody works on the repository, "
            "run nacre repo unlock --remove-all",
            repo->where, conflict->problem.message);
    int64_t now = timestamp_now();
    if (conflict->file.time_ns > now + LOCK_STALE_NS / 6)
        snprintf(clock, sizeof clock, " (%" PRId64 " minutes ahead of this host: check the clocks)",
                 (conflict->file.time_ns - now) / 60 / 1000000000);
    lock_file_holder(&conflict->file, holder);
    timestamp_format_seconds(conflict->file.time_ns, time);
    return err_set(e, NACRE_LOCKED,
                   "repository %s is locked%s by %s, last refreshed %s%s (lock %.8s); wait until it is done "
                   "(--retry-lock), or, "
                   "if that process is gone for good, run nacre repo unlock --remove-all",
                   repo->where, conflict->file.exclusive ? " exclusively" : "", holder, time, clock, hex);
}

struct each {
    int (*entry)(void *ctx, const struct lock_info *info);
    void *ctx;
};

static int each_entry(void *ctx, const struct lock_seen *seen)
{
    const struct each *each = ctx;
    if (seen->damaged) {
        log_warning("a lock cannot be read: %s", seen->problem.message);
        return 0;
    }
    struct lock_info info = {.id = seen->id,
                             .time_ns = seen->file.time_ns,
                             .exclusive = seen->file.exclusive,
                             .hostname = seen->file.hostname,
                             .username = seen->file.username,
                             .pid = seen->file.pid,
                             .stale = seen->stale};
    return each->entry(each->ctx, &info);
}

int lock_each(struct repo *repo, int (*entry)(void *ctx, const struct lock_info *info), void *ctx,
              struct nacre_err *e)
{
    struct each each = {entry, ctx};
    return lock_scan(repo, each_entry, &each, NULL, e);
}

struct removal {
    struct repo *repo;
    size_t removed;
    int result;
    struct nacre_err *e;
};

static int remove_one(struct removal *removal, const struct id *id)
{
    if (repo_file_remove(removal->repo, REPO_LOCK, id, removal->e) == 0)
        removal->removed++;
    else if (removal->e->code != NACRE_ABSENT)
        removal->result = -1;
    return removal->result;
}

static int remove_entry(void *ctx, const struct lock_seen *seen)
{
    return seen->stale ? remove_one(ctx, &seen->id) : 0;
}

/* All locks go unread, so that no damage can keep one. */
static int remove_all(struct removal *removal)
{
    CLEANUP(file_list_free) struct file_list files = {0};
    if (repo_file_gather(removal->repo, REPO_LOCK, &files, removal->e) < 0)
        return -1;
    for (size_t i = 0; i < files.count && removal->result == 0; i++)
        remove_one(removal, &files.items[i].id);
    return removal->result;
}

int lock_remove(struct repo *repo, bool all, size_t *removed, struct nacre_err *e)
{
    struct removal removal = {.repo = repo, .e = e};
    int result = all ? remove_all(&removal) : lock_scan(repo, remove_entry, &removal, NULL, e);
    *removed = removal.removed;
    return result < 0 || removal.result < 0 ? -1 : 0;
}

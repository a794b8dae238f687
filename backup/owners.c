/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot on a source was left by a dead run when nobody holds a lock in its name.
 *
 * In containers a host name and a process number come again after a restart, so that a dead run looks like
 * this process. Its snapshots are told from ours by name; and that nobody else lives under our name, by
 * counting: while there are more locks in our name than runs in this process, another may be at work.
 *
 * Locks are looked at twice before an owner is given up: a lock that is being refreshed may have its old file
 * listed and gone before it is read. */
#include "backup/owners.h"

#include <pthread.h>
#include <string.h>

#include "common/log.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct owner_run *runs;

void owner_enter(struct owner_run *run)
{
    pthread_mutex_lock(&mutex);
    run->next = runs;
    runs = run;
    pthread_mutex_unlock(&mutex);
}

void owner_leave(struct owner_run *run)
{
    pthread_mutex_lock(&mutex);
    for (struct owner_run **at = &runs; *at; at = &(*at)->next)
        if (*at == run) {
            *at = run->next;
            break;
        }
    pthread_mutex_unlock(&mutex);
}

/* The runs of this process in a repository; *named when one of them made the snapshot. */
static unsigned own_runs(const char *repository_id, const char *snap, bool *named)
{
    unsigned count = 0;
    *named = false;
    pthread_mutex_lock(&mutex);
    for (const struct owner_run *run = runs; run; run = run->next) {
        count += !strcmp(run->repository_id, repository_id);
        *named = *named || !strcmp(run->snap, snap);
    }
    pthread_mutex_unlock(&mutex);
    return count;
}

struct lock_count {
    const struct snapshot_owner *owner;
    unsigned found;
};

static int count_lock(void *ctx, const struct lock_info *info)
{
    struct lock_count *count = ctx;
    char hash[SNAPSHOT_HOST_DIGITS + 1];
    if (info->stale || info->pid != count->owner->pid || !info->hostname)
        return 0;
    snapshot_host_hash(info->hostname, hash);
    count->found += !strcmp(hash, count->owner->host_hash);
    return 0;
}

bool owner_alive(struct repo *repo, const struct snapshot_owner *owner)
{
    char own_host[SNAPSHOT_HOST_DIGITS + 1];
    bool named = false;
    unsigned expected = 0;
    snapshot_host_hash_own(own_host);
    if (owner->pid == (int)getpid() && !strcmp(owner->host_hash, own_host))
        expected = own_runs(repo_id(repo), owner->name, &named);
    if (named)
        return true;
    for (unsigned look = 0; look < 2; look++) {
        struct lock_count count = {.owner = owner};
        struct nacre_err e = {0};
        if (lock_each(repo, count_lock, &count, &e)) {
            log_warning("cannot tell whether the run that made the snapshot %s is alive: %s", owner->name,
                        e.message);
            return true;
        }
        if (count.found > expected)
            return true;
    }
    return false;
}

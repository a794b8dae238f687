/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of the repository, as restic keeps them: a file in locks/, refreshed by a thread of the handle every
 * 5 minutes, stale after 30 minutes or when its process on this host is gone. Stale locks are removed by
 * whoever meets them. */
#ifndef REPOSITORY_LOCK_H
#define REPOSITORY_LOCK_H

#include "repository/repo.h"

struct lock;

/* Many may hold a shared lock at once, an exclusive one nobody beside it. Waits up to retry_seconds for a
 * lock that is in the way, then NACRE_LOCKED, naming its holder (user, host, pid, since when) and what to do.
 */
int lock_acquire(struct repo *repo, bool exclusive, unsigned retry_seconds, struct lock **out,
                 struct nacre_err *e);

/* Removes the lock's file. */
void lock_release(struct lock *lock);
CLEANUP_DEFINE(struct lock *, lock_release)

/* 0 while the lock holds; NACRE_LOCKED once it could not be refreshed for 22.5 minutes or was removed by
 * someone: the holder must stop writing. */
int lock_check(struct lock *lock, struct nacre_err *e);

/* The same, having looked whether its file is still there: before what must not happen without it. Also
 * fails when the store cannot be asked. */
int lock_verify(struct lock *lock, struct nacre_err *e);

struct lock_info {
    struct id id;
    int64_t time_ns;
    bool exclusive;
    const char *hostname, *username; /* borrowed during the callback */
    int pid;
    bool stale;
};
int lock_each(struct repo *repo, int (*entry)(void *ctx, const struct lock_info *info), void *ctx,
              struct nacre_err *e);

/* Removes stale locks, or all of them; *removed counts. */
int lock_remove(struct repo *repo, bool all, size_t *removed, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the locks that are there. */
#ifndef REPOSITORY_LOCK_SCAN_H
#define REPOSITORY_LOCK_SCAN_H

#include "repository/lock_file.h"
#include "repository/repo.h"

struct lock_seen {
    struct id id;
    struct lock_file file;
    bool stale;
    bool damaged; /* file is not set; problem says why */
    struct nacre_err problem;
    int64_t modified_ns;
};

/* Every lock. *vanished (may be NULL) tells that one was removed between listing and reading. A damaged lock
 * is stale when the store knows it to be older than 30 minutes. Callback: nonzero stops. */
int lock_scan(struct repo *repo, int (*entry)(void *ctx, const struct lock_seen *seen), void *ctx,
              bool *vanished, struct nacre_err *e);

/* A lock other than `own` (NULL = none) that stands in the way: 1 and *conflict, or 0, or -1. Stale locks are
 * removed and do not stand in the way. */
int lock_find_conflict(struct repo *repo, bool exclusive, const struct id *own, struct lock_seen *conflict,
                       struct nacre_err *e);

/* Sets NACRE_LOCKED, naming the holder. */
int lock_report(const struct repo *repo, const struct lock_seen *conflict, struct nacre_err *e);

#endif

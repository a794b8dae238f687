/* SPDX-License-Identifier: Apache-2.0 */
/* The clockwork of a lock, apart so that tests need not wait for minutes. */
#ifndef REPOSITORY_LOCK_TIMING_H
#define REPOSITORY_LOCK_TIMING_H

#include "repository/lock.h"

struct lock_timing {
    uint64_t look_ms;    /* between writing the own lock and the second look */
    uint64_t refresh_ms; /* between refreshes */
    uint64_t again_ms;   /* after a refresh that failed */
    uint64_t lost_ms;    /* without a refresh, after which the holder must stop */
};

int lock_acquire_timed(struct repo *repo, bool exclusive, unsigned retry_seconds,
                       const struct lock_timing *timing, struct lock **out, struct nacre_err *e);

#endif

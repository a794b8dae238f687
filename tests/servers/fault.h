/* SPDX-License-Identifier: Apache-2.0 */
/* Which request fails, and how: shared by the test servers that can fail on purpose.
 *
 * Requests are counted from 1 in the order in which they begin. The i-th fails (--fail-nth, again with every
 * --fail-every after it), or each with a chance of --fail-percent, by a generator with a seed. */
#ifndef SERVERS_FAULT_H
#define SERVERS_FAULT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_503,          /* answered at once, nothing is done */
    FAULT_429,          /* the same, with Retry-After: 1 */
    FAULT_RESET_BEFORE, /* the connection is reset before the request's body */
    FAULT_RESET_AFTER,  /* … after it; nothing is done */
    FAULT_RESET_MIDDLE, /* … after half of it: an upload that breaks */
    FAULT_TRUNCATE,     /* of the answer's body half comes, then the connection closes */
    FAULT_FLIP,         /* one bit of the answer's body is wrong */
    FAULT_STALL,        /* nothing for --stall-seconds, then as usual */
    FAULT_CHECKSUM,     /* the answer names checksums of something else */
    FAULT_LOST_ANSWER,  /* done, but the connection is reset instead of the answer */
    FAULT_503_AFTER,    /* the request's body is taken, then 503; nothing is done */
    FAULT_KINDS
};

struct faults {
    pthread_mutex_t lock;
    uint64_t count; /* requests so far */
    uint64_t nth;   /* 0: none */
    uint64_t every; /* 0: once */
    double percent;
    uint64_t seed;
    unsigned kinds; /* bit 1 << kind: one of them is drawn */
    unsigned stall_seconds;
};

#define FAULTS_DEFAULT                                                                                       \
    {                                                                                                        \
        .lock = PTHREAD_MUTEX_INITIALIZER, .seed = 1, .kinds = 1u << FAULT_503, .stall_seconds = 30          \
    }

/* "503", "reset-before", …; FAULT_KINDS for a word that is none. */
enum fault_kind fault_of_name(const char *name);
const char *fault_name(enum fault_kind kind);

/* Counts a request, and says what happens to it; *number is its number. */
enum fault_kind fault_draw(struct faults *f, uint64_t *number);

/* Takes --fail-nth N, --fail-every N, --fail-percent P, --fail-kind K[,K...]|any, --fail-seed N,
 * --stall-seconds N. 1: it was one of them; 0: it was not; -1: its value is wrong. */
int fault_option(struct faults *f, const char *name, const char *value);

#endif

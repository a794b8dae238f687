/* SPDX-License-Identifier: Apache-2.0 */
/* Work that mostly waits, such as requests to a store, done ahead by several threads; what comes of it is
 * taken in order. */
#ifndef COMMON_AHEAD_H
#define COMMON_AHEAD_H

#include <nacre/plugin.h>

#define AHEAD_THREADS 8

struct ahead {
    size_t count;
    /* Item i, on any thread: 0 and *result, or -1 and *e. */
    int (*work)(void *ctx, size_t i, void **result, struct nacre_err *e);
    /* Each item, in order, on the caller's thread: its result, which is take's from here on, or NULL and the
     * error. 0 to go on, anything else stops. */
    int (*take)(void *ctx, size_t i, void *result, const struct nacre_err *error);
    void (*drop)(void *result); /* frees one that is not taken */
    void *ctx;
};

/* What take stopped with, 0 at the end; -1 only when it did so or memory is short. At most 2 * AHEAD_THREADS
 * results wait to be taken. */
int ahead_run(const struct ahead *job, struct nacre_err *e);

#endif

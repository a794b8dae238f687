/* SPDX-License-Identifier: Apache-2.0 */
/* One flag for the process: it was asked to stop. Engines look at it between steps and end with
 * NACRE_CANCELLED, undoing what must not stay. */
#ifndef COMMON_CANCEL_H
#define COMMON_CANCEL_H

#include <nacre/plugin.h>

/* SIGINT and SIGTERM set the flag; the second of them kills the process as by default. SIGHUP sets it when
 * the terminal went away; one that a process sent does nothing: that is how restic probes the holder of a
 * lock. */
void cancel_on_signals(void);
void cancel_request(void); /* async-signal-safe */
bool cancel_requested(void);

/* 0, or -1 with NACRE_CANCELLED. */
int cancel_check(struct nacre_err *e);

/* Sleeps; -1 with NACRE_CANCELLED as soon as the flag is set (looked at every 50 ms). `cancelled` NULL =
 * cancel_requested; a plugin passes that of its nacre_config. */
int cancel_sleep(uint64_t milliseconds, bool (*cancelled)(void), struct nacre_err *e);

#endif

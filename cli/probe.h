/* SPDX-License-Identifier: Apache-2.0 */
/* Trying a location end to end: everything that a backup and a restore will ask of it, with an object of its
 * own that is gone afterwards. */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include "plugins/store.h"

struct probe_step {
    const char *what; /* a literal, such as "write" */
    enum { PROBE_DONE, PROBE_FAILED, PROBE_SKIPPED } outcome;
    uint64_t microseconds;
    struct nacre_err error; /* PROBE_FAILED */
};

struct probe {
    struct probe_step steps[8];
    size_t count;
};

/* Writes an object, reads it, reads a part, sees that a conditional write does not replace it, finds it in
 * the list, deletes it, sees that it is gone. read_only: lists, and reads the beginning of what it finds.
 * Stops at the first step that fails, whose error is the result; the object is removed then, too. */
int probe_run(struct nacre_object_store *store, bool read_only, struct probe *probe, struct nacre_err *e);

/* One step that the caller makes itself: begin, do, end with its result. */
void probe_begin(struct probe *probe, const char *what);
int probe_end(struct probe *probe, int result, const struct nacre_err *e);

#endif

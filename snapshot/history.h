/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshots that a volume has at this moment, oldest first: what a base can be chosen from. */
#ifndef SNAPSHOT_HISTORY_H
#define SNAPSHOT_HISTORY_H

#include <nacre/volume.h>

#include "common/cleanup.h"

struct history_entry {
    char name[NACRE_SNAPSHOT_NAME_MAX + 1];
    uint64_t id;    /* unique within the volume */
    uint64_t bytes; /* size of the volume then */
};

struct history {
    struct history_entry *items;
    size_t count;
};

/* Errors as the driver's snapshot_list. *out: history_free. */
int history_load(struct nacre_driver *driver, const char *path, struct history *out, struct nacre_err *e);
void history_free(struct history *history);
static inline void history_free_at(struct history *history)
{
    history_free(history);
}

/* NULL when there is none of that name. Borrowed; a pointer that compares greater is a later snapshot. */
const struct history_entry *history_find(const struct history *history, const char *name);

#endif

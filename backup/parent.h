/* SPDX-License-Identifier: Apache-2.0 */
/* Which earlier backup of a volume the next one builds on. */
#ifndef BACKUP_PARENT_H
#define BACKUP_PARENT_H

#include "repository/snapshot.h"
#include "snapshot/history.h"

struct parent_query {
    const char *repository_id;
    const char *driver;
    const char *volume;                 /* DRIVER/CLUSTER/PATH */
    const char *volume_id;              /* as the driver says */
    const struct history *history;      /* the snapshots that the volume has */
    const struct history_entry *before; /* only these can be a base; NULL = all */
    uint32_t chunk_size;                /* 0 = as the newest backup */
    uint32_t chunk_size_default;
    bool full; /* no base is wanted */
};

struct parent_choice {
    const struct snapshot *snapshot; /* borrowed from the list; NULL = no earlier backup fits */
    struct history_entry base;       /* name "" = none: everything that is allocated must be read */
    /* The snapshot that nacre keeps on the volume for the newest backup; "" = none. To be removed once a
     * newer one took its place. */
    char keep[NACRE_SNAPSHOT_NAME_MAX + 1];
    uint32_t chunk_size;
    char warning[NACRE_MESSAGE_SIZE]; /* why there is no base although there is an earlier backup */
};

/* Takes the newest backup whose base is still on the volume, else the newest one. */
void parent_choose(const struct snapshot_list *backups, const struct parent_query *query,
                   struct parent_choice *out);

#endif

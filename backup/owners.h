/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs are alive: those of this process by memory, all others by their locks in the repository. */
#ifndef BACKUP_OWNERS_H
#define BACKUP_OWNERS_H

#include "repository/lock.h"
#include "snapshot/take.h"

/* A run of this process: between owner_enter and owner_leave its snapshots are not leftovers. Entered while
 * the run's lock is held. */
struct owner_run {
    char snap[NACRE_SNAPSHOT_NAME_MAX + 1];
    const char *repository_id;
    struct owner_run *next;
};
void owner_enter(struct owner_run *run);
void owner_leave(struct owner_run *run);

/* True when a snapshot's owner is at work, or when that cannot be told. */
bool owner_alive(struct repo *repo, const struct snapshot_owner *owner);

#endif

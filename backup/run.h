/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the engine share: one run, and one volume in it. */
#ifndef BACKUP_RUN_H
#define BACKUP_RUN_H

#include "backup/backup.h"
#include "backup/parent.h"

struct run {
    struct repo *repo;
    struct index *index;
    struct writer *writer;
    struct lock *lock;
    const struct backup_options *options;
    struct backup_progress *progress; /* may be NULL */
    const char *snap;                 /* the name of the snapshots that this run takes */
    int64_t time_ns;                  /* of this backup */
};

struct job {
    const struct backup_source *source;
    struct backup_volume *volume; /* its error is set when the job failed */
    struct nacre_volume_info *info;
    struct parent_choice parent;
    const char *snap; /* what is read: the run's, or the one that the user named */
    uint64_t snap_id;
    bool took_snap; /* the run's snapshot is on the volume */
};

/* The bytes of one block volume: reads, saves, and fills in the figures and the tree of job->volume. */
int block_backup(const struct run *run, struct job *job, struct nacre_err *e);

/* The repository snapshot of a volume whose tree is saved, all of it durable already. */
int save_snapshot(const struct run *run, const struct job *job, struct id *out, struct nacre_err *e);

#endif

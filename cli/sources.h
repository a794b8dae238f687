/* SPDX-License-Identifier: Apache-2.0 */
/* What a restore or a dump reads: BACKUP resolved to images in the repository. BACKUP is the name of a
 * backup, else `latest` or the beginning of a repository snapshot's id; so what restic wrote can be read as
 * well. */
#ifndef CLI_SOURCES_H
#define CLI_SOURCES_H

#include "cli/location.h"
#include "plugins/volume_ref.h"
#include "repository/snapshot.h"

struct source {
    char *volume;     /* as backed up, without @SNAP; or a path in a snapshot that nacre did not make */
    bool native;      /* a volume: it has a place of its own */
    char *image_path; /* for image_open: NULL when native, or when nothing was said */
    struct snapshot *snapshot;
};

struct sources {
    struct source *items;
    size_t count;
    char *name;    /* of the backup; NULL when it was a snapshot */
    size_t failed; /* volumes of the backup that were not saved */
};

/* NACRE_ABSENT when there is neither such a backup nor such a snapshot; or nothing of it can be read. */
int sources_find(struct location *location, struct repo *repo, const char *backup, struct sources *out,
                 struct nacre_err *e);

/* Keeps only those that the names mean (mapping_select). For a snapshot of something else a name is a path in
 * it. */
int sources_select(struct sources *sources, const char *const *names, size_t count, struct nacre_err *e);

void sources_free(struct sources *sources);
static inline void sources_free_at(struct sources *sources)
{
    sources_free(sources);
}

/* The volumes' names: free() the array. */
const char **sources_volumes(const struct sources *sources);

#endif

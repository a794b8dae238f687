/* SPDX-License-Identifier: Apache-2.0 */
/* The backup engine: volumes into a repository.
 *
 * Takes snapshots of all volumes together, then for each: asks what changed since the base that the previous
 * backup left on the source, reads only that, takes every other id from the parent's tree, and saves a
 * snapshot in the repository. The volume's new snapshot replaces the old base only after that. What a killed
 * run leaves: unreferenced packs, a lock, a snapshot on the source; the next run removes or reuses all of it.
 */
#ifndef BACKUP_BACKUP_H
#define BACKUP_BACKUP_H

#include "plugins/volume_ref.h"
#include "repository/lock.h"
#include "repository/writer.h"

#define BACKUP_CHUNK_DEFAULT (1u << 20)
#define BACKUP_CHUNK_MIN (256u << 10)
#define BACKUP_CHUNK_MAX (8u << 20)
/* A volume larger than this is stored in segments of it: see docs/format.md. */
#define BACKUP_SEGMENT_BYTES (64ull << 30)

struct backup_source {
    struct volume_ref ref;       /* with a snap: that snapshot is read, none is taken and no base is left */
    struct nacre_driver *driver; /* borrowed; equal pointers = one cluster */
};

/* Live figures of one backup; all volumes together. Read with atomic loads. */
struct backup_progress {
    _Atomic uint64_t bytes_done;  /* of the bytes below, read or found unchanged */
    _Atomic uint64_t bytes_total; /* sizes of the data to look at; grows as volumes are mapped */
};

struct backup_options {
    const char *name;
    uint32_t chunk_size;  /* 0 = as the volume's previous backup, else BACKUP_CHUNK_DEFAULT; a power of two */
    int level;            /* zstd's, 0 = none */
    unsigned workers;     /* threads that hash, compress and seal; 0 = one a core */
    unsigned read_depth;  /* chunks in flight from the source; 0 = 16 */
    unsigned connections; /* packs that are uploaded at once; 0 = as `writer` says */
    bool full;            /* ignore a base: read everything that is allocated */
    struct writer_options writer;
    const char *const *tags; /* further tags for the snapshots */
    size_t tag_count;
};

enum backup_phase { BACKUP_FAILED, BACKUP_COMPLETED };

/* What became of one volume. Owned by the result. */
struct backup_volume {
    char volume[VOLUME_REF_SIZE]; /* DRIVER/CLUSTER/PATH, without a snapshot */
    enum backup_phase phase;
    struct nacre_err error;           /* when it failed */
    char warning[NACRE_MESSAGE_SIZE]; /* why it was read in full although an earlier backup exists; "" = none
                                       */
    struct id snapshot;               /* in the repository */
    struct id tree;
    char source_snapshot[NACRE_SNAPSHOT_NAME_MAX + 1];
    bool grouped; /* snapshotted in one moment with the others */
    bool incremental;
    bool has_parent;
    struct id parent;
    char base[NACRE_SNAPSHOT_NAME_MAX + 1]; /* snapshot that it was compared with */
    uint64_t volume_bytes;
    uint32_t chunk_size;
    uint64_t chunks_total;
    uint64_t chunks_hole;      /* not read: nothing is allocated there */
    uint64_t chunks_unchanged; /* not read: taken over from the parent */
    uint64_t chunks_read;      /* read from the source; = zero + known + new */
    uint64_t chunks_zero;      /* read, and all zeros */
    uint64_t chunks_known;     /* read, and already in the repository */
    uint64_t chunks_new;       /* read, compressed, sealed, uploaded */
    uint64_t bytes_read;       /* from the source */
    uint64_t bytes_new;        /* plain bytes of new chunks */
    uint64_t bytes_uploaded;   /* to the object store for this volume, packs and index */
    int64_t started_ns, finished_ns;
};

struct backup_result {
    struct backup_volume *volumes; /* in order of the sources */
    size_t count;
};

/* Backs the volumes up. Holds a shared lock meanwhile (retry_seconds as lock_acquire). Returns 0 when every
 * volume was saved; -1 with NACRE_CANCELLED when it was asked to stop, else with NACRE_PARTIAL when some
 * volumes were saved, with another code when none was. *result is filled in every case, with what became of
 * each volume, and is freed with backup_result_free. A volume (driver and path) may be named once. progress
 * may be NULL. */
int backup_run(struct repo *repo, const struct backup_source *sources, size_t count,
               const struct backup_options *options, unsigned retry_seconds, struct backup_progress *progress,
               struct backup_result *result, struct nacre_err *e);
void backup_result_free(struct backup_result *result);
static inline void backup_result_free_at(struct backup_result *result)
{
    backup_result_free(result);
}

#endif

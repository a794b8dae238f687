/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a block volume in the repository.
 *
 * Up to BACKUP_SEGMENT_BYTES: the root holds one file `disk.img`. Beyond: the root holds a directory
 * `disk.img` of directories 000000, 000001, …, each with one file `segment.img`, so that a change rewrites
 * the list of chunks of its own segment only. Nothing in it depends on when or where the backup was made:
 * volumes with the same content and time of creation have the same tree. */
#ifndef BACKUP_SEGMENTS_H
#define BACKUP_SEGMENTS_H

#include "backup/zeros.h"
#include "repository/tree.h"

#define SEGMENT_DISK_NAME "disk.img"
#define SEGMENT_FILE_NAME "segment.img"
#define SEGMENT_MAX 1000000u /* six digits */

/* How a volume is cut: in how many segments, of how many chunks each (the last may have less). */
struct segment_layout {
    uint64_t bytes;
    uint32_t chunk_size;
    uint64_t count;              /* at least 1 */
    uint64_t chunks_per_segment; /* 65536 of 1 MiB */
    bool single;                 /* no directory: one file */
};
int segment_layout_of(uint64_t volume_bytes, uint32_t chunk_size, struct segment_layout *out,
                      struct nacre_err *e);
uint64_t segment_chunks(const struct segment_layout *layout, uint64_t segment);
uint64_t segment_bytes(const struct segment_layout *layout, uint64_t segment);

struct segments;

/* Borrows the writer. time_ns: of all nodes. */
int segments_new(const struct segment_layout *layout, struct writer *writer, int64_t time_ns,
                 struct segments **out, struct nacre_err *e);
void segments_free(struct segments *segments);
CLEANUP_DEFINE(struct segments *, segments_free)

/* The next segment's chunks. */
int segments_add(struct segments *segments, const struct id *ids, struct nacre_err *e);

/* The next segment is of full length and all zeros. Made once, however many there are. */
int segments_add_zeros(struct segments *segments, const struct id *zero, struct nacre_err *e);

/* The tree that such a segment has: for telling, without loading it, that an earlier backup's is one. Saves
 * nothing. */
int segments_zeros_tree(struct segments *segments, const struct id *zero, struct id *out,
                        struct nacre_err *e);

/* After the last segment: saves what is above them. */
int segments_finish(struct segments *segments, struct id *root, struct nacre_err *e);

#endif

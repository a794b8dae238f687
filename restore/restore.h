/* SPDX-License-Identifier: Apache-2.0 */
/* The restore engine: a disk image in a repository back into a volume, a file, a device or a stream.
 *
 * Plans by pack: every range of a pack is fetched once and written wherever it belongs; every blob's SHA-256
 * is checked before anything of it is written; zeros become holes. Works for whatever file content restic's
 * format can hold, so images that restic backed up restore as well. */
#ifndef RESTORE_RESTORE_H
#define RESTORE_RESTORE_H

#include "plugins/volume_ref.h"
#include "repository/index.h"
#include "repository/snapshot.h"

/* Finds the image of a snapshot: the one of a block volume (single file or segments), else `path` within it,
 * else its only file. NACRE_ABSENT when there is none; NACRE_INVALID, listing some, when there are several
 * and path is NULL. */
struct image;
int image_open(struct repo *repo, struct index *index, const struct snapshot *snapshot, const char *path,
               struct image **out, struct nacre_err *e);
void image_free(struct image *image);
CLEANUP_DEFINE(struct image *, image_free)
uint64_t image_bytes(const struct image *image);

struct restore_progress {
    _Atomic uint64_t bytes_done;
    _Atomic uint64_t bytes_total;
};

/* Set, not added to, by every restore; also by one that failed. written + hole + same = the image at the end.
 */
struct restore_stats {
    uint64_t bytes_written; /* to the target */
    uint64_t bytes_hole;    /* left or made holes */
    uint64_t bytes_same;    /* the target had them already */
    uint64_t bytes_fetched; /* from the object store */
    uint64_t blobs, packs;
};

struct restore_options {
    unsigned connections; /* requests to the object store at once, at most 64; 0 = 8 */
    unsigned workers;     /* threads that fetch, open and check; 0 = as many as connections */
    bool compare;         /* read the target first and write only what differs */
    bool target_is_zero;  /* the target reads as zeros everywhere: holes need no write */
};

/* Into an open block volume of the same or larger size; what lies beyond the image is made zero unless
 * target_is_zero. */
int restore_to_block(struct repo *repo, struct index *index, struct image *image, struct nacre_driver *driver,
                     struct nacre_block *block, const struct restore_options *options,
                     struct restore_progress *progress, struct restore_stats *stats, struct nacre_err *e);

/* Into an open file or block device at offset 0, and durably. A file gets the image's size; what a device has
 * behind the image stays. */
int restore_to_fd(struct repo *repo, struct index *index, struct image *image, int fd,
                  const struct restore_options *options, struct restore_progress *progress,
                  struct restore_stats *stats, struct nacre_err *e);

/* In order, to something that cannot seek. A reader that goes away is NACRE_FAILED, never a SIGPIPE. */
int restore_to_stream(struct repo *repo, struct index *index, struct image *image, int fd,
                      const struct restore_options *options, struct restore_progress *progress,
                      struct restore_stats *stats, struct nacre_err *e);

/* A whole volume: makes it (size, properties and metadata from the backup), marks it as unfinished, fills it,
 * flushes, takes the mark away. With overwrite an existing one is filled instead, and only what differs is
 * written, and it keeps its size, properties and metadata; without, an existing one is NACRE_EXISTS, unless
 * it carries the unfinished mark of the same snapshot: then that restore goes on. Of a backup of another
 * driver's volume only size and content are taken. The caller holds a lock of the repository. */
struct restore_volume_options {
    struct restore_options engine;
    bool overwrite;
    /* An earlier run of this very restore did not end well, and may have finished this volume before: an
     * existing one without a mark, and without overwrite, is then read and compared, and when it is the image
     * already that is a success; when not, NACRE_EXISTS. Nothing is written. */
    bool again;
    const struct nacre_option *properties; /* override those of the backup */
    size_t property_count;
};
int restore_volume(struct repo *repo, struct index *index, const struct snapshot *snapshot,
                   const char *image_path, struct nacre_driver *driver, const struct volume_ref *target,
                   const struct restore_volume_options *options, struct restore_progress *progress,
                   struct restore_stats *stats, struct nacre_err *e);

/* The metadata key of the mark; its value is the snapshot's id. */
#define RESTORE_UNFINISHED_KEY "nacre.restore-unfinished"

#endif

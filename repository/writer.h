/* SPDX-License-Identifier: Apache-2.0 */
/* Adding blobs: dedup, compress, seal, pack, upload, index. Any number of threads save blobs at once; each
 * compresses and seals in its own thread, full packs are uploaded by the writer's threads, and memory is
 * bounded: a save waits while too many packs are on their way.
 *
 * What a crash leaves: packs that no index names, which prune removes; never an index that names what is not
 * there. */
#ifndef REPOSITORY_WRITER_H
#define REPOSITORY_WRITER_H

#include "repository/index.h"

struct writer;

/* What packs may take while they are filled and uploaded. A pack_size that was given takes what it takes. */
#define WRITER_MEMORY (96u << 20)

struct writer_options {
    int level;        /* zstd's, 0 = none */
    unsigned uploads; /* packs that are uploaded at once, at most 64; 0 = 8 */
    /* Bytes at which a pack is closed; 0 = 16 MiB, or less, down to 4 MiB, when so many uploads would take
     * more than WRITER_MEMORY. */
    uint32_t pack_size;
    /* Called before each index file is written, by any thread; -1 with *e set: it is not, and the writer has
     * failed. For the lock: packs that no index names may be gone once it is lost, and an index that names
     * them would make every later backup believe in them. May be NULL. */
    int (*check)(void *ctx, struct nacre_err *e);
    void *ctx;
};

struct writer_stats {
    uint64_t blobs_new, blobs_known;
    uint64_t plain_bytes_new; /* before compression */
    uint64_t bytes_uploaded;  /* packs and indexes as stored */
    uint64_t packs;
};

/* Borrows both until writer_free. */
int writer_new(struct repo *repo, struct index *index, const struct writer_options *options,
               struct writer **out, struct nacre_err *e);
/* Without a writer_finish before, everything that is not uploaded is dropped. */
void writer_free(struct writer *writer);
CLEANUP_DEFINE(struct writer *, writer_free)

/* Saves a blob under its id (the caller hashed it). *added = false when the repository, or another thread of
 * this writer, has it already. A save or an upload that failed makes every later save fail with its error:
 * others may have been told that the blob is there. NACRE_INVALID for what is too large, which changes
 * nothing. */
int writer_save(struct writer *writer, enum blob_type type, const struct id *id, const void *plain,
                size_t size, bool *added, struct nacre_err *e);

/* Uploads what is left, then writes the index. After it, every saved blob is durable and can be found by
 * others. May be called again after more saves. Also writes an index by itself every 50,000 blobs or 10
 * minutes. */
int writer_finish(struct writer *writer, struct nacre_err *e);

/* At any time. */
void writer_get_stats(struct writer *writer, struct writer_stats *out);

#endif

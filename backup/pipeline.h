/* SPDX-License-Identifier: Apache-2.0 */
/* The data path of one block volume: many asynchronous reads → workers that look for zeros, hash, and save.
 *
 * One thread feeds it; ids arrive where it said, and all of them are there after pipeline_drain. Memory is
 * one arena of chunk buffers, whatever the size of the volume: a read waits for room in it. */
#ifndef BACKUP_PIPELINE_H
#define BACKUP_PIPELINE_H

#include <nacre/volume.h>

#include "backup/zeros.h"

struct pipeline;

struct pipeline_options {
    struct nacre_driver *driver;
    struct nacre_block *block; /* open at what is read */
    const char *volume;        /* for messages */
    struct zeros *zeros;       /* knows the lengths of the chunks, too */
    struct writer *writer;
    unsigned workers;    /* 0 = one a core */
    unsigned read_depth; /* chunks in flight; 0 = 16 */
    /* Called by the feeding thread before each read: -1 with *e set stops. */
    int (*check)(void *ctx, struct nacre_err *e);
    void *ctx;
    _Atomic uint64_t *bytes_done; /* for a progress bar; may be NULL */
};

struct pipeline_stats {
    uint64_t chunks_read, chunks_zero, chunks_known, chunks_new;
    uint64_t bytes_read, bytes_new;
};

/* Borrows what is in options until pipeline_free. */
int pipeline_new(const struct pipeline_options *options, struct pipeline **out, struct nacre_err *e);
/* Waits for the reads in flight, then ends the threads. */
void pipeline_free(struct pipeline *pipeline);
CLEANUP_DEFINE(struct pipeline *, pipeline_free)

/* Reads `count` chunks from number `first`; their ids go to ids[0 … count), which stays in place until the
 * next pipeline_drain or pipeline_free. -1 with the first error of any stage. */
int pipeline_read(struct pipeline *pipeline, uint64_t first, uint64_t count, struct id *ids,
                  struct nacre_err *e);

/* Waits until everything that was read has its id. -1 with the first error of any stage. */
int pipeline_drain(struct pipeline *pipeline, struct nacre_err *e);

/* True figures only while drained. */
void pipeline_get_stats(const struct pipeline *pipeline, struct pipeline_stats *out);

#endif

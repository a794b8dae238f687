/* SPDX-License-Identifier: Apache-2.0 */
/* What all threads of one restore share: what it reads from, its figures, and its first error. */
#ifndef RESTORE_RUN_H
#define RESTORE_RUN_H

#include <pthread.h>
#include <stdatomic.h>

#include "restore/image.h"

struct run {
    struct repo *repo;
    struct index *index;
    struct image *image;
    const struct restore_options *options;
    struct restore_progress *progress; /* may be NULL */
    _Atomic uint64_t written, hole, same, fetched, blobs;
    uint64_t packs;
    atomic_bool differs; /* of a comparison: the target is not the image */
    atomic_bool failed;
    pthread_mutex_t mutex; /* protects error */
    struct nacre_err error;
};

void run_begin(struct run *run, struct repo *repo, struct index *index, struct image *image,
               const struct restore_options *options, struct restore_progress *progress);

/* Keeps the first error; from then on the threads do nothing more. */
void run_fail(struct run *run, const struct nacre_err *e);
bool run_failed(const struct run *run);

/* `bytes` of the image are dealt with, and counted in one of the figures. */
void run_count(struct run *run, _Atomic uint64_t *figure, uint64_t bytes);

/* Fills stats (unless NULL). 0, or -1 with the first error. */
int run_end(struct run *run, struct restore_stats *stats, struct nacre_err *e);

/* Whether an open block volume is the image already, and zeros behind it; writes nothing. */
int restore_compare_block(struct repo *repo, struct index *index, struct image *image,
                          struct nacre_driver *driver, struct nacre_block *block,
                          const struct restore_options *options, struct restore_progress *progress,
                          struct restore_stats *stats, bool *same, struct nacre_err *e);

#endif

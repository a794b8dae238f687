/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the check share. */
#ifndef REPOSITORY_CHECK_INTERNAL_H
#define REPOSITORY_CHECK_INTERNAL_H

#include <pthread.h>

#include "repository/check.h"
#include "repository/id_set.h"
#include "repository/snapshot.h"

struct check_pack {
    uint64_t expected; /* bytes, as the index makes it */
    uint64_t actual;   /* bytes in the store; 0 = not there */
    uint32_t blobs;    /* in the index */
    bool seen, selected;
};

struct check {
    struct repo *repo;
    const struct check_options *options;
    struct index *index;
    struct check_pack *packs; /* by pack number */
    uint32_t pack_count;
    struct snapshot_list snapshots;

    pthread_mutex_t mutex; /* guards result, calls of the options' functions, and `bad` */
    struct check_result *result;
    struct id_set bad; /* of check_place: copies of blobs that proved damaged */
};

/* Reports; thread-safe. */
void check_fault(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_note(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_progress(struct check *c, uint64_t done, uint64_t total, const char *what);

/* One copy of a blob as an id: both ids, mixed. */
struct id check_place(const struct id *blob, const struct id *pack);

/* Walks the trees of all snapshots. again = false: reports what is lost by what is known of index and packs.
 * again = true: reports only what is hurt by `bad`, after the packs were read. */
int check_trees(struct check *c, bool again, struct nacre_err *e);

/* Reads the packs that are selected, whole. */
int check_read_packs(struct check *c, struct nacre_err *e);

#endif

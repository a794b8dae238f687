/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a repository: every index and snapshot opens, every pack that the index names is there and as long
 * as it says, every tree and blob that a snapshot needs is indexed; and, on request, every stored byte. */
#ifndef REPOSITORY_CHECK_H
#define REPOSITORY_CHECK_H

#include "repository/index.h"

struct check_options {
    /* Packs to read whole: all when read_of = 1, the subset number read_part (1…read_of) when read_of > 1
     * (chosen by id, so that read_of runs read everything), read_percent at random when that is set. */
    bool read_data;
    unsigned read_part, read_of;
    double read_percent;
    unsigned connections; /* packs that are read at once, at most 64; 0 = 8 */
    void (*progress)(void *ctx, uint64_t done, uint64_t total, const char *what); /* may be NULL */
    /* One call for every fault; text says what, where and what it hurts. */
    void (*fault)(void *ctx, const char *text);
    /* One call for what is odd but hurts nothing (unused packs, old locks). */
    void (*note)(void *ctx, const char *text);
    void *ctx;
};

struct check_result {
    uint64_t faults;
    uint64_t snapshots, trees, packs, blobs, packs_read, bytes_read, packs_unused;
};

/* 0 also when there were faults: they are in result. -1 when the check itself could not go on. */
int check_run(struct repo *repo, const struct check_options *options, struct check_result *result,
              struct nacre_err *e);

#endif

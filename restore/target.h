/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bytes go. Two kinds: what can be written anywhere (a volume, a file, a device), and a stream. */
#ifndef RESTORE_TARGET_H
#define RESTORE_TARGET_H

#include "restore/plan.h"
#include "restore/run.h"

struct target {
    struct run *run;

    /* Memory for the plain bytes of the blob that an entry of the plan wants; waits while too much is on its
     * way. NULL on failure. */
    void *(*place)(struct target *target, struct plan *plan, const struct plan_entry *entry,
                   struct nacre_err *e);
    /* Gives such memory back unused. */
    void (*drop)(struct target *target, void *plain);
    /* The bytes are there and proven right: they go to every one of `count` entries. Takes `plain`. */
    int (*deliver)(struct target *target, struct plan *plan, const struct plan_entry *entries, size_t count,
                   void *plain, struct nacre_err *e);
};

/* A target that can be written anywhere. The functions may be called from many threads. */
struct random_target;
struct random_target_ops {
    /* Writes `length` bytes, from within plain; may still be busy with it when it returns (random_hold). */
    int (*write)(struct random_target *target, void *plain, const uint8_t *data, uint64_t offset,
                 uint64_t length, struct nacre_err *e);
    /* The range reads as zeros afterwards. */
    int (*zero)(struct random_target *target, uint64_t offset, uint64_t length, struct nacre_err *e);
    int (*read)(struct random_target *target, uint64_t offset, uint64_t length, void *data,
                struct nacre_err *e);
    /* Calls entry with the ranges that may hold data, as the volume ABI's extents without a base. */
    int (*extents)(struct random_target *target, uint64_t offset, uint64_t length, nacre_extent_entry *entry,
                   void *ctx, struct nacre_err *e);
};

struct random_target {
    struct target target; /* first */
    const struct random_target_ops *ops;
    bool is_zero; /* reads as zeros everywhere */
    bool compare_only;
    uint64_t tail; /* bytes behind the image that must be zero */
    /* What is on its way: */
    pthread_mutex_t mutex;
    pthread_cond_t done;
    uint64_t bytes; /* of placed memory */
    unsigned operations;
    struct plain *spare; /* memory to be placed again */
    uint64_t spare_bytes;
};

void random_init(struct random_target *target, struct run *run, const struct random_target_ops *ops,
                 bool is_zero);
void random_destroy(struct random_target *target);

/* An operation begins (waits while too many are under way) or ends; `plain` (NULL for a zero) stays until
 * then. */
void random_begin(struct random_target *target, void *plain);
void random_end(struct random_target *target, void *plain);

/* True when all bytes are zero. */
bool random_all_zero(const uint8_t *data, uint64_t size);

/* Waits until nothing is on its way. */
void random_drain(struct random_target *target);

/* A block volume. */
struct block_target {
    struct random_target random; /* first */
    struct nacre_driver *driver;
    struct nacre_block *block;
};
void block_target_init(struct block_target *target, struct run *run, struct nacre_driver *driver,
                       struct nacre_block *block);

/* To be compared only: opened for reading, and `zero` looks whether the range reads as zeros, and sets the
 * run's `differs` when not. */
void block_target_init_compare(struct block_target *target, struct run *run, struct nacre_driver *driver,
                               struct nacre_block *block);

/* A file or block device. */
struct fd_target {
    struct random_target random; /* first */
    int fd;
    bool regular;
};
void fd_target_init(struct fd_target *target, struct run *run, int fd, bool regular);

#endif

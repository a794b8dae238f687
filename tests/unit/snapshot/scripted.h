/* SPDX-License-Identifier: Apache-2.0 */
/* A driver whose extents, snapshots and failures a test writes down: for what a real one shows only by
 * chance. */
#ifndef TEST_SCRIPTED_H
#define TEST_SCRIPTED_H

#include <nacre/volume.h>

#define SCRIPTED_SNAPSHOTS 32

struct scripted {
    struct nacre_driver base;
    struct nacre_block_ops block_ops;
    struct nacre_lifecycle_ops lifecycle_ops;
    /* block */
    uint64_t bytes;
    const struct nacre_extent *extents; /* what extents gives, clipped to the window that is asked for */
    size_t extent_count;
    const char *base_wanted;        /* NULL = none */
    struct nacre_err extents_error; /* code other than NACRE_OK: extents fails with it */
    unsigned extents_calls;
    /* lifecycle */
    char snapshots[SCRIPTED_SNAPSHOTS][NACRE_SNAPSHOT_NAME_MAX + 1]; /* "volume@snap", oldest first */
    size_t snapshot_count;
    enum nacre_code group_result, create_result, remove_result, list_result;
    const char *create_fails_for; /* this path only; NULL = every path */
    unsigned group_calls, create_calls, remove_calls;
};

void scripted_init(struct scripted *driver);
bool scripted_has(const struct scripted *driver, const char *path, const char *snap);

#endif

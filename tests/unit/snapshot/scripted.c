/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted driver. */
#include "scripted.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"

static uint64_t block_bytes(struct nacre_block *block)
{
    return ((struct scripted *)block)->bytes;
}

static int block_extents(struct nacre_block *block, const char *base, uint64_t offset, uint64_t length,
                         nacre_extent_entry *entry, void *ctx, struct nacre_err *e)
{
    struct scripted *driver = (struct scripted *)block;
    driver->extents_calls++;
    if (driver->extents_error.code) {
        *e = driver->extents_error;
        return -1;
    }
    if (!base != !driver->base_wanted || (base && strcmp(base, driver->base_wanted) != 0))
        return err_set(e, NACRE_ABSENT, "no base %s", base ? base : "(none)");
    if (offset > driver->bytes || length > driver->bytes - offset)
        return err_set(e, NACRE_INVALID, "beyond the end");
    for (size_t i = 0; i < driver->extent_count; i++) {
        uint64_t from = driver->extents[i].offset, to = from + driver->extents[i].length;
        from = from > offset ? from : offset;
        to = to < offset + length ? to : offset + length;
        if (from < to && entry(ctx, &(struct nacre_extent){from, to - from, driver->extents[i].data}))
            return 0;
    }
    return 0;
}

static bool fails(const struct scripted *driver, enum nacre_code code, const char *path)
{
    return code && (!driver->create_fails_for || !strcmp(driver->create_fails_for, path));
}

static void add(struct scripted *driver, const char *path, const char *snap)
{
    snprintf(driver->snapshots[driver->snapshot_count++], sizeof driver->snapshots[0], "%s@%s", path, snap);
}

static int snapshot_create(struct nacre_driver *base, const char *path, const char *snap, struct nacre_err *e)
{
    struct scripted *driver = (struct scripted *)base;
    driver->create_calls++;
    if (fails(driver, driver->create_result, path))
        return err_set(e, driver->create_result, "told to fail");
    add(driver, path, snap);
    return 0;
}

static int group_create(struct nacre_driver *base, const char *const *paths, size_t count, const char *snap,
                        struct nacre_err *e)
{
    struct scripted *driver = (struct scripted *)base;
    driver->group_calls++;
    if (driver->group_result)
        return err_set(e, driver->group_result, "told to fail");
    for (size_t i = 0; i < count; i++)
        add(driver, paths[i], snap);
    return 0;
}

/* The snapshot's own part of "volume@snap", when it is one of the volume. */
static const char *snap_of(const struct scripted *driver, size_t i, const char *path)
{
    size_t length = strlen(path);
    const char *entry = driver->snapshots[i];
    return !strncmp(entry, path, length) && entry[length] == '@' ? entry + length + 1 : NULL;
}

static int snapshot_list(struct nacre_driver *base, const char *path, nacre_snapshot_entry *entry, void *ctx,
                         struct nacre_err *e)
{
    struct scripted *driver = (struct scripted *)base;
    if (driver->list_result)
        return err_set(e, driver->list_result, "told to fail");
    for (size_t i = 0; i < driver->snapshot_count; i++) {
        const char *snap = snap_of(driver, i, path);
        if (snap &&
            entry(ctx, &(struct nacre_snapshot_info){.name = snap, .id = i + 1, .bytes = driver->bytes}))
            return 0;
    }
    return 0;
}

static int snapshot_remove(struct nacre_driver *base, const char *path, const char *snap, struct nacre_err *e)
{
    struct scripted *driver = (struct scripted *)base;
    driver->remove_calls++;
    if (driver->remove_result)
        return err_set(e, driver->remove_result, "told to fail");
    for (size_t i = 0; i < driver->snapshot_count; i++) {
        const char *name = snap_of(driver, i, path);
        if (name && !strcmp(name, snap)) {
            driver->snapshots[i][0] = 0;
            return 0;
        }
    }
    return err_set(e, NACRE_ABSENT, "no snapshot %s", snap);
}

void scripted_init(struct scripted *driver)
{
    *driver = (struct scripted){
        .block_ops = {.size = sizeof driver->block_ops, .bytes = block_bytes, .extents = block_extents},
        .lifecycle_ops = {.size = sizeof driver->lifecycle_ops,
                          .snapshot_create = snapshot_create,
                          .snapshot_list = snapshot_list,
                          .snapshot_remove = snapshot_remove,
                          .group_snapshot_create = group_create},
    };
    driver->base.block = &driver->block_ops;
    driver->base.lifecycle = &driver->lifecycle_ops;
}

bool scripted_has(const struct scripted *driver, const char *path, const char *snap)
{
    for (size_t i = 0; i < driver->snapshot_count; i++) {
        const char *name = snap_of(driver, i, path);
        if (name && !strcmp(name, snap))
            return true;
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Taking snapshots of several volumes, and clearing what dead runs left on a source.
 *
 * Sources that share a driver handle lie in one cluster, and are one moment when the driver can; sources of
 * different clusters never are. A crash between two snapshots leaves the first: a leftover of the next run.
 */
#include "snapshot/take.h"

#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "snapshot/history.h"

/* group_snapshot_create may be missing: a driver may never be able to, or be older than it. */
static bool can_group(const struct nacre_driver *driver)
{
    const struct nacre_lifecycle_ops *ops = driver->lifecycle;
    size_t end =
        offsetof(struct nacre_lifecycle_ops, group_snapshot_create) + sizeof ops->group_snapshot_create;
    return ops->size >= end && ops->group_snapshot_create;
}

static void take_each(const struct snapshot_source *sources, const size_t *members, size_t count,
                      const char *snap, struct nacre_err *results)
{
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_source *source = &sources[members[i]];
        struct nacre_err *result = &results[members[i]];
        *result = (struct nacre_err){0};
        if (cancel_check(result) ||
            source->driver->lifecycle->snapshot_create(source->driver, source->path, snap, result))
            err_wrap(result, "taking the snapshot %s of %s", snap, source->path);
        else
            result->code = NACRE_OK;
    }
}

/* True when all members were taken in one moment. */
static bool take_group(const struct snapshot_source *sources, const size_t *members, size_t count,
                       const char *snap, const char **paths)
{
    struct nacre_driver *driver = sources[members[0]].driver;
    struct nacre_err e = {0};
    if (count < 2)
        return false;
    if (!can_group(driver)) {
        log_warning("%zu volumes are snapshotted one after the other: their driver cannot take a group",
                    count);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        paths[i] = sources[members[i]].path;
    if (!driver->lifecycle->group_snapshot_create(driver, paths, count, snap, &e))
        return true;
    if (e.code != NACRE_CANCELLED)
        log_warning("%zu volumes are snapshotted one after the other: %s", count, e.message);
    return false;
}

int snapshot_take(const struct snapshot_source *sources, size_t count, const char *snap,
                  struct nacre_err *results, bool *grouped, struct nacre_err *e)
{
    CLEANUP(mem_free) size_t *members = calloc(count + 1, sizeof *members);
    CLEANUP(mem_free) const char **paths = calloc(count + 1, sizeof *paths);
    CLEANUP(mem_free) bool *done = calloc(count + 1, sizeof *done);
    if (!members || !paths || !done)
        return err_no_memory(e, "taking snapshots");
    for (size_t first = 0; first < count; first++) {
        size_t member_count = 0;
        for (size_t i = first; i < count; i++)
            if (!done[i] && sources[i].driver == sources[first].driver)
                members[member_count++] = i;
        if (!member_count)
            continue;
        bool group = take_group(sources, members, member_count, snap, paths);
        for (size_t i = 0; i < member_count; i++) {
            done[members[i]] = true;
            grouped[members[i]] = group;
            results[members[i]] = (struct nacre_err){0};
        }
        if (!group)
            take_each(sources, members, member_count, snap, results);
    }
    return 0;
}

void snapshot_remove_leftovers(struct nacre_driver *driver, const char *path, const char *repository_id,
                               const char *keep, snapshot_alive *alive, void *ctx)
{
    struct nacre_err e = {0};
    CLEANUP(history_free) struct history history = {0};
    if (history_load(driver, path, &history, &e)) {
        log_warning("cannot look for what interrupted backups left on %s: %s", path, e.message);
        return;
    }
    for (size_t i = 0; i < history.count; i++) {
        const char *name = history.items[i].name;
        struct snapshot_owner owner;
        if (!snapshot_name_parse(name, repository_id, &owner) || (keep && !strcmp(keep, name)) ||
            alive(ctx, &owner))
            continue;
        if (!driver->lifecycle->snapshot_remove(driver, path, name, &e))
            log_info("removed the snapshot %s@%s, which an interrupted backup left", path, name);
        else if (e.code != NACRE_ABSENT)
            log_warning("cannot remove the snapshot %s@%s, which an interrupted backup left: %s", path, name,
                        e.message);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of one image: native ones of the user's namespace, so that any two can be compared. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"

int snapshot_check_name(const char *snap, struct nacre_err *e)
{
    size_t length = strspn(snap, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (!length || length > NACRE_SNAPSHOT_NAME_MAX || snap[length])
        return err_set(e, NACRE_INVALID,
                       "\"%.140s\" cannot be a snapshot's name: 1 to %d of A-Z a-z 0-9 . _ - are allowed",
                       snap, NACRE_SNAPSHOT_NAME_MAX);
    if (!strncmp(snap, CLONE_SNAP_PREFIX, strlen(CLONE_SNAP_PREFIX)))
        return err_set(e, NACRE_INVALID,
                       "snapshot names that begin with " CLONE_SNAP_PREFIX " are nacre's own");
    return 0;
}

static bool is_pending(rbd_image_t image, const char *snap)
{
    char key[sizeof PENDING_PREFIX + NACRE_SNAPSHOT_NAME_MAX], value[64];
    size_t size = sizeof value;
    snprintf(key, sizeof key, PENDING_PREFIX "%s", snap);
    return rbd_metadata_get(image, key, value, &size) != -ENOENT;
}

/* Ends what an interrupted group left on the image, such as a snapshot of this name that does not count. */
static int resolve(const struct place *place, rbd_image_t image, struct nacre_err *e)
{
    struct group_lock lock = {0};
    if (group_lock_take(place, image, &lock, e) < 0)
        return -1;
    int result = group_resolve(place, e);
    group_lock_release(place, &lock);
    return result;
}

int rbd_volume_snapshot_create(struct nacre_driver *base, const char *path, const char *snap,
                               struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    CLEANUP(image_close) rbd_image_t image = NULL;
    if (snapshot_check_name(snap, e) < 0 || place_open(rbd_driver_of(base), path, true, &place, e) < 0 ||
        image_open(&place, NULL, true, &image, e) < 0)
        return -1;
    int error = rbd_snap_create(image, snap);
    if (error == -EEXIST && is_pending(image, snap)) {
        if (resolve(&place, image, e) < 0)
            return -1;
        error = rbd_snap_create(image, snap);
    }
    if (error == -EEXIST)
        return err_set(e, NACRE_EXISTS, PLACE_FORMAT " has a snapshot \"%s\" already", PLACE_ARGS(&place),
                       snap);
    return error < 0 ? place_fail(&place, error, e, "cannot take the snapshot") : 0;
}

/* What kinds of our keys the image has. */
struct kinds {
    bool pending, grouped;
};

static int note_kind(void *ctx, const char *key, const char *value, struct nacre_err *e)
{
    struct kinds *kinds = ctx;
    (void)value;
    (void)e;
    kinds->pending |= !strncmp(key, PENDING_PREFIX, strlen(PENDING_PREFIX));
    kinds->grouped |= !strncmp(key, GROUP_PREFIX, strlen(GROUP_PREFIX));
    return 0;
}

/* The size of a snapshot that was taken in a group is that of the group's. */
static int group_size(const struct place *place, rbd_image_t image, const struct image_snaps *snaps,
                      const char *name, uint64_t *bytes, struct nacre_err *e)
{
    CLEANUP(group_snap_free) struct group_snap group = {0};
    int grouped = group_snap_get(place, image, name, &group, e);
    for (int i = 0; grouped > 0 && group.current && i < snaps->count; i++)
        if (snaps->infos[i].id == group.group_id)
            *bytes = snaps->infos[i].size;
    return grouped < 0 ? -1 : 0;
}

int rbd_volume_snapshot_list(struct nacre_driver *base, const char *path, nacre_snapshot_entry *entry,
                             void *ctx, struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    CLEANUP(image_close) rbd_image_t image = NULL;
    CLEANUP(image_snaps_free) struct image_snaps snaps = {0};
    if (place_open(rbd_driver_of(base), path, true, &place, e) < 0 ||
        image_open(&place, NULL, false, &image, e) < 0 || image_snaps(&place, image, &snaps, e) < 0)
        return -1;
    struct kinds kinds = {0};
    if (image_metadata_each(&place, image, note_kind, &kinds, e) < 0)
        return -1;
    for (int i = 0; i < snaps.count; i++) {
        const rbd_snap_info_t *snap = &snaps.infos[i];
        rbd_snap_namespace_type_t kind;
        int error = rbd_snap_get_namespace_type(image, snap->id, &kind);
        if (error == -ENOENT)
            continue;
        if (error < 0)
            return place_fail(&place, error, e, "cannot describe a snapshot");
        if (kind != RBD_SNAP_NAMESPACE_TYPE_USER ||
            !strncmp(snap->name, CLONE_SNAP_PREFIX, strlen(CLONE_SNAP_PREFIX)) ||
            (kinds.pending && is_pending(image, snap->name)))
            continue;
        struct timespec taken = {0};
        uint64_t bytes = snap->size;
        if (kinds.grouped && group_size(&place, image, &snaps, snap->name, &bytes, e) < 0)
            return -1;
        rbd_snap_get_timestamp(image, snap->id, &taken);
        struct nacre_snapshot_info info = {snap->name, snap->id, bytes,
                                           (int64_t)taken.tv_sec * 1000000000 + taken.tv_nsec};
        if (entry(ctx, &info) != 0)
            break;
    }
    return 0;
}

/* Ends the removal of a snapshot of this name that was cut off when it was already in the trash. True when
 * there was one. One that clones need is there too, and stays. */
static bool finish_removal(const struct place *place, rbd_image_t image, const char *name)
{
    CLEANUP(image_snaps_free) struct image_snaps snaps = {0};
    struct nacre_err ignored;
    bool finished = false;
    if (image_snaps(place, image, &snaps, &ignored) < 0)
        return false;
    for (int i = 0; i < snaps.count; i++) {
        rbd_snap_namespace_type_t kind;
        char original[NACRE_SNAPSHOT_NAME_MAX + 1];
        if (rbd_snap_get_namespace_type(image, snaps.infos[i].id, &kind) == 0 &&
            kind == RBD_SNAP_NAMESPACE_TYPE_TRASH &&
            rbd_snap_get_trash_namespace(image, snaps.infos[i].id, original, sizeof original) >= 0 &&
            !strcmp(original, name) && rbd_snap_remove_by_id(image, snaps.infos[i].id) == 0)
            finished = true;
    }
    return finished;
}

int rbd_volume_snapshot_remove(struct nacre_driver *base, const char *path, const char *snap,
                               struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    CLEANUP(image_close) rbd_image_t image = NULL;
    if (snapshot_check_name(snap, e) < 0 || place_open(rbd_driver_of(base), path, true, &place, e) < 0 ||
        image_open(&place, NULL, true, &image, e) < 0)
        return -1;
    CLEANUP(group_snap_free) struct group_snap group = {0};
    int grouped = group_snap_get(&place, image, snap, &group, e);
    if (grouped < 0)
        return -1;
    int error = rbd_snap_remove(image, snap);
    if (grouped && (error >= 0 || error == -ENOENT))
        return group_snap_drop(&place, image, snap, &group, e);
    if (error == -ENOENT && finish_removal(&place, image, snap))
        return 0;
    if (error == -ENOENT)
        return err_set(e, NACRE_ABSENT, PLACE_FORMAT " has no snapshot \"%s\"", PLACE_ARGS(&place), snap);
    if (error == -EBUSY)
        return err_set(e, NACRE_BUSY,
                       PLACE_FORMAT
                       "@%s is protected; rbd snap unprotect it first, after its clones of format 1 "
                       "are flattened",
                       PLACE_ARGS(&place), snap);
    return error < 0 ? place_fail(&place, error, e, "cannot remove the snapshot") : 0;
}

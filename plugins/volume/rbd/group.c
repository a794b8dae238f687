/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of several images at one moment, also while clients write to them.
 *
 * Only librbd's own groups can do that: they hold the exclusive locks of all images while the clients wait.
 * (Taking the locks one by one with rbd_lock_acquire looks the same, and fails the clients' writes.) But a
 * snapshot of a native group has no name that rbd_diff_iterate2 or a clone could be given. So a group
 * snapshot is two of each image: first one of the user's namespace under the wanted name, then that of a
 * native group, which is what it holds. A change since the first includes every change since the second, so
 * the first serves as the base of a diff, and reports at worst what was written between the two as well.
 *
 * `nacre.group.<snap>` of every image tells the two ids and the members. The native group itself is taken
 * apart again at once: an image can be in one group only, and a group cannot be removed any more when one of
 * its images is gone. The snapshots stay, and are known by their ids. Before anything else every image is
 * marked with `nacre.pending.<snap>`; the marks go last. What is marked does not count, and is ended by
 * whoever next takes the group lock of the image (group_resolve). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "driver.h"

struct member {
    struct place place;
    rbd_image_t image; /* open for reading */
    struct group_lock lock;
    bool marked, taken, noted;
};

struct group {
    struct rbd_driver *driver;
    const char *const *paths; /* sorted */
    struct member *members;
    size_t count;
    const char *snap;
    char name[40]; /* of the native group, which lies in the pool of the first image */
    char mark[sizeof PENDING_PREFIX + NACRE_SNAPSHOT_NAME_MAX];
    char key[sizeof GROUP_PREFIX + NACRE_SNAPSHOT_NAME_MAX];
    bool made;
};

static int open_member(struct group *group, size_t i, struct nacre_err *e)
{
    struct member *m = &group->members[i];
    uint64_t features;
    if (i && !strcmp(group->paths[i - 1], group->paths[i]))
        return err_set(e, NACRE_INVALID, "the volume %s is twice in one group snapshot", group->paths[i]);
    if (place_open(group->driver, group->paths[i], true, &m->place, e) < 0 ||
        image_open(&m->place, NULL, false, &m->image, e) < 0)
        return -1;
    int error = rbd_get_features(m->image, &features);
    if (error < 0)
        return place_fail(&m->place, error, e, "cannot tell its features");
    if (!(features & RBD_FEATURE_EXCLUSIVE_LOCK))
        return err_set(e, NACRE_UNSUPPORTED,
                       PLACE_FORMAT " cannot be in a group snapshot: it lacks the feature exclusive-lock",
                       PLACE_ARGS(&m->place));
    if (strcmp(m->place.space, group->members[0].place.space) != 0)
        return err_set(e, NACRE_UNSUPPORTED,
                       PLACE_FORMAT " cannot be in a group snapshot with images of another namespace",
                       PLACE_ARGS(&m->place));
    return 0;
}

/* Locks the member and ends what a dead process left. */
static int prepare_member(struct member *m, struct nacre_err *e)
{
    if (group_lock_take(&m->place, m->image, &m->lock, e) < 0 || group_resolve(&m->place, e) < 0)
        return -1;
    rbd_close(MOVE(m->image)); /* it knows the snapshots of before only */
    return image_open(&m->place, NULL, false, &m->image, e);
}

/* Makes sure that the name is free, the image in no group, and nobody who has it open silent. */
static int check_member(const struct group *group, struct member *m, struct nacre_err *e)
{
    bool there = false;
    rbd_group_info_t info = {0};
    int error = rbd_snap_exists(m->image, group->snap, &there);
    if (error < 0)
        return place_fail(&m->place, error, e, "cannot look for the snapshot");
    if (there)
        return err_set(e, NACRE_EXISTS, PLACE_FORMAT " has a snapshot \"%s\" already", PLACE_ARGS(&m->place),
                       group->snap);
    error = rbd_get_group(m->image, &info, sizeof info); /* of no group: no name, and no error */
    if (error < 0)
        return place_fail(&m->place, error, e, "cannot tell its group");
    bool in_group = info.name && *info.name;
    if (in_group)
        err_set(e, NACRE_UNSUPPORTED,
                PLACE_FORMAT " cannot be in a group snapshot: it is in the rbd group \"%.100s\"",
                PLACE_ARGS(&m->place), info.name);
    rbd_group_info_cleanup(&info, sizeof info);
    return in_group ? -1 : image_check_answers(&m->place, m->image, e);
}

/* The snapshots under the wanted name, one after another. */
static int take_named(const struct group *group, struct member *m, struct nacre_err *e)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    if (image_open(&m->place, NULL, true, &image, e) < 0)
        return -1;
    int error = rbd_snap_create(image, group->snap);
    m->taken = error >= 0;
    if (error == -EEXIST)
        return err_set(e, NACRE_EXISTS, PLACE_FORMAT " has a snapshot \"%s\" already", PLACE_ARGS(&m->place),
                       group->snap);
    return error < 0 ? place_fail(&m->place, error, e, "cannot take the snapshot") : 0;
}

/* The snapshots of one moment. */
static int take_native(struct group *group, struct nacre_err *e)
{
    struct member *first = &group->members[0];
    int error = rbd_group_create(first->place.io, group->name);
    group->made = error >= 0;
    for (size_t i = 0; error >= 0 && i < group->count; i++)
        error = rbd_group_image_add(first->place.io, group->name, group->members[i].place.io,
                                    group->members[i].place.image);
    if (error >= 0)
        error = rbd_group_snap_create(first->place.io, group->name, group->snap);
    if (error == -EROFS || error == -EBUSY)
        return err_set(e, NACRE_UNSUPPORTED,
                       PLACE_FORMAT
                       " and %zu more cannot be taken together now: a client holds the exclusive lock "
                       "of one and does not share it",
                       PLACE_ARGS(&first->place), group->count - 1);
    for (size_t i = 0; error >= 0 && i < group->count; i++)
        error = rbd_group_image_remove(first->place.io, group->name, group->members[i].place.io,
                                       group->members[i].place.image);
    return error < 0 ? place_fail(&first->place, error, e, "cannot take a group snapshot with others") : 0;
}

/* The id of the member's part of the native group's snapshot. */
static int find_part(const struct group *group, struct member *m, uint64_t *out, struct nacre_err *e)
{
    CLEANUP(image_snaps_free) struct image_snaps snaps = {0};
    if (image_snaps(&m->place, m->image, &snaps, e) < 0)
        return -1;
    for (int i = snaps.count - 1; i >= 0; i--) {
        rbd_snap_namespace_type_t kind;
        rbd_snap_group_namespace_t of = {0};
        if (rbd_snap_get_namespace_type(m->image, snaps.infos[i].id, &kind) < 0 ||
            kind != RBD_SNAP_NAMESPACE_TYPE_GROUP ||
            rbd_snap_get_group_namespace(m->image, snaps.infos[i].id, &of, sizeof of) < 0)
            continue;
        bool ours = !strcmp(of.group_name, group->name);
        rbd_snap_group_namespace_cleanup(&of, sizeof of);
        if (ours) {
            *out = snaps.infos[i].id;
            return 0;
        }
    }
    return err_set(e, NACRE_FAILED, PLACE_FORMAT ": its part of the group snapshot \"%s\" is not there",
                   PLACE_ARGS(&m->place), group->snap);
}

static int note_member(const struct group *group, struct member *m, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf text = {0};
    uint64_t user_id = 0, group_id = 0;
    rbd_close(MOVE(m->image)); /* opened before the snapshots were there */
    if (image_open(&m->place, NULL, false, &m->image, e) < 0 || find_part(group, m, &group_id, e) < 0)
        return -1;
    int error = rbd_snap_get_id(m->image, group->snap, &user_id);
    if (error < 0)
        return place_fail(&m->place, error, e, "cannot tell the snapshot's id");
    buf_printf(&text, "%" PRIu64 " %" PRIu64, user_id, group_id);
    for (size_t i = 0; i < group->count; i++)
        buf_printf(&text, " %s", group->paths[i]);
    if (buf_failed(&text))
        return err_no_memory(e, "a group snapshot");
    m->noted = true;
    return image_metadata_set(&m->place, m->image, group->key, (const char *)text.data, e);
}

/* Keeps the members' locks for as long as what follows can take. */
static int renew(const struct group *group, struct nacre_err *e)
{
    for (size_t i = 0; i < group->count; i++)
        if (group_lock_renew(&group->members[i].place, &group->members[i].lock,
                             GROUP_LOCK_SECONDS + (unsigned)group->count, e) < 0)
            return -1;
    return 0;
}

static int take_group(struct group *group, struct nacre_err *e)
{
    for (size_t i = 0; i < group->count; i++)
        if (prepare_member(&group->members[i], e) < 0)
            return -1;
    for (size_t i = 0; i < group->count; i++)
        if (check_member(group, &group->members[i], e) < 0)
            return -1;
    for (size_t i = 0; i < group->count; i++) {
        struct member *m = &group->members[i];
        m->marked = true;
        if (image_metadata_set(&m->place, m->image, group->mark, group->name, e) < 0)
            return -1;
    }
    if (renew(group, e) < 0)
        return -1;
    for (size_t i = 0; i < group->count; i++)
        if (take_named(group, &group->members[i], e) < 0)
            return -1;
    if (renew(group, e) < 0 || take_native(group, e) < 0 || renew(group, e) < 0)
        return -1;
    for (size_t i = 0; i < group->count; i++)
        if (note_member(group, &group->members[i], e) < 0)
            return -1;
    group_forget(&group->members[0].place, group->name);
    for (size_t i = 0; i < group->count; i++)
        if (image_metadata_set(&group->members[i].place, group->members[i].image, group->mark, NULL, e) < 0)
            return -1;
    return 0;
}

/* Removes all that was made. What cannot be removed stays marked, and so does not count. */
static void undo(struct group *group)
{
    struct nacre_err ignored;
    if (group->made && rbd_group_remove(group->members[0].place.io, group->name) < 0) /* and its snapshots */
        return;
    for (size_t i = 0; i < group->count; i++) {
        struct member *m = &group->members[i];
        CLEANUP(image_close) rbd_image_t image = NULL;
        if (!m->marked || image_open(&m->place, NULL, true, &image, &ignored) < 0)
            continue;
        int error = m->taken ? rbd_snap_remove(image, group->snap) : 0;
        if ((error >= 0 || error == -ENOENT) &&
            (!m->noted || image_metadata_set(&m->place, image, group->key, NULL, &ignored) == 0))
            image_metadata_set(&m->place, image, group->mark, NULL, &ignored);
    }
}

static int run(struct group *group, struct nacre_err *e)
{
    for (size_t i = 0; i < group->count; i++)
        if (open_member(group, i, e) < 0)
            return -1;
    int result = take_group(group, e);
    if (result < 0)
        undo(group);
    return result;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int rbd_volume_group_snapshot_create(struct nacre_driver *base, const char *const *paths, size_t count,
                                     const char *snap, struct nacre_err *e)
{
    uint8_t random[8];
    char hex[2 * sizeof random + 1];
    if (snapshot_check_name(snap, e) < 0)
        return -1;
    if (!count)
        return err_set(e, NACRE_INVALID, "a group snapshot \"%s\" of no volume", snap);
    if (count == 1)
        return rbd_volume_snapshot_create(base, paths[0], snap, e);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(e, errno, "no random numbers");
    CLEANUP(mem_free) const char **sorted = calloc(count, sizeof *sorted);
    CLEANUP(mem_free) struct member *members = calloc(count, sizeof *members);
    if (!sorted || !members)
        return err_no_memory(e, "a group snapshot");
    memcpy(sorted, paths, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_path);
    struct group group = {
        .driver = rbd_driver_of(base), .paths = sorted, .members = members, .count = count, .snap = snap};
    hex_encode(random, sizeof random, hex);
    snprintf(group.name, sizeof group.name, GROUP_NAME_PREFIX "%s", hex);
    snprintf(group.mark, sizeof group.mark, PENDING_PREFIX "%s", snap);
    snprintf(group.key, sizeof group.key, GROUP_PREFIX "%s", snap);
    int result = run(&group, e);
    for (size_t i = 0; i < count; i++) {
        if (members[i].place.io)
            group_lock_release(&members[i].place, &members[i].lock);
        image_close_at(&members[i].image);
        place_close(&members[i].place);
    }
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting an image: to the trash at once, then everything else in the background.
 *
 * Its snapshots are removed; those that clones need stay in the trash with it. The cluster's own task removes
 * what can be removed and tries again until the last clone is gone. A process that dies between the trash and
 * the task leaves an image that says when it was deleted (DELETING_KEY); the next deletion in that pool hands
 * it over. The time must agree with the trash's own, so that an image which somebody else moved to the trash
 * to keep it is never touched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cancel.h"
#include "common/log.h"
#include "driver.h"

#define SWEEP_MAX 64
#define TIMES_AGREE 120
/* An image that is younger than this in the trash may be on its way there, by another process. */
#define MOVING_SECONDS 5
/* As the cluster's rbd class numbers them. */
#define TRASH_STATE_NORMAL 0
#define TRASH_STATE_MOVING 1

static void remove_snaps(const struct place *place, rbd_image_t image)
{
    CLEANUP(image_snaps_free) struct image_snaps snaps = {0};
    struct nacre_err e;
    if (image_snaps(place, image, &snaps, &e) < 0) {
        log_warning("%s", e.message);
        return;
    }
    for (int i = 0; i < snaps.count; i++) {
        rbd_snap_namespace_type_t kind = RBD_SNAP_NAMESPACE_TYPE_USER;
        rbd_snap_get_namespace_type(image, snaps.infos[i].id, &kind);
        int error = kind == RBD_SNAP_NAMESPACE_TYPE_USER
                        ? rbd_snap_remove2(image, snaps.infos[i].name, RBD_SNAP_REMOVE_UNPROTECT, NULL, NULL)
                        : rbd_snap_remove_by_id(image, snaps.infos[i].id);
        /* A snapshot of the trash that has clones is busy, which is why it is there. */
        if (error < 0 && error != -ENOENT && !(error == -EBUSY && kind == RBD_SNAP_NAMESPACE_TYPE_TRASH))
            log_warning(PLACE_FORMAT ": its snapshot %s cannot be removed (%s); the deletion ends when it is",
                        PLACE_ARGS(place), snaps.infos[i].name, strerror(-error));
    }
}

/* Removes the snapshots of an image in the trash and hands it to the cluster's background task. */
static void hand_over(const struct place *place, const char *id)
{
    rbd_image_t image;
    char command[512];
    struct nacre_err e;
    if (rbd_open_by_id(place->io, id, &image, NULL) == 0) {
        remove_snaps(place, image);
        rbd_close(image);
    }
    snprintf(command, sizeof command,
             "{\"prefix\":\"rbd task add trash remove\",\"image_id_spec\":\"%s%s%s/%s\",\"format\":\"json\"}",
             place->pool, *place->space ? "/" : "", place->space, id);
    int result, tries = 0;
    while ((result = mgr_command(place->driver, command, &e)) < 0 && e.code == NACRE_TRANSIENT &&
           ++tries < 10)
        if (cancel_sleep(200, place->driver->cancelled, &e) < 0) /* a manager that only just started */
            break;
    if (result == 0 || e.code == NACRE_CANCELLED) /* cancelled: the next deletion hands it over */
        return;
    log_warning(PLACE_FORMAT ": the cluster's background task cannot be used, deleting in the foreground: %s",
                PLACE_ARGS(place), e.message);
    int error = rbd_trash_remove(place->io, id, true);
    if (error < 0 && error != -ENOENT)
        log_warning(PLACE_FORMAT " is deleted, but its space is not yet free (%s): rbd trash rm %s/%s",
                    PLACE_ARGS(place), strerror(-error), place->pool, id);
}

/* Whether nacre moved this image to the trash. */
static bool deleted_by_us(const struct place *place, const rbd_trash_image_info_t *entry)
{
    rbd_image_t image;
    char value[32];
    size_t size = sizeof value;
    if (entry->source != RBD_TRASH_IMAGE_SOURCE_USER ||
        rbd_open_by_id_read_only(place->io, entry->id, &image, NULL) < 0)
        return false;
    int error = rbd_metadata_get(image, DELETING_KEY, value, &size);
    rbd_close(image);
    if (error < 0 || !memchr(value, '\0', sizeof value)) /* not every version tells the length */
        return false;
    long long apart = strtoll(value, NULL, 10) - (long long)entry->deletion_time;
    return apart >= -TIMES_AGREE && apart <= TIMES_AGREE;
}

/* Moving to the trash is four steps: the entry there (in the state "moving"), the name's id object, the
 * directory, the state "normal", without which nothing can remove it. Finishes one that was cut off. False
 * when the name still leads to the image: then it can be seen, and a repeat of the deletion goes on. */
static bool finish_move(const struct place *place, const rbd_trash_image_info_t *entry)
{
    CLEANUP(buf_free) struct buf named = {0};
    CLEANUP(buf_free) struct buf state = {0};
    char id[IMAGE_ID_SIZE], out[16];
    id_of_name(place, entry->name, id);
    if (!strcmp(id, entry->id))
        return false;
    encode_string(&named, entry->name);
    encode_string(&named, entry->id);
    encode_string(&state, entry->id);
    buf_append(&state, (const uint8_t[]){TRASH_STATE_NORMAL, TRASH_STATE_MOVING}, 2); /* to, from */
    if (buf_failed(&named) || buf_failed(&state))
        return false;
    /* Both refuse when there is nothing left to do. */
    rados_exec(place->io, "rbd_directory", "rbd", "dir_remove_image", (const char *)named.data, named.size,
               out, sizeof out);
    rados_exec(place->io, "rbd_trash", "rbd", "trash_state_set", (const char *)state.data, state.size, out,
               sizeof out);
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const rbd_trash_image_info_t *left = a, *right = b;
    return left->deletion_time < right->deletion_time ? 1 : -(left->deletion_time > right->deletion_time);
}

struct trash {
    rbd_trash_image_info_t *entries; /* newest first */
    size_t count;
};

static void trash_free(struct trash *trash)
{
    if (trash->entries)
        rbd_trash_list_cleanup(trash->entries, trash->count);
    free(trash->entries);
    *trash = (struct trash){0};
}

static inline void trash_free_at(struct trash *trash)
{
    trash_free(trash);
}

static bool trash_list(const struct place *place, struct trash *out)
{
    size_t room = 256;
    for (;;) {
        size_t count = room;
        rbd_trash_image_info_t *entries = calloc(room, sizeof *entries);
        int error = entries ? rbd_trash_list(place->io, entries, &count) : -ENOMEM;
        if (error >= 0) {
            qsort(entries, count, sizeof *entries, newest_first);
            *out = (struct trash){.entries = entries, .count = count};
            return true;
        }
        free(entries);
        if (error != -ERANGE)
            return false;
        room = count + 16;
    }
}

void remove_sweep(const struct place *place)
{
    CLEANUP(trash_free) struct trash trash = {0};
    time_t settled = time(NULL) - MOVING_SECONDS;
    if (!trash_list(place, &trash))
        return;
    for (size_t i = 0; i < trash.count && i < SWEEP_MAX; i++)
        if (trash.entries[i].deletion_time <= settled && deleted_by_us(place, &trash.entries[i]) &&
            finish_move(place, &trash.entries[i]))
            hand_over(place, trash.entries[i].id);
}

/* Whether an image of this name is so young in the trash that it may be on its way there. */
static bool on_its_way(const struct place *place)
{
    CLEANUP(trash_free) struct trash trash = {0};
    time_t settled = time(NULL) - MOVING_SECONDS;
    if (!trash_list(place, &trash))
        return false;
    for (size_t i = 0; i < trash.count && trash.entries[i].deletion_time > settled; i++)
        if (!strcmp(trash.entries[i].name, place->image) && deleted_by_us(place, &trash.entries[i]))
            return true;
    return false;
}

/* A deletion of what is not there may be the repeat of one that died before it was done. What that left is
 * finished once it cannot be another's that is still at work; most often the cluster deletes it sooner. */
static void finish_repeated(const struct place *place)
{
    struct nacre_err ignored;
    for (int waited = 0; waited <= 1000 * MOVING_SECONDS && on_its_way(place); waited += 200)
        if (cancel_sleep(200, place->driver->cancelled, &ignored) < 0)
            return;
    remove_sweep(place);
}

/* Sets or, with value NULL, clears the mark. */
static int mark(const struct place *place, const char *value, struct nacre_err *e)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    if (image_open(place, NULL, false, &image, e) < 0)
        return -1;
    return image_metadata_set(place, image, DELETING_KEY, value, e);
}

/* An image that is in a group cannot be moved to the trash; it is in one of ours when a process died. */
static int leave_dead_group(const struct place *place)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    struct group_lock lock = {0};
    struct nacre_err ignored;
    if (image_open(place, NULL, false, &image, &ignored) < 0 ||
        group_lock_take(place, image, &lock, &ignored) < 0)
        return -1;
    int result = group_resolve(place, &ignored);
    group_lock_release(place, &lock);
    return result;
}

static int to_trash(const struct place *place, struct nacre_err *e)
{
    char now[32];
    snprintf(now, sizeof now, "%lld", (long long)time(NULL));
    if (mark(place, now, e) < 0)
        return -1;
    int error = rbd_trash_move(place->io, place->image, 0);
    if (error == -ENOENT && create_mend(place))
        error = rbd_trash_move(place->io, place->image, 0);
    if (error < 0 && error != -EBUSY && leave_dead_group(place) == 0)
        error = rbd_trash_move(place->io, place->image, 0);
    if (error >= 0)
        return 0;
    struct nacre_err ignored;
    mark(place, NULL, &ignored);
    if (error == -EBUSY)
        return err_set(e, NACRE_BUSY, PLACE_FORMAT " is in use: a client opened it just now",
                       PLACE_ARGS(place));
    return place_fail(place, error, e, "cannot move it to the trash");
}

int rbd_volume_remove(struct nacre_driver *base, const char *path, struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    char id[IMAGE_ID_SIZE];
    if (place_open(rbd_driver_of(base), path, true, &place, e) < 0)
        return -1;
    {
        CLEANUP(image_close) rbd_image_t image = NULL;
        if (image_open(&place, NULL, false, &image, e) < 0) {
            struct nacre_err cause = *e;
            if (cause.code == NACRE_ABSENT)
                finish_repeated(&place);
            *e = cause;
            return -1;
        }
        if (image_id(&place, image, id, e) < 0 || image_check_unused(&place, image, e) < 0)
            return -1;
    }
    if (to_trash(&place, e) < 0)
        return -1;
    hand_over(&place, id);
    remove_sweep(&place);
    return 0;
}

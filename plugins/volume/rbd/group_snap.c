/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots that were taken in a group, one by one: finding what they hold, removing them, and ending what a
 * process that died left of them. What they are made of is told in group.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/cancel.h"
#include "common/log.h"
#include "driver.h"

#define LOCK_NAME "nacre.group"
#define KEY_SIZE (sizeof PENDING_PREFIX + 256)

static void make_key(const char *prefix, const char *snap, char out[KEY_SIZE])
{
    snprintf(out, KEY_SIZE, "%s%s", prefix, snap);
}

void group_snap_free(struct group_snap *g)
{
    free(g->text);
    *g = (struct group_snap){0};
}

/* "<user id> <group id> <path> <path> …" */
static bool parse(struct group_snap *g)
{
    char *rest = g->text, *end;
    const char *user = strsep(&rest, " "), *group_id = strsep(&rest, " ");
    g->members = rest;
    if (!user || !group_id || !g->members)
        return false;
    g->user_id = strtoull(user, &end, 10);
    if (!*user || *end)
        return false;
    g->group_id = strtoull(group_id, &end, 10);
    return *group_id && !*end;
}

int group_snap_get(const struct place *place, rbd_image_t image, const char *snap, struct group_snap *out,
                   struct nacre_err *e)
{
    CLEANUP(group_snap_free) struct group_snap g = {0};
    char key[KEY_SIZE];
    uint64_t id;
    make_key(GROUP_PREFIX, snap, key);
    int found = image_metadata_get(place, image, key, &g.text, e);
    if (found <= 0)
        return found;
    if (!parse(&g))
        return err_set(e, NACRE_CORRUPT,
                       PLACE_FORMAT "@%s: the image's metadata \"%s\" is damaged; without it this snapshot "
                                    "cannot be told from others of its group",
                       PLACE_ARGS(place), snap, key);
    g.current = rbd_snap_get_id(image, snap, &id) >= 0 && id == g.user_id;
    *out = g;
    g.text = NULL;
    return 1;
}

/* Whether the image at `path` has a part in a group snapshot of this name and these members. */
static bool has_part(struct rbd_driver *driver, const char *path, const char *snap, const char *members)
{
    CLEANUP(place_close) struct place place = {0};
    CLEANUP(image_close) rbd_image_t image = NULL;
    CLEANUP(group_snap_free) struct group_snap g = {0};
    struct nacre_err e;
    return place_open(driver, path, true, &place, &e) == 0 &&
           image_open(&place, NULL, false, &image, &e) == 0 &&
           group_snap_get(&place, image, snap, &g, &e) > 0 && g.current && !strcmp(g.members, members);
}

static bool complete(struct rbd_driver *driver, const char *snap, const struct group_snap *g)
{
    CLEANUP(mem_free) char *copy = strdup(g->members);
    char *rest = copy;
    bool all = copy != NULL;
    for (const char *path; all && (path = strsep(&rest, " "));)
        all = has_part(driver, path, snap, g->members);
    return all;
}

/* The id of a native group: what the group directory has under its name. */
static bool group_id_of(const struct place *place, const char *group, char out[IMAGE_ID_SIZE])
{
    char key[128];
    const char *const keys[] = {key};
    rados_omap_iter_t entries;
    int error = 0;
    char *found = NULL, *value = NULL;
    size_t found_size = 0, size = 0;
    snprintf(key, sizeof key, "name_%s", group);
    rados_read_op_t op = rados_create_read_op();
    rados_read_op_omap_get_vals_by_keys(op, keys, 1, &entries, &error);
    int failed = rados_read_op_operate(op, place->io, "rbd_group_directory", 0);
    bool got = failed >= 0 && error >= 0 &&
               rados_omap_get_next2(entries, &found, &value, &found_size, &size) >= 0 && value && size > 4 &&
               size - 4 < IMAGE_ID_SIZE;
    if (got) {
        memcpy(out, value + 4, size - 4); /* after its length */
        out[size - 4] = '\0';
    }
    if (failed >= 0 && error >= 0)
        rados_omap_get_end(entries);
    rados_release_read_op(op);
    return got;
}

void group_forget(const struct place *place, const char *group)
{
    CLEANUP(buf_free) struct buf in = {0};
    char id[IMAGE_ID_SIZE], header[IMAGE_ID_SIZE + 32], out[16];
    if (!group_id_of(place, group, id))
        return;
    snprintf(header, sizeof header, "rbd_group_header.%s", id);
    int error = rados_remove(place->io, header);
    encode_string(&in, group);
    encode_string(&in, id);
    if ((error >= 0 || error == -ENOENT) && !buf_failed(&in))
        error = rados_exec(place->io, "rbd_group_directory", "rbd", "group_dir_remove", (const char *)in.data,
                           in.size, out, sizeof out);
    if (error < 0 && error != -ENOENT)
        log_warning("rbd/%s/%s: the group %s, not needed any more, cannot be removed: %s",
                    place->driver->cluster_name, place->pool, group, strerror(-error));
}

int group_snap_drop(const struct place *place, rbd_image_t image, const char *snap,
                    const struct group_snap *g, struct nacre_err *e)
{
    char key[KEY_SIZE];
    int error = rbd_snap_remove_by_id(image, g->group_id);
    if (error < 0 && error != -ENOENT)
        return place_fail(place, error, e, "cannot remove its part of a group snapshot");
    make_key(GROUP_PREFIX, snap, key);
    return image_metadata_set(place, image, key, NULL, e);
}

int group_lock_take(const struct place *place, rbd_image_t image, struct group_lock *lock,
                    struct nacre_err *e)
{
    char id[IMAGE_ID_SIZE];
    uint8_t random[16];
    struct timeval duration = {.tv_sec = GROUP_LOCK_SECONDS};
    if (image_id(place, image, id, e) < 0)
        return -1;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(e, errno, "no random numbers");
    snprintf(lock->header, sizeof lock->header, "rbd_header.%s", id);
    hex_encode(random, sizeof random, lock->cookie);
    for (int tries = 0;; tries++) {
        int error = rados_lock_exclusive(place->io, lock->header, LOCK_NAME, lock->cookie, "", &duration, 0);
        lock->held = error >= 0;
        if (lock->held)
            return 0;
        if (error != -EBUSY)
            return place_fail(place, error, e, "cannot begin a group snapshot");
        if (tries > 10 * (3 * GROUP_LOCK_SECONDS))
            return err_set(e, NACRE_BUSY, PLACE_FORMAT ": other group snapshots of it are being taken",
                           PLACE_ARGS(place));
        if (cancel_sleep(100, place->driver->cancelled, e) < 0)
            return -1;
    }
}

int group_lock_renew(const struct place *place, const struct group_lock *lock, unsigned seconds,
                     struct nacre_err *e)
{
    struct timeval duration = {.tv_sec = seconds};
    int error = rados_lock_exclusive(place->io, lock->header, LOCK_NAME, lock->cookie, "", &duration,
                                     LIBRADOS_LOCK_FLAG_MUST_RENEW);
    if (error == -ENOENT || error == -EBUSY)
        return err_set(e, NACRE_TRANSIENT, PLACE_FORMAT ": a group snapshot took too long; try again",
                       PLACE_ARGS(place));
    return error < 0 ? place_fail(place, error, e, "cannot go on with a group snapshot") : 0;
}

void group_lock_release(const struct place *place, struct group_lock *lock)
{
    if (lock->held)
        rados_unlock(place->io, lock->header, LOCK_NAME, lock->cookie);
    lock->held = false;
}

/* Removes a native group of ours that has no image: a process that died while it made the group left it, or
 * only its name. */
static void forget_empty(const struct place *home, const char *name)
{
    rbd_group_image_info_t members[1];
    size_t count = 0;
    int error = rbd_group_image_list(home->io, name, members, sizeof members[0], &count);
    if (error == -ENOENT || (error >= 0 && !count))
        group_forget(home, name);
}

/* Ends one snapshot that is marked as pending. It is complete when every member has its part, since the marks
 * go after the last part was noted; it goes else. */
static int resolve_one(const struct place *place, rbd_image_t image, const char *snap, struct nacre_err *e)
{
    CLEANUP(group_snap_free) struct group_snap g = {0};
    char key[KEY_SIZE];
    int found = group_snap_get(place, image, snap, &g, e);
    if (found < 0)
        return -1;
    if (!found || !g.current || !complete(place->driver, snap, &g)) {
        int error = rbd_snap_remove(image, snap);
        if (error < 0 && error != -ENOENT)
            return place_fail(place, error, e, "cannot remove what an interrupted group snapshot left");
        if (found && group_snap_drop(place, image, snap, &g, e) < 0)
            return -1;
    }
    char group[64];
    size_t size = sizeof group;
    make_key(PENDING_PREFIX, snap, key);
    if (rbd_metadata_get(image, key, group, &size) >= 0 &&
        !strncmp(group, GROUP_NAME_PREFIX, strlen(GROUP_NAME_PREFIX))) {
        /* The group may list the image although the image does not know of the group yet. */
        rbd_group_image_remove(place->io, group, place->io, place->image);
        forget_empty(place, group);
    }
    return image_metadata_set(place, image, key, NULL, e);
}

/* Takes the image out of a native group of ours, and removes that when it was the last. */
static int leave_group(const struct place *place, rbd_image_t image, struct nacre_err *e)
{
    CLEANUP(place_close) struct place home = {0};
    rbd_group_info_t info = {0};
    char pool[128], where[300], name[128] = "";
    int error = rbd_get_group(image, &info, sizeof info); /* of no group: no name, and no error */
    if (error < 0)
        return place_fail(place, error, e, "cannot tell its group");
    if (info.name)
        snprintf(name, sizeof name, "%s", info.name);
    int64_t pool_id = info.pool;
    rbd_group_info_cleanup(&info, sizeof info);
    if (strncmp(name, GROUP_NAME_PREFIX, strlen(GROUP_NAME_PREFIX)) != 0)
        return 0;
    error = rados_pool_reverse_lookup(place->driver->cluster, pool_id, pool, sizeof pool);
    if (error < 0)
        return place_fail(place, error, e, "cannot tell the pool of its group");
    snprintf(where, sizeof where, "%s%s%s", pool, *place->space ? "/" : "", place->space);
    if (place_open(place->driver, where, false, &home, e) < 0)
        return -1;
    error = rbd_group_image_remove(home.io, name, place->io, place->image);
    if (error < 0 && error != -ENOENT)
        return place_fail(place, error, e, "cannot take it out of the group of an interrupted snapshot");
    forget_empty(&home, name);
    return 0;
}

struct parts {
    uint64_t *ids; /* of group snapshots that a `nacre.group.…` speaks of */
    size_t count;
};

static int collect_part(void *ctx, const char *key, const char *value, struct nacre_err *e)
{
    struct parts *parts = ctx;
    if (strncmp(key, GROUP_PREFIX, strlen(GROUP_PREFIX)) != 0)
        return 0;
    uint64_t *grown = realloc(parts->ids, (parts->count + 1) * sizeof *grown);
    if (!grown)
        return err_no_memory(e, "an image's metadata");
    parts->ids = grown;
    const char *second = strchr(value, ' ');
    grown[parts->count++] = second ? strtoull(second + 1, NULL, 10) : 0;
    return 0;
}

/* Whether a snapshot of the group namespace is of a group of ours, or of one that does not exist any more. */
static bool ours_or_nobodys(rbd_image_t image, uint64_t id)
{
    rbd_snap_namespace_type_t kind;
    rbd_snap_group_namespace_t of = {0};
    if (rbd_snap_get_namespace_type(image, id, &kind) < 0 || kind != RBD_SNAP_NAMESPACE_TYPE_GROUP)
        return false;
    int error = rbd_snap_get_group_namespace(image, id, &of, sizeof of);
    if (error < 0)
        return error == -ENOENT;
    bool ours = !*of.group_name || !strncmp(of.group_name, GROUP_NAME_PREFIX, strlen(GROUP_NAME_PREFIX));
    rbd_snap_group_namespace_cleanup(&of, sizeof of);
    return ours;
}

/* Removes the parts that nothing speaks of: their process died before it could note them. */
static int sweep_parts(const struct place *place, rbd_image_t image, struct nacre_err *e)
{
    CLEANUP(image_snaps_free) struct image_snaps snaps = {0};
    struct parts parts = {0};
    int result = image_metadata_each(place, image, collect_part, &parts, e);
    if (result == 0)
        result = image_snaps(place, image, &snaps, e);
    for (int i = 0; result == 0 && i < snaps.count; i++) {
        bool known = false;
        for (size_t k = 0; k < parts.count; k++)
            known |= parts.ids[k] == snaps.infos[i].id;
        if (known || !ours_or_nobodys(image, snaps.infos[i].id))
            continue;
        int error = rbd_snap_remove_by_id(image, snaps.infos[i].id);
        if (error < 0 && error != -ENOENT)
            result = place_fail(place, error, e, "cannot remove what an interrupted group snapshot left");
    }
    free(parts.ids);
    return result;
}

static int collect_marks(void *ctx, const char *key, const char *value, struct nacre_err *e)
{
    (void)value;
    (void)e;
    if (strncmp(key, PENDING_PREFIX, strlen(PENDING_PREFIX)) != 0)
        return 0;
    buf_append(ctx, key + strlen(PENDING_PREFIX), strlen(key) - strlen(PENDING_PREFIX) + 1);
    return 0;
}

int group_resolve(const struct place *place, struct nacre_err *e)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    CLEANUP(buf_free) struct buf marks = {0};
    if (image_open(place, NULL, true, &image, e) < 0 || leave_group(place, image, e) < 0 ||
        image_metadata_each(place, image, collect_marks, &marks, e) < 0)
        return -1;
    if (buf_failed(&marks))
        return err_no_memory(e, "an image's metadata");
    const char *names = (const char *)marks.data;
    for (size_t at = 0; at < marks.size; at += strlen(names + at) + 1)
        if (resolve_one(place, image, names + at, e) < 0)
            return -1;
    return sweep_parts(place, image, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the rbd driver share: the connection, an image that is open, errors.
 *
 * One connection to the cluster per driver, made by the first call that needs it. Each call opens the image
 * it works on and closes it again; only block handles stay open. Reading opens read-only: that registers no
 * watcher and takes no lock. */
#ifndef RBD_DRIVER_H
#define RBD_DRIVER_H

#include <nacre/volume.h>
#include <pthread.h>
#include <rados/librados.h>
#include <rbd/librbd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/err.h"

#define ASIDE_PREFIX ".nacre-"
#define CLONE_SNAP_PREFIX "nacre.clone."
#define OWN_PREFIX "nacre."
#define PENDING_PREFIX "nacre.pending."
#define GROUP_PREFIX "nacre.group."
/* Of the native groups that exist while a group snapshot does. */
#define GROUP_NAME_PREFIX "nacre-"
#define DELETING_KEY "nacre.deleting"
/* An aside image or clone snapshot of this age was left by a process that died. */
#define LEFTOVER_SECONDS 3600

#define PATH_SIZE 512

struct rbd_driver {
    struct nacre_driver base;
    char *cluster_name, *conf, *keyring, *user;
    unsigned timeout; /* seconds */
    bool (*cancelled)(void);
    pthread_mutex_t mutex; /* connecting */
    rados_t cluster;       /* under mutex until connected, then for all */
    bool connected;
    char fsid[64];
};

static inline struct rbd_driver *rbd_driver_of(struct nacre_driver *driver)
{
    return (struct rbd_driver *)driver;
}

/* An image's place, taken apart, and an I/O context for its pool and namespace. */
struct place {
    struct rbd_driver *driver;
    char pool[128], space[128], image[256]; /* space "" = none; image "" = a pool or namespace only */
    rados_ioctx_t io;
};

#define PLACE_FORMAT "rbd/%s/%s%s%s/%s"
#define PLACE_ARGS(p) (p)->driver->cluster_name, (p)->pool, *(p)->space ? "/" : "", (p)->space, (p)->image

/* connect.c */
int rbd_driver_connect(struct rbd_driver *driver, struct nacre_err *e);

/* How long operations that begin from now on wait for the cluster. */
void driver_set_timeout(struct rbd_driver *driver, unsigned seconds);

/* Connects and opens an image's path, or (image_wanted false) `pool[/namespace]`. place_close is legal on
 * what was zeroed. */
int place_open(struct rbd_driver *driver, const char *path, bool image_wanted, struct place *out,
               struct nacre_err *e);
void place_close(struct place *place);
static inline void place_close_at(struct place *place)
{
    place_close(place);
}

/* An error number of librados or librbd (negative) as an error; what: "cannot …". */
int place_fail(const struct place *place, int error, struct nacre_err *e, const char *what);
int driver_fail(const struct rbd_driver *driver, int error, struct nacre_err *e, const char *what);
enum nacre_code code_of_rbd(int error);

/* Sends a JSON command to the monitors or the manager; *out (may be NULL) is freed by the caller with free
 * and ends with NUL. */
int mon_command(struct rbd_driver *driver, const char *json, char **out, struct nacre_err *e);
int mgr_command(struct rbd_driver *driver, const char *json, struct nacre_err *e);

/* image.c */
static inline void image_close_at(rbd_image_t *image)
{
    if (*image)
        rbd_close(*image);
}

/* Opens the image; snap NULL = itself. Writable registers a watcher, and takes the lock when it must. */
int image_open(const struct place *place, const char *snap, bool writable, rbd_image_t *out,
               struct nacre_err *e);

#define IMAGE_ID_SIZE 128
int image_id(const struct place *place, rbd_image_t image, char out[IMAGE_ID_SIZE], struct nacre_err *e);

/* The clients that watch the image, for people; "" = none. An error number, or 0. */
int image_watchers(rbd_image_t image, size_t *count, char *out, size_t size);

/* 0 when no client has the image open for writing; NACRE_BUSY naming those who have. A client that does not
 * answer any more is waited for until the cluster gives it up. */
int image_check_unused(const struct place *place, rbd_image_t image, struct nacre_err *e);

/* As image_check_unused, but never waits for clients that answer or not: NACRE_TRANSIENT when one does not.
 */
int image_check_answers(const struct place *place, rbd_image_t image, struct nacre_err *e);

typedef int image_metadata_entry(void *ctx, const char *key, const char *value, struct nacre_err *e);
/* Calls entry with every pair; a result other than 0 ends it and is returned. */
int image_metadata_each(const struct place *place, rbd_image_t image, image_metadata_entry *entry, void *ctx,
                        struct nacre_err *e);

/* 1 and a copy of the value (the caller's); 0 when the key is not set. */
int image_metadata_get(const struct place *place, rbd_image_t image, const char *key, char **out,
                       struct nacre_err *e);

/* Sets one key, or removes it (value NULL; no error when it is not there). The image may be open read-only:
 * no lock is taken, so that whoever writes to it meanwhile is not disturbed. */
int image_metadata_set(const struct place *place, rbd_image_t image, const char *key, const char *value,
                       struct nacre_err *e);

/* As the cluster's classes take strings: their length in four bytes, low first, then they themselves. */
void encode_string(struct buf *b, const char *string);

/* Snapshots of all kinds, oldest first; *out is freed with image_snaps_free. */
struct image_snaps {
    rbd_snap_info_t *infos;
    int count;
};
int image_snaps(const struct place *place, rbd_image_t image, struct image_snaps *out, struct nacre_err *e);
void image_snaps_free(struct image_snaps *snaps);
static inline void image_snaps_free_at(struct image_snaps *snaps)
{
    image_snaps_free(snaps);
}

/* create.c */

/* All images of the pool and namespace; *out: rbd_image_spec_list_cleanup and free. */
int place_images(const struct place *place, rbd_image_spec_t **out, size_t *count, struct nacre_err *e);
int rbd_volume_create(struct nacre_driver *driver, const char *path, const struct nacre_volume_spec *spec,
                      struct nacre_err *e);
int rbd_volume_clone(struct nacre_driver *driver, const char *source, const char *snap, const char *path,
                     const struct nacre_volume_spec *spec, struct nacre_err *e);
/* The id that an image's name leads to; "" when the name is free. */
void id_of_name(const struct place *place, const char *name, char out[IMAGE_ID_SIZE]);
/* Finishes a rename into `place` that was cut off half way; true when there was one. */
bool create_mend(const struct place *place);

/* remove.c */

/* Hands over what deletions that were cut off left in the pool. */
void remove_sweep(const struct place *place);
int rbd_volume_remove(struct nacre_driver *driver, const char *path, struct nacre_err *e);

/* snapshot.c */
int snapshot_check_name(const char *snap, struct nacre_err *e);
int rbd_volume_snapshot_create(struct nacre_driver *driver, const char *path, const char *snap,
                               struct nacre_err *e);
int rbd_volume_snapshot_list(struct nacre_driver *driver, const char *path, nacre_snapshot_entry *entry,
                             void *ctx, struct nacre_err *e);
int rbd_volume_snapshot_remove(struct nacre_driver *driver, const char *path, const char *snap,
                               struct nacre_err *e);

/* group.c */
int rbd_volume_group_snapshot_create(struct nacre_driver *driver, const char *const *paths, size_t count,
                                     const char *snap, struct nacre_err *e);

/* group_snap.c: snapshots that were taken as part of a group */

/* What `nacre.group.<snap>` of an image says; see group.c. */
struct group_snap {
    char *text; /* holds all the following */
    uint64_t user_id, group_id;
    char *members; /* paths, a space between two */
    bool current;  /* the snapshot of this name is still the one that it speaks of */
};

/* 1 when the snapshot was taken in a group (*out: group_snap_free), 0 when not. */
int group_snap_get(const struct place *place, rbd_image_t image, const char *snap, struct group_snap *out,
                   struct nacre_err *e);
void group_snap_free(struct group_snap *g);
static inline void group_snap_free_at(struct group_snap *g)
{
    group_snap_free(g);
}

/* Removes the image's part of it. The image is open for writing. */
int group_snap_drop(const struct place *place, rbd_image_t image, const char *snap,
                    const struct group_snap *g, struct nacre_err *e);
/* Removes a native group that has no members any more, but not its snapshots. place: in the group's pool. */
void group_forget(const struct place *place, const char *group);

/* One group snapshot at a time is taken of an image; and who holds this knows that whatever is half done was
 * left by a process that died. It ends by itself after so many seconds, unless it is renewed. */
#define GROUP_LOCK_SECONDS 20
struct group_lock {
    char header[IMAGE_ID_SIZE + 16], cookie[40];
    bool held;
};
int group_lock_take(const struct place *place, rbd_image_t image, struct group_lock *lock,
                    struct nacre_err *e);
/* NACRE_TRANSIENT when it was lost. */
int group_lock_renew(const struct place *place, const struct group_lock *lock, unsigned seconds,
                     struct nacre_err *e);
void group_lock_release(const struct place *place, struct group_lock *lock);

/* With the lock held: ends what a process that died left of group snapshots of this image: a native group
 * that it still is in, and every snapshot that is marked as pending. */
int group_resolve(const struct place *place, struct nacre_err *e);

/* extents.c */
int image_extents(const struct place *place, rbd_image_t image, uint64_t bytes, const char *base,
                  uint64_t offset, uint64_t length, nacre_extent_entry *entry, void *ctx,
                  struct nacre_err *e);
/* True when the object map of what is open is there and can be trusted to tell changes. */
bool image_map_valid(rbd_image_t image);

/* describe.c, block.c */
extern const struct nacre_lifecycle_ops rbd_lifecycle;
extern const struct nacre_block_ops rbd_block;

#endif

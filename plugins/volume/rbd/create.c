/* SPDX-License-Identifier: Apache-2.0 */
/* Making images and clones: under a hidden name, with all their metadata, then renamed.
 *
 * The rename is three steps in the cluster: the new name's id object, the directory entry, the old name's id
 * object. One that was cut off after the first leaves an image that can be opened by its new name and is
 * listed under the hidden one; create_mend finishes it. So nothing whose id the new name leads to may ever be
 * swept. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/buf.h"
#include "common/cancel.h"
#include "common/log.h"
#include "driver.h"

#define ASIDE_NEW ASIDE_PREFIX "new-"
#define ASIDE_SIZE 400
/* A call that is at work gives its image the name sooner than this, or has the image open. */
#define MAKING_SECONDS 5
#define DEFAULT_FEATURES                                                                                     \
    (RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK | RBD_FEATURE_OBJECT_MAP | RBD_FEATURE_FAST_DIFF |    \
     RBD_FEATURE_DEEP_FLATTEN)

static const struct {
    const char *name;
    uint64_t bit;
} feature_names[] = {
    {"layering", RBD_FEATURE_LAYERING},         {"exclusive-lock", RBD_FEATURE_EXCLUSIVE_LOCK},
    {"object-map", RBD_FEATURE_OBJECT_MAP},     {"fast-diff", RBD_FEATURE_FAST_DIFF},
    {"deep-flatten", RBD_FEATURE_DEEP_FLATTEN}, {"journaling", RBD_FEATURE_JOURNALING},
};

static int parse_features(const char *value, uint64_t *out, struct nacre_err *e)
{
    *out = 0;
    for (const char *at = value; *at;) {
        size_t length = strcspn(at, ","), i = 0, known = sizeof feature_names / sizeof *feature_names;
        while (i < known &&
               (strlen(feature_names[i].name) != length || memcmp(feature_names[i].name, at, length) != 0))
            i++;
        if (i == known)
            return err_set(
                e, NACRE_INVALID,
                "\"%.*s\" is not an image feature (layering, exclusive-lock, object-map, fast-diff, "
                "deep-flatten, journaling)",
                (int)(length < 60 ? length : 60), at);
        *out |= feature_names[i].bit;
        at += length;
        at += *at == ',';
    }
    const uint64_t needs_map = RBD_FEATURE_FAST_DIFF,
                   needs_lock = RBD_FEATURE_OBJECT_MAP | RBD_FEATURE_JOURNALING;
    if ((*out & needs_map && !(*out & RBD_FEATURE_OBJECT_MAP)) ||
        (*out & needs_lock && !(*out & RBD_FEATURE_EXCLUSIVE_LOCK)))
        return err_set(e, NACRE_INVALID,
                       "features \"%.100s\": fast-diff needs object-map, and that and journaling need "
                       "exclusive-lock",
                       value);
    return 0;
}

static int parse_number(const char *key, const char *value, uint64_t *out, struct nacre_err *e)
{
    char *end;
    errno = 0;
    *out = strtoull(value, &end, 10);
    if (errno || end == value || *end || *value == '-')
        return err_set(e, NACRE_INVALID, "property %s: \"%.60s\" is not a number", key, value);
    return 0;
}

static int parse_object_size(const char *value, uint64_t *order, struct nacre_err *e)
{
    uint64_t size;
    if (parse_number("object-size", value, &size, e) < 0)
        return -1;
    for (*order = 12; *order <= 25; (*order)++)
        if (size == UINT64_C(1) << *order)
            return 0;
    return err_set(e, NACRE_INVALID, "object-size %s is not a power of two from 4096 to 33554432", value);
}

static int apply_property(const struct place *place, const struct nacre_option *property,
                          rbd_image_options_t options, bool *features_set, struct nacre_err *e)
{
    const char *key = property->key, *value = property->value;
    uint64_t number;
    if (!strcmp(key, "features")) {
        *features_set = true;
        return parse_features(value, &number, e) < 0
                   ? -1
                   : rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES, number);
    }
    if (!strcmp(key, "object-size"))
        return parse_object_size(value, &number, e) < 0
                   ? -1
                   : rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_ORDER, number);
    if (!strcmp(key, "stripe-unit") || !strcmp(key, "stripe-count"))
        return parse_number(key, value, &number, e) < 0
                   ? -1
                   : rbd_image_options_set_uint64(options,
                                                  key[7] == 'u' ? RBD_IMAGE_OPTION_STRIPE_UNIT
                                                                : RBD_IMAGE_OPTION_STRIPE_COUNT,
                                                  number);
    if (strcmp(key, "data-pool") != 0)
        return err_set(
            e, NACRE_INVALID,
            "unknown property \"%.100s\" (known: features, object-size, stripe-unit, stripe-count, "
            "data-pool)",
            key);
    if (rados_pool_lookup(place->driver->cluster, value) < 0)
        return err_set(e, NACRE_ABSENT, "the cluster has no pool \"%.100s\" for data-pool", value);
    return rbd_image_options_set_string(options, RBD_IMAGE_OPTION_DATA_POOL, value);
}

static int make_options(const struct place *place, const struct nacre_volume_spec *spec,
                        rbd_image_options_t options, struct nacre_err *e)
{
    bool features_set = false;
    err_set(e, NACRE_INVALID, "librbd refuses a property");
    for (size_t i = 0; spec && i < spec->property_count; i++)
        if (apply_property(place, &spec->properties[i], options, &features_set, e) < 0)
            return err_wrap(e, PLACE_FORMAT, PLACE_ARGS(place));
    e->code = NACRE_OK;
    if (!features_set)
        rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES, DEFAULT_FEATURES);
    return 0;
}

int place_images(const struct place *place, rbd_image_spec_t **out, size_t *count, struct nacre_err *e)
{
    size_t room = 256;
    for (;;) {
        rbd_image_spec_t *specs = calloc(room, sizeof *specs);
        if (!specs)
            return err_no_memory(e, "a list of images");
        int error = rbd_list2(place->io, specs, &room);
        if (error >= 0) {
            *out = specs;
            *count = room;
            return 0;
        }
        free(specs);
        if (error != -ERANGE)
            return place_fail(place, error, e, "cannot list the images");
        room += 64; /* some may be made meanwhile */
    }
}

void id_of_name(const struct place *place, const char *name, char out[IMAGE_ID_SIZE])
{
    char object[ASIDE_SIZE + 16];
    uint8_t raw[4 + IMAGE_ID_SIZE];
    *out = '\0';
    snprintf(object, sizeof object, "rbd_id.%s", name);
    int got = rados_read(place->io, object, (char *)raw, sizeof raw, 0);
    if (got < 4)
        return;
    uint32_t length = raw[0] | (uint32_t)raw[1] << 8 | (uint32_t)raw[2] << 16 | (uint32_t)raw[3] << 24;
    if (length >= IMAGE_ID_SIZE || length > (uint32_t)got - 4)
        return;
    memcpy(out, raw + 4, length);
    out[length] = '\0';
}

/* The first step of a rename: the new name leads to the image. Of racing creators exactly one gets it, which
 * is why rbd_rename is not used: it looks first and writes then. */
static int claim_name(const struct place *place, const char *id)
{
    CLEANUP(buf_free) struct buf content = {0};
    char object[ASIDE_SIZE + 16];
    encode_string(&content, id);
    if (buf_failed(&content))
        return -ENOMEM;
    snprintf(object, sizeof object, "rbd_id.%s", place->image);
    rados_write_op_t op = rados_create_write_op();
    rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
    rados_write_op_write_full(op, (const char *)content.data, content.size);
    int error = rados_write_op_operate(op, place->io, object, NULL, 0);
    rados_release_write_op(op);
    return error;
}

/* The second and third step of the rename `from` -> `to`. */
static int finish_rename(const struct place *place, const char *from, const char *to, const char *id)
{
    CLEANUP(buf_free) struct buf in = {0};
    char object[ASIDE_SIZE + 16], out[16];
    encode_string(&in, from);
    encode_string(&in, to);
    encode_string(&in, id);
    if (buf_failed(&in))
        return -ENOMEM;
    int error = rados_exec(place->io, "rbd_directory", "rbd", "dir_rename_image", (const char *)in.data,
                           in.size, out, sizeof out);
    if (error < 0)
        return error;
    snprintf(object, sizeof object, "rbd_id.%s", from);
    rados_remove(place->io, object); /* if it stays, it leads to the image and to nothing else */
    return 0;
}

bool create_mend(const struct place *place)
{
    char id[IMAGE_ID_SIZE];
    rbd_image_spec_t *specs = NULL;
    size_t count = 0;
    struct nacre_err ignored;
    bool mended = false;
    id_of_name(place, place->image, id);
    if (!*id || place_images(place, &specs, &count, &ignored) < 0)
        return false;
    for (size_t i = 0; i < count && !mended; i++)
        if (!strcmp(specs[i].id, id) && !strncmp(specs[i].name, ASIDE_NEW, strlen(ASIDE_NEW)))
            mended = finish_rename(place, specs[i].name, place->image, id) >= 0;
    rbd_image_spec_list_cleanup(specs, count);
    free(specs);
    return mended;
}

/* ".nacre-new-<unix time, hex>-<random>-<name>" */
static int aside_name(const char *name, char out[ASIDE_SIZE], struct nacre_err *e)
{
    uint8_t random[8];
    char hex[2 * sizeof random + 1];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(e, errno, "no random numbers");
    hex_encode(random, sizeof random, hex);
    snprintf(out, ASIDE_SIZE, ASIDE_NEW "%llx-%s-%s", (unsigned long long)time(NULL), hex, name);
    return 0;
}

/* An image in the making: when it was begun, and the name that it is to get; false for any other. */
static bool aside_parse(const char *aside, unsigned long long *made, const char **name)
{
    char *end;
    if (strncmp(aside, ASIDE_NEW, strlen(ASIDE_NEW)) != 0)
        return false;
    *made = strtoull(aside + strlen(ASIDE_NEW), &end, 16);
    if (*end != '-' || !(end = strchr(end + 1, '-')))
        return false;
    *name = end + 1;
    return true;
}

/* Ends or removes an image in the making that is old enough. True when it is still there, because a client
 * has it open: or had, as the cluster finds out only after half a minute that a client is gone. */
static bool sweep_one(const struct place *place, const char *aside, const char *id, const char *name)
{
    char final_id[IMAGE_ID_SIZE];
    id_of_name(place, name, final_id);
    if (!strcmp(final_id, id)) {
        finish_rename(place, aside, name, id);
        return false;
    }
    int error = rbd_remove(place->io, aside);
    if (error < 0 && error != -ENOENT && error != -EBUSY)
        log_warning("rbd/%s/%s: %s, left by a process that died, cannot be removed: %s",
                    place->driver->cluster_name, place->pool, aside, strerror(-error));
    return error == -EBUSY;
}

/* Sweeps what processes that died left: of this very name soon, of others when it is an hour old. True when
 * there are still images in the making of this name. */
static bool sweep(const struct place *place)
{
    rbd_image_spec_t *specs = NULL;
    size_t count = 0;
    struct nacre_err ignored;
    bool left = false;
    if (place_images(place, &specs, &count, &ignored) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        unsigned long long made;
        const char *name;
        if (!aside_parse(specs[i].name, &made, &name))
            continue;
        bool same = !strcmp(name, place->image), stays = true;
        if ((unsigned long long)time(NULL) >= made + (same ? MAKING_SECONDS : LEFTOVER_SECONDS))
            stays = sweep_one(place, specs[i].name, specs[i].id, name);
        left = left || (same && stays);
    }
    rbd_image_spec_list_cleanup(specs, count);
    free(specs);
    return left;
}

/* Once the name is given, other images in the making of that name are nobody's: of a call that died before
 * this one repeated it, or of one that lost the race for the name and is about to remove its own. A clone
 * among them would keep its source in the trash. */
static void settle(const struct place *place)
{
    struct nacre_err ignored;
    for (int waited = 0; waited <= 1000 * (MAKING_SECONDS + 1) && sweep(place); waited += 200)
        if (cancel_sleep(200, place->driver->cancelled, &ignored) < 0)
            return;
}

static int exists(const struct place *place, struct nacre_err *e)
{
    return err_set(e, NACRE_EXISTS, PLACE_FORMAT " exists already", PLACE_ARGS(place));
}

static int check_free(const struct place *place, struct nacre_err *e)
{
    rbd_image_t image;
    int error = rbd_open_read_only(place->io, place->image, &image, NULL);
    if (error == -ENOENT)
        return 0;
    if (error < 0)
        return place_fail(place, error, e, "cannot tell whether it exists");
    rbd_close(image);
    create_mend(place);
    settle(place);
    return exists(place, e);
}

static int collect_key(void *ctx, const char *key, const char *value, struct nacre_err *e)
{
    (void)value;
    (void)e;
    buf_append(ctx, key, strlen(key) + 1);
    return 0;
}

/* A clone comes with its source's metadata, among it what only the source should say of itself. */
static int clear_metadata(const struct place *place, rbd_image_t image, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf keys = {0};
    if (image_metadata_each(place, image, collect_key, &keys, e) < 0)
        return -1;
    if (buf_failed(&keys))
        return err_no_memory(e, "an image's metadata");
    for (size_t at = 0; at < keys.size; at += strlen((const char *)keys.data + at) + 1)
        if (image_metadata_set(place, image, (const char *)keys.data + at, NULL, e) < 0)
            return -1;
    return 0;
}

static int set_all(const struct place *place, rbd_image_t image, uint64_t bytes,
                   const struct nacre_volume_spec *spec, struct nacre_err *e)
{
    if (clear_metadata(place, image, e) < 0)
        return -1;
    int error = bytes ? rbd_resize(image, bytes) : 0;
    if (error < 0)
        return place_fail(place, error, e, "cannot grow the new image");
    for (size_t i = 0; spec && i < spec->metadata_count; i++)
        if (image_metadata_set(place, image, spec->metadata[i].key, spec->metadata[i].value, e) < 0)
            return -1;
    return 0;
}

/* Completes the image that lies under `aside`: size (0 = as it is) and metadata, then its name. */
static int complete(const struct place *place, const char *aside, uint64_t bytes,
                    const struct nacre_volume_spec *spec, struct nacre_err *e)
{
    rbd_image_t image;
    char id[IMAGE_ID_SIZE] = "";
    int error = rbd_open(place->io, aside, &image, NULL);
    if (error < 0)
        return place_fail(place, error, e, "cannot open the new image");
    int result = image_id(place, image, id, e);
    if (result == 0)
        result = set_all(place, image, bytes, spec, e);
    error = rbd_close(image);
    if (result == 0 && error < 0)
        result = place_fail(place, error, e, "cannot close the new image");
    if (result < 0)
        return -1;
    error = claim_name(place, id);
    if (error == -EEXIST)
        return exists(place, e);
    if (error >= 0)
        error = finish_rename(place, aside, place->image, id);
    for (int tries = 0; error == -EEXIST && tries < 20; tries++) {
        /* The directory still has an image of that name, whose deletion was cut off, or is not quite done. */
        if (cancel_sleep(500, place->driver->cancelled, e) < 0)
            return -1;
        remove_sweep(place);
        error = finish_rename(place, aside, place->image, id);
    }
    return error < 0 ? place_fail(place, error, e, "cannot give the new image its name") : 0;
}

static int check_metadata(const struct place *place, const struct nacre_volume_spec *spec,
                          struct nacre_err *e)
{
    for (size_t i = 0; spec && i < spec->metadata_count; i++)
        if (!*spec->metadata[i].key)
            return err_set(e, NACRE_INVALID, PLACE_FORMAT ": a metadata key cannot be empty",
                           PLACE_ARGS(place));
    return 0;
}

/* Ends what create and clone began: error is what librbd said to the image under `aside`. */
static int finish(const struct place *place, const char *aside, int error, uint64_t bytes,
                  const struct nacre_volume_spec *spec, struct nacre_err *e)
{
    int result =
        error == -EINVAL || error == -EDOM || error == -ENOSYS
            ? err_set(e, NACRE_INVALID,
                      PLACE_FORMAT ": librbd refuses to make it with these properties and this size: %s",
                      PLACE_ARGS(place), strerror(-error))
        : error < 0 ? place_fail(place, error, e, "cannot make it")
                    : complete(place, aside, bytes, spec, e);
    if (result == 0)
        return 0;
    char final_id[IMAGE_ID_SIZE], aside_id[IMAGE_ID_SIZE];
    id_of_name(place, place->image, final_id);
    id_of_name(place, aside, aside_id);
    if (*aside_id && strcmp(aside_id, final_id) != 0) /* else the rename got that far */
        rbd_remove(place->io, aside);
    /* Who was first with the name may have swept what this one made. */
    return *final_id && !*aside_id && e->code == NACRE_ABSENT ? exists(place, e) : -1;
}

int rbd_volume_create(struct nacre_driver *base, const char *path, const struct nacre_volume_spec *spec,
                      struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    if (place_open(rbd_driver_of(base), path, true, &place, e) < 0 || check_metadata(&place, spec, e) < 0)
        return -1;
    char aside[ASIDE_SIZE];
    rbd_image_options_t options;
    rbd_image_options_create(&options);
    int result = make_options(&place, spec, options, e);
    if (result == 0)
        result = check_free(&place, e);
    if (result == 0)
        result = aside_name(place.image, aside, e);
    if (result == 0) {
        bool others = sweep(&place);
        result = finish(&place, aside, rbd_create4(place.io, aside, spec->bytes, options), 0, spec, e);
        if (result == 0 && others)
            settle(&place);
    }
    rbd_image_options_destroy(options);
    return result;
}

/* The size that the clone must grow to, 0 = none. */
static int clone_growth(const struct place *source, const char *snap, const struct place *place,
                        const struct nacre_volume_spec *spec, uint64_t *growth, struct nacre_err *e)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    uint64_t bytes = 0, features = 0;
    if (image_open(source, snap, false, &image, e) < 0)
        return -1;
    int error = rbd_get_size(image, &bytes);
    if (error == 0)
        error = rbd_get_features(image, &features);
    if (error < 0)
        return place_fail(source, error, e, "cannot tell its size");
    if (!(features & RBD_FEATURE_LAYERING))
        return err_set(e, NACRE_UNSUPPORTED, PLACE_FORMAT " cannot be cloned: it lacks the feature layering",
                       PLACE_ARGS(source));
    uint64_t wanted = spec ? spec->bytes : 0;
    if (wanted && wanted < bytes)
        return err_set(e, NACRE_INVALID,
                       PLACE_FORMAT ": a clone of %" PRIu64 " bytes cannot hold its source of %" PRIu64,
                       PLACE_ARGS(place), wanted, bytes);
    *growth = wanted > bytes ? wanted : 0;
    return 0;
}

/* 1 when the snapshot was taken in a group. */
static int in_group(const struct place *source, const char *snap, struct nacre_err *e)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    CLEANUP(group_snap_free) struct group_snap group = {0};
    if (image_open(source, NULL, false, &image, e) < 0)
        return -1;
    int grouped = group_snap_get(source, image, snap, &group, e);
    return grouped > 0 ? group.current : grouped;
}

static int copy_goes_on(uint64_t offset, uint64_t total, void *ctx)
{
    const struct rbd_driver *driver = ctx;
    (void)offset;
    (void)total;
    return driver->cancelled && driver->cancelled() ? -ECANCELED : 0;
}

/* A snapshot of a group can be read but, before rbd_clone4, not be cloned: a full copy, holes staying holes.
 */
static int copy(const struct place *source, const char *snap, const struct place *place, const char *aside,
                rbd_image_options_t options)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    struct nacre_err e;
    if (image_open(source, snap, false, &image, &e) < 0)
        return e.code == NACRE_ABSENT ? -ENOENT : -EIO;
    return rbd_copy_with_progress3(image, place->io, aside, options, copy_goes_on, place->driver);
}

static int clone_from_snap(const struct place *source, const char *snap, const struct place *place,
                           const struct nacre_volume_spec *spec, struct nacre_err *e)
{
    char aside[ASIDE_SIZE];
    uint64_t growth = 0;
    if (clone_growth(source, snap, place, spec, &growth, e) < 0 || aside_name(place->image, aside, e) < 0)
        return -1;
    rbd_image_options_t options;
    rbd_image_options_create(&options);
    int result = make_options(place, spec, options, e);
    if (result == 0)
        result = in_group(source, snap, e);
    if (result > 0) {
        result = finish(place, aside, copy(source, snap, place, aside, options), growth, spec, e);
    } else if (result == 0) {
        rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_CLONE_FORMAT, 2);
        result = finish(place, aside, rbd_clone3(source->io, source->image, snap, place->io, aside, options),
                        growth, spec, e);
    }
    rbd_image_options_destroy(options);
    return result;
}

/* Removes the snapshots that clones which died took of their source. */
static void sweep_clone_snaps(const struct place *source, rbd_image_t image)
{
    CLEANUP(image_snaps_free) struct image_snaps snaps = {0};
    struct nacre_err ignored;
    if (image_snaps(source, image, &snaps, &ignored) < 0)
        return;
    for (int i = 0; i < snaps.count; i++) {
        if (strncmp(snaps.infos[i].name, CLONE_SNAP_PREFIX, strlen(CLONE_SNAP_PREFIX)) != 0)
            continue;
        unsigned long long made = strtoull(snaps.infos[i].name + strlen(CLONE_SNAP_PREFIX), NULL, 16);
        if ((unsigned long long)time(NULL) >= made + LEFTOVER_SECONDS)
            rbd_snap_remove(image, snaps.infos[i].name);
    }
}

/* Clones the image as it is: of a snapshot that goes to the cluster's trash while the clone lives. */
static int clone_from_image(const struct place *source, const struct place *place,
                            const struct nacre_volume_spec *spec, struct nacre_err *e)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    uint8_t random[8];
    char hex[2 * sizeof random + 1], snap[64];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(e, errno, "no random numbers");
    hex_encode(random, sizeof random, hex);
    snprintf(snap, sizeof snap, CLONE_SNAP_PREFIX "%llx.%s", (unsigned long long)time(NULL), hex);
    if (image_open(source, NULL, true, &image, e) < 0)
        return -1;
    sweep_clone_snaps(source, image);
    int error = rbd_snap_create(image, snap);
    if (error < 0)
        return place_fail(source, error, e, "cannot take the snapshot to clone");
    int result = clone_from_snap(source, snap, place, spec, e);
    error = rbd_snap_remove(image, snap);
    if (error < 0)
        log_warning(PLACE_FORMAT ": the snapshot %s, taken to clone it, cannot be removed: %s",
                    PLACE_ARGS(source), snap, strerror(-error));
    return result;
}

int rbd_volume_clone(struct nacre_driver *base, const char *source_path, const char *snap, const char *path,
                     const struct nacre_volume_spec *spec, struct nacre_err *e)
{
    CLEANUP(place_close) struct place source = {0};
    CLEANUP(place_close) struct place place = {0};
    if ((snap && snapshot_check_name(snap, e) < 0) ||
        place_open(rbd_driver_of(base), source_path, true, &source, e) < 0 ||
        place_open(rbd_driver_of(base), path, true, &place, e) < 0 || check_metadata(&place, spec, e) < 0 ||
        check_free(&place, e) < 0)
        return -1;
    bool others = sweep(&place);
    int result =
        snap ? clone_from_snap(&source, snap, &place, spec, e) : clone_from_image(&source, &place, spec, e);
    if (result == 0 && others)
        settle(&place);
    return result;
}

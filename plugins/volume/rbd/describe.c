/* SPDX-License-Identifier: Apache-2.0 */
/* What an image is: get, list, capacity, metadata; and expand, which changes the least of it. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "driver.h"

/* The info, and the memory of all that it points to. */
struct info {
    struct nacre_volume_info info;
    char path[PATH_SIZE];
    char id[64 + 32 + IMAGE_ID_SIZE];
    char watchers[400];
    struct nacre_option properties[8];
    char values[8][160];
    struct nacre_option *metadata;
    size_t metadata_room;
};

static void free_info(struct nacre_driver *driver, struct nacre_volume_info *base)
{
    (void)driver;
    struct info *info = (struct info *)base;
    for (size_t i = 0; info && i < info->info.metadata_count; i++) {
        free((char *)info->metadata[i].key);
        free((char *)info->metadata[i].value);
    }
    if (info)
        free(info->metadata);
    free(info);
}

static void info_free(struct info *info)
{
    free_info(NULL, info ? &info->info : NULL);
}
CLEANUP_DEFINE(struct info *, info_free)

static char *add_property(struct info *info, const char *key)
{
    size_t i = info->info.property_count++;
    info->properties[i] = (struct nacre_option){key, info->values[i]};
    info->info.properties = info->properties;
    return info->values[i];
}

static void fill_features(struct info *info, uint64_t features)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } names[] = {{RBD_FEATURE_LAYERING, "layering"},         {RBD_FEATURE_EXCLUSIVE_LOCK, "exclusive-lock"},
                 {RBD_FEATURE_OBJECT_MAP, "object-map"},     {RBD_FEATURE_FAST_DIFF, "fast-diff"},
                 {RBD_FEATURE_DEEP_FLATTEN, "deep-flatten"}, {RBD_FEATURE_JOURNALING, "journaling"}};
    char *value = add_property(info, "features");
    size_t used = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (features & names[i].bit)
            used += (size_t)snprintf(value + used, sizeof info->values[0] - used, "%s%s", used ? "," : "",
                                     names[i].name);
}

static int fill_properties(const struct place *place, rbd_image_t image, struct info *info,
                           struct nacre_err *e)
{
    rbd_image_info_t status;
    uint64_t features, unit, count;
    int error = rbd_stat(image, &status, sizeof status);
    if (error >= 0)
        error = rbd_get_features(image, &features);
    if (error >= 0)
        error = rbd_get_stripe_unit(image, &unit);
    if (error >= 0)
        error = rbd_get_stripe_count(image, &count);
    if (error < 0)
        return place_fail(place, error, e, "cannot describe it");
    fill_features(info, features);
    snprintf(add_property(info, "object-size"), sizeof info->values[0], "%" PRIu64, status.obj_size);
    if (count > 1 || unit != status.obj_size) {
        snprintf(add_property(info, "stripe-unit"), sizeof info->values[0], "%" PRIu64, unit);
        snprintf(add_property(info, "stripe-count"), sizeof info->values[0], "%" PRIu64, count);
    }
    int64_t data_pool = rbd_get_data_pool_id(image);
    char name[128];
    if (data_pool >= 0 && data_pool != rados_ioctx_get_id(place->io) &&
        rados_pool_reverse_lookup(place->driver->cluster, data_pool, name, sizeof name) > 0)
        snprintf(add_property(info, "data-pool"), sizeof info->values[0], "%s", name);
    info->info.bytes = status.size;
    return 0;
}

static int add_metadata(void *ctx, const char *key, const char *value, struct nacre_err *e)
{
    struct info *info = ctx;
    if (!strncmp(key, OWN_PREFIX, strlen(OWN_PREFIX)) || !strncmp(key, ".rbd", 4))
        return 0;
    size_t count = info->info.metadata_count;
    if (count == info->metadata_room) {
        size_t room = count ? 2 * count : 16;
        struct nacre_option *grown = realloc(info->metadata, room * sizeof *grown);
        if (!grown)
            return err_no_memory(e, "an image's metadata");
        info->metadata = grown;
        info->metadata_room = room;
    }
    char *key_copy = strdup(key), *value_copy = strdup(value);
    if (!key_copy || !value_copy) {
        free(key_copy);
        free(value_copy);
        return err_no_memory(e, "an image's metadata");
    }
    info->metadata[count] = (struct nacre_option){key_copy, value_copy};
    info->info.metadata = info->metadata;
    info->info.metadata_count = count + 1;
    /* cppcheck-suppress memleak; they belong to info now */
    return 0;
}

static int sum_up(uint64_t offset, size_t length, int exists, void *ctx)
{
    (void)offset;
    if (exists)
        *(uint64_t *)ctx += length;
    return 0;
}

static void fill_facts(const struct place *place, rbd_image_t image, const char *image_id_text,
                       struct info *info)
{
    snprintf(info->path, sizeof info->path, "%s%s%s/%s", place->pool, *place->space ? "/" : "", place->space,
             place->image);
    snprintf(info->id, sizeof info->id, "%s/%lld/%s", place->driver->fsid,
             (long long)rados_ioctx_get_id(place->io), image_id_text);
    info->info.path = info->path;
    info->info.id = info->id;
    info->info.used_bytes = NACRE_UNKNOWN;
    struct timespec created;
    if (rbd_get_create_timestamp(image, &created) == 0)
        info->info.created_ns = (int64_t)created.tv_sec * 1000000000 + created.tv_nsec;
}

static int describe(const struct place *place, bool whole, struct info **out, struct nacre_err *e)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    CLEANUP(info_free) struct info *info = calloc(1, sizeof *info);
    char id[IMAGE_ID_SIZE];
    if (!info)
        return err_no_memory(e, "a volume's description");
    if (image_open(place, NULL, false, &image, e) < 0 || image_id(place, image, id, e) < 0)
        /* cppcheck-suppress memleak; info is freed by scope */
        return -1;
    fill_facts(place, image, id, info);
    if (fill_properties(place, image, info, e) < 0)
        return -1;
    if (whole) {
        size_t watchers;
        if (image_metadata_each(place, image, add_metadata, info, e) < 0)
            return -1;
        if (image_watchers(image, &watchers, info->watchers, sizeof info->watchers) == 0 && watchers)
            info->info.in_use_by = info->watchers;
        uint64_t used = 0; /* cheap with the map: nothing but the map is read */
        if (image_map_valid(image) &&
            rbd_diff_iterate2(image, NULL, 0, info->info.bytes, false, true, sum_up, &used) >= 0)
            info->info.used_bytes = used;
    }
    *out = MOVE(info);
    return 0;
}

static int get(struct nacre_driver *base, const char *path, struct nacre_volume_info **out,
               struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    struct info *info;
    if (place_open(rbd_driver_of(base), path, true, &place, e) < 0 || describe(&place, true, &info, e) < 0)
        return -1;
    *out = &info->info;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const rbd_image_spec_t *)a)->name, ((const rbd_image_spec_t *)b)->name);
}

/* One image of a listing: 1 = stop. One that is gone meanwhile is left out, one that is broken said so. */
static int list_one(const struct place *place, const char *name, nacre_volume_entry *entry, void *ctx)
{
    struct place one = *place;
    CLEANUP(info_free) struct info *info = NULL;
    struct nacre_err e;
    if (!strncmp(name, ASIDE_PREFIX, strlen(ASIDE_PREFIX)))
        return 0;
    if (strlen(name) >= sizeof one.image) {
        log_warning("rbd/%s/%s/%.60s…: its name is too long for nacre", place->driver->cluster_name,
                    place->pool, name);
        return 0;
    }
    memcpy(one.image, name, strlen(name) + 1);
    if (describe(&one, false, &info, &e) == 0)
        return entry(ctx, &info->info) != 0;
    if (e.code != NACRE_ABSENT)
        log_warning("not listed: %s", e.message);
    return 0;
}

static int list(struct nacre_driver *base, const char *prefix, nacre_volume_entry *entry, void *ctx,
                struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    rbd_image_spec_t *specs = NULL;
    size_t count = 0;
    if (!*prefix)
        return err_set(e, NACRE_INVALID, "rbd/%s: name the pool to list: rbd/%s/pool[/namespace]",
                       rbd_driver_of(base)->cluster_name, rbd_driver_of(base)->cluster_name);
    if (place_open(rbd_driver_of(base), prefix, false, &place, e) < 0)
        return -1;
    bool there = true;
    int error = *place.space ? rbd_namespace_exists(place.io, place.space, &there) : 0;
    if (error < 0)
        return place_fail(&place, error, e, "cannot find the namespace");
    if (!there)
        return err_set(e, NACRE_ABSENT, "rbd/%s/%s: the pool has no namespace \"%s\"",
                       place.driver->cluster_name, prefix, place.space);
    if (place_images(&place, &specs, &count, e) < 0)
        return -1;
    qsort(specs, count, sizeof *specs, by_name);
    for (size_t i = 0; i < count && list_one(&place, specs[i].name, entry, ctx) == 0; i++)
        ;
    rbd_image_spec_list_cleanup(specs, count);
    free(specs);
    return 0;
}

static int capacity(struct nacre_driver *base, const char *prefix, struct nacre_capacity *out,
                    struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    CLEANUP(mem_free) char *answer = NULL;
    char pool_path[PATH_SIZE];
    snprintf(pool_path, sizeof pool_path, "%.*s", (int)strcspn(prefix, "/"), prefix);
    if (place_open(rbd_driver_of(base), pool_path, false, &place, e) < 0 ||
        mon_command(place.driver, "{\"prefix\":\"df\",\"format\":\"json\"}", &answer, e) < 0)
        return -1;
    json_t *json = json_loads(answer, 0, NULL);
    size_t i;
    json_t *pool;
    bool found = false;
    json_array_foreach(json_object_get(json, "pools"), i, pool)
    {
        const char *name = json_string_value(json_object_get(pool, "name"));
        json_t *stats = json_object_get(pool, "stats"), *available = json_object_get(stats, "max_avail"),
               *used = json_object_get(stats, "stored");
        if (!name || strcmp(name, place.pool) != 0 || !json_is_integer(available))
            continue;
        if (!json_is_integer(used))
            used = json_object_get(stats, "bytes_used");
        out->available_bytes = (uint64_t)json_integer_value(available);
        out->used_bytes = (uint64_t)json_integer_value(used);
        out->total_bytes = out->available_bytes + out->used_bytes;
        found = true;
    }
    json_decref(json);
    return found ? 0
                 : err_set(e, NACRE_FAILED, "rbd/%s/%s: the cluster does not tell the pool's space",
                           place.driver->cluster_name, place.pool);
}

static int expand(struct nacre_driver *base, const char *path, uint64_t bytes, struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    CLEANUP(image_close) rbd_image_t image = NULL;
    uint64_t now;
    if (place_open(rbd_driver_of(base), path, true, &place, e) < 0 ||
        image_open(&place, NULL, true, &image, e) < 0)
        return -1;
    int error = rbd_get_size(image, &now);
    if (error < 0)
        return place_fail(&place, error, e, "cannot tell its size");
    if (bytes < now)
        return err_set(e, NACRE_INVALID,
                       PLACE_FORMAT " has %" PRIu64 " bytes and can only grow: %" PRIu64 " is no size for it",
                       PLACE_ARGS(&place), now, bytes);
    error = bytes == now ? 0 : rbd_resize2(image, bytes, false, NULL, NULL);
    return error < 0 ? place_fail(&place, error, e, "cannot grow it") : 0;
}

static int set_metadata(struct nacre_driver *base, const char *path, const char *key, const char *value,
                        struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    CLEANUP(image_close) rbd_image_t image = NULL;
    if (place_open(rbd_driver_of(base), path, true, &place, e) < 0 ||
        image_open(&place, NULL, false, &image, e) < 0)
        return -1;
    return image_metadata_set(&place, image, key, value, e);
}

static int get_metadata(struct nacre_driver *base, const char *path, const char *key, char *buf,
                        size_t buf_size, struct nacre_err *e)
{
    CLEANUP(place_close) struct place place = {0};
    CLEANUP(image_close) rbd_image_t image = NULL;
    CLEANUP(mem_free) char *value = NULL;
    if (place_open(rbd_driver_of(base), path, true, &place, e) < 0 ||
        image_open(&place, NULL, false, &image, e) < 0)
        return -1;
    int found = image_metadata_get(&place, image, key, &value, e);
    if (found < 0)
        return -1;
    if (!found)
        return err_set(e, NACRE_ABSENT, PLACE_FORMAT " has no metadata \"%.100s\"", PLACE_ARGS(&place), key);
    if (strlen(value) >= buf_size)
        return err_set(e, NACRE_INVALID, PLACE_FORMAT ": metadata \"%.100s\" has %zu bytes, more than %zu",
                       PLACE_ARGS(&place), key, strlen(value) + 1, buf_size);
    memcpy(buf, value, strlen(value) + 1);
    return 0;
}

const struct nacre_lifecycle_ops rbd_lifecycle = {
    .size = sizeof(struct nacre_lifecycle_ops),
    .create = rbd_volume_create,
    .clone = rbd_volume_clone,
    .expand = expand,
    .remove = rbd_volume_remove,
    .get = get,
    .free_info = free_info,
    .list = list,
    .capacity = capacity,
    .set_metadata = set_metadata,
    .get_metadata = get_metadata,
    .snapshot_create = rbd_volume_snapshot_create,
    .snapshot_list = rbd_volume_snapshot_list,
    .snapshot_remove = rbd_volume_snapshot_remove,
    .group_snapshot_create = rbd_volume_group_snapshot_create,
};

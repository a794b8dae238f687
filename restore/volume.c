/* SPDX-License-Identifier: Apache-2.0 */
/* A whole volume, safely interrupted.
 *
 * The mark (RESTORE_UNFINISHED_KEY) is on the volume from before its first byte is written until after the
 * last one is durable: a new volume is created with it, an existing one gets it once it is open for writing.
 * So what a kill leaves is either untouched, or absent, or marked; and a marked volume can be taken up again:
 * what arrived is compared and stays, the rest is fetched.
 *
 * Properties and metadata come from the tags of the backup, that is, from the repository: they are the
 * driver's to refuse. Keys of nacre's own are never taken from there. */
#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "restore/image.h"
#include "restore/run.h"

#define OPTIONS_MAX 4096
#define OWN_KEYS "nacre."

/* What a restore is about to do. */
struct plan_of_volume {
    const struct snapshot *snapshot;
    struct nacre_driver *driver;
    const struct volume_ref *target;
    const struct restore_volume_options *options;
    char name[VOLUME_REF_SIZE]; /* the target, for messages */
    char mark[ID_HEX_SIZE];     /* the snapshot's id */
    uint64_t bytes;             /* of the image */
    bool create;                /* there is no volume yet */
    bool look;                  /* there is one, which an earlier run of this restore may have finished */
};

/* Keys and values for the driver. Keys cut out of tags are owned, all else is borrowed. */
struct options {
    struct nacre_option *items;
    char **keys;
    size_t count, key_count, capacity;
};

static inline void options_free_at(struct options *options)
{
    for (size_t i = 0; i < options->key_count; i++)
        free(options->keys[i]);
    free(options->keys);
    free(options->items);
}

static int options_room(struct options *options, size_t count, struct nacre_err *e)
{
    options->items = calloc(count + 1, sizeof *options->items);
    options->keys = calloc(count + 1, sizeof *options->keys);
    options->capacity = count;
    return options->items && options->keys ? 0 : err_no_memory(e, "a volume's properties");
}

/* The tags `<prefix><key>=<value>`. */
static int add_tags(struct options *options, const struct snapshot *snapshot, const char *prefix,
                    struct nacre_err *e)
{
    size_t skip = strlen(prefix);
    for (size_t i = 0; i < snapshot->tag_count; i++) {
        const char *key = snapshot->tags[i] + skip, *equals;
        if (strncmp(snapshot->tags[i], prefix, skip) != 0 || !(equals = strchr(key, '=')) || equals == key ||
            strncmp(key, OWN_KEYS, strlen(OWN_KEYS)) == 0)
            continue;
        char *copy = strndup(key, (size_t)(equals - key));
        if (!copy)
            return err_no_memory(e, "a volume's properties");
        snapshot_tag_key_decode(copy);
        options->keys[options->key_count++] = copy;
        options->items[options->count++] = (struct nacre_option){copy, equals + 1};
    }
    return 0;
}

/* Puts one over those of the backup; an empty value drops it. */
static void override(struct options *options, const struct nacre_option *with)
{
    size_t kept = 0;
    for (size_t i = 0; i < options->count; i++)
        if (strcmp(options->items[i].key, with->key) != 0)
            options->items[kept++] = options->items[i];
    options->count = kept;
    if (with->value && *with->value)
        options->items[options->count++] = *with;
}

/* What the new volume is made with. From a volume of another driver comes nothing but the size. */
static int gather(const struct plan_of_volume *plan, struct options *properties, struct options *metadata,
                  struct nacre_err *e)
{
    const struct snapshot *snapshot = plan->snapshot;
    const struct restore_volume_options *options = plan->options;
    const char *driver = snapshot_tag_value(snapshot, "driver");
    bool same_driver = driver && !strcmp(driver, plan->target->driver);
    if (snapshot->tag_count > OPTIONS_MAX)
        return err_set(e, NACRE_CORRUPT, "its snapshot has %zu tags: refused", snapshot->tag_count);
    if (options_room(properties, snapshot->tag_count + options->property_count, e) < 0 ||
        options_room(metadata, snapshot->tag_count + 1, e) < 0)
        return -1;
    if (same_driver && (add_tags(properties, snapshot, "property.", e) < 0 ||
                        add_tags(metadata, snapshot, "metadata.", e) < 0))
        return -1;
    for (size_t i = 0; i < options->property_count; i++)
        override(properties, &options->properties[i]);
    metadata->items[metadata->count++] = (struct nacre_option){RESTORE_UNFINISHED_KEY, plan->mark};
    return 0;
}

/* A property that was taken over and may be what the cluster refused. */
static const char *suspect(const struct plan_of_volume *plan, const struct options *properties)
{
    for (size_t i = 0; i < properties->count; i++) {
        bool own = false;
        for (size_t j = 0; j < plan->options->property_count; j++)
            own |= !strcmp(plan->options->properties[j].key, properties->items[i].key);
        if (!own && !strcmp(properties->items[i].key, "data-pool"))
            return properties->items[i].value;
    }
    return NULL;
}

static int create(const struct plan_of_volume *plan, struct nacre_err *e)
{
    __attribute__((cleanup(options_free_at))) struct options properties = {0}, metadata = {0};
    if (gather(plan, &properties, &metadata, e) < 0)
        return -1;
    const struct nacre_volume_spec spec = {.bytes = plan->bytes,
                                           .properties = properties.items,
                                           .property_count = properties.count,
                                           .metadata = metadata.items,
                                           .metadata_count = metadata.count};
    if (plan->driver->lifecycle->create(plan->driver, plan->target->path, &spec, e) == 0)
        return 0;
    const char *pool = suspect(plan, &properties);
    if (pool && (e->code == NACRE_ABSENT || e->code == NACRE_INVALID)) {
        enum nacre_code code = e->code;
        return err_set(
            e, code,
            "creating %s: %.500s; the backup was of an image with data pool \"%s\": pass --property "
            "data-pool=POOL for another one, or --property data-pool= for none",
            plan->name, e->message, pool);
    }
    if (properties.count && e->code == NACRE_INVALID)
        return err_wrap(e,
                        "creating %s (--property KEY=VALUE replaces a property of the backup, KEY= drops it)",
                        plan->name);
    return err_wrap(e, "creating %s", plan->name);
}

static int exists(const struct plan_of_volume *plan, struct nacre_err *e)
{
    return err_set(
        e, NACRE_EXISTS,
        "%s exists already; pass --overwrite to restore over it, or --volume-mapping to restore to "
        "another volume",
        plan->name);
}

/* An existing volume: may it be filled, or looked at? */
static int admit(struct plan_of_volume *plan, uint64_t bytes, struct nacre_err *e)
{
    char mark[ID_HEX_SIZE + 1];
    const char *name = plan->name;
    int marked = plan->driver->lifecycle->get_metadata(plan->driver, plan->target->path,
                                                       RESTORE_UNFINISHED_KEY, mark, sizeof mark, e);
    if (marked < 0 && e->code != NACRE_ABSENT && e->code != NACRE_INVALID)
        return err_wrap(e, "looking at %s", name);
    bool unfinished = marked == 0 || e->code == NACRE_INVALID; /* invalid: longer than any mark of ours */
    bool ours = marked == 0 && !strcmp(mark, plan->mark);
    if (ours)
        log_info("%s holds an unfinished restore of this backup: going on with it", name);
    else if (unfinished && !plan->options->overwrite)
        return err_set(
            e, NACRE_EXISTS,
            "%s exists and holds an unfinished restore of another backup (snapshot %.8s); finish or "
            "delete that first, or pass --overwrite",
            name, marked == 0 ? mark : "?");
    plan->look = !ours && !plan->options->overwrite && plan->options->again && bytes >= plan->bytes;
    if (plan->look)
        return 0;
    if (!ours && !plan->options->overwrite)
        return exists(plan, e);
    if (bytes < plan->bytes)
        return err_set(e, NACRE_INVALID,
                       "%s has %" PRIu64 " bytes, the backup %" PRIu64
                       "; `nacre volume expand %s --size %" PRIu64 "` makes it large enough",
                       name, bytes, plan->bytes, name, plan->bytes);
    return 0;
}

/* Makes the volume, or makes sure that the one that is there may be filled. */
static int prepare(struct plan_of_volume *plan, struct nacre_err *e)
{
    const struct nacre_lifecycle_ops *lifecycle = plan->driver->lifecycle;
    struct nacre_volume_info *info = NULL;
    if (lifecycle->get(plan->driver, plan->target->path, &info, e) == 0) {
        uint64_t bytes = info->bytes;
        lifecycle->free_info(plan->driver, info);
        return admit(plan, bytes, e);
    }
    if (e->code != NACRE_ABSENT)
        return err_wrap(e, "looking at %s", plan->name);
    plan->create = true;
    return create(plan, e);
}

/* The volume is open for writing. */
static int fill(const struct plan_of_volume *plan, struct repo *repo, struct index *index,
                struct image *image, struct nacre_block *block, struct restore_progress *progress,
                struct restore_stats *stats, struct nacre_err *e)
{
    struct restore_options engine = plan->options->engine;
    engine.target_is_zero = plan->create;
    engine.compare = !plan->create;
    if (!plan->create && plan->driver->lifecycle->set_metadata(plan->driver, plan->target->path,
                                                               RESTORE_UNFINISHED_KEY, plan->mark, e) < 0)
        return err_wrap(e, "marking %s as unfinished", plan->name);
    if (restore_to_block(repo, index, image, plan->driver, block, &engine, progress, stats, e) < 0)
        return err_wrap(e, "%s is marked as unfinished (run the same restore again to go on with it)",
                        plan->name);
    return 0;
}

/* A success when the volume is the image already. */
static int look(const struct plan_of_volume *plan, struct repo *repo, struct index *index,
                struct image *image, struct restore_progress *progress, struct restore_stats *stats,
                struct nacre_err *e)
{
    struct nacre_driver *driver = plan->driver;
    struct nacre_block *block = NULL;
    bool same;
    if (driver->block->open(driver, plan->target->path, NULL, NACRE_BLOCK_READ, &block, e) < 0)
        return err_wrap(e, "opening %s to compare it", plan->name);
    int result = restore_compare_block(repo, index, image, driver, block, &plan->options->engine, progress,
                                       stats, &same, e);
    driver->block->close(block);
    if (result < 0)
        return err_wrap(e, "comparing %s", plan->name);
    if (!same)
        return exists(plan, e);
    log_info("%s holds this backup already: an earlier run finished it", plan->name);
    return 0;
}

static int restore(struct plan_of_volume *plan, struct repo *repo, struct index *index, struct image *image,
                   struct restore_progress *progress, struct restore_stats *stats, struct nacre_err *e)
{
    struct nacre_driver *driver = plan->driver;
    struct nacre_block *block = NULL;
    if (prepare(plan, e) < 0)
        return -1;
    if (plan->look)
        return look(plan, repo, index, image, progress, stats, e);
    if (driver->block->open(driver, plan->target->path, NULL, NACRE_BLOCK_WRITE, &block, e) < 0)
        return err_wrap(e, "opening %s for writing", plan->name);
    int result = fill(plan, repo, index, image, block, progress, stats, e);
    driver->block->close(block);
    if (result < 0)
        return -1;
    if (driver->lifecycle->set_metadata(driver, plan->target->path, RESTORE_UNFINISHED_KEY, NULL, e) < 0)
        return err_wrap(e, "%s is restored, but still marked as unfinished; run the same restore again",
                        plan->name);
    return 0;
}

/* The tag says how large the volume was; an image of another size is not that volume. */
static int check_size(const struct snapshot *snapshot, const struct image *image, struct nacre_err *e)
{
    const char *tag = snapshot_tag_value(snapshot, "volume-bytes");
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%" PRIu64, image_bytes(image));
    if (tag && strcmp(tag, bytes) != 0)
        return err_set(e, NACRE_CORRUPT,
                       "the backup was of a volume of %.30s bytes, but holds an image of %s", tag, bytes);
    return 0;
}

int restore_volume(struct repo *repo, struct index *index, const struct snapshot *snapshot,
                   const char *image_path, struct nacre_driver *driver, const struct volume_ref *target,
                   const struct restore_volume_options *options, struct restore_progress *progress,
                   struct restore_stats *stats, struct nacre_err *e)
{
    struct plan_of_volume plan = {
        .snapshot = snapshot, .driver = driver, .target = target, .options = options};
    CLEANUP(image_free) struct image *image = NULL;
    volume_ref_format(target, plan.name);
    id_format(&snapshot->id, plan.mark);
    if (stats)
        *stats = (struct restore_stats){0};
    if (target->snap[0])
        return err_set(e, NACRE_INVALID, "%s is a snapshot, which cannot be written", plan.name);
    if (!driver->lifecycle || !driver->block)
        return err_set(e, NACRE_UNSUPPORTED, "volumes of driver %s cannot be restored as block volumes",
                       target->driver);
    if (image_open(repo, index, snapshot, image_path, &image, e) < 0)
        return -1;
    plan.bytes = image_bytes(image);
    if (!image_path && check_size(snapshot, image, e) < 0)
        return -1;
    return restore(&plan, repo, index, image, progress, stats, e);
}

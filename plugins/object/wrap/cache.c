/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapper `cache`: keeps on this machine what of a repository is read again and again.
 *
 * Options: directory, id (a directory of this location's in it), max-bytes (default 2 GiB). It is the
 * outermost wrapper: what it has needs no request.
 *
 * What is kept: index files and snapshots, known by their names (…/index/ID, …/snapshots/ID), when they are
 * read whole or written; and packs …/data/xx/ID that are read with get_kept or written with put_kept: those
 * of trees. Of such a pack the whole is fetched at the first read, since its neighbours are wanted next and
 * only the whole can be proven right. Everything else passes through: keys, config and locks, which must be
 * what the store has; data, which nobody reads twice; and whether an object is there (stat, list). So an
 * object that somebody else removed may still be read here, by those who know its name.
 *
 * All these names are the SHA-256 of the content. What does not hash to its name is delivered as the store
 * sent it, for the repository to judge, and not kept; what is damaged in the cache is taken from the store
 * again, from the byte on where the damage was met, and nobody notices.
 *
 * repository/index_cache.h keeps the index on this machine, too: put together, in the form in which blobs are
 * looked up in it, and it reads only those index files that it does not cover. This cache saves the
 * download of those: what this machine wrote itself, and all of them when the local index is made anew.
 *
 * Any number of processes may use one directory: see cache_dir.c and cache_entry.c. */
#include "cache.h"

#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "common/option.h"

struct cache {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    struct cache_dir dir;
};

enum kind {
    PASSES,      /* not for the cache */
    ALWAYS,      /* an index file or a snapshot */
    WHEN_WANTED, /* a pack */
};

/* Whether the path (which ends at `end`) ends in "/word", or is it. */
static bool ends_in(const char *path, const char *end, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(end - path) >= size && !memcmp(end - size, word, size) &&
           (end - size == path || end[-(ptrdiff_t)size - 1] == '/');
}

static enum kind kind_of(const char *name, const char **hex)
{
    const char *slash = strrchr(name, '/');
    if (!slash || strspn(slash + 1, "0123456789abcdef") != CACHE_HEX_SIZE - 1 || slash[CACHE_HEX_SIZE])
        return PASSES;
    *hex = slash + 1;
    if (ends_in(name, slash, "index") || ends_in(name, slash, "snapshots"))
        return ALWAYS;
    return slash - name >= 7 && slash[-3] == '/' && !memcmp(slash - 2, *hex, 2) &&
                   ends_in(name, slash - 3, "data")
               ? WHEN_WANTED
               : PASSES;
}

static void cache_close(struct nacre_object_store *base)
{
    struct cache *cache = (struct cache *)base;
    cache->inner->ops->close(cache->inner);
    cache_dir_close(&cache->dir);
    free(cache);
}

/* --- reading --- */

/* A read that goes to the cache and to the caller at once. */
struct tee {
    nacre_sink *sink; /* NULL = to the cache only */
    void *ctx;
    struct cache_draft draft;
};

static int tee_take(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct tee *tee = ctx;
    cache_draft_add(&tee->draft, data, len);
    if (tee->sink)
        return tee->sink(tee->ctx, data, len, e);
    /* Nobody but the cache wants it: no use in going on without. */
    return tee->draft.fd < 0 ? err_set(e, NACRE_FAILED, "it cannot be kept") : 0;
}

/* Fetches the whole object, for the cache and for the sink, unless that is NULL. */
static int fetch(struct cache *cache, const char *name, const char *hex, nacre_sink *sink, void *ctx,
                 struct nacre_err *e)
{
    struct tee tee = {.sink = sink, .ctx = ctx};
    cache_draft_begin(&tee.draft, &cache->dir, hex);
    int result = -1;
    if (sink || tee.draft.fd >= 0)
        result = cache->inner->ops->get(cache->inner, name, 0, NACRE_TO_END, tee_take, &tee, e);
    if (result == 0)
        cache_draft_finish(&tee.draft);
    cache_draft_end(&tee.draft);
    return result;
}

/* Delivers as much as the cache has, in order; *offset and *length become what is missing. True when nothing
 * is. False with a result of -1 when the sink failed. */
static bool deliver(struct cache *cache, const char *hex, uint64_t *offset, uint64_t *length,
                    nacre_sink *sink, void *ctx, int *result, struct nacre_err *e)
{
    struct cache_entry entry;
    *result = 0;
    if (!cache_entry_open(&cache->dir, hex, &entry))
        return false;
    uint64_t sent = 0, wanted = 0;
    bool within = *offset <= entry.size; /* the store says what is wrong with a range that is not */
    if (within)
        wanted = *length == NACRE_TO_END ? entry.size - *offset : *length;
    within = within && wanted <= entry.size - *offset;
    if (within)
        *result = cache_entry_send(&entry, *offset, wanted, sink, ctx, &sent, e);
    cache_entry_close(&entry);
    if (*result == 0 && within && sent < wanted) {
        log_info("the cache in %s was damaged: object %s is fetched again", cache->dir.path, hex);
        cache_entry_remove(&cache->dir, hex);
    }
    *offset += sent;
    if (*length != NACRE_TO_END)
        *length -= sent;
    return *result == 0 && within && sent == wanted;
}

static int cache_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                     nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct cache *cache = (struct cache *)base;
    const char *hex;
    int result;
    if (kind_of(name, &hex) != ALWAYS)
        return cache->inner->ops->get(cache->inner, name, offset, length, sink, ctx, e);
    if (deliver(cache, hex, &offset, &length, sink, ctx, &result, e) || result < 0)
        return result;
    if (offset == 0 && length == NACRE_TO_END)
        return fetch(cache, name, hex, sink, ctx, e);
    return cache->inner->ops->get(cache->inner, name, offset, length, sink, ctx, e);
}

static int cache_get_kept(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                          nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct cache *cache = (struct cache *)base;
    const char *hex;
    int result;
    if (kind_of(name, &hex) != WHEN_WANTED)
        return cache_get(base, name, offset, length, sink, ctx, e);
    if (deliver(cache, hex, &offset, &length, sink, ctx, &result, e) || result < 0)
        return result;
    /* Whatever keeps the whole from being kept, the part that is wanted may still be good. */
    if (fetch(cache, name, hex, NULL, NULL, e) < 0 && e->code == NACRE_CANCELLED)
        return -1;
    if (deliver(cache, hex, &offset, &length, sink, ctx, &result, e) || result < 0)
        return result;
    return cache->inner->ops->get(cache->inner, name, offset, length, sink, ctx, e);
}

/* --- writing --- */

/* Keeps what was written. */
static void keep(struct cache *cache, const char *hex, const struct nacre_input *input)
{
    if (!cache_dir_takes(&cache->dir, input->size))
        return;
    CLEANUP(mem_free) uint8_t *block = input->data ? NULL : malloc(CACHE_BLOCK);
    CLEANUP(cache_draft_end) struct cache_draft draft;
    cache_draft_begin(&draft, &cache->dir, hex);
    for (uint64_t offset = 0; offset < input->size && draft.fd >= 0;) {
        uint64_t left = input->size - offset;
        size_t part = left < CACHE_BLOCK ? (size_t)left : CACHE_BLOCK;
        struct nacre_err ignored;
        if (!input->data && (!block || input->read(input->ctx, offset, block, part, &ignored) < 0))
            return;
        cache_draft_add(&draft, input->data ? (const uint8_t *)input->data + offset : block, part);
        offset += part;
    }
    cache_draft_finish(&draft);
}

/* What the cache has under a name that is written again may be another content, of somebody who did not name
 * it by its hash: it goes first. */
static int write_through(struct cache *cache, bool kept, const char *name, const struct nacre_input *input,
                         int (*put)(struct nacre_object_store *store, const char *name,
                                    const struct nacre_input *input, struct nacre_err *e),
                         struct nacre_err *e)
{
    const char *hex;
    enum kind kind = kind_of(name, &hex);
    if (kind != PASSES)
        cache_entry_remove(&cache->dir, hex);
    if (put(cache->inner, name, input, e) < 0)
        return -1;
    if (kind == ALWAYS || (kind == WHEN_WANTED && kept))
        keep(cache, hex, input);
    return 0;
}

static int cache_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e)
{
    struct cache *cache = (struct cache *)base;
    return write_through(cache, false, name, input, cache->inner->ops->put, e);
}

static int cache_put_kept(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                          struct nacre_err *e)
{
    struct cache *cache = (struct cache *)base;
    return write_through(cache, true, name, input, cache->inner->ops->put, e);
}

static int cache_put_if_absent(struct nacre_object_store *base, const char *name,
                               const struct nacre_input *input, struct nacre_err *e)
{
    struct cache *cache = (struct cache *)base;
    return write_through(cache, false, name, input, cache->inner->ops->put_if_absent, e);
}

static int cache_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct cache *cache = (struct cache *)base;
    const char *hex;
    if (kind_of(name, &hex) != PASSES)
        cache_entry_remove(&cache->dir, hex);
    return cache->inner->ops->remove(cache->inner, name, e);
}

/* --- what the store knows best --- */

static int cache_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
                      struct nacre_err *e)
{
    struct cache *cache = (struct cache *)base;
    return cache->inner->ops->stat(cache->inner, name, out, e);
}

static int cache_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
                      struct nacre_err *e)
{
    struct cache *cache = (struct cache *)base;
    return cache->inner->ops->list(cache->inner, prefix, entry, ctx, e);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = cache_close,
    .put = cache_put,
    .put_if_absent = cache_put_if_absent,
    .get = cache_get,
    .stat = cache_stat,
    .list = cache_list,
    .remove = cache_remove,
    .put_kept = cache_put_kept,
    .get_kept = cache_get_kept,
};

static int cache_wrap(struct nacre_object_store *inner, const struct nacre_config *config,
                      struct nacre_object_store **out, struct nacre_err *e)
{
    log_forward(config->log);
    const char *directory = option_text(config, "directory"), *id = option_text(config, "id");
    uint64_t max_bytes = UINT64_C(2) << 30;
    if (option_number(config, "max-bytes", 0, UINT64_MAX, &max_bytes, e) < 0)
        return err_wrap(e, "cache");
    if (!directory || !*directory)
        return err_set(e, NACRE_INVALID, "cache: option \"directory\" is missing");
    if (!id || strchr(id, '/') || !nacre_object_name_valid(id))
        return err_set(e, NACRE_INVALID,
                       "cache: option \"id\" is \"%.64s\"; expected letters, digits, '.', '_' and '-'",
                       id ? id : "");
    struct cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_no_memory(e, "an object store");
    cache->base.ops = &ops;
    cache->inner = inner;
    if (cache_dir_open(&cache->dir, directory, id, max_bytes, e) < 0) {
        free(cache);
        return -1;
    }
    *out = &cache->base;
    return 0;
}

static const char *const options[] = {"directory", "id", "max-bytes", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "cache",
    .version = NACRE_VERSION,
    .description = "wrapper: keeps index, snapshots and trees on this machine",
    .options = options,
    .wrap = cache_wrap,
};

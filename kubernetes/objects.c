/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of the catalogue. Names are gathered before anything is done with them, as a listing may not
 * see what is removed meanwhile, and their number is bounded. */
#include "kubernetes/objects.h"

#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "kubernetes/catalogue.h"
#include "kubernetes/gzip.h"
#include "plugins/store.h"

#define PACKED_MAX (64u << 20)
#define JSON_MAX (128u << 20)
#define LOG_MAX (256u << 20)
#define NAMES_MAX 1000000

int objects_put_gzip(struct nacre_object_store *store, const char *name, const void *data, size_t size,
                     struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf packed = {0};
    if (gzip_pack(data, size, &packed, e) < 0)
        return err_wrap(e, "object %s", name);
    return store_put(store, name, packed.data, packed.size, e);
}

int objects_put_gzip_json(struct nacre_object_store *store, const char *name, const json_t *value,
                          struct nacre_err *e)
{
    CLEANUP(mem_free) char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    if (!text)
        return err_no_memory(e, name);
    return objects_put_gzip(store, name, text, strlen(text), e);
}

int objects_get_gzip(struct nacre_object_store *store, const char *name, size_t limit, struct buf *out,
                     struct nacre_err *e)
{
    size_t start = out->size;
    for (bool again = false;; again = true) { /* once more: it may have been harmed on the way */
        CLEANUP(buf_free) struct buf packed = {0};
        if (store_get(store, name, PACKED_MAX, &packed, e) < 0)
            return -1;
        if (gzip_unpack(packed.data, packed.size, limit, out, e) == 0)
            return 0;
        if (again || e->code != NACRE_CORRUPT)
            return err_wrap(e, "object %s", name);
        out->size = start;
    }
}

int objects_get_log(struct nacre_object_store *store, const char *name, struct buf *out, struct nacre_err *e)
{
    int result = objects_get_gzip(store, name, LOG_MAX, out, e);
    return result < 0 && e->code == NACRE_ABSENT ? 0 : result;
}

int objects_get_gzip_json(struct nacre_object_store *store, const char *name, json_t **out,
                          struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf text = {0};
    if (objects_get_gzip(store, name, JSON_MAX, &text, e) < 0)
        return -1;
    if (json_parse_object(text.data, text.size, JSON_MAX, out, e) < 0)
        return err_wrap(e, "object %s", name);
    return 0;
}

void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct names){0};
}

static int names_add(struct names *names, const char *name, size_t size, struct nacre_err *e)
{
    if (names->count == NAMES_MAX)
        return err_set(e, NACRE_INVALID, "more than %d entries", NAMES_MAX);
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 64;
        char **items = realloc(names->items, capacity * sizeof *items);
        if (!items)
            return err_no_memory(e, "a list of names");
        names->items = items;
        names->capacity = capacity;
    }
    char *copy = strndup(name, size);
    if (!copy)
        return err_no_memory(e, "a list of names");
    names->items[names->count++] = copy;
    return 0;
}

/* One listing: what it looks for and what it found. */
struct listing {
    const char *top;
    void (*object_of)(const char *entry, char out[OBJECTS_NAME_SIZE]); /* NULL = every object */
    struct names *out;
    struct nacre_err *e;
    bool failed;
};

static int see_object(void *ctx, const struct nacre_object_info *info)
{
    struct listing *listing = ctx;
    const char *name = info->name;
    size_t size = strlen(name);
    if (listing->object_of) {
        const char *directory = name + strlen(listing->top), *slash = strchr(directory, '/');
        size = slash ? (size_t)(slash - directory) : 0;
        char entry[CATALOGUE_NAME_MAX + 1], wanted[OBJECTS_NAME_SIZE];
        struct nacre_err ignored;
        if (!size || size > CATALOGUE_NAME_MAX)
            return 0;
        snprintf(entry, sizeof entry, "%.*s", (int)size, directory);
        if (catalogue_name_check(entry, &ignored) < 0)
            return 0;
        listing->object_of(entry, wanted);
        if (strcmp(name, wanted) != 0)
            return 0;
        name = directory;
    }
    listing->failed = names_add(listing->out, name, size, listing->e) < 0;
    return listing->failed;
}

static int list(struct nacre_object_store *store, struct listing *listing)
{
    if (store_list(store, listing->top, see_object, listing, listing->e) < 0)
        return -1;
    return listing->failed ? err_wrap(listing->e, "listing %s", listing->top) : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int objects_entries(struct nacre_object_store *store, const char *top,
                    void (*object_of)(const char *entry, char out[OBJECTS_NAME_SIZE]), struct names *out,
                    struct nacre_err *e)
{
    struct listing listing = {.top = top, .object_of = object_of, .out = out, .e = e};
    if (list(store, &listing) < 0)
        return -1;
    /* "a-b/…" sorts before "a/…", the name "a-b" after "a". */
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, compare_names);
    return 0;
}

int objects_remove_all(struct nacre_object_store *store, const char *prefix, size_t *removed,
                       struct nacre_err *e)
{
    CLEANUP(names_free) struct names names = {0};
    struct listing listing = {.top = prefix, .out = &names, .e = e};
    if (list(store, &listing) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (store_remove(store, names.items[i], e) == 0)
            ++*removed;
        else if (e->code != NACRE_ABSENT)
            return -1;
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The small files of a repository: names, listing, reading, writing.
 *
 * The name of a file is the hash of its stored bytes, so that a damaged one is known before its seal is even
 * looked at. Files are written once and never changed. */
#include <string.h>

#include "common/err.h"
#include "plugins/store.h"
#include "repository/key_file.h"
#include "repository/repo_internal.h"
#include "repository/unpacked.h"

struct file_kind {
    const char *directory;
    const char *word;
    size_t size_max; /* of the JSON; what is stored is a little more at most */
};

static const struct file_kind kinds[] = {
    [REPO_KEY] = {"keys", "key file", KEY_FILE_SIZE_MAX},
    [REPO_LOCK] = {"locks", "lock", 1 << 20},
    [REPO_INDEX] = {"index", "index file", 512u << 20},
    [REPO_SNAPSHOT] = {"snapshots", "snapshot", 64 << 20},
    [REPO_PACK] = {"data", "pack", 0},
};

/* Bytes that encoding and sealing may add, at worst, to JSON that does not compress. */
static size_t stored_max(enum repo_file type)
{
    return kinds[type].size_max + kinds[type].size_max / 128 + 4096;
}

const char *repo_file_word(enum repo_file type)
{
    return kinds[type].word;
}

static const char *separator(const struct repo *repo)
{
    return *repo->path ? "/" : "";
}

void repo_config_name(const struct repo *repo, char out[REPO_NAME_SIZE])
{
    snprintf(out, REPO_NAME_SIZE, "%s%sconfig", repo->path, separator(repo));
}

void repo_directory(const struct repo *repo, enum repo_file type, char out[REPO_NAME_SIZE])
{
    snprintf(out, REPO_NAME_SIZE, "%s%s%s/", repo->path, separator(repo), kinds[type].directory);
}

void repo_name(const struct repo *repo, enum repo_file type, const struct id *id, char out[REPO_NAME_SIZE])
{
    char hex[ID_HEX_SIZE], shard[4] = "";
    id_format(id, hex);
    if (type == REPO_PACK)
        snprintf(shard, sizeof shard, "%.2s/", hex);
    snprintf(out, REPO_NAME_SIZE, "%s%s%s/%s%s", repo->path, separator(repo), kinds[type].directory, shard,
             hex);
}

struct listing {
    enum repo_file type;
    size_t directory_size;
    repo_file_entry *entry;
    void *ctx;
};

static int list_entry(void *ctx, const struct nacre_object_info *info)
{
    const struct listing *listing = ctx;
    if (strlen(info->name) < listing->directory_size)
        return 0;
    const char *name = info->name + listing->directory_size;
    struct id id;
    if (listing->type == REPO_PACK) {
        if (strlen(name) < 3 || name[2] != '/' || strncmp(name, name + 3, 2) != 0)
            return 0;
        name += 3;
    }
    if (!id_parse(&id, name))
        return 0;
    return listing->entry(listing->ctx, &id, info->size, info->modified_ns);
}

/* Lists the files whose ids begin with `digits`. */
static int list_prefix(struct repo *repo, enum repo_file type, const char *digits, repo_file_entry *entry,
                       void *ctx, struct nacre_err *e)
{
    char name[REPO_NAME_SIZE];
    repo_directory(repo, type, name);
    struct listing listing = {type, strlen(name), entry, ctx};
    size_t used = listing.directory_size;
    if (type == REPO_PACK && strlen(digits) > 2)
        snprintf(name + used, sizeof name - used, "%.2s/%s", digits, digits);
    else
        snprintf(name + used, sizeof name - used, "%s", digits);
    if (store_list(repo->store, name, list_entry, &listing, e) < 0)
        return err_wrap(e, "listing every %s of %s", kinds[type].word, repo->where);
    return 0;
}

int repo_file_list(struct repo *repo, enum repo_file type, repo_file_entry *entry, void *ctx,
                   struct nacre_err *e)
{
    return list_prefix(repo, type, "", entry, ctx, e);
}

static int gather_entry(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    struct file_list *list = ctx;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        void *items = reallocarray(list->items, capacity, sizeof *list->items);
        list->failed = !items;
        if (!items)
            return 1;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = (struct file_entry){*id, size, modified_ns};
    return 0;
}

static int newer_first(const void *a, const void *b)
{
    const struct file_entry *x = a, *y = b;
    if (x->modified_ns != y->modified_ns)
        return x->modified_ns < y->modified_ns ? 1 : -1;
    return id_compare(&x->id, &y->id);
}

int repo_file_gather(struct repo *repo, enum repo_file type, struct file_list *out, struct nacre_err *e)
{
    if (repo_file_list(repo, type, gather_entry, out, e) < 0)
        return -1;
    if (out->failed)
        return err_no_memory(e, "a listing");
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, newer_first);
    return 0;
}

void file_list_free(struct file_list *list)
{
    free(list->items);
    *list = (struct file_list){0};
}

/* Puts "snapshot 0123abcd of URL" in front. */
static int wrap_file(const struct repo *repo, enum repo_file type, const struct id *id, struct nacre_err *e)
{
    char hex[ID_HEX_SIZE];
    id_format(id, hex);
    return err_wrap(e, "%s %s of %s", kinds[type].word, hex, repo->where);
}

static int load_stored(struct repo *repo, enum repo_file type, const struct id *id, struct buf *out,
                       bool *name_fits, struct nacre_err *e)
{
    char name[REPO_NAME_SIZE];
    struct id actual;
    size_t start = out->size;
    repo_name(repo, type, id, name);
    *name_fits = false;
    for (int reads = 0; reads < 2 && !*name_fits; reads++) { /* it may have come to harm on its way only */
        out->size = start;
        if (store_get(repo->store, name, stored_max(type), out, e) < 0)
            return wrap_file(repo, type, id, e);
        id_hash(&actual, out->data ? out->data + start : NULL, out->size - start);
        *name_fits = id_equal(&actual, id);
    }
    return 0;
}

int repo_key_load(struct repo *repo, const struct id *id, struct buf *out, bool *name_fits,
                  struct nacre_err *e)
{
    return load_stored(repo, REPO_KEY, id, out, name_fits, e);
}

static int open_stored(struct repo *repo, enum repo_file type, struct buf *stored, struct buf *out,
                       struct nacre_err *e)
{
    if (stored->size < SEAL_OVERHEAD)
        return err_set(e, NACRE_CORRUPT, "it has %zu bytes, too few to be sealed data", stored->size);
    uint8_t *content = stored->data + 16;
    if (unseal(&repo->key, stored->data, stored->size, content, e) < 0)
        return -1;
    return unpacked_decode(content, stored->size - SEAL_OVERHEAD, kinds[type].size_max, out, e);
}

int repo_file_load(struct repo *repo, enum repo_file type, const struct id *id, struct buf *out,
                   struct nacre_err *e)
{
    if (type == REPO_PACK)
        return err_set(e, NACRE_INVALID, "a pack is not read as a whole");
    CLEANUP(buf_free) struct buf stored = {0};
    bool name_fits = false;
    if (load_stored(repo, type, id, &stored, &name_fits, e) < 0)
        return -1;
    int result = 0;
    if (!name_fits)
        result = err_set(e, NACRE_CORRUPT, "it was altered: its bytes do not fit its name");
    else if (type == REPO_KEY)
        buf_append(out, stored.data, stored.size);
    else
        result = open_stored(repo, type, &stored, out, e);
    if (result == 0 && buf_failed(out))
        result = err_no_memory(e, "its content");
    return result < 0 ? wrap_file(repo, type, id, e) : 0;
}

int repo_file_save(struct repo *repo, enum repo_file type, const void *json, size_t size, struct id *id,
                   struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf stored = {0};
    char name[REPO_NAME_SIZE];
    if (type == REPO_PACK)
        return err_set(e, NACRE_INVALID, "a pack is not written as a small file");
    if (size > kinds[type].size_max)
        return err_set(e, NACRE_INVALID, "a %s of %zu bytes would be too large to be read again",
                       kinds[type].word, size);
    if (type == REPO_KEY)
        buf_append(&stored, json, size);
    else if (unpacked_seal(&repo->key, repo->config.version >= 2, json, size, &stored, e) < 0)
        return -1;
    if (buf_failed(&stored))
        return err_no_memory(e, "a file of the repository");
    id_hash(id, stored.data, stored.size);
    repo_name(repo, type, id, name);
    if (store_put(repo->store, name, stored.data, stored.size, e) < 0)
        return wrap_file(repo, type, id, e);
    return 0;
}

int repo_file_remove(struct repo *repo, enum repo_file type, const struct id *id, struct nacre_err *e)
{
    char name[REPO_NAME_SIZE];
    repo_name(repo, type, id, name);
    return store_remove(repo->store, name, e) < 0 ? wrap_file(repo, type, id, e) : 0;
}

struct finding {
    const char *digits;
    size_t digit_count;
    size_t found;
    struct id id;
};

static int find_entry(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    (void)size, (void)modified_ns;
    struct finding *finding = ctx;
    char hex[ID_HEX_SIZE];
    id_format(id, hex);
    if (strncmp(hex, finding->digits, finding->digit_count) != 0)
        return 0;
    finding->id = *id;
    return ++finding->found > 1;
}

int repo_file_find(struct repo *repo, enum repo_file type, const char *prefix, struct id *out,
                   struct nacre_err *e)
{
    struct finding finding = {.digits = prefix, .digit_count = strnlen(prefix, ID_HEX_SIZE)};
    if (!finding.digit_count || finding.digit_count >= ID_HEX_SIZE ||
        prefix[strspn(prefix, "0123456789abcdef")])
        return err_set(e, NACRE_INVALID, "\"%.80s\" is not the beginning of an id (hexadecimal digits)",
                       prefix);
    if (list_prefix(repo, type, prefix, find_entry, &finding, e) < 0)
        return -1;
    if (!finding.found)
        return err_set(e, NACRE_ABSENT, "%s has no %s %s", repo->where, kinds[type].word, prefix);
    if (finding.found > 1)
        return err_set(e, NACRE_INVALID, "%s has several a %s could mean by %s; give more digits",
                       repo->where, kinds[type].word, prefix);
    *out = finding.id;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: making, saving, loading, listing, finding. A snapshot is written once and never changed; what is
 * changed (tags) becomes a new one. */
#include "repository/snapshot.h"

#include <string.h>

#include "common/ahead.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "repository/snapshot_json.h"

struct snapshot *snapshot_new(void)
{
    return calloc(1, sizeof(struct snapshot));
}

static void free_list(char **items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i]);
    free(items);
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    free_list(snapshot->paths, snapshot->path_count);
    free_list(snapshot->excludes, snapshot->exclude_count);
    free_list(snapshot->tags, snapshot->tag_count);
    free(snapshot->hostname);
    free(snapshot->username);
    free(snapshot->program_version);
    free(snapshot->summary_json);
    free(snapshot);
}

static int add(char ***items, size_t *count, const char *text, struct nacre_err *e)
{
    CLEANUP(mem_free) char *copy = strdup(text);
    char **larger = realloc(*items, (*count + 1) * sizeof(char *));
    if (larger)
        *items = larger;
    if (!larger || !copy)
        return err_no_memory(e, "a snapshot");
    larger[(*count)++] = MOVE(copy);
    /* cppcheck-suppress memleak; it belongs to the list now */
    return 0;
}

int snapshot_add_path(struct snapshot *snapshot, const char *path, struct nacre_err *e)
{
    return add(&snapshot->paths, &snapshot->path_count, path, e);
}

int snapshot_add_tag(struct snapshot *snapshot, const char *tag, struct nacre_err *e)
{
    return add(&snapshot->tags, &snapshot->tag_count, tag, e);
}

void snapshot_tag_key_append(struct buf *out, const char *key)
{
    for (; *key; key++) {
        if (*key == '=' || *key == '%')
            buf_printf(out, "%%%02X", (unsigned)*key);
        else
            buf_char(out, *key);
    }
}

void snapshot_tag_key_decode(char *key)
{
    char *to = key;
    for (; *key; key++, to++) {
        bool equals = !strncmp(key, "%3D", 3), percent = !strncmp(key, "%25", 3);
        *to = equals ? '=' : percent ? '%' : *key;
        key += equals || percent ? 2 : 0;
    }
    *to = 0;
}

const char *snapshot_tag_value(const struct snapshot *snapshot, const char *key)
{
    size_t size = strlen(key);
    for (size_t i = 0; i < snapshot->tag_count; i++)
        if (!strncmp(snapshot->tags[i], key, size) && snapshot->tags[i][size] == '=')
            return snapshot->tags[i] + size + 1;
    return NULL;
}

int snapshot_save(struct repo *repo, struct snapshot *snapshot, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    snapshot_json(&json, snapshot);
    if (buf_failed(&json))
        return err_no_memory(e, "a snapshot");
    if (repo_file_save(repo, REPO_SNAPSHOT, json.data, json.size, &snapshot->id, e) < 0)
        return err_wrap(e, "writing the snapshot");
    return 0;
}

int snapshot_load(struct repo *repo, const struct id *id, struct snapshot **out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    if (repo_file_load(repo, REPO_SNAPSHOT, id, &json, e) < 0)
        return -1;
    if (snapshot_parse(json.data, json.size, out, e) < 0) {
        char hex[ID_HEX_SIZE];
        id_format(id, hex);
        return err_wrap(e, "snapshot %.16s", hex);
    }
    (*out)->id = *id;
    return 0;
}

int snapshot_remove(struct repo *repo, const struct id *id, struct nacre_err *e)
{
    return repo_file_remove(repo, REPO_SNAPSHOT, id, e);
}

static int on_file(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    (void)size;
    (void)modified_ns;
    buf_append(ctx, id, sizeof *id);
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct snapshot *x = *(struct snapshot *const *)a, *y = *(struct snapshot *const *)b;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return id_compare(&x->id, &y->id);
}

struct loading {
    struct repo *repo;
    const struct id *ids;
    struct snapshot_list *list;
    size_t damaged;      /* that many were left out, */
    struct nacre_err *e; /* the last for this */
};

static int load_one(void *ctx, size_t i, void **result, struct nacre_err *e)
{
    const struct loading *loading = ctx;
    struct snapshot *snapshot = NULL;
    if (cancel_check(e) < 0 || snapshot_load(loading->repo, &loading->ids[i], &snapshot, e) < 0)
        return -1;
    *result = snapshot;
    return 0;
}

static void drop_one(void *snapshot)
{
    snapshot_free(snapshot);
}

static int add_one(void *ctx, size_t i, void *snapshot, const struct nacre_err *error)
{
    struct loading *loading = ctx;
    (void)i;
    if (snapshot) {
        loading->list->items[loading->list->count++] = snapshot;
        return 0;
    }
    if (error->code == NACRE_ABSENT) /* removed since it was listed */
        return 0;
    *loading->e = *error;
    if (error->code != NACRE_CORRUPT)
        return -1;
    loading->damaged++;
    log_warning("%s: left out; run nacre repo check", error->message);
    return 0;
}

int snapshot_list_load(struct repo *repo, struct snapshot_list *out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf ids = {0};
    CLEANUP(snapshot_list_free) struct snapshot_list list = {0};
    if (repo_file_list(repo, REPO_SNAPSHOT, on_file, &ids, e) < 0)
        return err_wrap(e, "listing the snapshots of %s", repo_where(repo));
    size_t count = ids.size / sizeof(struct id);
    list.items = calloc(count + 1, sizeof(struct snapshot *));
    if (!list.items || buf_failed(&ids))
        return err_no_memory(e, "the list of snapshots");
    struct loading loading = {.repo = repo, .ids = (const void *)ids.data, .list = &list, .e = e};
    const struct ahead job = {
        .count = count, .work = load_one, .take = add_one, .drop = drop_one, .ctx = &loading};
    if (ahead_run(&job, e) < 0)
        return -1;
    if (loading.damaged && !list.count)
        return err_wrap(e, "none of the %zu snapshots of %s can be read", loading.damaged, repo_where(repo));
    qsort(list.items, list.count, sizeof(struct snapshot *), by_time);
    *out = list;
    list = (struct snapshot_list){0};
    return 0;
}

void snapshot_list_free(struct snapshot_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        snapshot_free(list->items[i]);
    free(list->items);
    *list = (struct snapshot_list){0};
}

static int find_latest(struct repo *repo, struct snapshot **out, struct nacre_err *e)
{
    CLEANUP(snapshot_list_free) struct snapshot_list list = {0};
    if (snapshot_list_load(repo, &list, e) < 0)
        return -1;
    if (!list.count)
        return err_set(e, NACRE_ABSENT, "no snapshots in %s", repo_where(repo));
    *out = list.items[--list.count];
    return 0;
}

int snapshot_find(struct repo *repo, const char *what, struct snapshot **out, struct nacre_err *e)
{
    struct id id;
    if (!strcmp(what, "latest"))
        return find_latest(repo, out, e);
    if (repo_file_find(repo, REPO_SNAPSHOT, what, &id, e) < 0)
        return -1;
    return snapshot_load(repo, &id, out, e);
}

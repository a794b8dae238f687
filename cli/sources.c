/* SPDX-License-Identifier: Apache-2.0 */
/* Resolving BACKUP. A name in the catalogue goes before a snapshot id of the same spelling. */
#include "cli/sources.h"

#include <string.h>

#include "cli/backup_document.h"
#include "cli/mapping.h"
#include "common/err.h"
#include "common/log.h"
#include "kubernetes/catalogue.h"

void sources_free(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        free(sources->items[i].volume);
        free(sources->items[i].image_path);
        snapshot_free(sources->items[i].snapshot);
    }
    free(sources->items);
    free(sources->name);
    *sources = (struct sources){0};
}

const char **sources_volumes(const struct sources *sources)
{
    const char **volumes = calloc(sources->count + 1, sizeof *volumes);
    for (size_t i = 0; volumes && i < sources->count; i++)
        volumes[i] = sources->items[i].volume;
    return volumes;
}

/* Adds one; takes the snapshot over. */
static int add(struct sources *sources, const char *volume, bool native, struct snapshot *snapshot,
               struct nacre_err *e)
{
    struct source *grown = reallocarray(sources->items, sources->count + 1, sizeof *grown);
    char *copy = strdup(volume);
    if (grown)
        sources->items = grown;
    if (!grown || !copy) {
        free(copy);
        snapshot_free(snapshot);
        return err_no_memory(e, "the volumes of the backup");
    }
    char *at = native ? strrchr(copy, '@') : NULL;
    if (at)
        *at = 0; /* the snapshot that was read is not part of where it goes */
    sources->items[sources->count++] =
        (struct source){.volume = copy, .native = native, .snapshot = snapshot};
    return 0;
}

static int add_volume(struct repo *repo, const json_t *volume, struct sources *out, struct nacre_err *e)
{
    const char *name = document_text(volume, "volume"), *id_text = document_text(volume, "snapshot");
    struct id id;
    struct snapshot *snapshot;
    struct volume_ref ref;
    if (strcmp(document_text(volume, "phase"), "Completed") != 0) {
        out->failed++;
        log_warning("%s is not in the backup: it failed", name);
        return 0;
    }
    if (volume_ref_parse(name, &ref, e) < 0 || !id_parse(&id, id_text))
        return err_set(e, NACRE_CORRUPT, "its catalogue entry names no volume or no repository snapshot");
    if (snapshot_load(repo, &id, &snapshot, e) < 0)
        return err_wrap(e, "%s", name);
    return add(out, name, true, snapshot, e);
}

static int from_backup(struct repo *repo, const struct catalogue_backup *backup, struct sources *out,
                       struct nacre_err *e)
{
    const json_t *volumes = document_volumes(backup->details);
    if (!volumes)
        return err_set(
            e, NACRE_UNSUPPORTED,
            "it was not made by nacre; restore one of its repository snapshots by id (nacre repo list "
            "snapshots)");
    const char *repository = document_text(backup->details, "repository");
    if (strcmp(repository, repo_id(repo)) != 0)
        return err_set(e, NACRE_INVALID, "it lies in repository %.12s, and this is %.12s; pass --repository",
                       repository, repo_id(repo));
    for (size_t i = 0; i < json_array_size(volumes); i++)
        if (add_volume(repo, json_array_get(volumes, i), out, e) < 0)
            return -1;
    if (!out->count)
        return err_set(e, NACRE_ABSENT, "it holds no volume (%s)", backup->phase_text);
    out->name = strdup(backup->name);
    return out->name ? 0 : err_no_memory(e, "the backup");
}

static int from_snapshot(struct repo *repo, const char *what, struct sources *out, struct nacre_err *e)
{
    struct snapshot *snapshot;
    if (snapshot_find(repo, what, &snapshot, e) < 0)
        return -1;
    const char *volume = snapshot_tag_value(snapshot, "volume");
    struct volume_ref ref;
    struct nacre_err ignored;
    bool native = volume && volume_ref_parse(volume, &ref, &ignored) == 0;
    return add(out, native ? volume : snapshot->path_count ? snapshot->paths[0] : "/", native, snapshot, e);
}

int sources_find(struct location *location, struct repo *repo, const char *backup, struct sources *out,
                 struct nacre_err *e)
{
    struct catalogue_backup *entry = NULL;
    struct nacre_err unused;
    if (!catalogue_name_check(backup, &unused)) {
        if (!catalogue_backup_read(location->store, backup, &entry, e)) {
            int result = from_backup(repo, entry, out, e);
            catalogue_backup_free(entry);
            return result < 0 ? err_wrap(e, "backup \"%s\"", backup) : 0;
        }
        if (e->code != NACRE_ABSENT)
            return -1;
    }
    if (!from_snapshot(repo, backup, out, e))
        return 0;
    /* What is no digits of an id was meant to be a backup. */
    if (strcmp(backup, "latest") != 0 && strspn(backup, "0123456789abcdef") != strlen(backup))
        return err_set(e, NACRE_ABSENT, "there is no backup \"%.200s\" in %s; nacre backup get lists them",
                       backup, location->name);
    if (e->code == NACRE_ABSENT)
        return err_wrap(e, "there is no backup \"%.200s\" in %s, nor a repository snapshot", backup,
                        location->name);
    return -1;
}

/* A snapshot that nacre did not make is one source; its names are paths within it. */
static int select_path(struct sources *sources, const char *const *names, size_t count, struct nacre_err *e)
{
    struct source *source = &sources->items[0];
    if (count != 1)
        return err_set(e, NACRE_INVALID, "one path in the snapshot can be read at a time");
    free(source->image_path);
    free(source->volume);
    source->image_path = strdup(names[0]);
    source->volume = strdup(names[0]);
    return source->image_path && source->volume ? 0 : err_no_memory(e, "the path");
}

int sources_select(struct sources *sources, const char *const *names, size_t count, struct nacre_err *e)
{
    if (!count)
        return 0;
    if (!sources->items[0].native)
        return select_path(sources, names, count, e);
    CLEANUP(mem_free) const char **volumes = sources_volumes(sources);
    CLEANUP(mem_free) bool *keep = calloc(sources->count, sizeof *keep);
    if (!volumes || !keep)
        return err_no_memory(e, "the volumes");
    for (size_t i = 0; i < count; i++) {
        size_t chosen;
        if (mapping_select(names[i], volumes, sources->count, &chosen, e) < 0)
            return -1;
        keep[chosen] = true;
    }
    size_t kept = 0;
    for (size_t i = 0; i < sources->count; i++) {
        struct source item = sources->items[i];
        if (keep[i]) {
            sources->items[kept++] = item;
            continue;
        }
        free(item.volume);
        free(item.image_path);
        snapshot_free(item.snapshot);
    }
    sources->count = kept;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of backups.
 *
 * An entry is written from the inside out: what it refers to, then velero-backup.json by put_if_absent. A
 * writer that dies leaves a directory without that object: no backup for anybody, and the next writer of the
 * name, or a removal, clears it away. */
#include "kubernetes/catalogue.h"

#include <string.h>

#include "common/ahead.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/json.h"
#include "common/log.h"
#include "kubernetes/objects.h"
#include "kubernetes/tar.h"
#include "kubernetes/velero.h"
#include "plugins/store.h"

#define BACKUPS "backups/"
#define ENTRY_MAX (8u << 20)

static bool alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int catalogue_name_check(const char *name, struct nacre_err *e)
{
    size_t size = strlen(name);
    bool good = size >= 1 && size <= CATALOGUE_NAME_MAX;
    for (size_t i = 0; good && i < size; i++) {
        bool edge = i == 0 || i == size - 1 || name[i - 1] == '.' || name[i + 1] == '.';
        good = alphanumeric(name[i]) || (!edge && name[i] == '-') ||
               (name[i] == '.' && i > 0 && i < size - 1 && alphanumeric(name[i - 1]));
    }
    if (good)
        return 0;
    return err_set(
        e, NACRE_INVALID,
        "\"%.60s%s\" cannot be the name of a backup or restore: it must be made of a-z, 0-9, '-' and "
        "'.', each part between dots begin and end with a letter or digit, and have at most %d bytes",
        name, size > 60 ? "…" : "", CATALOGUE_NAME_MAX);
}

const char *catalogue_phase_name(enum catalogue_phase phase)
{
    static const char *const names[] = {
        [CATALOGUE_IN_PROGRESS] = "InProgress",
        [CATALOGUE_COMPLETED] = "Completed",
        [CATALOGUE_PARTIALLY_FAILED] = "PartiallyFailed",
        [CATALOGUE_FAILED] = "Failed",
    };
    return names[phase];
}

void catalogue_backup_free(struct catalogue_backup *backup)
{
    if (!backup)
        return;
    free(backup->name);
    free(backup->phase_text);
    json_decref(backup->details);
    free(backup);
}

static void entry_object(const char *name, char out[OBJECTS_NAME_SIZE])
{
    snprintf(out, OBJECTS_NAME_SIZE, BACKUPS "%s/velero-backup.json", name);
}

static void backup_object(const char *name, const char *suffix, char out[OBJECTS_NAME_SIZE])
{
    snprintf(out, OBJECTS_NAME_SIZE, BACKUPS "%s/%s%s", name, name, suffix);
}

static void details_object(const char *name, const char *uid, char out[OBJECTS_NAME_SIZE])
{
    snprintf(out, OBJECTS_NAME_SIZE, BACKUPS "%s/%s-nacre-%.8s.json.gz", name, name, uid);
}

/* The objects that Velero looks for and that are empty without Kubernetes objects. */
static int write_empty(struct nacre_object_store *store, const char *name, struct nacre_err *e)
{
    static const struct {
        const char *suffix, *text;
    } empty[] = {
        {"-podvolumebackups.json.gz", "[]"}, {"-volumesnapshots.json.gz", "[]"},
        {"-itemoperations.json.gz", "[]"},   {"-csi-volumesnapshotclasses.json.gz", "[]"},
        {"-volumeinfo.json.gz", "[]"},       {"-resource-list.json.gz", "{}"},
    };
    char object[OBJECTS_NAME_SIZE];
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        backup_object(name, empty[i].suffix, object);
        if (objects_put_gzip(store, object, empty[i].text, strlen(empty[i].text), e) < 0)
            return -1;
    }
    return 0;
}

static int write_parts(struct nacre_object_store *store, const struct catalogue_entry *entry, const char *uid,
                       struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    CLEANUP(buf_free) struct buf tar = {0};
    backup_object(entry->name, ".tar.gz", object);
    if (tar_without_resources(entry->started_ns, &tar, e) < 0 ||
        objects_put_gzip(store, object, tar.data, tar.size, e) < 0 || write_empty(store, entry->name, e) < 0)
        return -1;
    backup_object(entry->name, "-logs.gz", object);
    if (objects_put_gzip(store, object, entry->log ? entry->log : "", entry->log ? entry->log_size : 0, e) <
        0)
        return -1;
    CLEANUP(json_value_free) json_t *results = velero_results_document(entry->errors, entry->warnings);
    backup_object(entry->name, "-results.gz", object);
    if (objects_put_gzip_json(store, object, results, e) < 0)
        return -1;
    details_object(entry->name, uid, object);
    return entry->details ? objects_put_gzip_json(store, object, entry->details, e) : 0;
}

static int taken(const char *name, struct nacre_err *e)
{
    return err_set(e, NACRE_EXISTS,
                   "there is already a backup \"%s\"; choose another name, or delete that one first", name);
}

int catalogue_backup_write(struct nacre_object_store *store, const struct catalogue_entry *entry,
                           struct nacre_err *e)
{
    char uid[UID_SIZE], object[OBJECTS_NAME_SIZE];
    bool exists;
    if (catalogue_backup_exists(store, entry->name, &exists, e) < 0)
        return -1;
    if (exists)
        return taken(entry->name, e);
    if (velero_uid_new(uid, e) < 0 || write_parts(store, entry, uid, e) < 0)
        return err_wrap(e, "writing the entry of backup \"%s\"", entry->name);
    CLEANUP(json_value_free) json_t *document = velero_backup_document(entry, uid);
    CLEANUP(mem_free) char *text = document ? json_dumps(document, JSON_INDENT(2)) : NULL;
    if (!text)
        return err_no_memory(e, "the entry of a backup");
    entry_object(entry->name, object);
    if (store_put_if_absent(store, object, text, strlen(text), e) == 0)
        return 0;
    if (e->code != NACRE_EXISTS)
        return err_wrap(e, "writing the entry of backup \"%s\"", entry->name);
    /* Another writer was first; take back what only we refer to. */
    struct nacre_err ignored;
    details_object(entry->name, uid, object);
    if (entry->details)
        (void)store_remove(store, object, &ignored);
    return taken(entry->name, e);
}

/* velero-backup.json alone. */
static int read_entry(struct nacre_object_store *store, const char *name, struct catalogue_backup **out,
                      char uid[UID_SIZE], struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    entry_object(name, object);
    for (bool again = false;; again = true) { /* once more: it may have been harmed on the way */
        CLEANUP(buf_free) struct buf text = {0};
        if (store_get(store, object, ENTRY_MAX, &text, e) < 0)
            return -1;
        if (velero_backup_parse(&text, name, out, uid, e) == 0)
            return 0;
        if (again || e->code != NACRE_CORRUPT)
            return err_wrap(e, "object %s", object);
    }
}

static int absent(const char *name, struct nacre_err *e)
{
    return err_set(e, NACRE_ABSENT, "there is no backup \"%s\"; `nacre backup get` lists them", name);
}

int catalogue_backup_read(struct nacre_object_store *store, const char *name, struct catalogue_backup **out,
                          struct nacre_err *e)
{
    char uid[UID_SIZE], object[OBJECTS_NAME_SIZE];
    CLEANUP(catalogue_backup_free) struct catalogue_backup *backup = NULL;
    if (catalogue_name_check(name, e) < 0)
        return -1;
    if (read_entry(store, name, &backup, uid, e) < 0)
        return e->code == NACRE_ABSENT ? absent(name, e) : err_wrap(e, "backup \"%s\"", name);
    details_object(name, uid, object);
    bool ours = strspn(uid, "0123456789abcdef") >= 8; /* else it could not be an object's name */
    if (ours && objects_get_gzip_json(store, object, &backup->details, e) < 0 && e->code != NACRE_ABSENT)
        return err_wrap(e, "backup \"%s\"", name);
    *out = MOVE(backup);
    return 0;
}

int catalogue_backup_exists(struct nacre_object_store *store, const char *name, bool *exists,
                            struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    struct nacre_object_info info;
    if (catalogue_name_check(name, e) < 0)
        return -1;
    entry_object(name, object);
    *exists = store_stat(store, object, &info, e) == 0;
    return *exists || e->code == NACRE_ABSENT ? 0 : err_wrap(e, "looking for backup \"%s\"", name);
}

struct listing {
    struct nacre_object_store *store;
    const struct names *names;
    int (*entry)(void *ctx, const struct catalogue_backup *backup);
    void *ctx;
    struct nacre_err *e;
};

static int read_listed(void *ctx, size_t i, void **result, struct nacre_err *e)
{
    const struct listing *listing = ctx;
    struct catalogue_backup *backup = NULL;
    char uid[UID_SIZE];
    if (cancel_check(e) < 0 || read_entry(listing->store, listing->names->items[i], &backup, uid, e) < 0)
        return -1;
    *result = backup;
    return 0;
}

static void drop_listed(void *backup)
{
    catalogue_backup_free(backup);
}

static int take_listed(void *ctx, size_t i, void *result, const struct nacre_err *error)
{
    const struct listing *listing = ctx;
    CLEANUP(catalogue_backup_free) struct catalogue_backup *backup = result;
    if (backup)
        return listing->entry(listing->ctx, backup) ? 1 : 0;
    if (error->code == NACRE_ABSENT) /* removed meanwhile */
        return 0;
    if (error->code != NACRE_CORRUPT) {
        *listing->e = *error;
        return err_wrap(listing->e, "listing the backups");
    }
    log_warning("backup \"%s\" is left out: %s", listing->names->items[i], error->message);
    return 0;
}

int catalogue_backup_each(struct nacre_object_store *store,
                          int (*entry)(void *ctx, const struct catalogue_backup *backup), void *ctx,
                          struct nacre_err *e)
{
    CLEANUP(names_free) struct names names = {0};
    if (objects_entries(store, BACKUPS, entry_object, &names, e) < 0)
        return err_wrap(e, "listing the backups");
    struct listing listing = {store, &names, entry, ctx, e};
    const struct ahead job = {
        .count = names.count, .work = read_listed, .take = take_listed, .drop = drop_listed, .ctx = &listing};
    return ahead_run(&job, e) < 0 ? -1 : 0;
}

int catalogue_backup_log(struct nacre_object_store *store, const char *name, struct buf *out,
                         struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    bool exists;
    if (catalogue_backup_exists(store, name, &exists, e) < 0)
        return -1;
    if (!exists)
        return absent(name, e);
    backup_object(name, "-logs.gz", object);
    return objects_get_log(store, object, out, e) < 0 ? err_wrap(e, "the log of backup \"%s\"", name) : 0;
}

int catalogue_backup_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    size_t removed = 0;
    if (catalogue_name_check(name, e) < 0)
        return -1;
    entry_object(name, object);
    if (store_remove(store, object, e) == 0)
        removed++;
    else if (e->code != NACRE_ABSENT)
        return err_wrap(e, "removing backup \"%s\"", name);
    snprintf(object, sizeof object, BACKUPS "%s/", name);
    if (objects_remove_all(store, object, &removed, e) < 0)
        return err_wrap(e, "backup \"%s\" is removed, but not all that lay beside its entry; repeat this",
                        name);
    return removed ? 0 : absent(name, e);
}

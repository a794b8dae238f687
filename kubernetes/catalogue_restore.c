/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of restores. A record is one object, replaced whole: a reader sees it as it was when the
 * restore began or as it was when it ended. The log and the results come before the final record, so that a
 * record which says Completed has them. */
#include <string.h>

#include "common/ahead.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/json.h"
#include "common/log.h"
#include "kubernetes/catalogue.h"
#include "kubernetes/objects.h"
#include "kubernetes/velero.h"
#include "plugins/store.h"

#define RESTORES "restores/"

static void record_object(const char *name, char out[OBJECTS_NAME_SIZE])
{
    snprintf(out, OBJECTS_NAME_SIZE, RESTORES "%s/%s-nacre.json.gz", name, name);
}

/* Velero's names: restore-<name>-logs.gz and so on. */
static void restore_object(const char *name, const char *suffix, char out[OBJECTS_NAME_SIZE])
{
    snprintf(out, OBJECTS_NAME_SIZE, RESTORES "%s/restore-%s%s", name, name, suffix);
}

/* What Velero's `restore describe` looks for. */
static int write_for_velero(struct nacre_object_store *store, const char *name, json_t *record,
                            struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    json_t *errors = json_object_get(record, "errors"), *warnings = json_object_get(record, "warnings");
    CLEANUP(json_value_free)
    json_t *results = velero_results_document(json_is_array(errors) ? errors : NULL,
                                              json_is_array(warnings) ? warnings : NULL);
    restore_object(name, "-results.gz", object);
    if (objects_put_gzip_json(store, object, results, e) < 0)
        return -1;
    restore_object(name, "-resource-list.json.gz", object);
    if (objects_put_gzip(store, object, "{}", 2, e) < 0)
        return -1;
    restore_object(name, "-itemoperations.json.gz", object);
    if (objects_put_gzip(store, object, "[]", 2, e) < 0)
        return -1;
    snprintf(object, sizeof object, RESTORES "%s/%s-volumeinfo.json.gz", name, name);
    return objects_put_gzip(store, object, "[]", 2, e);
}

int catalogue_restore_write(struct nacre_object_store *store, const char *name, json_t *record,
                            const char *log, size_t log_size, struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    if (catalogue_name_check(name, e) < 0)
        return -1;
    if (log) {
        restore_object(name, "-logs.gz", object);
        if (objects_put_gzip(store, object, log, log_size, e) < 0 ||
            write_for_velero(store, name, record, e) < 0)
            return err_wrap(e, "writing the record of restore \"%s\"", name);
    }
    record_object(name, object);
    if (objects_put_gzip_json(store, object, record, e) < 0)
        return err_wrap(e, "writing the record of restore \"%s\"", name);
    return 0;
}

static int absent(const char *name, struct nacre_err *e)
{
    return err_set(e, NACRE_ABSENT, "there is no restore \"%s\"; `nacre restore get` lists them", name);
}

int catalogue_restore_read(struct nacre_object_store *store, const char *name, json_t **record,
                           struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    if (catalogue_name_check(name, e) < 0)
        return -1;
    record_object(name, object);
    if (objects_get_gzip_json(store, object, record, e) < 0)
        return e->code == NACRE_ABSENT ? absent(name, e) : err_wrap(e, "restore \"%s\"", name);
    return 0;
}

struct listing {
    struct nacre_object_store *store;
    const struct names *names;
    int (*entry)(void *ctx, const char *name, json_t *record);
    void *ctx;
    struct nacre_err *e;
};

static int read_listed(void *ctx, size_t i, void **result, struct nacre_err *e)
{
    const struct listing *listing = ctx;
    json_t *record = NULL;
    if (cancel_check(e) < 0 ||
        catalogue_restore_read(listing->store, listing->names->items[i], &record, e) < 0)
        return -1;
    *result = record;
    return 0;
}

static void drop_listed(void *record)
{
    json_decref(record);
}

static int take_listed(void *ctx, size_t i, void *result, const struct nacre_err *error)
{
    const struct listing *listing = ctx;
    CLEANUP(json_value_free) json_t *record = result;
    if (record)
        return listing->entry(listing->ctx, listing->names->items[i], record) ? 1 : 0;
    if (error->code == NACRE_ABSENT) /* removed meanwhile */
        return 0;
    if (error->code != NACRE_CORRUPT) {
        *listing->e = *error;
        return err_wrap(listing->e, "listing the restores");
    }
    log_warning("restore \"%s\" is left out: %s", listing->names->items[i], error->message);
    return 0;
}

int catalogue_restore_each(struct nacre_object_store *store,
                           int (*entry)(void *ctx, const char *name, json_t *record), void *ctx,
                           struct nacre_err *e)
{
    CLEANUP(names_free) struct names names = {0};
    if (objects_entries(store, RESTORES, record_object, &names, e) < 0)
        return err_wrap(e, "listing the restores");
    struct listing listing = {store, &names, entry, ctx, e};
    const struct ahead job = {
        .count = names.count, .work = read_listed, .take = take_listed, .drop = drop_listed, .ctx = &listing};
    return ahead_run(&job, e) < 0 ? -1 : 0;
}

int catalogue_restore_log(struct nacre_object_store *store, const char *name, struct buf *out,
                          struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    struct nacre_object_info info;
    if (catalogue_name_check(name, e) < 0)
        return -1;
    record_object(name, object);
    if (store_stat(store, object, &info, e) < 0)
        return e->code == NACRE_ABSENT ? absent(name, e) : err_wrap(e, "restore \"%s\"", name);
    restore_object(name, "-logs.gz", object);
    return objects_get_log(store, object, out, e) < 0 ? err_wrap(e, "the log of restore \"%s\"", name) : 0;
}

int catalogue_restore_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e)
{
    char object[OBJECTS_NAME_SIZE];
    size_t removed = 0;
    if (catalogue_name_check(name, e) < 0)
        return -1;
    record_object(name, object);
    if (store_remove(store, object, e) == 0)
        removed++;
    else if (e->code != NACRE_ABSENT)
        return err_wrap(e, "removing restore \"%s\"", name);
    snprintf(object, sizeof object, RESTORES "%s/", name);
    if (objects_remove_all(store, object, &removed, e) < 0)
        return err_wrap(e, "restore \"%s\" is removed, but not all that lay beside its record; repeat this",
                        name);
    return removed ? 0 : absent(name, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: backups/<name>/ and restores/<name>/ below a location's prefix, in Velero's layout
 * (formatVersion 1.1.0), so that each can read the other's. A backup exists when its velero-backup.json does:
 * it is written last and removed first. What only nacre knows of a backup (its volumes, their figures) lies
 * beside it in <name>-nacre-<first 8 digits of its uid>.json.gz: by the uid, so that of two racing writers
 * the one that loses cannot put its figures into the other's entry.
 *
 * Everything that is read is hostile: sizes, unpacked sizes and the shape are checked, NACRE_CORRUPT names
 * the object. Functions may be called from several threads. */
#ifndef KUBERNETES_CATALOGUE_H
#define KUBERNETES_CATALOGUE_H

#include <jansson.h>
#include <nacre/object_store.h>

#include "common/buf.h"
#include "common/cleanup.h"

/* Names of backups and restores: DNS labels joined by dots ([a-z0-9.-], each beginning and ending with a
 * letter or digit), as Kubernetes wants them, and at most 200 bytes, as they become parts of file names.
 * NACRE_INVALID says so. */
#define CATALOGUE_NAME_MAX 200
int catalogue_name_check(const char *name, struct nacre_err *e);

enum catalogue_phase {
    CATALOGUE_IN_PROGRESS,
    CATALOGUE_COMPLETED,
    CATALOGUE_PARTIALLY_FAILED,
    CATALOGUE_FAILED
};
const char *catalogue_phase_name(enum catalogue_phase phase); /* "Completed", "PartiallyFailed", … */

struct catalogue_backup {
    char *name;
    enum catalogue_phase phase;
    int64_t started_ns, completed_ns, expires_ns; /* 0 = not set */
    size_t errors, warnings;
    char *phase_text; /* as stored, also when it is one of Velero's that is not above */
    json_t *details;  /* nacre's own document: {"volumes":[…]}; NULL for a backup of Velero's */
};
void catalogue_backup_free(struct catalogue_backup *backup);
CLEANUP_DEFINE(struct catalogue_backup *, catalogue_backup_free)

/* Writes all objects of a backup, velero-backup.json last. NACRE_EXISTS when the name is taken (by
 * put_if_absent of that last object, so that of two only one wins). log: the plain text; results: errors and
 * warnings as arrays of strings. */
struct catalogue_entry {
    const char *name;
    enum catalogue_phase phase;
    int64_t started_ns, completed_ns, expires_ns;
    json_t *details; /* borrowed */
    const char *log;
    size_t log_size;
    json_t *errors, *warnings; /* arrays of strings, borrowed */
    const char *location; /* its name, for spec.storageLocation; one that is none (a URL) becomes "default" */
};
int catalogue_backup_write(struct nacre_object_store *store, const struct catalogue_entry *entry,
                           struct nacre_err *e);

/* NACRE_ABSENT when there is none of that name; with details. */
int catalogue_backup_read(struct nacre_object_store *store, const char *name, struct catalogue_backup **out,
                          struct nacre_err *e);
int catalogue_backup_exists(struct nacre_object_store *store, const char *name, bool *exists,
                            struct nacre_err *e);

/* Every backup by name, without details; damaged ones are warnings. Nonzero stops. */
int catalogue_backup_each(struct nacre_object_store *store,
                          int (*entry)(void *ctx, const struct catalogue_backup *backup), void *ctx,
                          struct nacre_err *e);

/* The log's text. */
int catalogue_backup_log(struct nacre_object_store *store, const char *name, struct buf *out,
                         struct nacre_err *e);

/* Removes velero-backup.json first, then the rest of backups/<name>/. Also clears what a killed write left
 * (NACRE_ABSENT only when nothing at all is there). */
int catalogue_backup_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e);

/* Restores: restores/<name>/. The record is written when the restore begins (InProgress, log NULL) and again
 * when it ends, then with the log, and after it. The record is the caller's object; its members "errors" and
 * "warnings", where they are arrays of strings, also become the results that Velero knows. Without a record a
 * restore (such as one of Velero's) is NACRE_ABSENT, and `each` passes over it. */
int catalogue_restore_write(struct nacre_object_store *store, const char *name, json_t *record,
                            const char *log, size_t log_size, struct nacre_err *e);
int catalogue_restore_read(struct nacre_object_store *store, const char *name, json_t **record,
                           struct nacre_err *e);
int catalogue_restore_each(struct nacre_object_store *store,
                           int (*entry)(void *ctx, const char *name, json_t *record), void *ctx,
                           struct nacre_err *e);
int catalogue_restore_log(struct nacre_object_store *store, const char *name, struct buf *out,
                          struct nacre_err *e);
int catalogue_restore_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of a backup in Velero's shape: building them, and reading velero-backup.json. No input or
 * output. */
#ifndef KUBERNETES_VELERO_H
#define KUBERNETES_VELERO_H

#include "kubernetes/catalogue.h"

#define UID_SIZE 37 /* a UUID as text, with its NUL */

/* A random (version 4) UUID. */
int velero_uid_new(char out[UID_SIZE], struct nacre_err *e);

/* velero-backup.json. NULL when out of memory. */
json_t *velero_backup_document(const struct catalogue_entry *entry, const char *uid);

/* {"errors":{"velero":[…]},"warnings":{…}}; arrays of strings, each may be NULL. NULL when out of memory. */
json_t *velero_results_document(json_t *errors, json_t *warnings);

/* Reads velero-backup.json of the backup `name`. uid gets metadata.uid, "" when there is none. NACRE_CORRUPT
 * when it is no Backup, or one of another name. */
int velero_backup_parse(const struct buf *json, const char *name, struct catalogue_backup **out,
                        char uid[UID_SIZE], struct nacre_err *e);

#endif

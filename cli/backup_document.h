/* SPDX-License-Identifier: Apache-2.0 */
/* A backup as a document: what the catalogue keeps of it, and what describe shows. The keys are part of the
 * command line's contract: nacre(1) lists them. */
#ifndef CLI_BACKUP_DOCUMENT_H
#define CLI_BACKUP_DOCUMENT_H

#include <jansson.h>

#include "backup/backup.h"
#include "kubernetes/catalogue.h"

/* {"repository":…,"location":…,"volumes":[…]}: nacre's own part of a catalogue entry. */
json_t *backup_details(const struct backup_result *result, const char *repository_id, const char *location);

/* A catalogue entry as get and describe give it; with all figures of its volumes, or the few that tell what
 * became of them. */
enum backup_detail { BACKUP_LISTED, BACKUP_BRIEF, BACKUP_FULL };
json_t *backup_document(const struct catalogue_backup *backup, enum backup_detail detail);

/* For people. */
void backup_print(const struct catalogue_backup *backup, bool full);

/* Fields of such documents, which may come from anywhere: "" and 0 when they are missing or of another type.
 */
const char *document_text(const json_t *object, const char *key);
uint64_t document_number(const json_t *object, const char *key);
json_t *document_volumes(const json_t *details); /* the array, or NULL; borrowed */

#endif

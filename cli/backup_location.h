/* SPDX-License-Identifier: Apache-2.0 */
/* What the backup-location commands share. */
#ifndef CLI_BACKUP_LOCATION_H
#define CLI_BACKUP_LOCATION_H

#include <jansson.h>

#include "cli/settings.h"

struct cli;

/* The location that an argument names; NACRE_ABSENT, naming those that there are. */
int backup_location_find(struct cli *cli, const char *name, const struct settings_entry **out,
                         struct nacre_err *e);

/* The service that a URL's scheme stands for: "gcs", "azure", "s3", "file", or the scheme. Up to `size`
 * bytes. */
void backup_location_provider(const char *url, char *out, size_t size);

/* The last check of a location, kept in the cache directory: a file that can be deleted at any time. A new
 * reference, or NULL: never checked here, or under another URL. */
json_t *backup_location_last_check(struct cli *cli, const struct settings_entry *entry);
void backup_location_keep_check(struct cli *cli, const struct settings_entry *entry, const json_t *check);

#endif

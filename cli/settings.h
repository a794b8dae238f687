/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: clusters and locations by name, each a flat list of keys. What the keys mean is decided
 * where they are used (cluster.c, location.c) and by the plugins. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <nacre/plugin.h>

#include "common/cleanup.h"

#define SETTINGS_BYTES_MAX (256u << 10)
#define SETTINGS_ENTRIES_MAX 256u /* clusters, and locations */
#define SETTINGS_KEYS_MAX 64u     /* of one of them */
#define SETTINGS_DEPTH_MAX 16     /* mappings and sequences in one another; three have a meaning */

struct settings_entry {
    char *name;
    unsigned line;
    struct nacre_option *options; /* in the order of the file; their strings are the entry's */
    size_t option_count;
};

struct settings {
    char *file; /* NULL: there is none */
    struct settings_entry *clusters, *locations;
    size_t cluster_count, location_count;
};

/* Reads `file`, or when it is NULL the first that exists of $NACRE_CONFIG, ~/.config/nacre/config.yaml and
 * /etc/nacre/config.yaml; none is an empty configuration. NACRE_INVALID: file:line:column, what is wrong,
 * what is expected. NACRE_DENIED: others may write the file, which can name commands to run. */
int settings_load(const char *file, struct settings **out, struct nacre_err *e);

/* Appends the text of one that is open, and stops soon after SETTINGS_BYTES_MAX: one that is too large is
 * refused where it is parsed. */
struct buf;
int settings_read(int fd, const char *file, struct buf *out, struct nacre_err *e);

/* Parses the text of one; `file` is for messages. */
int settings_parse(const void *text, size_t size, const char *file, struct settings **out,
                   struct nacre_err *e);

void settings_free(struct settings *settings);
CLEANUP_DEFINE(struct settings *, settings_free)

const struct settings_entry *settings_cluster(const struct settings *settings, const char *name);
const struct settings_entry *settings_location(const struct settings *settings, const char *name);
const char *settings_value(const struct settings_entry *entry, const char *key); /* NULL = not there */

/* The location that is meant when none is named: the one with `default: true`, else the one that is called
 * default; NULL when there is neither. */
const struct settings_entry *settings_default_location(const struct settings *settings);

/* Its access-mode: ReadWrite unless it says ReadOnly. */
bool settings_read_only(const struct settings_entry *location);

/* True for what can be the name of a cluster or location. */
bool settings_name_valid(const char *name);

/* The file that settings_load reads, or would read if it were there, as a path in which no symbolic link is
 * left when it exists. free() */
int settings_path(const char *file, char **out, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Where plugins are looked for, and which modules lie there. Opens and trusts nothing: see module.h. */
#ifndef PLUGINS_FIND_H
#define PLUGINS_FIND_H

#include <nacre/plugin.h>

#include "common/cleanup.h"

#define PLUGIN_NAME_MAX 64

/* Module names below DIRECTORY/object or DIRECTORY/volume, each with the first directory that has it. */
struct plugin_file {
    char name[PLUGIN_NAME_MAX + 1]; /* without ".so" */
    char *directory;                /* that of the kind: …/plugins/object */
};

struct plugin_files {
    struct plugin_file *items;
    size_t count;
};

void plugin_files_free(struct plugin_files *files);
static inline void plugin_files_free_at(struct plugin_files *files)
{
    plugin_files_free(files);
}

/* All modules of a kind ("object", "volume"), by name. A directory that is not there is an empty one. */
int plugin_files_find(const char *kind, struct plugin_files *out, struct nacre_err *e);

/* The directories that are searched, in order, for people: separated by ", ". */
int plugin_directories_describe(char *out, size_t size, struct nacre_err *e);

/* True for what can be the name of a module: [A-Za-z0-9_-], 1 to PLUGIN_NAME_MAX bytes. */
bool plugin_name_valid(const char *name);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and opening plugins: dlopen on first use, so that a program starts without any of them.
 *
 * Searched: the directories of $NACRE_PLUGIN_PATH, separated by ':', first hit wins; when that is not set,
 * `../libexec/nacre/plugins` beside the program's own directory, else `../plugins` (a build tree). Below them
 * object/NAME.so and volume/NAME.so. The module, its directory and the one above must belong to root or to
 * the caller and be writable by nobody else; NACRE_DENIED otherwise, with what to do.
 * A module of another ABI version is NACRE_UNSUPPORTED. A loaded module stays loaded. Thread-safe. */
#ifndef PLUGINS_LOAD_H
#define PLUGINS_LOAD_H

#include <nacre/object_store.h>
#include <nacre/volume.h>

/* Opens the store of `scheme://…`: the module named after the scheme, or else the one that lists the
 * scheme. `options` are the location's keys. NACRE_ABSENT when no plugin knows the scheme, naming those
 * that are installed. *out: store_close. */
int plugin_open_store(const char *url, const struct nacre_option *options, size_t option_count,
                      struct nacre_object_store **out, struct nacre_err *e);

/* Puts the wrapper `name` around *store, which it replaces. On failure *store is as before. */
int plugin_wrap_store(const char *name, const struct nacre_option *options, size_t option_count,
                      struct nacre_object_store **store, struct nacre_err *e);

/* Opens a driver on a cluster. *out: driver_close. */
int plugin_open_driver(const char *name, const struct nacre_option *options, size_t option_count,
                       struct nacre_driver **out, struct nacre_err *e);
void driver_close(struct nacre_driver *driver); /* NULL is legal */

struct plugin_info {
    const char *kind; /* "object" or "volume" */
    const char *name, *version, *description, *path;
    uint32_t abi;
    const char *schemes; /* comma-separated; "" for none */
    const char *problem; /* why it cannot be used, or NULL; then only kind, name and path are sure */
};

/* Every installed plugin, by kind and name; a broken one too, with its problem. The info is borrowed. entry:
 * 0 to go on, anything else stops, and 0 is returned. */
int plugin_each(int (*entry)(void *ctx, const struct plugin_info *info), void *ctx, struct nacre_err *e);

#endif

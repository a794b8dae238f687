/* SPDX-License-Identifier: Apache-2.0 */
/* One module: checked, opened, its table of functions brought to the host's size. */
#ifndef PLUGINS_MODULE_H
#define PLUGINS_MODULE_H

#include <nacre/object_store.h>
#include <nacre/volume.h>

#include "plugins/find.h"

/* Stays for the life of the process. Functions and strings that the plugin's table does not have are NULL;
 * name, version and description never are. */
struct module {
    struct module *next;
    bool volume; /* else an object store */
    char *path;
    union {
        struct nacre_object_store_plugin store;
        struct nacre_volume_plugin driver;
    };
};

/* Opens the module, or gives the one that is open already. NACRE_DENIED when others could have written it,
 * NACRE_UNSUPPORTED when it is of another ABI version, NACRE_INVALID when it is no plugin of that kind. NULL
 * with *e set. The caller serialises. abi (may be NULL): what the module says of itself, 0 when it was not
 * read. */
const struct module *module_open(bool volume, const struct plugin_file *file, uint32_t *abi,
                                 struct nacre_err *e);

#endif

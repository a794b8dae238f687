/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of the catalogue: named, packed and unpacked; a directory of them listed and removed. */
#ifndef KUBERNETES_OBJECTS_H
#define KUBERNETES_OBJECTS_H

#include <jansson.h>
#include <nacre/object_store.h>

#include "common/buf.h"
#include "common/cleanup.h"

/* gzips and writes an object. */
int objects_put_gzip(struct nacre_object_store *store, const char *name, const void *data, size_t size,
                     struct nacre_err *e);
int objects_put_gzip_json(struct nacre_object_store *store, const char *name, const json_t *value,
                          struct nacre_err *e);

/* Reads an object and unpacks it; appends to out. NACRE_CORRUPT names the object. */
int objects_get_gzip(struct nacre_object_store *store, const char *name, size_t limit, struct buf *out,
                     struct nacre_err *e);

/* The log beside an entry: an entry without one (killed between the two) has an empty log. */
int objects_get_log(struct nacre_object_store *store, const char *name, struct buf *out, struct nacre_err *e);

/* An object that is a JSON object. *out: json_decref. */
int objects_get_gzip_json(struct nacre_object_store *store, const char *name, json_t **out,
                          struct nacre_err *e);

/* A growing list of strings. */
struct names {
    char **items;
    size_t count, capacity;
};
void names_free(struct names *names);
static inline void names_free_at(struct names *names)
{
    names_free(names);
}

/* The names of the directories right below `top` ("backups/") that hold the object which `object_of` names,
 * in byte order. Directories whose names no entry can have are passed over. */
#define OBJECTS_NAME_SIZE (NACRE_OBJECT_NAME_MAX + 1)
int objects_entries(struct nacre_object_store *store, const char *top,
                    void (*object_of)(const char *entry, char out[OBJECTS_NAME_SIZE]), struct names *out,
                    struct nacre_err *e);

/* Removes everything below a prefix; *removed counts. What is already gone is no error. */
int objects_remove_all(struct nacre_object_store *store, const char *prefix, size_t *removed,
                       struct nacre_err *e);

#endif

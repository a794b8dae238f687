/* SPDX-License-Identifier: Apache-2.0 */
/* Conveniences over the object-store ABI: whole objects in memory. Errors name the object. */
#ifndef PLUGINS_STORE_H
#define PLUGINS_STORE_H

#include <nacre/object_store.h>

#include "common/buf.h"
#include "common/cleanup.h"

void store_close(struct nacre_object_store *store); /* NULL is legal */
CLEANUP_DEFINE(struct nacre_object_store *, store_close)

/* Appends the whole object to out; NACRE_CORRUPT when it has more than `limit` bytes. Reads twice when the
 * store says that what came is not what lies there. */
int store_get(struct nacre_object_store *store, const char *name, size_t limit, struct buf *out,
              struct nacre_err *e);

/* Exactly length bytes from offset, into data. */
int store_get_range(struct nacre_object_store *store, const char *name, uint64_t offset, size_t length,
                    void *data, struct nacre_err *e);

/* As these, of what will be read again: a cache keeps the whole object. Only for objects that are named by
 * their SHA-256. */
int store_get_range_kept(struct nacre_object_store *store, const char *name, uint64_t offset, size_t length,
                         void *data, struct nacre_err *e);
int store_put_kept(struct nacre_object_store *store, const char *name, const void *data, size_t size,
                   struct nacre_err *e);

int store_put(struct nacre_object_store *store, const char *name, const void *data, size_t size,
              struct nacre_err *e);
int store_put_if_absent(struct nacre_object_store *store, const char *name, const void *data, size_t size,
                        struct nacre_err *e);

/* As the ABI's, with the object's name in the message. store_remove: an absent object is NACRE_ABSENT. */
int store_stat(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
               struct nacre_err *e);
int store_list(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry, void *ctx,
               struct nacre_err *e);
int store_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a location that is ReadOnly: what writes is refused. Commands that write do not get this far;
 * this is so that none that reads can write by the way. */
#ifndef CLI_LOCATION_GUARD_H
#define CLI_LOCATION_GUARD_H

#include <nacre/object_store.h>

/* Puts it around *store. `name` is the location's, for messages. */
int location_guard(const char *name, struct nacre_object_store **store, struct nacre_err *e);

#endif

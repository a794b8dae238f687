/* SPDX-License-Identifier: Apache-2.0 */
/* Memory functions that overwrite what they give back: for libraries that secrets pass through, that free
 * without wiping, and that let a program choose these functions. */
#ifndef COMMON_WIPE_H
#define COMMON_WIPE_H

#include <stddef.h>

/* As free and realloc, of what malloc, calloc, strdup or wipe_realloc gave. */
void wipe_free(void *memory);
void *wipe_realloc(void *memory, size_t size);

/* jansson wipes what it frees from here on, in the whole program, plugins too: to be called before it is
 * first used. */
void wipe_json(void);

#endif

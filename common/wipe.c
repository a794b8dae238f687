/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wipe.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void wipe_free(void *memory)
{
    if (!memory)
        return;
    explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

void *wipe_realloc(void *memory, size_t size)
{
    size_t before = memory ? malloc_usable_size(memory) : 0;
    void *moved = malloc(size ? size : 1);
    if (!moved)
        return NULL;
    if (memory)
        memcpy(moved, memory, before < size ? before : size);
    wipe_free(memory);
    return moved;
}

void wipe_json(void)
{
    json_set_alloc_funcs(malloc, wipe_free);
}

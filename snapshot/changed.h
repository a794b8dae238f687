/* SPDX-License-Identifier: Apache-2.0 */
/* Which chunks of a block volume must be read: the driver's extents, laid over fixed chunks. */
#ifndef SNAPSHOT_CHANGED_H
#define SNAPSHOT_CHANGED_H

#include <nacre/volume.h>

#include "common/cleanup.h"

enum chunk_state {
    CHUNK_HOLE = 0, /* reads as zeros: need not be read */
    CHUNK_SAME = 1, /* as in the base */
    CHUNK_READ = 2, /* holds data, or changed data: read it */
};

/* Two bits a chunk: 16 TiB in chunks of 1 MiB take 4 MiB. */
struct chunk_map;

/* The states of all chunks of an open block volume. base NULL = all allocated data. Errors as the driver's
 * extents: NACRE_ABSENT and NACRE_UNSUPPORTED mean that base cannot be used. A volume that grew since base:
 * the chunk in which base ended is CHUNK_READ. base_bytes: the volume's size at base. */
int chunk_map_new(struct nacre_driver *driver, struct nacre_block *block, const char *base,
                  uint64_t base_bytes, uint32_t chunk_size, struct chunk_map **out, struct nacre_err *e);
void chunk_map_free(struct chunk_map *map);
CLEANUP_DEFINE(struct chunk_map *, chunk_map_free)

enum chunk_state chunk_map_get(const struct chunk_map *map, uint64_t chunk);
uint64_t chunk_map_count(const struct chunk_map *map);
uint64_t chunk_map_count_state(const struct chunk_map *map, enum chunk_state state);

#endif

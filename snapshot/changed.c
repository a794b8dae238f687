/* SPDX-License-Identifier: Apache-2.0 */
/* Lays a driver's extents over chunks, two bits each.
 *
 * When in doubt a chunk is read: CHUNK_READ is never taken back, so whatever order, overlap or splitting the
 * extents come in, the map errs towards reading. A discarded range makes a hole only of chunks that it
 * covers whole; neighbouring discarded extents are joined first, since a backend cuts them at its own
 * objects, which may be smaller than a chunk.
 *
 * The driver is asked window by window, so that a request to stop is heard on a large volume. */
#include "snapshot/changed.h"

#include <string.h>

#include "common/cancel.h"
#include "common/err.h"

#define WINDOW_CHUNKS 65536 /* 64 GiB of 1 MiB chunks */

struct chunk_map {
    uint64_t bytes;
    uint64_t count;
    uint64_t counts[3];
    uint32_t chunk_size;
    uint8_t states[]; /* four to a byte */
};

enum chunk_state chunk_map_get(const struct chunk_map *map, uint64_t chunk)
{
    return (enum chunk_state)(map->states[chunk / 4] >> (chunk % 4 * 2) & 3);
}

static void put(struct chunk_map *map, uint64_t chunk, enum chunk_state state)
{
    unsigned shift = chunk % 4 * 2;
    map->counts[chunk_map_get(map, chunk)]--;
    map->counts[state]++;
    map->states[chunk / 4] = (uint8_t)((map->states[chunk / 4] & ~(3u << shift)) | (unsigned)state << shift);
}

struct scan {
    struct chunk_map *map;
    bool incremental;
    uint64_t discarded_from, discarded_to; /* joined extents without data; empty when equal */
};

static uint64_t chunk_end(const struct chunk_map *map, uint64_t chunk)
{
    uint64_t end = (chunk + 1) * map->chunk_size;
    return end < map->bytes ? end : map->bytes;
}

static void mark_data(struct chunk_map *map, uint64_t from, uint64_t to)
{
    for (uint64_t chunk = from / map->chunk_size; chunk <= (to - 1) / map->chunk_size; chunk++)
        put(map, chunk, CHUNK_READ);
}

static void mark_discarded(struct scan *scan)
{
    struct chunk_map *map = scan->map;
    uint64_t from = scan->discarded_from, to = scan->discarded_to;
    scan->discarded_from = scan->discarded_to = 0;
    if (from == to)
        return;
    for (uint64_t chunk = from / map->chunk_size; chunk <= (to - 1) / map->chunk_size; chunk++) {
        bool whole = from <= chunk * map->chunk_size && chunk_end(map, chunk) <= to;
        if (!whole)
            put(map, chunk, CHUNK_READ);
        else if (chunk_map_get(map, chunk) != CHUNK_READ)
            put(map, chunk, CHUNK_HOLE);
    }
}

static int on_extent(void *ctx, const struct nacre_extent *extent)
{
    struct scan *scan = ctx;
    struct chunk_map *map = scan->map;
    if (cancel_requested())
        return 1;
    if (extent->offset >= map->bytes || !extent->length)
        return 0;
    uint64_t rest = map->bytes - extent->offset;
    uint64_t to = extent->offset + (extent->length < rest ? extent->length : rest);
    if (extent->data) {
        mark_data(map, extent->offset, to);
    } else if (scan->incremental) { /* without a base everything is a hole to begin with */
        if (extent->offset != scan->discarded_to) {
            mark_discarded(scan);
            scan->discarded_from = extent->offset;
        }
        scan->discarded_to = to;
    }
    return 0;
}

/* Before any extent: what is not in one is as in the base, or a hole where the base had nothing. */
static void begin_from_base(struct chunk_map *map, uint64_t base_bytes)
{
    uint64_t common = base_bytes < map->bytes ? base_bytes : map->bytes;
    uint64_t same = common / map->chunk_size;
    bool cut = common % map->chunk_size;
    if (cut && base_bytes == map->bytes)
        same++; /* the last chunk is short in both */
    memset(map->states, CHUNK_SAME * 0x55, same / 4);
    for (uint64_t chunk = same / 4 * 4; chunk < same; chunk++)
        map->states[chunk / 4] |= (uint8_t)(CHUNK_SAME << (chunk % 4 * 2));
    map->counts[CHUNK_SAME] = same;
    map->counts[CHUNK_HOLE] -= same;
    if (cut && base_bytes != map->bytes)
        put(map, common / map->chunk_size, CHUNK_READ); /* has another length than in the base */
}

static int scan_windows(struct scan *scan, struct nacre_driver *driver, struct nacre_block *block,
                        const char *base, struct nacre_err *e)
{
    struct chunk_map *map = scan->map;
    const uint64_t window = (uint64_t)WINDOW_CHUNKS * map->chunk_size;
    for (uint64_t from = 0; from < map->bytes; from += window) {
        uint64_t length = map->bytes - from < window ? map->bytes - from : window;
        if (cancel_check(e) || driver->block->extents(block, base, from, length, on_extent, scan, e) ||
            cancel_check(e))
            return -1;
    }
    mark_discarded(scan);
    return 0;
}

int chunk_map_new(struct nacre_driver *driver, struct nacre_block *block, const char *base,
                  uint64_t base_bytes, uint32_t chunk_size, struct chunk_map **out, struct nacre_err *e)
{
    uint64_t bytes = driver->block->bytes(block);
    if (!chunk_size || bytes > (uint64_t)INT64_MAX)
        return err_set(e, NACRE_INVALID, "cannot cut %llu bytes into chunks of %u", (unsigned long long)bytes,
                       chunk_size);
    uint64_t count = (bytes + chunk_size - 1) / chunk_size;
    CLEANUP(chunk_map_free) struct chunk_map *map = calloc(1, sizeof *map + count / 4 + 1);
    if (!map)
        return err_no_memory(e, "the map of a volume's chunks");
    map->bytes = bytes;
    map->count = map->counts[CHUNK_HOLE] = count;
    map->chunk_size = chunk_size;
    if (base)
        begin_from_base(map, base_bytes);
    struct scan scan = {.map = map, .incremental = base};
    if (scan_windows(&scan, driver, block, base, e))
        return -1;
    *out = MOVE(map);
    return 0;
}

void chunk_map_free(struct chunk_map *map)
{
    free(map);
}

uint64_t chunk_map_count(const struct chunk_map *map)
{
    return map->count;
}

uint64_t chunk_map_count_state(const struct chunk_map *map, enum chunk_state state)
{
    return map->counts[state];
}

/* SPDX-License-Identifier: Apache-2.0 */
/* All-zero chunks. A hole is stored as the id of a chunk of zeros, as restic would store it, so that restic
 * restores it and sees one blob however large the hole. */
#include "backup/zeros.h"

#include <string.h>

#include "common/err.h"

int zeros_init(struct zeros *zeros, uint64_t volume_bytes, uint32_t chunk_size, struct nacre_err *e)
{
    *zeros = (struct zeros){.chunk_size = chunk_size};
    zeros->chunk_count = (volume_bytes + chunk_size - 1) / chunk_size;
    if (!zeros->chunk_count)
        return 0;
    zeros->tail_size = (uint32_t)(volume_bytes - (zeros->chunk_count - 1) * chunk_size);
    CLEANUP(mem_free) void *data = calloc(1, chunk_size);
    if (!data)
        return err_no_memory(e, "a chunk of zeros");
    id_hash(&zeros->full, data, chunk_size);
    id_hash(&zeros->tail, data, zeros->tail_size);
    return 0;
}

static bool is_tail(const struct zeros *zeros, uint64_t chunk)
{
    return chunk + 1 == zeros->chunk_count && zeros->tail_size != zeros->chunk_size;
}

uint32_t zeros_chunk_length(const struct zeros *zeros, uint64_t chunk)
{
    return is_tail(zeros, chunk) ? zeros->tail_size : zeros->chunk_size;
}

const struct id *zeros_id(struct zeros *zeros, uint64_t chunk)
{
    if (is_tail(zeros, chunk)) {
        atomic_store_explicit(&zeros->tail_used, true, memory_order_relaxed);
        return &zeros->tail;
    }
    atomic_store_explicit(&zeros->full_used, true, memory_order_relaxed);
    return &zeros->full;
}

bool zeros_is(const struct zeros *zeros, uint64_t chunk, const struct id *id)
{
    return id_equal(id, is_tail(zeros, chunk) ? &zeros->tail : &zeros->full);
}

bool zeros_only(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    while (size && size % 64) /* the odd rest first, so that the blocks below stay aligned */
        if (bytes[--size])
            return false;
    for (size_t at = 0; at < size; at += 64) {
        uint64_t words[8], any = 0;
        memcpy(words, bytes + at, sizeof words);
        for (size_t i = 0; i < 8; i++)
            any |= words[i];
        if (any)
            return false;
    }
    return true;
}

int zeros_save(struct zeros *zeros, struct writer *writer, struct nacre_err *e)
{
    bool full = atomic_load(&zeros->full_used), tail = atomic_load(&zeros->tail_used), added;
    if (!full && !tail)
        return 0;
    CLEANUP(mem_free) void *data = calloc(1, zeros->chunk_size);
    if (!data)
        return err_no_memory(e, "a chunk of zeros");
    if (full && writer_save(writer, BLOB_DATA, &zeros->full, data, zeros->chunk_size, &added, e))
        return -1;
    return tail ? writer_save(writer, BLOB_DATA, &zeros->tail, data, zeros->tail_size, &added, e) : 0;
}

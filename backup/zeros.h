/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks that are all zeros: their ids are known beforehand, and each length of them is stored once. */
#ifndef BACKUP_ZEROS_H
#define BACKUP_ZEROS_H

#include <stdatomic.h>

#include "repository/writer.h"

/* The two chunk lengths of one volume. `used` is set by whoever puts the id into a list. */
struct zeros {
    struct id full, tail;
    uint64_t chunk_count;
    uint32_t chunk_size;
    uint32_t tail_size; /* length of the last chunk, 1 … chunk_size; 0 in an empty volume */
    atomic_bool full_used, tail_used;
};

int zeros_init(struct zeros *zeros, uint64_t volume_bytes, uint32_t chunk_size, struct nacre_err *e);

/* Bytes of a chunk, and its id if all of them are zero. */
uint32_t zeros_chunk_length(const struct zeros *zeros, uint64_t chunk);
const struct id *zeros_id(struct zeros *zeros, uint64_t chunk); /* marks it as used */
bool zeros_is(const struct zeros *zeros, uint64_t chunk, const struct id *id);

/* True when all bytes are zero. */
bool zeros_only(const void *data, size_t size);

/* Saves the blobs whose ids were used. */
int zeros_save(struct zeros *zeros, struct writer *writer, struct nacre_err *e);

#endif

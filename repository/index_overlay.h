/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs added in this run: a hash table beside the mapped file, some 56 bytes a blob. Not locked here. */
#ifndef REPOSITORY_INDEX_OVERLAY_H
#define REPOSITORY_INDEX_OVERLAY_H

#include "repository/index_file.h"

struct index_overlay {
    struct index_record **chunks; /* of 4096 records each, which never move */
    size_t chunk_count;
    uint32_t count;
    uint32_t *slots; /* record number + 1, 0 = free; open addressing, a power of two, at most 3/4 full */
    uint32_t slot_count;
};

void index_overlay_free(struct index_overlay *overlay);
int index_overlay_add(struct index_overlay *overlay, const struct index_record *record, struct nacre_err *e);
const struct index_record *index_overlay_at(const struct index_overlay *overlay, uint32_t number);

/* The nth (from 0) record of id and type; NULL when there are not that many. */
const struct index_record *index_overlay_find(const struct index_overlay *overlay, enum blob_type type,
                                              const struct id *id, unsigned nth);

/* The numbers of all records in order; NULL when out of memory. free(). */
uint32_t *index_overlay_sorted(const struct index_overlay *overlay);

#endif

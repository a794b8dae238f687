/* SPDX-License-Identifier: Apache-2.0 */
/* The table of blobs added in this run. The first bytes of an id are its hash: ids are SHA-256 sums, which
 * nobody can choose. Duplicates are kept, each in a slot of its own along the same probe. */
#include "repository/index_overlay.h"

#include <string.h>

#include "common/err.h"

#define CHUNK 4096u
#define FIRST_SLOTS 1024u

void index_overlay_free(struct index_overlay *overlay)
{
    for (size_t i = 0; i < overlay->chunk_count; i++)
        free(overlay->chunks[i]);
    free(overlay->chunks);
    free(overlay->slots);
    *overlay = (struct index_overlay){0};
}

const struct index_record *index_overlay_at(const struct index_overlay *overlay, uint32_t number)
{
    return &overlay->chunks[number / CHUNK][number % CHUNK];
}

static uint32_t first_slot(const struct id *id, uint32_t slot_count)
{
    uint32_t hash;
    memcpy(&hash, id->bytes + 4, sizeof hash);
    return hash & (slot_count - 1);
}

static void insert(uint32_t *slots, uint32_t slot_count, const struct id *id, uint32_t number)
{
    uint32_t at = first_slot(id, slot_count);
    while (slots[at])
        at = (at + 1) & (slot_count - 1);
    slots[at] = number + 1;
}

static int grow_slots(struct index_overlay *overlay, struct nacre_err *e)
{
    uint32_t slot_count = overlay->slot_count ? overlay->slot_count * 2 : FIRST_SLOTS;
    uint32_t *slots = slot_count ? calloc(slot_count, sizeof *slots) : NULL;
    if (!slots)
        return err_no_memory(e, "the index of new blobs");
    for (uint32_t i = 0; i < overlay->count; i++)
        insert(slots, slot_count, &index_overlay_at(overlay, i)->id, i);
    free(overlay->slots);
    overlay->slots = slots;
    overlay->slot_count = slot_count;
    return 0;
}

static int grow_records(struct index_overlay *overlay, struct nacre_err *e)
{
    struct index_record **chunks =
        realloc(overlay->chunks, (overlay->chunk_count + 1) * sizeof(struct index_record *));
    if (!chunks)
        return err_no_memory(e, "the index of new blobs");
    overlay->chunks = chunks;
    chunks[overlay->chunk_count] = malloc(CHUNK * sizeof(struct index_record));
    if (!chunks[overlay->chunk_count])
        return err_no_memory(e, "the index of new blobs");
    overlay->chunk_count++;
    return 0;
}

int index_overlay_add(struct index_overlay *overlay, const struct index_record *record, struct nacre_err *e)
{
    if (overlay->count >= overlay->slot_count / 4 * 3 && grow_slots(overlay, e) < 0)
        return -1;
    if (overlay->count == overlay->chunk_count * CHUNK && grow_records(overlay, e) < 0)
        return -1;
    uint32_t number = overlay->count++;
    overlay->chunks[number / CHUNK][number % CHUNK] = *record;
    insert(overlay->slots, overlay->slot_count, &record->id, number);
    return 0;
}

const struct index_record *index_overlay_find(const struct index_overlay *overlay, enum blob_type type,
                                              const struct id *id, unsigned nth)
{
    if (!overlay->slot_count)
        return NULL;
    for (uint32_t at = first_slot(id, overlay->slot_count); overlay->slots[at];
         at = (at + 1) & (overlay->slot_count - 1)) {
        const struct index_record *record = index_overlay_at(overlay, overlay->slots[at] - 1);
        if (!index_record_match(record, type, id) && !nth--)
            return record;
    }
    return NULL;
}

static int compare_numbers(const void *a, const void *b, void *ctx)
{
    const struct index_overlay *overlay = ctx;
    return index_record_compare(index_overlay_at(overlay, *(const uint32_t *)a),
                                index_overlay_at(overlay, *(const uint32_t *)b));
}

uint32_t *index_overlay_sorted(const struct index_overlay *overlay)
{
    uint32_t *numbers = malloc(((size_t)overlay->count + 1) * sizeof *numbers);
    if (!numbers)
        return NULL;
    for (uint32_t i = 0; i < overlay->count; i++)
        numbers[i] = i;
    qsort_r(numbers, overlay->count, sizeof *numbers, compare_numbers, (void *)overlay);
    return numbers;
}

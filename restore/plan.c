/* SPDX-License-Identifier: Apache-2.0 */
/* The plan. An entry takes 64 bytes, so that a window of a quarter of a million takes 16 MiB (and once more
 * while it is sorted); zeros take none.
 *
 * Zeros are known by their id. Its hash is computed for lengths that are powers of two only: those are what
 * block volumes are cut into, and what restic cuts zeros into (512 KiB); a chunk of zeros of another length
 * is fetched like any other and found to be zeros then. */
#include "restore/plan.h"

#include <inttypes.h>
#include <string.h>

#include "common/err.h"

#define ZERO_LENGTH_MAX (16u << 20)

void plan_free(struct plan *plan)
{
    free(plan->entries);
    free(plan->holes);
    *plan = (struct plan){0};
}

/* Room for one more in an array that doubles. */
static int grow(void **items, size_t *capacity, size_t count, size_t size, struct nacre_err *e)
{
    if (count < *capacity)
        return 0;
    size_t larger = *capacity ? 2 * *capacity : 256;
    void *moved = realloc(*items, larger * size);
    if (!moved)
        return err_no_memory(e, "a restore's plan");
    *items = moved;
    *capacity = larger;
    return 0;
}

static int add_entry(struct plan *plan, const struct index_entry *from, uint64_t dest, struct nacre_err *e)
{
    if (grow((void **)&plan->entries, &plan->capacity, plan->count, sizeof *plan->entries, e) < 0)
        return -1;
    plan->entries[plan->count++] =
        (struct plan_entry){.blob = from->blob, .pack = from->pack_number, .dest = dest};
    return 0;
}

static int add_hole(struct plan *plan, uint64_t offset, uint64_t length, struct nacre_err *e)
{
    plan->hole_bytes += length;
    struct plan_range *last = plan->hole_count ? &plan->holes[plan->hole_count - 1] : NULL;
    if (last && last->offset + last->length == offset) {
        last->length += length;
        return 0;
    }
    if (grow((void **)&plan->holes, &plan->hole_capacity, plan->hole_count, sizeof *plan->holes, e) < 0)
        return -1;
    plan->holes[plan->hole_count++] = (struct plan_range){offset, length};
    return 0;
}

static int is_zero(struct plan_cursor *cursor, const struct pack_blob *blob, bool *zero, struct nacre_err *e)
{
    *zero = false;
    if (__builtin_popcount(blob->plain_length) != 1 || blob->plain_length > ZERO_LENGTH_MAX)
        return 0;
    int power = __builtin_ctz(blob->plain_length);
    if (!cursor->zero_known[power]) {
        CLEANUP(mem_free) void *zeros = calloc(1, blob->plain_length);
        if (!zeros)
            return err_no_memory(e, "a chunk of zeros");
        id_hash(&cursor->zero_ids[power], zeros, blob->plain_length);
        cursor->zero_known[power] = true;
    }
    *zero = id_equal(&blob->id, &cursor->zero_ids[power]);
    return 0;
}

/* Sets cursor->last to where the blob is. In a run of one id, such as zeros, it is there already. */
static int look_up(struct plan_cursor *cursor, const struct id *id, struct nacre_err *e)
{
    char hex[ID_HEX_SIZE];
    if (cursor->known && id_equal(id, &cursor->last.blob.id))
        return 0;
    cursor->known = false;
    if (!index_find(cursor->index, BLOB_DATA, id, &cursor->last)) {
        id_format(id, hex);
        return err_set(
            e, NACRE_CORRUPT,
            "%s needs blob %s, which is in no index of the repository: it is lost; `nacre repo check` "
            "tells what else is",
            image_name(cursor->image), hex);
    }
    const struct pack_blob *blob = &cursor->last.blob;
    if (!blob->plain_length || blob->plain_length > BLOB_PLAIN_MAX || blob->length < SEAL_OVERHEAD ||
        blob->length > (uint64_t)blob->plain_length + blob->plain_length / 64 + 4096) {
        id_format(id, hex);
        return err_set(e, NACRE_CORRUPT,
                       "the index says of blob %s that it has %" PRIu32 " bytes, stored in %" PRIu32
                       ": that cannot be",
                       hex, blob->plain_length, blob->length);
    }
    cursor->known = true;
    return is_zero(cursor, blob, &cursor->last_zero, e);
}

/* Goes to the next part when this one is used up; false at the end of the image. */
static int next_part(struct plan_cursor *cursor, bool *more, struct nacre_err *e)
{
    *more = true;
    while (cursor->at == cursor->part.count) {
        if (cursor->next_part && cursor->dest != cursor->part.offset + cursor->part.bytes)
            return err_set(e, NACRE_CORRUPT,
                           "%s: the blobs of a file of %" PRIu64 " bytes have only %" PRIu64,
                           image_name(cursor->image), cursor->part.bytes, cursor->dest - cursor->part.offset);
        if (cursor->next_part == image_part_count(cursor->image)) {
            *more = false;
            return 0;
        }
        if (image_part_load(cursor->image, cursor->next_part, &cursor->part, e) < 0)
            return -1;
        cursor->next_part++;
        cursor->at = 0;
    }
    return 0;
}

int plan_next(struct plan_cursor *cursor, size_t max_entries, uint64_t max_bytes, struct plan *plan,
              struct nacre_err *e)
{
    plan->count = plan->hole_count = 0;
    plan->hole_bytes = 0;
    plan->start = plan->end = cursor->dest;
    while (plan->count < max_entries && plan->hole_count < max_entries) {
        bool more;
        if (next_part(cursor, &more, e) < 0)
            return -1;
        if (!more || look_up(cursor, &cursor->part.ids[cursor->at], e) < 0)
            return more ? -1 : 0;
        uint32_t length = cursor->last.blob.plain_length;
        if (plan->end > plan->start && plan->end - plan->start + length > max_bytes)
            return 0;
        if (length > cursor->part.offset + cursor->part.bytes - cursor->dest)
            return err_set(e, NACRE_CORRUPT, "%s: the blobs of a file of %" PRIu64 " bytes have more",
                           image_name(cursor->image), cursor->part.bytes);
        if (cursor->last_zero ? add_hole(plan, cursor->dest, length, e)
                              : add_entry(plan, &cursor->last, cursor->dest, e))
            return -1;
        cursor->at++;
        cursor->dest += length;
        plan->end = cursor->dest;
    }
    return 0;
}

static int compare_entries(const void *left, const void *right)
{
    const struct plan_entry *a = left, *b = right;
    if (a->pack != b->pack)
        return a->pack < b->pack ? -1 : 1;
    if (a->blob.offset != b->blob.offset)
        return a->blob.offset < b->blob.offset ? -1 : 1;
    return (a->dest > b->dest) - (a->dest < b->dest);
}

void plan_sort(struct plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->entries[i].state != PLAN_SAME)
            plan->entries[kept++] = plan->entries[i];
    plan->count = kept;
    if (kept)
        qsort(plan->entries, kept, sizeof *plan->entries, compare_entries);
}

static bool same_blob(const struct plan_entry *a, const struct plan_entry *b)
{
    return a->pack == b->pack && a->blob.offset == b->blob.offset && a->blob.length == b->blob.length &&
           id_equal(&a->blob.id, &b->blob.id);
}

size_t plan_same_end(const struct plan *plan, size_t first, size_t end)
{
    size_t i = first + 1;
    while (i < end && same_blob(&plan->entries[first], &plan->entries[i]))
        i++;
    return i;
}

uint64_t plan_request_bytes(const struct plan *plan, unsigned connections)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < plan->count; i++)
        bytes += plan->entries[i].blob.length;
    bytes /= (uint64_t)2 * connections;
    if (bytes > PLAN_REQUEST_MAX)
        return PLAN_REQUEST_MAX;
    return bytes > PLAN_REQUEST_MIN ? bytes : PLAN_REQUEST_MIN;
}

size_t plan_request_end(const struct plan *plan, size_t first, uint64_t most)
{
    const struct plan_entry *at = &plan->entries[first];
    uint64_t start = at->blob.offset, end = start + at->blob.length;
    size_t i = plan_same_end(plan, first, plan->count);
    while (i < plan->count) {
        const struct plan_entry *next = &plan->entries[i];
        uint64_t next_end = (uint64_t)next->blob.offset + next->blob.length;
        /* An overlap is nothing that a sound index holds; each then gets a request of its own. */
        if (next->pack != at->pack || next->blob.offset < end || next->blob.offset - end > PLAN_GAP ||
            next_end - start > most)
            break;
        end = next_end;
        i = plan_same_end(plan, i, plan->count);
    }
    return i;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: which bytes of which pack go where in the image, for a window of it. */
#ifndef RESTORE_PLAN_H
#define RESTORE_PLAN_H

#include "restore/image.h"

enum plan_state {
    PLAN_FETCH, /* to be fetched and written */
    PLAN_DATA,  /* the target has data there: compare first */
    PLAN_SAME,  /* the target has these very bytes */
    PLAN_BAD,   /* fetched, and not what it should be */
};

struct plan_entry {
    struct pack_blob blob;
    uint32_t pack; /* its number in the index */
    uint8_t state; /* enum plan_state */
    uint64_t dest; /* offset in the image */
};

struct plan_range {
    uint64_t offset, length;
};

/* [start, end) of the image: entries, and between them holes, both ascending until plan_sort. */
struct plan {
    uint64_t start, end;
    struct plan_entry *entries;
    size_t count, capacity;
    struct plan_range *holes;
    size_t hole_count, hole_capacity;
    uint64_t hole_bytes;
};
void plan_free(struct plan *plan);
static inline void plan_free_at(struct plan *plan)
{
    plan_free(plan);
}

/* Where in the image planning stands. Begin with {.image = image}. */
#define PLAN_ZERO_LENGTHS 32
struct plan_cursor {
    struct image *image;
    struct index *index;
    size_t next_part;
    struct image_part part;
    size_t at;     /* in part.ids */
    uint64_t dest; /* in the image */
    bool known;    /* `last` is set */
    struct index_entry last;
    bool last_zero;
    bool zero_known[PLAN_ZERO_LENGTHS];
    struct id zero_ids[PLAN_ZERO_LENGTHS];
};

/* Fills the plan (whose memory it uses again) with what comes next: at least one blob, up to max_entries of
 * entries and of holes, and up to max_bytes of the image. plan->count + plan->hole_count = 0 at the end of
 * the image. NACRE_CORRUPT: a blob is in no index, or the blobs do not add up to their file. */
int plan_next(struct plan_cursor *cursor, size_t max_entries, uint64_t max_bytes, struct plan *plan,
              struct nacre_err *e);

/* Drops PLAN_SAME, and sorts by pack and offset. */
void plan_sort(struct plan *plan);

/* The entries of one request, beginning at `first` of a sorted plan: neighbours in one pack, at most
 * PLAN_GAP unwanted bytes between two, and at most `most` bytes unless one blob has more. */
#define PLAN_GAP (128u << 10)
size_t plan_request_end(const struct plan *plan, size_t first, uint64_t most);

/* How many bytes a request should have at most, so that so many connections are busy together from the first
 * to the last: a sixteenth of the plan for eight of them, within what makes a request worth its delay and
 * what a pack has. */
#define PLAN_REQUEST_MIN (2u << 20)
#define PLAN_REQUEST_MAX (16u << 20)
uint64_t plan_request_bytes(const struct plan *plan, unsigned connections);

/* The entries that want the same blob as `first`. */
size_t plan_same_end(const struct plan *plan, size_t first, size_t end);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probes. Removing moves later entries of the probe back, so that no tombstones
 * gather in a set that lives as long as a backup. */
#include "repository/id_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

#define FIRST_SLOTS 256u

void id_set_free(struct id_set *set)
{
    free(set->slots);
    *set = (struct id_set){0};
}

static bool is_free(const struct id *slot)
{
    static const struct id zero;
    return id_equal(slot, &zero);
}

/* Where the probe for id begins. */
static size_t home(const struct id_set *set, const struct id *id)
{
    uint64_t hash;
    memcpy(&hash, id->bytes + 8, sizeof hash);
    return (size_t)hash & (set->slot_count - 1);
}

/* The slot of id, or the free one where it would go. */
static size_t find(const struct id_set *set, const struct id *id)
{
    size_t at = home(set, id);
    while (!is_free(&set->slots[at]) && !id_equal(&set->slots[at], id))
        at = (at + 1) & (set->slot_count - 1);
    return at;
}

bool id_set_has(const struct id_set *set, const struct id *id)
{
    return set->count && !is_free(id) && !is_free(&set->slots[find(set, id)]);
}

static int grow(struct id_set *set, struct nacre_err *e)
{
    struct id_set larger = {.slot_count = set->slot_count ? set->slot_count * 2 : FIRST_SLOTS,
                            .count = set->count};
    larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
    if (!larger.slots)
        return err_no_memory(e, "a set of ids");
    for (size_t i = 0; i < set->slot_count; i++)
        if (!is_free(&set->slots[i]))
            larger.slots[find(&larger, &set->slots[i])] = set->slots[i];
    free(set->slots);
    *set = larger;
    return 0;
}

int id_set_add(struct id_set *set, const struct id *id, bool *added, struct nacre_err *e)
{
    if (is_free(id))
        return err_set(e, NACRE_INVALID, "an id of zeros is no hash");
    if (set->count >= set->slot_count / 4 * 3 && grow(set, e) < 0)
        return -1;
    size_t at = find(set, id);
    *added = is_free(&set->slots[at]);
    set->slots[at] = *id;
    set->count += *added;
    return 0;
}

void id_set_remove(struct id_set *set, const struct id *id)
{
    if (!id_set_has(set, id))
        return;
    size_t mask = set->slot_count - 1, hole = find(set, id);
    for (size_t at = (hole + 1) & mask; !is_free(&set->slots[at]); at = (at + 1) & mask) {
        size_t start = home(set, &set->slots[at]);
        /* It may move back only as far as its own probe begins. */
        if (((at - start) & mask) >= ((at - hole) & mask)) {
            set->slots[hole] = set->slots[at];
            hole = at;
        }
    }
    set->slots[hole] = (struct id){0};
    set->count--;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A set of ids, some 45 bytes each; not locked. The all-zero id, which no hash gives, cannot be in it. */
#ifndef REPOSITORY_ID_SET_H
#define REPOSITORY_ID_SET_H

#include <nacre/plugin.h>

#include "repository/id.h"

struct id_set {
    struct id *slots; /* zero = free; open addressing, a power of two, at most 3/4 full */
    size_t slot_count, count;
};

/* struct id_set s = {0} is an empty set. */
void id_set_free(struct id_set *set);

bool id_set_has(const struct id_set *set, const struct id *id);
/* *added = false when it was there already. */
int id_set_add(struct id_set *set, const struct id *id, bool *added, struct nacre_err *e);
void id_set_remove(struct id_set *set, const struct id *id);

static inline void id_set_free_at(struct id_set *set)
{
    id_set_free(set);
}

#endif

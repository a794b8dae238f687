/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up in the trees of a snapshot. */
#ifndef RESTORE_FIND_H
#define RESTORE_FIND_H

#include "repository/tree.h"

/* Where a file's node stands: its name, and the tree that holds it. */
struct place {
    struct id tree;
    char *name;
};
void place_free(struct place *place);
static inline void place_free_at(struct place *place)
{
    place_free(place);
}

/* A node, as far as it matters here. */
struct found {
    bool exists;
    enum node_type type;
    uint64_t size;
    bool has_subtree;
    struct id subtree;
    struct id *content; /* free() */
    size_t content_count;
};

/* The node `name` of a tree; exists = false when there is none. Without want_content content stays NULL. */
int find_node(struct repo *repo, struct index *index, const struct id *tree, const char *name,
              bool want_content, struct found *out, struct nacre_err *e);

/* Walks `path` (segments joined by '/', a leading one is passed over) from a root tree to its last segment's
 * place. NACRE_ABSENT when one of the segments before it is no directory; whether the last exists is not
 * looked at. */
int find_path(struct repo *repo, struct index *index, const struct id *root, const char *path,
              struct place *out, struct nacre_err *e);

/* The only file below a root tree. NACRE_ABSENT when there is none, NACRE_INVALID, listing some, when there
 * are several. */
int find_only_file(struct repo *repo, struct index *index, const struct id *root, struct place *out,
                   struct nacre_err *e);

#endif

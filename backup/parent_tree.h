/* SPDX-License-Identifier: Apache-2.0 */
/* What the previous backup knows: its ids of chunks, segment by segment. */
#ifndef BACKUP_PARENT_TREE_H
#define BACKUP_PARENT_TREE_H

#include "backup/segments.h"

struct parent_tree;

/* Opens the tree of a block volume of which its snapshot says that it has `bytes`. NACRE_CORRUPT when the
 * tree is not one. Borrows repo and index. */
int parent_tree_open(struct repo *repo, struct index *index, const struct id *root, uint64_t bytes,
                     uint32_t chunk_size, struct parent_tree **out, struct nacre_err *e);
void parent_tree_free(struct parent_tree *parent);
CLEANUP_DEFINE(struct parent_tree *, parent_tree_free)

/* How many chunks it has in a segment; 0 when it has no such segment. */
uint64_t parent_tree_chunks(const struct parent_tree *parent, uint64_t segment);

/* The tree blob of a segment of full length; false for others. */
bool parent_tree_id(const struct parent_tree *parent, uint64_t segment, struct id *out);

/* The ids of a segment: parent_tree_chunks of them. NACRE_CORRUPT when there are not so many. */
int parent_tree_load(struct parent_tree *parent, uint64_t segment, struct id *ids, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the tree that segments.c wrote. It comes from the object store and may have been altered or damaged:
 * its names, order, sizes and counts must be exactly those that the layout demands, or it is not used. */
#include "backup/parent_tree.h"

#include <string.h>

#include "backup/backup.h"
#include "common/err.h"

struct parent_tree {
    struct repo *repo;
    struct index *index;
    struct segment_layout layout;
    struct id trees[];
};

static bool named(const struct node *node, const char *name)
{
    return node->name_size == strlen(name) && !memcmp(node->name, name, node->name_size);
}

/* The one directory in a tree. */
struct directory_search {
    const char *name;
    struct id id;
    unsigned found;
};

static int find_directory(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct directory_search *search = ctx;
    if (search->found++ || !named(node, search->name) || node->type != NODE_DIR || !node->has_subtree)
        return err_set(e, NACRE_CORRUPT, "it is not the tree of a block volume");
    search->id = node->subtree;
    return 0;
}

struct segment_search {
    struct parent_tree *parent;
    uint64_t found;
};

static int find_segment(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct segment_search *search = ctx;
    char name[24];
    snprintf(name, sizeof name, "%06llu", (unsigned long long)search->found);
    if (search->found >= search->parent->layout.count || !named(node, name) || node->type != NODE_DIR ||
        !node->has_subtree)
        return err_set(e, NACRE_CORRUPT, "its segments are not those of a volume of %llu bytes",
                       (unsigned long long)search->parent->layout.bytes);
    search->parent->trees[search->found++] = node->subtree;
    return 0;
}

static int load_segment_list(struct parent_tree *parent, const struct id *root, struct nacre_err *e)
{
    struct directory_search directory = {.name = SEGMENT_DISK_NAME};
    struct segment_search segments = {.parent = parent};
    if (tree_load(parent->repo, parent->index, root, find_directory, &directory, e))
        return -1;
    if (!directory.found)
        return err_set(e, NACRE_CORRUPT, "it is empty");
    if (tree_load(parent->repo, parent->index, &directory.id, find_segment, &segments, e))
        return -1;
    if (segments.found != parent->layout.count)
        return err_set(e, NACRE_CORRUPT, "it has %llu segments where there should be %llu",
                       (unsigned long long)segments.found, (unsigned long long)parent->layout.count);
    return 0;
}

int parent_tree_open(struct repo *repo, struct index *index, const struct id *root, uint64_t bytes,
                     uint32_t chunk_size, struct parent_tree **out, struct nacre_err *e)
{
    struct segment_layout layout;
    if (segment_layout_of(bytes, chunk_size, &layout, e))
        return -1;
    CLEANUP(parent_tree_free)
    struct parent_tree *parent = calloc(1, sizeof *parent + layout.count * sizeof *parent->trees);
    if (!parent)
        return err_no_memory(e, "the tree of the previous backup");
    parent->repo = repo;
    parent->index = index;
    parent->layout = layout;
    parent->trees[0] = *root;
    if (!layout.single && load_segment_list(parent, root, e))
        return -1;
    *out = MOVE(parent);
    return 0;
}

void parent_tree_free(struct parent_tree *parent)
{
    free(parent);
}

uint64_t parent_tree_chunks(const struct parent_tree *parent, uint64_t segment)
{
    return segment < parent->layout.count ? segment_chunks(&parent->layout, segment) : 0;
}

bool parent_tree_id(const struct parent_tree *parent, uint64_t segment, struct id *out)
{
    if (parent->layout.single || segment >= parent->layout.count ||
        segment_bytes(&parent->layout, segment) != BACKUP_SEGMENT_BYTES)
        return false;
    *out = parent->trees[segment];
    return true;
}

struct content_search {
    const struct parent_tree *parent;
    uint64_t segment;
    struct id *ids;
    unsigned found;
};

static int find_content(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct content_search *search = ctx;
    const struct segment_layout *layout = &search->parent->layout;
    uint64_t count = segment_chunks(layout, search->segment);
    if (search->found++ || node->type != NODE_FILE ||
        !named(node, layout->single ? SEGMENT_DISK_NAME : SEGMENT_FILE_NAME))
        return err_set(e, NACRE_CORRUPT, "it is not the tree of a block volume");
    if (node->size != segment_bytes(layout, search->segment) || node->content_count != count)
        return err_set(e, NACRE_CORRUPT, "it has %llu bytes in %zu chunks where there should be %llu in %llu",
                       (unsigned long long)node->size, node->content_count,
                       (unsigned long long)segment_bytes(layout, search->segment), (unsigned long long)count);
    if (count)
        memcpy(search->ids, node->content, count * sizeof *search->ids);
    return 0;
}

int parent_tree_load(struct parent_tree *parent, uint64_t segment, struct id *ids, struct nacre_err *e)
{
    struct content_search search = {.parent = parent, .segment = segment, .ids = ids};
    if (tree_load(parent->repo, parent->index, &parent->trees[segment], find_content, &search, e))
        return -1;
    return search.found ? 0 : err_set(e, NACRE_CORRUPT, "it is empty");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the tree of a block volume, segment by segment; in memory is one segment's list of chunks (2 MiB, 5
 * as JSON) and 32 bytes for each segment before it. */
#include "backup/segments.h"

#include <string.h>

#include "backup/backup.h"
#include "common/err.h"

struct segments {
    struct segment_layout layout;
    struct writer *writer;
    int64_t time_ns;
    struct buf json;
    bool zeros_known, zeros_saved;
    struct id zeros_tree;
    uint64_t added;
    struct id trees[]; /* of each segment; of a single file: its root */
};

int segment_layout_of(uint64_t volume_bytes, uint32_t chunk_size, struct segment_layout *out,
                      struct nacre_err *e)
{
    uint64_t count = volume_bytes / BACKUP_SEGMENT_BYTES + !!(volume_bytes % BACKUP_SEGMENT_BYTES);
    *out = (struct segment_layout){.bytes = volume_bytes,
                                   .chunk_size = chunk_size,
                                   .count = count ? count : 1,
                                   .chunks_per_segment = BACKUP_SEGMENT_BYTES / chunk_size,
                                   .single = volume_bytes <= BACKUP_SEGMENT_BYTES};
    if (out->count > SEGMENT_MAX)
        return err_set(e, NACRE_UNSUPPORTED, "a volume of %llu bytes is larger than a backup can hold",
                       (unsigned long long)volume_bytes);
    return 0;
}

uint64_t segment_bytes(const struct segment_layout *layout, uint64_t segment)
{
    uint64_t rest = layout->bytes - segment * BACKUP_SEGMENT_BYTES;
    return rest < BACKUP_SEGMENT_BYTES ? rest : BACKUP_SEGMENT_BYTES;
}

uint64_t segment_chunks(const struct segment_layout *layout, uint64_t segment)
{
    return (segment_bytes(layout, segment) + layout->chunk_size - 1) / layout->chunk_size;
}

int segments_new(const struct segment_layout *layout, struct writer *writer, int64_t time_ns,
                 struct segments **out, struct nacre_err *e)
{
    struct segments *s = calloc(1, sizeof *s + layout->count * sizeof *s->trees);
    if (!s)
        return err_no_memory(e, "the tree of a volume");
    s->layout = *layout;
    s->writer = writer;
    s->time_ns = time_ns;
    *out = s;
    return 0;
}

void segments_free(struct segments *s)
{
    if (!s)
        return;
    buf_free(&s->json);
    free(s);
}

static struct node node_of(const struct segments *s, const char *name, enum node_type type)
{
    return (struct node){
        .name = name,
        .name_size = strlen(name),
        .type = type,
        .mode = type == NODE_DIR ? NODE_MODE_DIR | 0700 : 0600,
        .mtime_ns = s->time_ns,
        .atime_ns = s->time_ns,
        .ctime_ns = s->time_ns,
        .links = type == NODE_FILE,
    };
}

/* What was put into s->json since tree_begin is a blob now. */
static int end_tree(struct segments *s, struct id *out, struct nacre_err *e)
{
    tree_end(&s->json);
    if (buf_failed(&s->json))
        return err_no_memory(e, "the tree of a volume");
    id_hash(out, s->json.data, s->json.size);
    return 0;
}

static int save_tree(struct segments *s, struct id *out, struct nacre_err *e)
{
    bool added;
    return end_tree(s, out, e) ||
                   writer_save(s->writer, BLOB_TREE, out, s->json.data, s->json.size, &added, e)
               ? -1
               : 0;
}

static void begin_file(struct segments *s, const struct id *ids, uint64_t count, uint64_t bytes)
{
    struct node node = node_of(s, s->layout.single ? SEGMENT_DISK_NAME : SEGMENT_FILE_NAME, NODE_FILE);
    node.size = bytes;
    node.content = ids;
    node.content_count = count;
    buf_clear(&s->json);
    tree_begin(&s->json);
    tree_node(&s->json, &node);
}

static int save_directory(struct segments *s, const char *name, const struct id *subtree, struct id *out,
                          struct nacre_err *e)
{
    struct node node = node_of(s, name, NODE_DIR);
    node.has_subtree = true;
    node.subtree = *subtree;
    buf_clear(&s->json);
    tree_begin(&s->json);
    tree_node(&s->json, &node);
    return save_tree(s, out, e);
}

int segments_add(struct segments *s, const struct id *ids, struct nacre_err *e)
{
    uint64_t segment = s->added++;
    begin_file(s, ids, segment_chunks(&s->layout, segment), segment_bytes(&s->layout, segment));
    return save_tree(s, &s->trees[segment], e);
}

static int begin_zeros(struct segments *s, const struct id *zero, struct nacre_err *e)
{
    uint64_t count = s->layout.chunks_per_segment;
    CLEANUP(mem_free) struct id *ids = calloc(count, sizeof *ids);
    if (!ids)
        return err_no_memory(e, "the tree of a volume");
    for (uint64_t i = 0; i < count; i++)
        ids[i] = *zero;
    begin_file(s, ids, count, BACKUP_SEGMENT_BYTES);
    return 0;
}

int segments_zeros_tree(struct segments *s, const struct id *zero, struct id *out, struct nacre_err *e)
{
    if (!s->zeros_known && (begin_zeros(s, zero, e) || end_tree(s, &s->zeros_tree, e)))
        return -1;
    s->zeros_known = true;
    *out = s->zeros_tree;
    return 0;
}

int segments_add_zeros(struct segments *s, const struct id *zero, struct nacre_err *e)
{
    if (!s->zeros_saved && (begin_zeros(s, zero, e) || save_tree(s, &s->zeros_tree, e)))
        return -1;
    s->zeros_known = s->zeros_saved = true;
    s->trees[s->added++] = s->zeros_tree;
    return 0;
}

int segments_finish(struct segments *s, struct id *root, struct nacre_err *e)
{
    *root = s->trees[0];
    if (s->layout.single)
        return 0;
    struct id directory;
    buf_clear(&s->json);
    tree_begin(&s->json);
    for (uint64_t i = 0; i < s->layout.count; i++) {
        char name[8];
        snprintf(name, sizeof name, "%06llu", (unsigned long long)i);
        struct node node = node_of(s, name, NODE_DIR);
        node.has_subtree = true;
        node.subtree = s->trees[i];
        tree_node(&s->json, &node);
    }
    if (save_tree(s, &directory, e))
        return -1;
    return save_directory(s, SEGMENT_DISK_NAME, &directory, root, e);
}

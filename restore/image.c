/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot holds: one file, or the segments of a large block volume.
 *
 * Segments: a directory (disk.img) of directories 000000, 000001, …, each with one file segment.img; all but
 * the last have the same length, which is that of the first. Opening loads the first and the last; the others
 * are checked when their turn comes. Only one part's list of blobs is in memory; as the all-hole segments of
 * a thin volume are one and the same tree, they are loaded once in a row. */
#include "restore/image.h"

#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "restore/find.h"

#define IMAGE_FILE "disk.img"
#define SEGMENT_FILE "segment.img"
#define SEGMENTS_MAX 1000000 /* as many as have names of six digits */
#define IMAGE_MAX ((uint64_t)INT64_MAX)

struct image {
    struct repo *repo;
    struct index *index;
    char *name; /* for messages */
    char *file; /* the node's name in each of trees */
    struct id *trees;
    size_t count, capacity;
    uint64_t part_bytes; /* of all parts but the last */
    uint64_t bytes;
    bool loaded; /* the following are those of loaded_tree */
    struct id loaded_tree;
    struct found part;
};

void image_free(struct image *image)
{
    if (!image)
        return;
    free(image->name);
    free(image->file);
    free(image->trees);
    free(image->part.content);
    free(image);
}

uint64_t image_bytes(const struct image *image)
{
    return image->bytes;
}

size_t image_part_count(const struct image *image)
{
    return image->count;
}

const char *image_name(const struct image *image)
{
    return image->name;
}

static int load(struct image *image, size_t number, struct nacre_err *e)
{
    const struct id *tree = &image->trees[number];
    if (image->loaded && id_equal(tree, &image->loaded_tree))
        return 0;
    image->loaded = false;
    free(MOVE(image->part.content));
    if (find_node(image->repo, image->index, tree, image->file, true, &image->part, e) < 0)
        return err_wrap(e, "reading the list of blobs of %s", image->name);
    if (!image->part.exists || image->part.type != NODE_FILE)
        return err_set(e, NACRE_CORRUPT, "%s: segment %zu holds no file %s", image->name, number,
                       image->file);
    image->loaded_tree = *tree;
    image->loaded = true;
    return 0;
}

int image_part_load(struct image *image, size_t number, struct image_part *out, struct nacre_err *e)
{
    if (load(image, number, e) < 0)
        return -1;
    uint64_t offset = number * image->part_bytes;
    uint64_t bytes = number + 1 < image->count ? image->part_bytes : image->bytes - offset;
    if (image->part.size != bytes)
        return err_set(e, NACRE_CORRUPT,
                       "%s: segment %zu has %" PRIu64 " bytes where %" PRIu64 " are expected", image->name,
                       number, image->part.size, bytes);
    *out = (struct image_part){image->part.content, image->part.content_count, offset, bytes};
    return 0;
}

static int add_part(struct image *image, const struct id *tree, struct nacre_err *e)
{
    if (image->count == SEGMENTS_MAX)
        return err_set(e, NACRE_CORRUPT, "%s has more than %d segments", image->name, SEGMENTS_MAX);
    if (image->count == image->capacity) {
        size_t capacity = image->capacity ? 2 * image->capacity : 16;
        struct id *trees = realloc(image->trees, capacity * sizeof *trees);
        if (!trees) {
            err_no_memory(e, "an image's segments");
            return -1; /* said here for the analyser */
        }
        image->trees = trees;
        image->capacity = capacity;
    }
    image->trees[image->count++] = *tree;
    return 0;
}

/* The sizes of the parts: bytes and part_bytes. */
static int measure(struct image *image, struct nacre_err *e)
{
    if (load(image, image->count - 1, e) < 0)
        return -1;
    uint64_t last = image->part.size;
    if (load(image, 0, e) < 0)
        return -1;
    uint64_t first = image->part.size, before;
    if (__builtin_mul_overflow(first, (uint64_t)(image->count - 1), &before) || before > IMAGE_MAX ||
        last > IMAGE_MAX - before || (image->count > 1 && (!last || last > first)))
        return err_set(e, NACRE_CORRUPT, "%s: its segments of %" PRIu64 " … %" PRIu64 " bytes cannot be",
                       image->name, first, last);
    image->part_bytes = first;
    image->bytes = before + last;
    return 0;
}

struct segments {
    struct image *image;
    bool other; /* something that is no segment */
};

static int see_segment(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct segments *segments = ctx;
    char expected[16];
    snprintf(expected, sizeof expected, "%06zu", segments->image->count);
    if (node->type != NODE_DIR || !node->has_subtree || strcmp(node->name, expected) != 0)
        segments->other = true;
    return segments->other ? 0 : add_part(segments->image, &node->subtree, e);
}

/* A directory found where an image should be: its segments, if that is what it holds. */
static int take_segments(struct image *image, const struct id *tree, struct nacre_err *e)
{
    struct segments segments = {.image = image};
    if (tree_load(image->repo, image->index, tree, see_segment, &segments, e) < 0)
        return err_wrap(e, "reading the segments of %s", image->name);
    if (segments.other || !image->count)
        return err_set(e, NACRE_ABSENT, "\"%s\" is a directory, not an image; name a file in it",
                       image->name);
    image->file = strdup(SEGMENT_FILE);
    return image->file ? 0 : err_no_memory(e, "an image");
}

/* The image at a place, whose node exists. A file's list of blobs, if it came with the node, is kept. */
static int take(struct image *image, struct place *place, struct found *found, struct nacre_err *e)
{
    image->name = strdup(place->name);
    if (!image->name)
        return err_no_memory(e, "an image");
    if (found->type == NODE_DIR && found->has_subtree) {
        if (take_segments(image, &found->subtree, e) < 0)
            return -1;
    } else if (found->type == NODE_FILE) {
        image->file = MOVE(place->name);
        if (add_part(image, &place->tree, e) < 0)
            return -1;
        image->loaded = found->content != NULL;
        image->loaded_tree = place->tree;
        image->part = *found;
        found->content = NULL;
    } else {
        return err_set(e, NACRE_ABSENT, "\"%s\" is not a file", image->name);
    }
    return measure(image, e);
}

static int find(struct image *image, const struct id *root, const char *path, struct nacre_err *e)
{
    CLEANUP(place_free) struct place place = {0};
    struct found found = {0};
    if (find_path(image->repo, image->index, root, path ? path : IMAGE_FILE, &place, e) < 0 ||
        find_node(image->repo, image->index, &place.tree, place.name, true, &found, e) < 0)
        return path ? err_wrap(e, "path \"%s\"", path) : -1;
    if (!found.exists && path)
        return err_set(e, NACRE_ABSENT, "it holds no \"%s\"", path);
    if (!found.exists) {
        place_free(&place);
        if (find_only_file(image->repo, image->index, root, &place, e) < 0)
            return -1;
        found = (struct found){.exists = true, .type = NODE_FILE};
    }
    int result = take(image, &place, &found, e);
    free(found.content);
    return result;
}

int image_open(struct repo *repo, struct index *index, const struct snapshot *snapshot, const char *path,
               struct image **out, struct nacre_err *e)
{
    CLEANUP(image_free) struct image *image = calloc(1, sizeof *image);
    if (!image)
        return err_no_memory(e, "an image");
    image->repo = repo;
    image->index = index;
    if (find(image, &snapshot->tree, path, e) < 0) {
        char id[ID_HEX_SIZE];
        id_format(&snapshot->id, id);
        return err_wrap(e, "snapshot %.8s", id);
    }
    *out = MOVE(image);
    return 0;
}

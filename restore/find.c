/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up in the trees of a snapshot. Trees come from the repository and are hostile: the depth of
 * a walk and the number of trees that it visits are bounded, and a directory's list is dropped before the
 * next is loaded except for its subdirectories. */
#include "restore/find.h"

#include <string.h>

#include "common/err.h"

#define DEPTH_MAX 128
#define TREES_MAX 20000
#define PENDING_MAX ((size_t)4 * TREES_MAX)
#define LISTED 5

void place_free(struct place *place)
{
    free(place->name);
    *place = (struct place){0};
}

struct lookup {
    const char *name;
    size_t name_size;
    bool want_content;
    struct found *out;
};

static int see_node(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct lookup *lookup = ctx;
    struct found *out = lookup->out;
    if (node->name_size != lookup->name_size || memcmp(node->name, lookup->name, node->name_size) != 0)
        return 0;
    out->exists = true;
    out->type = node->type;
    out->size = node->size;
    out->has_subtree = node->has_subtree;
    out->subtree = node->subtree;
    out->content_count = node->content_count;
    if (!lookup->want_content || !node->content_count)
        return 0;
    out->content = malloc(node->content_count * sizeof *out->content);
    if (!out->content)
        return err_no_memory(e, "a file's list of blobs");
    memcpy(out->content, node->content, node->content_count * sizeof *out->content);
    return 0;
}

int find_node(struct repo *repo, struct index *index, const struct id *tree, const char *name,
              bool want_content, struct found *out, struct nacre_err *e)
{
    struct lookup lookup = {name, strlen(name), want_content, out};
    *out = (struct found){0};
    if (tree_load(repo, index, tree, see_node, &lookup, e) == 0)
        return 0;
    free(out->content);
    *out = (struct found){0};
    return -1;
}

int find_path(struct repo *repo, struct index *index, const struct id *root, const char *path,
              struct place *out, struct nacre_err *e)
{
    CLEANUP(place_free) struct place at = {.tree = *root};
    for (int depth = 0;; depth++) {
        path += strspn(path, "/");
        size_t size = strcspn(path, "/");
        if (!size || depth == DEPTH_MAX)
            return err_set(e, NACRE_INVALID, size ? "it is too deep" : "it names no file");
        free(at.name);
        at.name = strndup(path, size);
        if (!at.name)
            return err_no_memory(e, "a path");
        path += size;
        if (!path[strspn(path, "/")])
            break;
        struct found found = {0};
        if (find_node(repo, index, &at.tree, at.name, false, &found, e) < 0)
            return -1;
        if (!found.exists || !found.has_subtree)
            return err_set(e, NACRE_ABSENT, "%s \"%s\"", found.exists ? "no directory:" : "there is no",
                           at.name);
        at.tree = found.subtree;
    }
    *out = at;
    at = (struct place){0};
    return 0;
}

/* The search for files: what was found, and the directories still to be looked at, as a stack. */
struct pending {
    struct id tree;
    char *path; /* "" or "a/b/" */
    int depth;
};

struct search {
    struct place first;
    size_t files;
    struct buf listed; /* the first of them, for the message */
    struct pending *stack;
    size_t count, capacity;
    struct pending at;
};

static void search_free_at(struct search *search)
{
    for (size_t i = 0; i < search->count; i++)
        free(search->stack[i].path);
    free(search->stack);
    free(search->at.path);
    buf_free(&search->listed);
    place_free(&search->first);
}

static int push(struct search *search, const struct id *tree, const char *name, struct nacre_err *e)
{
    if (search->at.depth == DEPTH_MAX)
        return err_set(e, NACRE_CORRUPT, "directories are nested more than %d deep", DEPTH_MAX);
    if (search->count == search->capacity) {
        size_t capacity = search->capacity ? 2 * search->capacity : 16;
        struct pending *stack =
            capacity <= PENDING_MAX ? realloc(search->stack, capacity * sizeof *stack) : NULL;
        if (!stack)
            return err_set(e, NACRE_INVALID,
                           "too many directories to look for a file; name the one you want");
        search->stack = stack;
        search->capacity = capacity;
    }
    struct pending next = {.tree = *tree, .depth = search->at.depth + 1};
    if (asprintf(&next.path, "%s%s/", search->at.path, name) < 0)
        return err_no_memory(e, "a path");
    search->stack[search->count++] = next;
    return 0;
}

static int see_entry(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct search *search = ctx;
    if (node->type == NODE_DIR && node->has_subtree)
        return push(search, &node->subtree, node->name, e);
    if (node->type != NODE_FILE || search->files > LISTED)
        return 0;
    if (search->files++ == LISTED) {
        buf_string(&search->listed, ", …");
        return 0;
    }
    buf_printf(&search->listed, "%s%s%s", search->files > 1 ? ", " : "", search->at.path, node->name);
    if (search->files == 1) {
        search->first.tree = search->at.tree;
        search->first.name = strdup(node->name);
    }
    return search->first.name ? 0 : err_no_memory(e, "a path");
}

int find_only_file(struct repo *repo, struct index *index, const struct id *root, struct place *out,
                   struct nacre_err *e)
{
    __attribute__((cleanup(search_free_at))) struct search search = {
        .at = {.tree = *root, .path = strdup("")}};
    if (!search.at.path)
        return err_no_memory(e, "a path");
    for (int trees = 0;; trees++) {
        if (trees == TREES_MAX)
            return err_set(e, NACRE_INVALID,
                           "too many directories to look for a file; name the one you want");
        if (tree_load(repo, index, &search.at.tree, see_entry, &search, e) < 0)
            return -1;
        free(MOVE(search.at.path));
        if (!search.count || search.files > LISTED)
            break;
        search.at = search.stack[--search.count];
    }
    if (!search.files)
        return err_set(e, NACRE_ABSENT, "it holds no file");
    if (search.files > 1)
        return err_set(e, NACRE_INVALID, "it holds several files (%s): name the one you want",
                       buf_failed(&search.listed) ? "" : (const char *)search.listed.data);
    *out = search.first;
    search.first = (struct place){0};
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the trees of every snapshot, each tree once, however many snapshots have it: what it lacks is
 * reported for the first of them. Depth first, by a stack of its own, so that no nesting can exhaust the
 * thread's; a tree's document is freed before its children are loaded. */
#include <inttypes.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "repository/blob_load.h"
#include "repository/check_internal.h"
#include "repository/tree.h"

/* A directory to be looked at. On the stack its name lies before it. */
struct pending {
    struct id tree;
    size_t parent_path; /* bytes of the path that are its parent's: still there when it is popped */
    size_t name_size;
};

struct walk {
    struct check *c;
    bool again;
    const struct snapshot *snapshot;
    char snapshot_hex[17];
    struct id_set visited;
    struct buf stack;
    struct buf path;
};

static void push(struct walk *w, const struct id *tree, const char *name, size_t name_size)
{
    struct pending pending = {.tree = *tree, .parent_path = w->path.size, .name_size = name_size};
    buf_append(&w->stack, name, name_size);
    buf_append(&w->stack, &pending, sizeof pending);
}

/* Takes the last one; the path becomes its own. */
static struct id pop(struct walk *w)
{
    struct pending pending;
    w->stack.size -= sizeof pending;
    memcpy(&pending, w->stack.data + w->stack.size, sizeof pending);
    w->stack.size -= pending.name_size;
    w->path.size = pending.parent_path;
    if (pending.name_size) {
        buf_char(&w->path, '/');
        buf_append(&w->path, w->stack.data + w->stack.size, pending.name_size);
    }
    return pending.tree;
}

static const char *path_text(const struct walk *w)
{
    return w->path.size ? (const char *)w->path.data : "";
}

enum loss { LOSS_NONE, LOSS_UNKNOWN, LOSS_GONE, LOSS_DAMAGED };

/* Whether any copy of the blob can be read, as far as is known, and if not, why. */
static enum loss blob_loss(struct check *c, enum blob_type type, const struct id *id, uint32_t *plain_length)
{
    struct index_entry entry;
    enum loss loss = LOSS_UNKNOWN;
    for (unsigned nth = 0; index_find_nth(c->index, type, id, nth, &entry); nth++) {
        const struct check_pack *pack = &c->packs[entry.pack_number];
        *plain_length = entry.blob.plain_length;
        if (!pack->seen || pack->actual < (uint64_t)entry.blob.offset + entry.blob.length) {
            loss = LOSS_GONE;
            continue;
        }
        struct id place = check_place(id, &entry.pack);
        if (!id_set_has(&c->bad, &place))
            return LOSS_NONE;
        loss = LOSS_DAMAGED;
    }
    return loss;
}

static const char *loss_text(enum loss loss)
{
    static const char *const texts[] = {
        [LOSS_NONE] = "",
        [LOSS_UNKNOWN] = "no index file names it",
        [LOSS_GONE] = "its pack is gone or cut short",
        [LOSS_DAMAGED] = "its bytes are damaged or cannot be read",
    };
    return texts[loss];
}

/* What the first walk reported is not reported again by the second. */
static bool is_news(const struct walk *w, enum loss loss)
{
    return w->again ? loss == LOSS_DAMAGED : loss != LOSS_NONE;
}

static void check_file(struct walk *w, const struct node *node)
{
    uint64_t size = 0;
    size_t lost = 0;
    char hex[ID_HEX_SIZE] = "";
    enum loss first = LOSS_NONE;
    for (size_t i = 0; i < node->content_count; i++) {
        uint32_t plain_length = 0;
        enum loss loss = blob_loss(w->c, BLOB_DATA, &node->content[i], &plain_length);
        size += plain_length;
        if (!is_news(w, loss) || lost++)
            continue;
        first = loss;
        id_format(&node->content[i], hex);
    }
    if (lost)
        check_fault(w->c, "snapshot %s: %s/%s lacks %zu of its %zu blobs, the first of them %.16s: %s",
                    w->snapshot_hex, path_text(w), node->name, lost, node->content_count, hex,
                    loss_text(first));
    else if (size != node->size && !w->again)
        check_note(w->c, "snapshot %s: %s/%s is said to have %" PRIu64 " bytes, its blobs have %" PRIu64,
                   w->snapshot_hex, path_text(w), node->name, node->size, size);
}

static int on_node(void *ctx, const struct node *node, struct nacre_err *e)
{
    struct walk *w = ctx;
    bool added = false;
    if (node->type == NODE_FILE)
        check_file(w, node);
    if (node->type != NODE_DIR)
        return 0;
    if (!node->has_subtree) {
        if (!w->again)
            check_fault(w->c, "snapshot %s: the directory %s/%s has no tree", w->snapshot_hex, path_text(w),
                        node->name);
        return 0;
    }
    if (id_set_add(&w->visited, &node->subtree, &added, e) < 0)
        return e->code == NACRE_INVALID ? err_set(e, NACRE_CORRUPT, "a directory's tree is an id of zeros")
                                        : -1;
    if (added)
        push(w, &node->subtree, node->name, node->name_size);
    return 0;
}

/* Faults are reported; -1 when the check cannot go on. */
static int check_tree(struct walk *w, const struct id *tree, struct nacre_err *e)
{
    uint32_t plain_length;
    char hex[ID_HEX_SIZE];
    enum loss loss = blob_loss(w->c, BLOB_TREE, tree, &plain_length);
    const char *path = path_text(w);
    id_format(tree, hex);
    if (loss != LOSS_NONE) {
        if (is_news(w, loss))
            check_fault(w->c, "snapshot %s: %s/ and all below it is lost: tree %.16s: %s", w->snapshot_hex,
                        path, hex, loss_text(loss));
        return 0;
    }
    if (tree_load(w->c->repo, w->c->index, tree, on_node, w, e) == 0)
        return 0;
    if (e->code == NACRE_CANCELLED || cancel_requested())
        return -1;
    if (!w->again)
        check_fault(w->c, "snapshot %s: %s/ is lost, all or in part: %s", w->snapshot_hex, path, e->message);
    return 0;
}

static int walk_snapshot(struct walk *w, const struct snapshot *snapshot, struct nacre_err *e)
{
    char hex[ID_HEX_SIZE];
    bool added = false;
    id_format(&snapshot->id, hex);
    snprintf(w->snapshot_hex, sizeof w->snapshot_hex, "%.8s", hex);
    w->snapshot = snapshot;
    buf_clear(&w->stack);
    buf_clear(&w->path);
    if (id_set_add(&w->visited, &snapshot->tree, &added, e) < 0) {
        if (e->code != NACRE_INVALID)
            return -1;
        check_fault(w->c, "snapshot %s: its tree is an id of zeros", w->snapshot_hex);
    }
    if (added)
        push(w, &snapshot->tree, "", 0);
    while (w->stack.size) {
        if (cancel_check(e) < 0)
            return -1;
        struct id tree = pop(w);
        if (buf_failed(&w->path) || check_tree(w, &tree, e) < 0)
            return buf_failed(&w->path) ? err_no_memory(e, "the check") : -1;
        if (buf_failed(&w->stack))
            return err_no_memory(e, "the check");
    }
    return 0;
}

int check_trees(struct check *c, bool again, struct nacre_err *e)
{
    struct walk w = {.c = c, .again = again};
    int result = 0;
    for (size_t i = 0; !result && i < c->snapshots.count; i++) {
        check_progress(c, i, c->snapshots.count, again ? "finding what is hurt" : "checking snapshots");
        result = walk_snapshot(&w, c->snapshots.items[i], e);
    }
    if (!again)
        c->result->trees = w.visited.count;
    check_progress(c, c->snapshots.count, c->snapshots.count,
                   again ? "finding what is hurt" : "checking snapshots");
    id_set_free(&w.visited);
    buf_free(&w.stack);
    buf_free(&w.path);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Trees: what is taken for one, written again and read again, is the same bytes when written once more; no
 * name that reaches a caller can leave its directory. */
#include <stdlib.h>
#include <string.h>

#include "repository/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_node(void *ctx, const struct node *node, struct nacre_err *e)
{
    (void)e;
    if (!node->name_size || strlen(node->name) != node->name_size || strchr(node->name, '/') ||
        !strcmp(node->name, ".") || !strcmp(node->name, "..") || (node->content_count && !node->content) ||
        (node->xattr_count && !node->xattrs))
        abort();
    for (size_t i = 0; i < node->xattr_count; i++)
        if (!node->xattrs[i].name || (node->xattrs[i].size && !node->xattrs[i].value))
            abort();
    tree_node(ctx, node);
    return 0;
}

static int rewrite(const void *data, size_t size, struct buf *out, struct nacre_err *e)
{
    tree_begin(out);
    int result = tree_parse(data, size, on_node, out, e);
    tree_end(out);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct buf once = {0}, twice = {0};
    if (rewrite(data, size, &once, &e) < 0) {
        if (!e.code || !*e.message)
            abort();
    } else if (rewrite(once.data, once.size, &twice, &e) < 0 || once.size != twice.size ||
               memcmp(once.data, twice.data, once.size) != 0) {
        abort();
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}

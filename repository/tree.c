/* SPDX-License-Identifier: Apache-2.0 */
/* Writing trees. The bytes decide the tree's id: a directory that did not change must give the very bytes of
 * the last time, also when restic wrote it. Hence the order of fields of restic's Node, its omitted empty
 * fields, and its escapes. */
#include "repository/tree.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/timestamp.h"
#include "common/utf8.h"
#include "repository/tree_name.h"

static const char *const type_names[] = {
    [NODE_FILE] = "file",       [NODE_DIR] = "dir",   [NODE_SYMLINK] = "symlink", [NODE_DEV] = "dev",
    [NODE_CHARDEV] = "chardev", [NODE_FIFO] = "fifo", [NODE_SOCKET] = "socket",   [NODE_OTHER] = "irregular",
};

const char *node_type_name(enum node_type type)
{
    return (size_t)type < sizeof type_names / sizeof *type_names ? type_names[type] : "irregular";
}

void tree_begin(struct buf *out)
{
    buf_string(out, "{\"nodes\":[");
}

void tree_end(struct buf *out)
{
    buf_string(out, "]}\n");
}

static void append_number(struct buf *out, const char *key, uint64_t value)
{
    char text[64];
    int size = snprintf(text, sizeof text, ",\"%s\":%" PRIu64, key, value);
    buf_append(out, text, (size_t)size);
}

static void append_number_unless_zero(struct buf *out, const char *key, uint64_t value)
{
    if (value)
        append_number(out, key, value);
}

static void append_time(struct buf *out, const char *key, int64_t ns)
{
    char text[TIMESTAMP_SIZE] = "0001-01-01T00:00:00Z", field[TIMESTAMP_SIZE + 32];
    if (ns != NODE_TIME_NONE)
        timestamp_format(ns, text);
    int size = snprintf(field, sizeof field, ",\"%s\":\"%s\"", key, text);
    buf_append(out, field, (size_t)size);
}

static void append_text(struct buf *out, const char *key, const char *text)
{
    if (!text || !*text)
        return;
    buf_string(out, ",\"");
    buf_string(out, key);
    buf_string(out, "\":");
    json_append_string(out, text);
}

static void append_name(struct buf *out, const char *name, size_t size)
{
    CLEANUP(buf_free) struct buf quoted = {0};
    tree_name_quote(&quoted, name, size);
    out->failed |= buf_failed(&quoted);
    json_append_bytes(out, (const char *)quoted.data, quoted.size);
}

static void append_linktarget(struct buf *out, const char *target)
{
    if (!target || !*target)
        return;
    append_text(out, "linktarget", target);
    if (!utf8_valid(target, strlen(target))) {
        buf_string(out, ",\"linktarget_raw\":");
        json_append_base64(out, target, strlen(target));
    }
}

static void append_xattrs(struct buf *out, const struct node *node)
{
    if (!node->xattr_count)
        return;
    buf_string(out, ",\"extended_attributes\":[");
    for (size_t i = 0; i < node->xattr_count; i++) {
        const struct node_xattr *xattr = &node->xattrs[i];
        buf_string(out, i ? ",{\"name\":" : "{\"name\":");
        json_append_string(out, xattr->name);
        buf_string(out, ",\"value\":");
        json_append_base64(out, xattr->value, xattr->size);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

/* Tens of thousands of ids for a block volume: formatted straight into place. */
static void append_content(struct buf *out, const struct node *node)
{
    const size_t each = ID_HEX_SIZE + 2; /* the digits, two quotes, a comma */
    if (node->type != NODE_FILE) {
        buf_string(out, ",\"content\":null");
        return;
    }
    buf_string(out, ",\"content\":[");
    char *at = node->content_count < SIZE_MAX / each ? buf_reserve(out, node->content_count * each) : NULL;
    if (!at) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < node->content_count; i++, at += each) {
        *at = '"';
        id_format(&node->content[i], at + 1);
        at[ID_HEX_SIZE] = '"';
        at[ID_HEX_SIZE + 1] = ',';
    }
    if (node->content_count)
        buf_commit(out, node->content_count * each - 1);
    buf_char(out, ']');
}

static void append_subtree(struct buf *out, const struct node *node)
{
    if (!node->has_subtree)
        return;
    char hex[ID_HEX_SIZE];
    id_format(&node->subtree, hex);
    buf_string(out, ",\"subtree\":\"");
    buf_append(out, hex, ID_HEX_SIZE - 1);
    buf_char(out, '"');
}

void tree_node(struct buf *out, const struct node *node)
{
    if (buf_failed(out))
        return;
    assert(node->name_size && out->size);
    buf_string(out, out->data[out->size - 1] == '[' ? "{\"name\":" : ",{\"name\":");
    append_name(out, node->name, node->name_size);
    buf_string(out, ",\"type\":\"");
    buf_string(out, node_type_name(node->type));
    buf_char(out, '"');
    append_number_unless_zero(out, "mode", node->mode);
    append_time(out, "mtime", node->mtime_ns);
    append_time(out, "atime", node->atime_ns);
    append_time(out, "ctime", node->ctime_ns);
    append_number(out, "uid", node->uid);
    append_number(out, "gid", node->gid);
    append_text(out, "user", node->user);
    append_text(out, "group", node->group);
    append_number_unless_zero(out, "inode", node->inode);
    append_number_unless_zero(out, "device_id", node->device_id);
    append_number_unless_zero(out, "size", node->size);
    append_number_unless_zero(out, "links", node->links);
    append_linktarget(out, node->linktarget);
    append_xattrs(out, node);
    append_number_unless_zero(out, "device", node->device);
    append_content(out, node);
    append_subtree(out, node);
    buf_char(out, '}');
}

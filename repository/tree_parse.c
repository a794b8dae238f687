/* SPDX-License-Identifier: Apache-2.0 */
/* Reading trees as a stream: one node in memory at a time, besides the document itself. Everything that grows
 * (ids of a file's content, extended attributes) is bounded by the document's own size. Fields that this
 * version does not know are passed over. */
#include "repository/tree.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "repository/blob_load.h"
#include "repository/json_stream.h"
#include "repository/tree_name.h"

enum list { LIST_NONE, LIST_CONTENT, LIST_XATTRS };

struct xattr_span {
    size_t name, value, size; /* name and value: offsets in xattr_bytes */
};

struct parser {
    tree_entry *entry;
    void *ctx;
    bool seen_nodes;
    enum list list; /* the array, at depth 3, that events belong to */

    struct node node;
    bool has_name, has_raw_target;
    struct buf name, previous, user, group, target;
    struct buf xattr_bytes;
    struct xattr_span span;
    struct buf spans;   /* of struct xattr_span */
    struct buf xattrs;  /* of struct node_xattr, built at the end of the node */
    struct buf content; /* of struct id */
};

static void parser_free(struct parser *p)
{
    buf_free(&p->name);
    buf_free(&p->previous);
    buf_free(&p->user);
    buf_free(&p->group);
    buf_free(&p->target);
    buf_free(&p->xattr_bytes);
    buf_free(&p->spans);
    buf_free(&p->xattrs);
    buf_free(&p->content);
}

static void begin_node(struct parser *p)
{
    buf_clear(&p->name);
    buf_clear(&p->user);
    buf_clear(&p->group);
    buf_clear(&p->target);
    buf_clear(&p->xattr_bytes);
    buf_clear(&p->spans);
    buf_clear(&p->content);
    p->node = (struct node){.type = NODE_OTHER,
                            .mtime_ns = NODE_TIME_NONE,
                            .atime_ns = NODE_TIME_NONE,
                            .ctime_ns = NODE_TIME_NONE};
    p->has_name = p->has_raw_target = false;
    p->list = LIST_NONE;
}

/* A string without NULs, into `to`. */
static int take_text(const struct stream_event *event, struct buf *to, struct nacre_err *e)
{
    if (event->kind == STREAM_NULL)
        return 0;
    if (event->kind != STREAM_STRING)
        return stream_unexpected(event, e);
    if (memchr(event->text, 0, event->size))
        return err_set(e, NACRE_CORRUPT, "\"%s\" holds a NUL", event->key);
    buf_clear(to);
    buf_append(to, event->text, event->size);
    return 0;
}

static int take_name(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    if (event->kind != STREAM_STRING)
        return stream_unexpected(event, e);
    buf_clear(&p->name);
    if (!tree_name_unquote(event->text, event->size, &p->name))
        return err_set(e, NACRE_CORRUPT, "a name is not quoted as it should be: %.*s",
                       (int)(event->size < 200 ? event->size : 200), event->text);
    p->has_name = true;
    return 0;
}

static int take_base64(const struct stream_event *event, struct buf *to, struct nacre_err *e)
{
    if (event->kind == STREAM_NULL)
        return 0;
    if (event->kind != STREAM_STRING)
        return stream_unexpected(event, e);
    if (!json_decode_base64(event->text, event->size, to))
        return err_set(e, NACRE_CORRUPT, "\"%s\" is not base64", event->key);
    return 0;
}

/* Times outside of int64_t, such as those of 1601, are clamped; what is no time at all is an error. */
static bool parse_time(const char *text, int64_t *ns)
{
    if (!strcmp(text, "0001-01-01T00:00:00Z")) {
        *ns = NODE_TIME_NONE;
        return true;
    }
    if (timestamp_parse(text, ns)) {
        if (*ns == NODE_TIME_NONE)
            ++*ns;
        return true;
    }
    for (size_t i = 0; i < 11; i++) {
        char c = text[i], expected = "dddd-dd-ddT"[i];
        if (expected == 'd' ? c < '0' || c > '9' : c != expected)
            return false;
    }
    long year = strtol(text, NULL, 10);
    if (year > 1678 && year < 2262)
        return false;
    *ns = year <= 1678 ? NODE_TIME_NONE + 1 : INT64_MAX;
    return true;
}

static int take_time(const struct stream_event *event, int64_t *ns, struct nacre_err *e)
{
    char text[64] = "";
    if (event->kind == STREAM_NULL)
        return 0;
    if (event->kind != STREAM_STRING)
        return stream_unexpected(event, e);
    if (event->size < sizeof text)
        memcpy(text, event->text, event->size);
    if (!parse_time(text, ns))
        return err_set(e, NACRE_CORRUPT, "\"%s\" is not a time: %s", event->key, text);
    return 0;
}

static int take_u32(const struct stream_event *event, uint32_t *out, struct nacre_err *e)
{
    uint64_t value = *out;
    if (stream_uint(event, UINT32_MAX, &value, e) < 0)
        return -1;
    *out = (uint32_t)value;
    return 0;
}

static int take_id(const struct stream_event *event, struct id *id, struct nacre_err *e)
{
    if (event->kind != STREAM_STRING)
        return stream_unexpected(event, e);
    if (event->size != ID_HEX_SIZE - 1 || !hex_decode(event->text, id->bytes, ID_SIZE))
        return err_set(e, NACRE_CORRUPT, "not an id: %.*s", (int)(event->size < 80 ? event->size : 80),
                       event->text);
    return 0;
}

static int take_type(struct node *node, const struct stream_event *event, struct nacre_err *e)
{
    if (event->kind != STREAM_STRING)
        return stream_unexpected(event, e);
    for (enum node_type type = NODE_FILE; type < NODE_OTHER; type++) {
        const char *name = node_type_name(type);
        if (strlen(name) == event->size && !memcmp(name, event->text, event->size))
            node->type = type;
    }
    return 0;
}

/* linktarget_raw has the exact bytes and wins, in whatever order the two come. */
static int take_target(struct parser *p, const struct stream_event *event, bool raw, struct nacre_err *e)
{
    if (!raw)
        return p->has_raw_target ? 0 : take_text(event, &p->target, e);
    if (event->kind == STREAM_NULL)
        return 0;
    buf_clear(&p->target);
    p->has_raw_target = true;
    if (take_base64(event, &p->target, e) < 0)
        return -1;
    if (p->target.size && memchr(p->target.data, 0, p->target.size))
        return err_set(e, NACRE_CORRUPT, "\"linktarget_raw\" holds a NUL");
    return 0;
}

static int begin_list(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    bool content = !strcmp(event->key, "content");
    if (event->kind == STREAM_NULL)
        return 0;
    if (event->kind != STREAM_BEGIN_ARRAY)
        return stream_unexpected(event, e);
    p->list = content ? LIST_CONTENT : LIST_XATTRS;
    buf_clear(content ? &p->content : &p->spans);
    return 0;
}

static int number_field(struct node *node, const struct stream_event *event, bool *known, struct nacre_err *e)
{
    const struct {
        const char *key;
        uint64_t *out;
    } wide[] = {{"inode", &node->inode},
                {"device_id", &node->device_id},
                {"size", &node->size},
                {"links", &node->links},
                {"device", &node->device}};
    const struct {
        const char *key;
        uint32_t *out;
    } narrow[] = {{"mode", &node->mode}, {"uid", &node->uid}, {"gid", &node->gid}};
    const struct {
        const char *key;
        int64_t *out;
    } times[] = {{"mtime", &node->mtime_ns}, {"atime", &node->atime_ns}, {"ctime", &node->ctime_ns}};
    *known = true;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (!strcmp(event->key, wide[i].key))
            return stream_uint(event, UINT64_MAX, wide[i].out, e);
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
        if (!strcmp(event->key, narrow[i].key))
            return take_u32(event, narrow[i].out, e);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (!strcmp(event->key, times[i].key))
            return take_time(event, times[i].out, e);
    *known = false;
    return 0;
}

static int node_field(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    const char *key = event->key;
    bool known;
    if (event->kind == STREAM_END_ARRAY) {
        p->list = LIST_NONE;
        return 0;
    }
    if (!strcmp(key, "content") || !strcmp(key, "extended_attributes"))
        return begin_list(p, event, e);
    if (!strcmp(key, "name"))
        return take_name(p, event, e);
    if (!strcmp(key, "type"))
        return take_type(&p->node, event, e);
    if (!strcmp(key, "user"))
        return take_text(event, &p->user, e);
    if (!strcmp(key, "group"))
        return take_text(event, &p->group, e);
    if (!strcmp(key, "linktarget") || !strcmp(key, "linktarget_raw"))
        return take_target(p, event, key[10] == '_', e);
    if (!strcmp(key, "subtree")) {
        p->node.has_subtree = event->kind != STREAM_NULL;
        return p->node.has_subtree ? take_id(event, &p->node.subtree, e) : 0;
    }
    if (number_field(&p->node, event, &known, e) < 0)
        return -1;
    return !known && (event->kind == STREAM_BEGIN_OBJECT || event->kind == STREAM_BEGIN_ARRAY) ? STREAM_SKIP
                                                                                               : 0;
}

static int xattr_field(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    size_t start = p->xattr_bytes.size;
    if (!strcmp(event->key, "name")) {
        if (event->kind != STREAM_STRING || memchr(event->text, 0, event->size))
            return stream_unexpected(event, e);
        buf_append(&p->xattr_bytes, event->text, event->size);
        buf_char(&p->xattr_bytes, 0);
        p->span.name = start;
    } else if (!strcmp(event->key, "value")) {
        if (take_base64(event, &p->xattr_bytes, e) < 0)
            return -1;
        p->span.value = start;
        p->span.size = p->xattr_bytes.size - start;
    } else if (event->kind == STREAM_BEGIN_OBJECT || event->kind == STREAM_BEGIN_ARRAY) {
        return STREAM_SKIP;
    }
    return 0;
}

/* Inside of content or extended_attributes. */
static int list_event(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    if (p->list == LIST_CONTENT) {
        struct id *id = event->kind == STREAM_STRING ? buf_reserve(&p->content, sizeof *id) : NULL;
        if (!id)
            return event->kind == STREAM_STRING ? err_no_memory(e, "a tree") : stream_unexpected(event, e);
        if (take_id(event, id, e) < 0)
            return -1;
        buf_commit(&p->content, sizeof *id);
        return 0;
    }
    if (event->depth == 5)
        return xattr_field(p, event, e);
    if (event->kind == STREAM_BEGIN_OBJECT)
        p->span = (struct xattr_span){.name = SIZE_MAX};
    else if (event->kind != STREAM_END_OBJECT)
        return stream_unexpected(event, e);
    else if (p->span.name == SIZE_MAX)
        return err_set(e, NACRE_CORRUPT, "an extended attribute has no name");
    else
        buf_append(&p->spans, &p->span, sizeof p->span);
    return 0;
}

static int check_name(const struct parser *p, struct nacre_err *e)
{
    const char *name = (const char *)p->name.data;
    size_t size = p->name.size;
    if (!p->has_name || !size)
        return err_set(e, NACRE_CORRUPT, "an entry has no name");
    if (!strcmp(name, ".") || !strcmp(name, "..") || memchr(name, '/', size) || memchr(name, 0, size))
        return err_set(e, NACRE_CORRUPT, "the name \"%.200s\" cannot be that of a file", name);
    if (!p->previous.size)
        return 0;
    size_t common = size < p->previous.size ? size : p->previous.size;
    int order = memcmp(p->previous.data, name, common);
    if (order > 0 || (!order && size <= p->previous.size))
        return err_set(e, NACRE_CORRUPT, "the names \"%.200s\" and \"%.200s\" are out of order",
                       (const char *)p->previous.data, name);
    return 0;
}

static void resolve_xattrs(struct parser *p)
{
    buf_clear(&p->xattrs);
    p->node.xattr_count = p->spans.size / sizeof(struct xattr_span);
    for (size_t i = 0; i < p->node.xattr_count; i++) {
        const struct xattr_span *span = (const struct xattr_span *)(const void *)p->spans.data + i;
        struct node_xattr xattr = {.name = (const char *)p->xattr_bytes.data + span->name,
                                   .value = p->xattr_bytes.data + span->value,
                                   .size = span->size};
        buf_append(&p->xattrs, &xattr, sizeof xattr);
    }
    p->node.xattrs = (const void *)p->xattrs.data;
}

static int finish_node(struct parser *p, struct nacre_err *e)
{
    resolve_xattrs(p);
    if (buf_failed(&p->name) || buf_failed(&p->user) || buf_failed(&p->group) || buf_failed(&p->target) ||
        buf_failed(&p->xattr_bytes) || buf_failed(&p->spans) || buf_failed(&p->xattrs))
        return err_no_memory(e, "a tree");
    if (check_name(p, e) < 0)
        return -1;
    struct node *node = &p->node;
    node->name = (const char *)p->name.data;
    node->name_size = p->name.size;
    node->user = p->user.size ? (const char *)p->user.data : NULL;
    node->group = p->group.size ? (const char *)p->group.data : NULL;
    node->linktarget = p->target.size ? (const char *)p->target.data : NULL;
    node->content = (const void *)p->content.data;
    node->content_count = p->content.size / sizeof(struct id);
    if (p->entry(p->ctx, node, e) < 0)
        return -1;
    struct buf swap = p->previous;
    p->previous = p->name;
    p->name = swap;
    return 0;
}

/* Depths: 0 the document, 1 "nodes", 2 a node, 3 its fields, 4 and 5 inside of a field's list. */
static int on_event(void *ctx, const struct stream_event *event, struct nacre_err *e)
{
    struct parser *p = ctx;
    if (event->depth > 3)
        return list_event(p, event, e);
    if (event->depth == 3)
        return node_field(p, event, e);
    if (event->depth == 2) {
        if (event->kind == STREAM_BEGIN_OBJECT)
            begin_node(p);
        else if (event->kind != STREAM_END_OBJECT)
            return stream_unexpected(event, e);
        return event->kind == STREAM_END_OBJECT ? finish_node(p, e) : 0;
    }
    if (event->depth == 0)
        return event->kind == STREAM_BEGIN_OBJECT || event->kind == STREAM_END_OBJECT
                   ? 0
                   : stream_unexpected(event, e);
    if (event->kind == STREAM_END_ARRAY)
        return 0;
    if (strcmp(event->key, "nodes") != 0)
        return event->kind == STREAM_BEGIN_OBJECT || event->kind == STREAM_BEGIN_ARRAY ? STREAM_SKIP : 0;
    if (p->seen_nodes || (event->kind != STREAM_BEGIN_ARRAY && event->kind != STREAM_NULL))
        return stream_unexpected(event, e);
    p->seen_nodes = true;
    return 0;
}

int tree_parse(const void *json, size_t size, tree_entry *entry, void *ctx, struct nacre_err *e)
{
    struct parser p = {.entry = entry, .ctx = ctx};
    int result = json_stream_parse(json, size, on_event, &p, e);
    if (!result && !p.seen_nodes)
        result = err_set(e, NACRE_CORRUPT, "not a tree: \"nodes\" is missing");
    parser_free(&p);
    return result;
}

int tree_load(struct repo *repo, struct index *index, const struct id *id, tree_entry *entry, void *ctx,
              struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    if (blob_load(repo, index, BLOB_TREE, id, &json, e) < 0)
        return -1;
    if (tree_parse(json.data, json.size, entry, ctx, e) < 0) {
        char hex[ID_HEX_SIZE];
        id_format(id, hex);
        return err_wrap(e, "tree %.16s", hex);
    }
    return 0;
}

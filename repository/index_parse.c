/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of index files. Reading keeps one pack's blobs at a time; "supersedes", and whatever else a later
 * version may add, is passed over. Offsets, lengths and types are checked here, once, so that the rest of the
 * program may add them up without care. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "repository/index.h"
#include "repository/json_stream.h"

struct parser {
    index_pack_entry *entry;
    void *ctx;
    bool seen_packs;
    bool has_pack, seen_blobs;
    struct id pack;
    struct buf blobs; /* of struct pack_blob */
    struct pack_blob blob;
    bool has_id, has_type, has_offset, has_length;
};

static int take_id(const struct stream_event *event, struct id *id, bool *has, struct nacre_err *e)
{
    if (event->kind != STREAM_STRING || event->size != ID_HEX_SIZE - 1 ||
        !hex_decode(event->text, id->bytes, ID_SIZE))
        return err_set(e, NACRE_CORRUPT, "\"%s\" at depth %u is not an id", event->key, event->depth);
    *has = true;
    return 0;
}

static int take_u32(const struct stream_event *event, uint32_t maximum, uint32_t *out, bool *has,
                    struct nacre_err *e)
{
    uint64_t value = 0;
    if (event->kind != STREAM_NUMBER)
        return stream_unexpected(event, e);
    if (stream_uint(event, maximum, &value, e) < 0)
        return -1;
    *out = (uint32_t)value;
    *has = true;
    return 0;
}

static int take_type(const struct stream_event *event, struct parser *p, struct nacre_err *e)
{
    bool text = event->kind == STREAM_STRING && event->size == 4;
    if (text && !memcmp(event->text, "data", 4))
        p->blob.type = BLOB_DATA;
    else if (text && !memcmp(event->text, "tree", 4))
        p->blob.type = BLOB_TREE;
    else
        return err_set(e, NACRE_CORRUPT, "a blob is neither data nor tree");
    p->has_type = true;
    return 0;
}

static int skip_if_container(const struct stream_event *event)
{
    return event->kind == STREAM_BEGIN_OBJECT || event->kind == STREAM_BEGIN_ARRAY ? STREAM_SKIP : 0;
}

/* Depth 5: the fields of a blob. */
static int blob_field(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    bool has_plain;
    if (!strcmp(event->key, "id"))
        return take_id(event, &p->blob.id, &p->has_id, e);
    if (!strcmp(event->key, "type"))
        return take_type(event, p, e);
    if (!strcmp(event->key, "offset"))
        return take_u32(event, UINT32_MAX, &p->blob.offset, &p->has_offset, e);
    if (!strcmp(event->key, "length"))
        return take_u32(event, BLOB_PLAIN_MAX + SEAL_OVERHEAD, &p->blob.length, &p->has_length, e);
    if (!strcmp(event->key, "uncompressed_length"))
        return take_u32(event, BLOB_PLAIN_MAX, &p->blob.plain_length, &has_plain, e);
    return skip_if_container(event);
}

static int finish_blob(struct parser *p, struct nacre_err *e)
{
    if (!p->has_id || !p->has_type || !p->has_offset || !p->has_length)
        return err_set(e, NACRE_CORRUPT, "a blob lacks its id, type, offset or length");
    char hex[ID_HEX_SIZE];
    uint32_t end;
    id_format(&p->blob.id, hex);
    if (p->blob.length < SEAL_OVERHEAD || __builtin_add_overflow(p->blob.offset, p->blob.length, &end))
        return err_set(e, NACRE_CORRUPT, "blob %.16s cannot lie at offset %" PRIu32 " with length %" PRIu32,
                       hex, p->blob.offset, p->blob.length);
    /* Absent or 0: stored as it is. */
    p->blob.compressed = p->blob.plain_length != 0;
    if (!p->blob.compressed)
        p->blob.plain_length = p->blob.length - SEAL_OVERHEAD;
    buf_append(&p->blobs, &p->blob, sizeof p->blob);
    return buf_failed(&p->blobs) ? err_no_memory(e, "an index") : 0;
}

/* Depth 4: the blobs of a pack. */
static int blob_element(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    if (event->kind == STREAM_END_OBJECT)
        return finish_blob(p, e);
    if (event->kind != STREAM_BEGIN_OBJECT)
        return stream_unexpected(event, e);
    p->blob = (struct pack_blob){0};
    p->has_id = p->has_type = p->has_offset = p->has_length = false;
    return 0;
}

/* Depth 3: the fields of a pack. */
static int pack_field(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    if (event->kind == STREAM_END_ARRAY)
        return 0;
    if (!strcmp(event->key, "id"))
        return take_id(event, &p->pack, &p->has_pack, e);
    if (strcmp(event->key, "blobs") != 0)
        return skip_if_container(event);
    if (p->seen_blobs || (event->kind != STREAM_BEGIN_ARRAY && event->kind != STREAM_NULL))
        return stream_unexpected(event, e);
    p->seen_blobs = true;
    return 0;
}

/* Depth 2: the packs. */
static int pack_element(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    if (event->kind == STREAM_BEGIN_OBJECT) {
        buf_clear(&p->blobs);
        p->has_pack = p->seen_blobs = false;
        return 0;
    }
    if (event->kind != STREAM_END_OBJECT)
        return stream_unexpected(event, e);
    if (!p->has_pack)
        return err_set(e, NACRE_CORRUPT, "a pack has no id");
    return p->entry(p->ctx, &p->pack, (const void *)p->blobs.data, p->blobs.size / sizeof p->blob, e);
}

static int root_field(struct parser *p, const struct stream_event *event, struct nacre_err *e)
{
    if (event->kind == STREAM_END_ARRAY)
        return 0;
    if (strcmp(event->key, "packs") != 0)
        return skip_if_container(event);
    if (p->seen_packs || (event->kind != STREAM_BEGIN_ARRAY && event->kind != STREAM_NULL))
        return stream_unexpected(event, e);
    p->seen_packs = true;
    return 0;
}

static int on_event(void *ctx, const struct stream_event *event, struct nacre_err *e)
{
    struct parser *p = ctx;
    switch (event->depth) {
    case 0:
        return event->kind == STREAM_BEGIN_OBJECT || event->kind == STREAM_END_OBJECT
                   ? 0
                   : stream_unexpected(event, e);
    case 1:
        return root_field(p, event, e);
    case 2:
        return pack_element(p, event, e);
    case 3:
        return pack_field(p, event, e);
    case 4:
        return blob_element(p, event, e);
    default:
        return blob_field(p, event, e);
    }
}

int index_parse(const void *json, size_t size, index_pack_entry *entry, void *ctx, struct nacre_err *e)
{
    struct parser p = {.entry = entry, .ctx = ctx};
    int result = json_stream_parse(json, size, on_event, &p, e);
    if (!result && !p.seen_packs)
        result = err_set(e, NACRE_CORRUPT, "not an index: \"packs\" is missing");
    buf_free(&p.blobs);
    return result;
}

static void append_blob(struct buf *out, const struct pack_blob *blob)
{
    char text[ID_HEX_SIZE + 128], hex[ID_HEX_SIZE];
    id_format(&blob->id, hex);
    int size = snprintf(text, sizeof text,
                        "{\"id\":\"%s\",\"type\":\"%s\",\"offset\":%" PRIu32 ",\"length\":%" PRIu32, hex,
                        blob->type == BLOB_TREE ? "tree" : "data", blob->offset, blob->length);
    buf_append(out, text, (size_t)size);
    if (blob->compressed)
        buf_printf(out, ",\"uncompressed_length\":%" PRIu32, blob->plain_length);
    buf_char(out, '}');
}

void index_json_pack(struct buf *out, const struct id *pack, const struct pack_blob *blobs, size_t count)
{
    char hex[ID_HEX_SIZE];
    id_format(pack, hex);
    buf_printf(out, "{\"id\":\"%s\",\"blobs\":[", hex);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_char(out, ',');
        append_blob(out, &blobs[i]);
    }
    buf_string(out, "]}");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reading objects.
 *
 * A range that reaches beyond the end is cut by the service, and one that begins there refused with 416: the
 * total in Content-Range tells, before the first byte is handed on.
 *
 * Who reads a whole object gets it compared with the checksum that the service keeps of it. One of up to
 * HELD_MAX bytes is held until then, so that a reading that came to harm on its way is NACRE_TRANSIENT and
 * can be repeated. A larger one has been handed on by then; a repeat would go on after its last byte and be
 * believed. So that is NACRE_CORRUPT, unless it was the answer's checksum that came to harm. */
#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "gcs.h"
#include "http/encode.h"
#include "http/location.h"

/* No object has more: 5 TiB is the most. Beyond it ranges are not asked for. */
#define OBJECT_MAX (UINT64_C(1) << 50)
#define HELD_MAX ((uint64_t)4 << 20)

/* A read that is under way. */
struct reading {
    uint64_t offset, length;
    nacre_sink *sink;
    void *ctx;
    const struct http_response *response; /* its headers are there before the first byte */
    bool checked;
    uint64_t end; /* of what is to come, NACRE_TO_END until it is known */
    uint64_t total, received;
    uint32_t crc32c;
    bool hold;       /* keep what comes in `held` */
    struct buf held; /* not handed on yet */
};

static void reading_free_at(struct reading *r)
{
    buf_free(&r->held);
}

static int err_range(const struct reading *r, uint64_t total, struct nacre_err *e)
{
    return err_set(e, NACRE_INVALID,
                   "the object has %" PRIu64 " bytes, too few for %" PRIu64 " bytes from offset %" PRIu64,
                   total, r->length == NACRE_TO_END ? 0 : r->length, r->offset);
}

static bool is_part(const struct reading *r)
{
    return r->offset || r->length != NACRE_TO_END;
}

/* Of an answer without ranges: its size, when it says one. */
static void take_length(struct reading *r)
{
    CLEANUP(buf_free) struct buf text = {0};
    char *end;
    if (!http_response_header(r->response, "Content-Length", &text) || !text.size || buf_failed(&text))
        return;
    uint64_t size = strtoull((const char *)text.data, &end, 10);
    r->hold = !*end && size <= HELD_MAX;
}

/* Before the first byte: whether the answer is of the range that was asked for. */
static int check_range(struct reading *r, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf text = {0};
    uint64_t first, last;
    r->checked = true;
    if (!is_part(r)) {
        take_length(r);
        return 0;
    }
    if (!http_response_header(r->response, "Content-Range", &text) || buf_failed(&text) || !text.size)
        return err_set(e, NACRE_UNSUPPORTED, "the service or a proxy before it ignores ranges");
    if (!answer_range((const char *)text.data, &first, &last, &r->total) || first != r->offset)
        return err_set(e, NACRE_TRANSIENT, "the service sent another range than was asked for");
    if (r->length != NACRE_TO_END && r->total - r->offset < r->length)
        return err_range(r, r->total, e);
    r->end = last + 1;
    if (r->end != (r->length == NACRE_TO_END ? r->total : r->offset + r->length))
        return err_set(e, NACRE_TRANSIENT, "the service sent another range than was asked for");
    r->hold = !r->offset && r->end == r->total && r->total <= HELD_MAX;
    return 0;
}

static int on_bytes(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct reading *r = ctx;
    if (!r->checked && check_range(r, e) < 0)
        return -1;
    if (r->end != NACRE_TO_END && len > r->end - r->offset - r->received)
        return err_set(e, NACRE_TRANSIENT, "the answer is longer than it should be");
    r->received += len;
    if (!r->offset)
        r->crc32c = crc32c_more(r->crc32c, data, len);
    if (!r->hold || r->held.size + len > HELD_MAX)
        return r->sink(r->ctx, data, len, e);
    buf_append(&r->held, data, len);
    return buf_failed(&r->held) ? err_no_memory(e, "an object") : 0;
}

/* Of a whole object: whether it is the one that was stored. */
static int check_whole(struct gcs_store *store, const char *name, const struct reading *r,
                       struct nacre_err *e)
{
    uint32_t stored;
    struct answer_object object;
    const struct buf *headers = &r->response->headers;
    if (!headers->size || !answer_hash((const char *)headers->data, &stored) || stored == r->crc32c)
        return 0;
    if (gcs_look(store, name, "size,crc32c", &object, e) < 0)
        return e->code == NACRE_ABSENT ? err_set(e, NACRE_TRANSIENT, "it was removed meanwhile") : -1;
    if (object.has_crc32c && object.crc32c == r->crc32c && object.size == r->received)
        return 0;
    return err_set(e, r->hold ? NACRE_TRANSIENT : NACRE_CORRUPT,
                   "the bytes read do not have the checksum of the object");
}

/* After a success: whether all came. */
static int check_end(struct gcs_store *store, const char *name, struct reading *r, struct nacre_err *e)
{
    if (!r->checked && check_range(r, e) < 0)
        return -1;
    if (r->end != NACRE_TO_END && r->received != r->end - r->offset)
        return err_set(e, NACRE_TRANSIENT, "the answer ended after %" PRIu64 " of %" PRIu64 " bytes",
                       r->received, r->end - r->offset);
    bool whole = !is_part(r) || (!r->offset && r->received == r->total);
    return whole ? check_whole(store, name, r, e) : 0;
}

/* For what a range cannot express: nothing, or from the end. */
static int get_nothing(struct nacre_object_store *base, const char *name, const struct reading *r,
                       struct nacre_err *e)
{
    struct nacre_object_info info;
    if (gcs_stat(base, name, &info, e) < 0)
        return -1;
    if (r->offset > info.size ||
        (r->length == NACRE_TO_END ? r->offset < info.size : r->length > info.size - r->offset))
        return err_range(r, info.size, e);
    return 0;
}

static int get_answer(struct gcs_store *store, const char *name, struct reading *r,
                      struct http_response *response, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf url = {0};
    char range[64];
    gcs_url_object(store, name, &url);
    buf_string(&url, "?alt=media");
    if (buf_failed(&url))
        return err_no_memory(e, "a URL");
    if (r->length == NACRE_TO_END)
        snprintf(range, sizeof range, "bytes=%" PRIu64 "-", r->offset);
    else
        snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, r->offset, r->offset + r->length - 1);
    const struct gcs_request request = {
        .method = "GET",
        .url = (const char *)url.data,
        .headers = {{is_part(r) ? "Range" : NULL, range}},
        .sink = on_bytes,
        .sink_ctx = r,
    };
    return gcs_perform(store, &request, response, e);
}

int gcs_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
            nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct gcs_store *store = (struct gcs_store *)base;
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(reading_free)
    struct reading r = {offset, length, sink, ctx, &response, .end = NACRE_TO_END};
    if (object_name_check(name, e) < 0)
        return -1;
    if (!length || offset > OBJECT_MAX || (length != NACRE_TO_END && length > OBJECT_MAX))
        return get_nothing(base, name, &r, e);
    if (get_answer(store, name, &r, &response, e) < 0)
        return -1;
    if (response.status == 416)
        return get_nothing(base, name, &r, e);
    if (response.status != 200 && response.status != 206)
        return gcs_fail(store, GCS_READ, name, &response, e);
    if (check_end(store, name, &r, e) < 0)
        return err_wrap(e, "cannot read gs://%s/%s%s", store->bucket, store->prefix, name);
    return r.held.size ? sink(ctx, r.held.data, r.held.size, e) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, looking at and removing objects.
 *
 * A service shortens a range that goes beyond the end of the object and answers 206; the header Content-Range
 * tells. One that passed over the range altogether is found by the lack of that header, before any byte is
 * handed on. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "s3.h"

/* No object reaches there; and the services' arithmetic does not overflow below. */
#define OFFSET_MAX (UINT64_C(1) << 50)

#define READ_ACTION "s3:GetObject (and s3:ListBucket, without which an absent object is answered so, too)"

/* A read in progress. */
struct reading {
    const struct http_response *response;
    nacre_sink *sink;
    void *ctx;
    bool ranged, looked, sink_failed;
    uint64_t offset;
    uint64_t total; /* of the object; NACRE_TO_END = not said */
};

/* "bytes 0-9/443". */
static int look_at_range(struct reading *reading, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf text = {0};
    if (!http_response_header(reading->response, "Content-Range", &text) || buf_failed(&text) ||
        strncmp((const char *)text.data, "bytes ", 6) != 0)
        return err_set(e, NACRE_FAILED, "the service does not know ranges: it sent the whole object");
    char *end;
    uint64_t first = strtoull((const char *)text.data + 6, &end, 10);
    const char *slash = strchr(end, '/');
    if (first != reading->offset)
        return err_set(e, NACRE_TRANSIENT, "the service sent another range than was asked for: %.100s",
                       (const char *)text.data);
    if (slash && slash[1] >= '0' && slash[1] <= '9')
        reading->total = strtoull(slash + 1, NULL, 10);
    return 0;
}

static int pass_on(void *ctx, const void *data, size_t size, struct nacre_err *e)
{
    struct reading *reading = ctx;
    if (reading->ranged && !reading->looked) {
        reading->looked = true;
        if (look_at_range(reading, e) < 0)
            return -1;
    }
    if (reading->sink(reading->ctx, data, size, e) == 0)
        return 0;
    reading->sink_failed = true;
    return -1;
}

static int err_range(struct nacre_err *e, const char *name, uint64_t offset, uint64_t length, uint64_t size)
{
    if (length == NACRE_TO_END)
        return err_set(e, NACRE_INVALID, "object %s has %" PRIu64 " bytes, so none from offset %" PRIu64,
                       name, size, offset);
    return err_set(e, NACRE_INVALID,
                   "object %s has %" PRIu64 " bytes, too few for %" PRIu64 " bytes from offset %" PRIu64,
                   name, size, length, offset);
}

/* A range of which no byte is to be sent: only its bounds are checked. */
static int check_range(struct s3_store *store, const char *name, uint64_t offset, uint64_t length,
                       struct nacre_err *e)
{
    struct nacre_object_info info = {0};
    if (s3_stat(&store->base, name, &info, e) < 0)
        return -1;
    if (offset > info.size || (length != NACRE_TO_END && length > info.size - offset))
        return err_range(e, name, offset, length, info.size);
    return 0;
}

static void set_range(struct s3_call *call, uint64_t offset, uint64_t length)
{
    if (length != NACRE_TO_END)
        snprintf(call->range, sizeof call->range, "bytes=%" PRIu64 "-%" PRIu64, offset, offset + length - 1);
    else if (offset)
        snprintf(call->range, sizeof call->range, "bytes=%" PRIu64 "-", offset);
}

int s3_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
           nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    struct s3_store *store = (struct s3_store *)base;
    struct reading reading = {
        .response = &response, .sink = sink, .ctx = ctx, .offset = offset, .total = NACRE_TO_END};
    struct s3_call call = {
        .method = "GET",
        .name = name,
        .verb = "read",
        .action = READ_ACTION,
        .sink = pass_on,
        .sink_ctx = &reading,
        .expected = length,
    };
    if (object_name_check(name, e) < 0)
        return -1;
    if (!length || offset > OFFSET_MAX || (length != NACRE_TO_END && length > OFFSET_MAX))
        return check_range(store, name, offset, length, e);
    set_range(&call, offset, length);
    reading.ranged = *call.range;
    if (s3_call(store, &call, &response, e) < 0) {
        if (!reading.sink_failed && length != NACRE_TO_END && reading.total != NACRE_TO_END &&
            reading.total < offset + length)
            return err_range(e, name, offset, length, reading.total);
        return -1;
    }
    if (response.status == 416) /* at the very end, or beyond */
        return check_range(store, name, offset, length, e);
    return response.status == 200 || response.status == 206 ? 0 : s3_refused(store, &call, &response, e);
}

static int read_head(const struct http_response *response, struct nacre_object_info *out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf size = {0}, modified = {0};
    char *end = NULL;
    *out = (struct nacre_object_info){0};
    if (http_response_header(response, "Content-Length", &size) && !buf_failed(&size) && size.size)
        out->size = strtoull((const char *)size.data, &end, 10);
    if (!end || *end)
        return err_set(e, NACRE_TRANSIENT, "the service does not say how long the object is");
    if (http_response_header(response, "Last-Modified", &modified) && !buf_failed(&modified)) {
        int64_t seconds = decode_http_date(modified.size ? (const char *)modified.data : "");
        out->modified_ns = seconds > 0 ? seconds * 1000000000 : 0;
    }
    return 0;
}

/* An answer to HEAD has no body that says why: a missing bucket looks like a missing object, expired keys
 * like wrong ones. So the question is put again in a way that gets one. True = the object can be read after
 * all. */
static bool ask_why(struct s3_store *store, const char *name, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    struct s3_call call = {
        .method = "GET",
        .name = name,
        .verb = "look at",
        .action = READ_ACTION,
        .range = "bytes=0-0",
        .expected = NACRE_TO_END,
    };
    if (s3_call(store, &call, &response, e) < 0)
        return false;
    if (response.status == 200 || response.status == 206 || response.status == 416)
        return true;
    s3_refused(store, &call, &response, e);
    if (e->code == NACRE_ABSENT)
        store->bucket_seen = true;
    return false;
}

int s3_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
            struct nacre_err *e)
{
    struct s3_store *store = (struct s3_store *)base;
    struct s3_call call = {
        .method = "HEAD",
        .name = name,
        .verb = "look at",
        .action = READ_ACTION,
        .expected = NACRE_TO_END,
    };
    if (object_name_check(name, e) < 0)
        return -1;
    for (bool again = false;; again = true) {
        CLEANUP(http_response_free) struct http_response response = {0};
        if (s3_call(store, &call, &response, e) < 0)
            return -1;
        if (response.status == 200)
            return read_head(&response, out, e) < 0 ? s3_wrap(store, &call, e) : 0;
        if (again || response.status >= 500 || (response.status == 404 && store->bucket_seen))
            return s3_refused(store, &call, &response, e);
        if (!ask_why(store, name, e))
            return -1;
    }
}

/* The service answers a DELETE alike whether there was something or not. Who removes it between the two
 * requests wanted the same. */
int s3_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct s3_store *store = (struct s3_store *)base;
    CLEANUP(http_response_free) struct http_response response = {0};
    struct nacre_object_info info;
    struct s3_call call = {
        .method = "DELETE",
        .name = name,
        .verb = "remove",
        .action = "s3:DeleteObject",
        .expected = NACRE_TO_END,
    };
    if (s3_stat(base, name, &info, e) < 0)
        return -1;
    return s3_expect(store, &call, &response, e);
}

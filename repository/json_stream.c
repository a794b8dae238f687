/* SPDX-License-Identifier: Apache-2.0 */
/* yajl behind one handler: depth, keys and skipping are done here once. yajl keeps its own state on the heap,
 * a byte a level, so that depth cannot exhaust the stack; it is bounded all the same. */
#include "repository/json_stream.h"

#include <string.h>
#include <yajl/yajl_parse.h>

#include "common/cleanup.h"
#include "common/err.h"

struct parser {
    stream_handler *handler;
    void *ctx;
    struct nacre_err *e;
    bool failed; /* *e is set */
    unsigned depth;
    unsigned skip_above; /* events at or above this depth are dropped; 0 = none */
    uint64_t arrays;     /* bit d: the container at depth d is an array */
    char key[32];
};

static bool in_array(const struct parser *p)
{
    return !p->depth || (p->arrays >> (p->depth - 1) & 1);
}

static int send(struct parser *p, struct stream_event *event)
{
    event->depth = p->depth;
    bool ends = event->kind == STREAM_END_OBJECT || event->kind == STREAM_END_ARRAY;
    event->key = ends || in_array(p) ? "" : p->key;
    int result = p->handler(p->ctx, event, p->e);
    p->failed = result < 0;
    return result;
}

static int value(struct parser *p, struct stream_event event)
{
    return p->skip_above || send(p, &event) >= 0;
}

static int begin(struct parser *p, enum stream_kind kind)
{
    if (p->depth == STREAM_DEPTH_MAX) {
        p->failed = true;
        err_set(p->e, NACRE_CORRUPT, "JSON nested deeper than %d levels", STREAM_DEPTH_MAX);
        return 0;
    }
    if (!p->skip_above) {
        struct stream_event event = {.kind = kind};
        int result = send(p, &event);
        if (result < 0)
            return 0;
        if (result == STREAM_SKIP)
            p->skip_above = p->depth + 1;
    }
    uint64_t bit = UINT64_C(1) << p->depth;
    p->arrays = kind == STREAM_BEGIN_ARRAY ? p->arrays | bit : p->arrays & ~bit;
    p->depth++;
    return 1;
}

static int end(struct parser *p, enum stream_kind kind)
{
    p->depth--;
    if (p->skip_above) {
        if (p->depth + 1 == p->skip_above)
            p->skip_above = 0;
        return 1;
    }
    struct stream_event event = {.kind = kind};
    return send(p, &event) >= 0;
}

static int on_begin_object(void *ctx)
{
    return begin(ctx, STREAM_BEGIN_OBJECT);
}

static int on_end_object(void *ctx)
{
    return end(ctx, STREAM_END_OBJECT);
}

static int on_begin_array(void *ctx)
{
    return begin(ctx, STREAM_BEGIN_ARRAY);
}

static int on_end_array(void *ctx)
{
    return end(ctx, STREAM_END_ARRAY);
}

static int on_key(void *ctx, const unsigned char *text, size_t size)
{
    struct parser *p = ctx;
    bool known = size < sizeof p->key && !memchr(text, 0, size);
    memcpy(p->key, known ? (const char *)text : "?", known ? size : 1);
    p->key[known ? size : 1] = 0;
    return 1;
}

static int on_string(void *ctx, const unsigned char *text, size_t size)
{
    return value(ctx, (struct stream_event){.kind = STREAM_STRING, .text = (const char *)text, .size = size});
}

static int on_number(void *ctx, const char *text, size_t size)
{
    return value(ctx, (struct stream_event){.kind = STREAM_NUMBER, .text = text, .size = size});
}

static int on_boolean(void *ctx, int truth)
{
    return value(ctx, (struct stream_event){.kind = STREAM_BOOL, .truth = truth});
}

static int on_null(void *ctx)
{
    return value(ctx, (struct stream_event){.kind = STREAM_NULL});
}

static int syntax_error(yajl_handle yajl, struct nacre_err *e)
{
    unsigned char *text = yajl_get_error(yajl, 0, NULL, 0);
    err_set(e, NACRE_CORRUPT, "not JSON at byte %zu: %.*s", yajl_get_bytes_consumed(yajl),
            (int)strcspn(text ? (const char *)text : "", "\n"), text ? (const char *)text : "");
    if (text)
        yajl_free_error(yajl, text);
    return -1;
}

int json_stream_parse(const void *json, size_t size, stream_handler *handler, void *ctx, struct nacre_err *e)
{
    static const yajl_callbacks callbacks = {
        .yajl_null = on_null,
        .yajl_boolean = on_boolean,
        .yajl_number = on_number,
        .yajl_string = on_string,
        .yajl_start_map = on_begin_object,
        .yajl_map_key = on_key,
        .yajl_end_map = on_end_object,
        .yajl_start_array = on_begin_array,
        .yajl_end_array = on_end_array,
    };
    struct parser p = {.handler = handler, .ctx = ctx, .e = e};
    yajl_handle yajl = yajl_alloc(&callbacks, NULL, &p);
    if (!yajl)
        return err_no_memory(e, "reading JSON");
    yajl_status status = yajl_parse(yajl, json, size);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(yajl);
    int result = 0;
    if (status != yajl_status_ok)
        result = p.failed ? -1 : syntax_error(yajl, e);
    yajl_free(yajl);
    return result;
}

int stream_unexpected(const struct stream_event *event, struct nacre_err *e)
{
    static const char *const kinds[] = {"an object", "the end of an object",
                                        "an array",  "the end of an array",
                                        "a string",  "a number",
                                        "a boolean", "null"};
    return err_set(e, NACRE_CORRUPT, "\"%s\" at depth %u is unexpectedly %s", event->key, event->depth,
                   kinds[event->kind]);
}

int stream_uint(const struct stream_event *event, uint64_t maximum, uint64_t *out, struct nacre_err *e)
{
    if (event->kind == STREAM_NULL)
        return 0;
    if (event->kind != STREAM_NUMBER)
        return stream_unexpected(event, e);
    uint64_t number = 0;
    for (size_t i = 0; i < event->size; i++) {
        char c = event->text[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(number, UINT64_C(10), &number) ||
            __builtin_add_overflow(number, (uint64_t)(c - '0'), &number))
            return err_set(e, NACRE_CORRUPT, "\"%s\" is not a whole number: %.*s", event->key,
                           (int)(event->size < 40 ? event->size : 40), event->text);
    }
    if (number > maximum)
        return err_set(e, NACRE_CORRUPT, "\"%s\" is %llu, more than %llu", event->key,
                       (unsigned long long)number, (unsigned long long)maximum);
    *out = number;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapper `limit`: keeps uploads and downloads below a number of bytes per second.
 *
 * Options: upload-bytes-per-second, download-bytes-per-second; one that is not given does not limit. The
 * limit is the process's: all handles with a limit draw from one bucket per direction, and the rate that was
 * given last holds for all of them.
 *
 * A token bucket that holds a quarter of a second's worth. Bytes are taken in slices of at most 64 KiB, an
 * upload's as the store reads them to send them, a download's as they are handed on; whoever overdraws waits
 * until the debt is paid, so the mean is kept whatever the number of threads. An upload that is not in memory
 * is also counted when the store reads it for a checksum. Outside of `retry` repeated bytes are not counted;
 * inside of it, where it belongs, they are. */
#include <nacre/object_store.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/option.h"
#include "common/timestamp.h"

#define SLICE ((size_t)65536)
#define SECOND 1000000000LL

struct bucket {
    pthread_mutex_t mutex;
    double rate;   /* bytes per second; 0 = not yet set */
    double tokens; /* negative: owed */
    int64_t filled_ns;
};

static struct bucket upload = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static struct bucket download = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct limit {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    bool (*cancelled)(void);
    struct bucket *up; /* NULL = not limited */
    struct bucket *down;
};

static void bucket_set(struct bucket *bucket, uint64_t rate)
{
    pthread_mutex_lock(&bucket->mutex);
    bucket->rate = (double)rate;
    bucket->tokens = 0;
    bucket->filled_ns = timestamp_elapsed();
    pthread_mutex_unlock(&bucket->mutex);
}

/* Takes `bytes`, and waits while the bucket is overdrawn. */
static int bucket_take(struct bucket *bucket, size_t bytes, bool (*cancelled)(void), struct nacre_err *e)
{
    pthread_mutex_lock(&bucket->mutex);
    int64_t now = timestamp_elapsed();
    bucket->tokens += bucket->rate * (double)(now - bucket->filled_ns) / SECOND;
    bucket->filled_ns = now;
    if (bucket->tokens > bucket->rate / 4)
        bucket->tokens = bucket->rate / 4;
    bucket->tokens -= (double)bytes;
    double wait_ms = bucket->tokens < 0 ? -bucket->tokens * 1000 / bucket->rate : 0;
    pthread_mutex_unlock(&bucket->mutex);
    return wait_ms >= 1 ? cancel_sleep((uint64_t)wait_ms, cancelled, e) : 0;
}

static void limit_close(struct nacre_object_store *base)
{
    struct limit *limit = (struct limit *)base;
    limit->inner->ops->close(limit->inner);
    free(limit);
}

struct limited_input {
    const struct limit *limit;
    const struct nacre_input *input;
};

static int limited_read(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    const struct limited_input *limited = ctx;
    const struct nacre_input *input = limited->input;
    for (uint8_t *at = buf; len;) {
        size_t part = len < SLICE ? len : SLICE;
        if (bucket_take(limited->limit->up, part, limited->limit->cancelled, e) < 0 ||
            nacre_input_send(input, offset, at, part, e) < 0)
            return -1;
        at += part;
        offset += part;
        len -= part;
    }
    return 0;
}

static int limit_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e)
{
    struct limit *limit = (struct limit *)base;
    struct limited_input limited = {limit, input};
    const struct nacre_input slow = {
        .size = input->size, .data = input->data, .read = limited_read, .ctx = &limited};
    return limit->inner->ops->put(limit->inner, name, limit->up ? &slow : input, e);
}

static int limit_put_if_absent(struct nacre_object_store *base, const char *name,
                               const struct nacre_input *input, struct nacre_err *e)
{
    struct limit *limit = (struct limit *)base;
    struct limited_input limited = {limit, input};
    const struct nacre_input slow = {
        .size = input->size, .data = input->data, .read = limited_read, .ctx = &limited};
    return limit->inner->ops->put_if_absent(limit->inner, name, limit->up ? &slow : input, e);
}

struct limited_sink {
    const struct limit *limit;
    nacre_sink *sink;
    void *ctx;
};

static int limited_take(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    const struct limited_sink *limited = ctx;
    for (const uint8_t *at = data; len;) {
        size_t part = len < SLICE ? len : SLICE;
        if (bucket_take(limited->limit->down, part, limited->limit->cancelled, e) < 0 ||
            limited->sink(limited->ctx, at, part, e) < 0)
            return -1;
        at += part;
        len -= part;
    }
    return 0;
}

static int limit_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                     nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct limit *limit = (struct limit *)base;
    if (!limit->down)
        return limit->inner->ops->get(limit->inner, name, offset, length, sink, ctx, e);
    struct limited_sink limited = {limit, sink, ctx};
    return limit->inner->ops->get(limit->inner, name, offset, length, limited_take, &limited, e);
}

static int limit_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
                      struct nacre_err *e)
{
    struct limit *limit = (struct limit *)base;
    return limit->inner->ops->stat(limit->inner, name, out, e);
}

static int limit_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
                      struct nacre_err *e)
{
    struct limit *limit = (struct limit *)base;
    return limit->inner->ops->list(limit->inner, prefix, entry, ctx, e);
}

static int limit_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct limit *limit = (struct limit *)base;
    return limit->inner->ops->remove(limit->inner, name, e);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = limit_close,
    .put = limit_put,
    .put_if_absent = limit_put_if_absent,
    .get = limit_get,
    .stat = limit_stat,
    .list = limit_list,
    .remove = limit_remove,
};

static int limit_wrap(struct nacre_object_store *inner, const struct nacre_config *config,
                      struct nacre_object_store **out, struct nacre_err *e)
{
    log_forward(config->log);
    uint64_t up = 0, down = 0;
    if (option_number(config, "upload-bytes-per-second", 1024, (uint64_t)1 << 50, &up, e) < 0 ||
        option_number(config, "download-bytes-per-second", 1024, (uint64_t)1 << 50, &down, e) < 0)
        return err_wrap(e, "limit");
    struct limit *limit = malloc(sizeof *limit);
    if (!limit)
        return err_no_memory(e, "an object store");
    if (up)
        bucket_set(&upload, up);
    if (down)
        bucket_set(&download, down);
    *limit = (struct limit){
        .base.ops = &ops,
        .inner = inner,
        .cancelled = config->cancelled,
        .up = up ? &upload : NULL,
        .down = down ? &download : NULL,
    };
    *out = &limit->base;
    return 0;
}

static const char *const options[] = {"upload-bytes-per-second", "download-bytes-per-second", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "limit",
    .version = NACRE_VERSION,
    .description = "wrapper: keeps uploads and downloads below a rate",
    .options = options,
    .wrap = limit_wrap,
};

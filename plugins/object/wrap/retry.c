/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapper `retry`: tries again what may succeed when tried again (NACRE_TRANSIENT, NACRE_THROTTLED).
 *
 * Options: tries (how often in all, default 10), base-ms (default 500), cap-ms (default 30000). Before
 * attempt n + 1 it waits a random time between 0 and min(cap, base * 2^(n-1)) ("full jitter", so that many
 * clients do not come back together), and no less than the service asked for. The wait ends at once when the
 * program is asked to stop.
 *
 * What a repeat may not do twice is made whole here:
 * - get goes on at the byte that was reached. As long as bytes arrive, the attempts are counted anew. An
 *   object that is replaced between the two reads comes out mixed; what nacre replaces, its reader verifies.
 * - list goes on after the last name that was reported.
 * - put_if_absent may find, after a failed attempt, that the name is taken by its own earlier attempt: it
 * reads the object back, and the same content counts as its own.
 * - remove may find its object gone after a failed attempt: that is what was wanted. */
#include <nacre/object_store.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/option.h"

/* A service that asks for more is asked again after this. */
#define RETRY_AFTER_MAX_MS ((uint64_t)600000)

struct retry {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    bool (*cancelled)(void);
    uint64_t tries;
    uint64_t base_ms;
    uint64_t cap_ms;
};

static uint64_t random_below(uint64_t limit)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return limit / 2;
    return limit ? random % limit : 0;
}

static uint64_t wait_ms(const struct retry *retry, uint64_t attempt, const struct nacre_err *e)
{
    uint64_t limit = retry->base_ms;
    for (uint64_t i = 1; i < attempt && limit < retry->cap_ms; i++)
        limit *= 2;
    uint64_t wait = random_below((limit < retry->cap_ms ? limit : retry->cap_ms) + 1);
    uint64_t asked = e->code == NACRE_THROTTLED ? e->retry_after_ms : 0;
    if (asked > RETRY_AFTER_MAX_MS)
        asked = RETRY_AFTER_MAX_MS;
    return wait < asked ? asked : wait;
}

/* After failed attempt number `attempt` (from 1): true when the caller should try again, having waited; false
 * with the error to return in *e. */
static bool again(const struct retry *retry, uint64_t attempt, const char *verb, const char *name,
                  struct nacre_err *e)
{
    if (e->code != NACRE_TRANSIENT && e->code != NACRE_THROTTLED)
        return false;
    if (attempt >= retry->tries) {
        if (retry->tries > 1)
            err_set(e, e->code, "%s (tried %" PRIu64 " times)", e->message, attempt);
        return false;
    }
    uint64_t wait = wait_ms(retry, attempt, e);
    const char *format = "cannot %s %s: %s; trying again in %" PRIu64 " ms (%" PRIu64 " of %" PRIu64 ")";
    void (*say)(const char *, ...) = attempt < 3 ? log_debug : log_warning;
    say(format, verb, name, e->message, wait, attempt + 1, retry->tries);
    struct nacre_err stop;
    if (cancel_sleep(wait, retry->cancelled, &stop) < 0) {
        err_set(e, stop.code, "%s while waiting to try again, after: %s", stop.message, e->message);
        return false;
    }
    return true;
}

static void retry_close(struct nacre_object_store *base)
{
    struct retry *retry = (struct retry *)base;
    retry->inner->ops->close(retry->inner);
    free(retry);
}

static int retry_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e)
{
    struct retry *retry = (struct retry *)base;
    for (uint64_t attempt = 1;; attempt++) {
        if (retry->inner->ops->put(retry->inner, name, input, e) == 0)
            return 0;
        if (!again(retry, attempt, "write", name, e))
            return -1;
    }
}

/* One read of an object, resumed as often as needed. */
struct resumed_get {
    nacre_sink *sink;
    void *ctx;
    uint64_t delivered;
    uint64_t length;
    bool sink_failed;
};

static int resumed_sink(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct resumed_get *get = ctx;
    if (get->length != NACRE_TO_END && len > get->length - get->delivered)
        return err_set(e, NACRE_FAILED, "the object store sent more than was asked for");
    if (get->sink(get->ctx, data, len, e) < 0) {
        get->sink_failed = true;
        return -1;
    }
    get->delivered += len;
    return 0;
}

static int retry_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                     nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct retry *retry = (struct retry *)base;
    struct resumed_get get = {sink, ctx, 0, length, false};
    for (uint64_t attempt = 1;; attempt++) {
        uint64_t before = get.delivered;
        uint64_t rest = length == NACRE_TO_END ? length : length - before;
        if (retry->inner->ops->get(retry->inner, name, offset + before, rest, resumed_sink, &get, e) == 0)
            return 0;
        if (get.delivered > before)
            attempt = 1;
        if (get.sink_failed || !again(retry, attempt, "read", name, e))
            return -1;
    }
}

static int retry_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
                      struct nacre_err *e)
{
    struct retry *retry = (struct retry *)base;
    for (uint64_t attempt = 1;; attempt++) {
        if (retry->inner->ops->stat(retry->inner, name, out, e) == 0)
            return 0;
        if (!again(retry, attempt, "look at", name, e))
            return -1;
    }
}

/* Compares an object with what was to be written. */
struct comparison {
    const struct nacre_input *input;
    uint64_t offset;
    bool different;
};

static int compare(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct comparison *comparison = ctx;
    const struct nacre_input *input = comparison->input;
    uint8_t ours[65536];
    for (const uint8_t *at = data; len && !comparison->different;) {
        size_t part = len < sizeof ours ? len : sizeof ours;
        if (part > input->size - comparison->offset) {
            comparison->different = true;
            break;
        }
        const void *expected = ours;
        if (input->data)
            expected = (const uint8_t *)input->data + comparison->offset;
        else if (input->read(input->ctx, comparison->offset, ours, part, e) < 0)
            return -1;
        comparison->different = memcmp(at, expected, part) != 0;
        comparison->offset += part;
        at += part;
        len -= part;
    }
    return 0;
}

/* 1 when the stored object is what was to be written, 0 when it is another, -1 with *e set. */
static int is_ours(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                   struct nacre_err *e)
{
    struct nacre_object_info info;
    if (retry_stat(base, name, &info, e) < 0)
        return -1;
    if (info.size != input->size)
        return 0;
    struct comparison comparison = {input, 0, false};
    if (retry_get(base, name, 0, NACRE_TO_END, compare, &comparison, e) < 0)
        return -1;
    return !comparison.different && comparison.offset == input->size;
}

static int retry_put_if_absent(struct nacre_object_store *base, const char *name,
                               const struct nacre_input *input, struct nacre_err *e)
{
    struct retry *retry = (struct retry *)base;
    for (uint64_t attempt = 1;; attempt++) {
        if (retry->inner->ops->put_if_absent(retry->inner, name, input, e) == 0)
            return 0;
        if (e->code == NACRE_EXISTS && attempt > 1) {
            struct nacre_err exists = *e;
            int ours = is_ours(base, name, input, e);
            if (ours == 0)
                *e = exists;
            return ours == 1 ? 0 : -1;
        }
        if (!again(retry, attempt, "write", name, e))
            return -1;
    }
}

struct resumed_list {
    nacre_list_entry *entry;
    void *ctx;
    bool any;
    bool stopped;
    char last[NACRE_OBJECT_NAME_MAX + 1];
};

static int resumed_entry(void *ctx, const struct nacre_object_info *info)
{
    struct resumed_list *list = ctx;
    if (list->any && strcmp(info->name, list->last) <= 0)
        return 0;
    size_t size = strlen(info->name);
    if (size >= sizeof list->last)
        return 0; /* not an object's name */
    list->any = true;
    memcpy(list->last, info->name, size + 1);
    list->stopped = list->entry(list->ctx, info) != 0;
    return list->stopped;
}

static int retry_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
                      struct nacre_err *e)
{
    struct retry *retry = (struct retry *)base;
    struct resumed_list list = {.entry = entry, .ctx = ctx};
    for (uint64_t attempt = 1;; attempt++) {
        if (retry->inner->ops->list(retry->inner, prefix, resumed_entry, &list, e) == 0 || list.stopped)
            return 0;
        if (!again(retry, attempt, "list", *prefix ? prefix : "the objects", e))
            return -1;
    }
}

static int retry_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct retry *retry = (struct retry *)base;
    for (uint64_t attempt = 1;; attempt++) {
        if (retry->inner->ops->remove(retry->inner, name, e) == 0 || (attempt > 1 && e->code == NACRE_ABSENT))
            return 0;
        if (!again(retry, attempt, "remove", name, e))
            return -1;
    }
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = retry_close,
    .put = retry_put,
    .put_if_absent = retry_put_if_absent,
    .get = retry_get,
    .stat = retry_stat,
    .list = retry_list,
    .remove = retry_remove,
};

static int retry_wrap(struct nacre_object_store *inner, const struct nacre_config *config,
                      struct nacre_object_store **out, struct nacre_err *e)
{
    log_forward(config->log);
    struct retry settings = {
        .base.ops = &ops,
        .inner = inner,
        .cancelled = config->cancelled,
        .tries = 10,
        .base_ms = 500,
        .cap_ms = 30000,
    };
    if (option_number(config, "tries", 1, 1000, &settings.tries, e) < 0 ||
        option_number(config, "base-ms", 0, 600000, &settings.base_ms, e) < 0 ||
        option_number(config, "cap-ms", 0, 600000, &settings.cap_ms, e) < 0)
        return err_wrap(e, "retry");
    struct retry *retry = malloc(sizeof *retry);
    if (!retry)
        return err_no_memory(e, "an object store");
    *retry = settings;
    *out = &retry->base;
    return 0;
}

static const char *const options[] = {"tries", "base-ms", "cap-ms", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "retry",
    .version = NACRE_VERSION,
    .description = "wrapper: tries again after transient failures",
    .options = options,
    .wrap = retry_wrap,
};

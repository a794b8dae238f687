/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapper `fault`: makes a store fail in chosen ways, so that tests can see what everything above makes
 * of it.
 *
 * Which calls fail:
 *   fail-op=put,get,…     only these (put, put_if_absent, get, stat, list, remove); default all
 *   fail-name=PREFIX      only objects whose names begin so (list: whose prefix does)
 *   fail-every=N          every Nth such call
 *   fail-percent=P        P % of them, chosen by seed
 *   fail-after-ops=N      all of them, once N have passed: the store has gone away
 *   fail-count=N          at most N failures in all; default without end
 *   seed=N                default 1; the same seed and order of calls gives the same faults
 * How they fail:
 *   code=transient        or throttled, failed, denied, no-space, corrupt, absent
 *   retry-after-ms=N      with code=throttled
 *   fail-when=before      or `after`: the call is carried out, then reported as failed; or `middle`: half of
 *                         the bytes or entries pass, then it fails
 * And, independent of these:
 *   fail-after-bytes=N    writes fail with no-space once N bytes were written, in the middle of an object
 *   truncate-get=N        every Nth get ends early and calls that a success
 *   flip-byte=N           every Nth get has one bit of one byte changed
 *   delay-ms=N            before every call
 *
 * Counters are atomic and per handle; with several threads the number of faults is fixed, not whom they hit.
 */
#include <nacre/object_store.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/cancel.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/log.h"
#include "common/option.h"

enum op { OP_PUT, OP_PUT_IF_ABSENT, OP_GET, OP_STAT, OP_LIST, OP_REMOVE, OP_COUNT };
static const char *const op_names[] = {"put", "put_if_absent", "get", "stat", "list", "remove"};

enum when { NEVER, BEFORE, MIDDLE, AFTER };

struct fault {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    bool (*cancelled)(void);
    unsigned ops; /* bit per op */
    char *name_prefix;
    uint64_t every, percent, after_ops, count, seed, retry_after_ms, after_bytes, truncate_get, flip_byte,
        delay_ms;
    enum nacre_code code;
    enum when when;
    atomic_uint_fast64_t calls;    /* that match fail-op and fail-name */
    atomic_uint_fast64_t failures; /* of these */
    atomic_uint_fast64_t gets;
    atomic_uint_fast64_t bytes; /* written */
};

/* A number that depends on seed and call alone (splitmix64). */
static uint64_t mix(uint64_t seed, uint64_t call)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15u + call * 0xbf58476d1ce4e5b9u + 1;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int fail(const struct fault *fault, enum op op, const char *name, struct nacre_err *e)
{
    err_set(e, fault->code, "injected fault: %s %s", op_names[op], name);
    e->retry_after_ms = fault->code == NACRE_THROTTLED ? (uint32_t)fault->retry_after_ms : 0;
    return -1;
}

/* Counts the call, and says whether and when it fails. */
static enum when decide(struct fault *fault, enum op op, const char *name)
{
    if (!(fault->ops & 1u << op) ||
        (fault->name_prefix && strncmp(name, fault->name_prefix, strlen(fault->name_prefix)) != 0))
        return NEVER;
    uint64_t call = atomic_fetch_add(&fault->calls, 1) + 1;
    bool hit = (fault->every && call % fault->every == 0) ||
               (fault->percent && mix(fault->seed, call) % 100 < fault->percent) ||
               (fault->after_ops != UINT64_MAX && call > fault->after_ops);
    if (!hit || atomic_fetch_add(&fault->failures, 1) >= fault->count)
        return NEVER;
    return fault->when;
}

/* The start of every call: -1 when it ends here. */
static int begin(struct fault *fault, enum op op, const char *name, enum when *when, struct nacre_err *e)
{
    if (fault->delay_ms && cancel_sleep(fault->delay_ms, fault->cancelled, e) < 0)
        return -1;
    *when = decide(fault, op, name);
    return *when == BEFORE ? fail(fault, op, name, e) : 0;
}

static void fault_close(struct nacre_object_store *base)
{
    struct fault *fault = (struct fault *)base;
    fault->inner->ops->close(fault->inner);
    free(fault->name_prefix);
    free(fault);
}

struct faulty_input {
    struct fault *fault;
    const struct nacre_input *input;
    const char *name;
    enum op op;
    bool middle;
};

static int faulty_read(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    const struct faulty_input *faulty = ctx;
    const struct nacre_input *input = faulty->input;
    if (faulty->middle && offset + len > input->size / 2)
        return fail(faulty->fault, faulty->op, faulty->name, e);
    if (atomic_fetch_add(&faulty->fault->bytes, len) + len > faulty->fault->after_bytes)
        return err_set(e, NACRE_NO_SPACE, "injected fault: no space left for %s", faulty->name);
    return nacre_input_send(input, offset, buf, len, e);
}

static int faulty_put(struct fault *fault, enum op op, const char *name, const struct nacre_input *input,
                      struct nacre_err *e)
{
    enum when when;
    if (begin(fault, op, name, &when, e) < 0)
        return -1;
    struct faulty_input faulty = {fault, input, name, op, when == MIDDLE};
    const struct nacre_input slow = {
        .size = input->size, .data = input->data, .read = faulty_read, .ctx = &faulty};
    const struct nacre_input *use = when == MIDDLE || fault->after_bytes != UINT64_MAX ? &slow : input;
    const struct nacre_object_store_ops *inner = fault->inner->ops;
    if ((op == OP_PUT ? inner->put : inner->put_if_absent)(fault->inner, name, use, e) < 0)
        return -1;
    return when == NEVER ? 0 : fail(fault, op, name, e);
}

static int fault_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e)
{
    return faulty_put((struct fault *)base, OP_PUT, name, input, e);
}

static int fault_put_if_absent(struct nacre_object_store *base, const char *name,
                               const struct nacre_input *input, struct nacre_err *e)
{
    return faulty_put((struct fault *)base, OP_PUT_IF_ABSENT, name, input, e);
}

struct faulty_sink {
    nacre_sink *sink;
    void *ctx;
    uint64_t left;     /* until the bytes end early */
    uint64_t flip;     /* until the byte that is changed */
    uint64_t flip_bit; /* as a mask */
    bool ended;
};

static int faulty_take(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct faulty_sink *faulty = ctx;
    size_t part = len < faulty->left ? len : (size_t)faulty->left;
    CLEANUP(mem_free) uint8_t *changed = NULL;
    if (faulty->flip < part) {
        changed = malloc(part);
        if (!changed)
            return err_no_memory(e, "a fault");
        memcpy(changed, data, part);
        changed[faulty->flip] ^= (uint8_t)faulty->flip_bit;
        faulty->flip = UINT64_MAX;
    } else if (faulty->flip != UINT64_MAX) {
        faulty->flip -= part;
    }
    if (part && faulty->sink(faulty->ctx, changed ? changed : data, part, e) < 0)
        return -1;
    faulty->left -= part;
    faulty->ended = part < len;
    return faulty->ended ? err_set(e, NACRE_FAILED, "injected fault: ended early") : 0;
}

/* How many bytes the range has; 0 when that cannot be told. */
static uint64_t range_bytes(struct fault *fault, const char *name, uint64_t offset, uint64_t length)
{
    struct nacre_object_info info;
    struct nacre_err ignored;
    if (length != NACRE_TO_END)
        return length;
    if (fault->inner->ops->stat(fault->inner, name, &info, &ignored) < 0)
        return 0;
    return info.size > offset ? info.size - offset : 0;
}

static int fault_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                     nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct fault *fault = (struct fault *)base;
    enum when when;
    if (begin(fault, OP_GET, name, &when, e) < 0)
        return -1;
    uint64_t get = atomic_fetch_add(&fault->gets, 1) + 1;
    bool truncate = fault->truncate_get && get % fault->truncate_get == 0;
    bool flip = fault->flip_byte && get % fault->flip_byte == 0;
    struct faulty_sink faulty = {sink, ctx, UINT64_MAX, UINT64_MAX, 0, false};
    uint64_t bytes = truncate || flip || when == MIDDLE ? range_bytes(fault, name, offset, length) : 0;
    if ((truncate || when == MIDDLE) && bytes)
        faulty.left = bytes / 2;
    if (flip && bytes) {
        uint64_t random = mix(fault->seed, get);
        faulty.flip = random % bytes;
        faulty.flip_bit = 1u << (random >> 60) % 8;
    }
    int result = fault->inner->ops->get(fault->inner, name, offset, length, faulty_take, &faulty, e);
    if (faulty.ended)
        result = when == MIDDLE ? fail(fault, OP_GET, name, e) : 0;
    else if (result == 0 && when != NEVER)
        result = fail(fault, OP_GET, name, e);
    return result;
}

static int fault_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
                      struct nacre_err *e)
{
    struct fault *fault = (struct fault *)base;
    enum when when;
    if (begin(fault, OP_STAT, name, &when, e) < 0 || fault->inner->ops->stat(fault->inner, name, out, e) < 0)
        return -1;
    return when == NEVER ? 0 : fail(fault, OP_STAT, name, e);
}

struct faulty_list {
    nacre_list_entry *entry;
    void *ctx;
    uint64_t seen;

    uint64_t most;
    bool stopped;
};

static int count_entry(void *ctx, const struct nacre_object_info *info)
{
    (void)info;
    ++*(uint64_t *)ctx;
    return 0;
}

static int faulty_entry(void *ctx, const struct nacre_object_info *info)
{
    struct faulty_list *list = ctx;
    if (list->seen++ >= list->most)
        return 1;
    list->stopped = list->entry(list->ctx, info) != 0;
    return list->stopped;
}

static int fault_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
                      struct nacre_err *e)
{
    struct fault *fault = (struct fault *)base;
    struct nacre_object_store *inner = fault->inner;
    enum when when;
    if (begin(fault, OP_LIST, prefix, &when, e) < 0)
        return -1;
    struct faulty_list list = {.entry = entry, .ctx = ctx, .most = UINT64_MAX};
    uint64_t total = 0;
    if (when == MIDDLE) {
        if (inner->ops->list(inner, prefix, count_entry, &total, e) < 0)
            return -1;
        list.most = total / 2;
    }
    if (inner->ops->list(inner, prefix, faulty_entry, &list, e) < 0)
        return -1;
    return when == NEVER || list.stopped ? 0 : fail(fault, OP_LIST, prefix, e);
}

static int fault_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct fault *fault = (struct fault *)base;
    enum when when;
    if (begin(fault, OP_REMOVE, name, &when, e) < 0 || fault->inner->ops->remove(fault->inner, name, e) < 0)
        return -1;
    return when == NEVER ? 0 : fail(fault, OP_REMOVE, name, e);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = fault_close,
    .put = fault_put,
    .put_if_absent = fault_put_if_absent,
    .get = fault_get,
    .stat = fault_stat,
    .list = fault_list,
    .remove = fault_remove,
};

/* The index of a word in a list, or -1 with *e set. */
static int choose(const char *key, const char *word, size_t size, const char *const *words, size_t count,
                  struct nacre_err *e)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) == size && !memcmp(words[i], word, size))
            return (int)i;
    return err_set(e, NACRE_INVALID, "option \"%s\" cannot be \"%.*s\"", key, (int)size, word);
}

static int parse_ops(struct fault *fault, const char *list, struct nacre_err *e)
{
    fault->ops = list ? 0 : (1u << OP_COUNT) - 1;
    while (list && *list) {
        size_t size = strcspn(list, ",");
        int op = choose("fail-op", list, size, op_names, OP_COUNT, e);
        if (op < 0)
            return -1;
        fault->ops |= 1u << op;
        list += size + (list[size] == ',');
    }
    return 0;
}

static int parse_words(struct fault *fault, const struct nacre_config *config, struct nacre_err *e)
{
    static const char *const codes[] = {"transient", "throttled", "failed", "denied",
                                        "no-space",  "corrupt",   "absent"};
    static const enum nacre_code code_values[] = {NACRE_TRANSIENT, NACRE_THROTTLED, NACRE_FAILED,
                                                  NACRE_DENIED,    NACRE_NO_SPACE,  NACRE_CORRUPT,
                                                  NACRE_ABSENT};
    static const char *const whens[] = {"never", "before", "middle", "after"};
    const char *code = option_text(config, "code"), *when = option_text(config, "fail-when");
    const char *prefix = option_text(config, "fail-name");
    int chosen_code = code ? choose("code", code, strlen(code), codes, 7, e) : 0;
    int chosen_when = when ? choose("fail-when", when, strlen(when), whens, 4, e) : BEFORE;
    if (chosen_code < 0 || chosen_when < 0 || parse_ops(fault, option_text(config, "fail-op"), e) < 0)
        return -1;
    fault->code = code_values[chosen_code];
    fault->when = (enum when)chosen_when;
    fault->name_prefix = prefix ? strdup(prefix) : NULL;
    return prefix && !fault->name_prefix ? err_no_memory(e, "a fault") : 0;
}

static int parse(struct fault *fault, const struct nacre_config *config, struct nacre_err *e)
{
    const struct {
        const char *key;
        uint64_t high;
        uint64_t *value;
    } numbers[] = {
        {"fail-every", UINT64_MAX, &fault->every},
        {"fail-percent", 100, &fault->percent},
        {"fail-after-ops", UINT64_MAX, &fault->after_ops},
        {"fail-count", UINT64_MAX, &fault->count},
        {"seed", UINT64_MAX, &fault->seed},
        {"retry-after-ms", UINT32_MAX, &fault->retry_after_ms},
        {"fail-after-bytes", UINT64_MAX, &fault->after_bytes},
        {"truncate-get", UINT64_MAX, &fault->truncate_get},
        {"flip-byte", UINT64_MAX, &fault->flip_byte},
        {"delay-ms", 3600000, &fault->delay_ms},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (option_number(config, numbers[i].key, 0, numbers[i].high, numbers[i].value, e) < 0)
            return -1;
    return parse_words(fault, config, e);
}

static int fault_wrap(struct nacre_object_store *inner, const struct nacre_config *config,
                      struct nacre_object_store **out, struct nacre_err *e)
{
    log_forward(config->log);
    struct fault *fault = calloc(1, sizeof *fault);
    if (!fault)
        return err_no_memory(e, "an object store");
    fault->base.ops = &ops;
    fault->inner = inner;
    fault->cancelled = config->cancelled;
    fault->after_ops = fault->count = fault->after_bytes = UINT64_MAX;
    fault->seed = 1;
    if (parse(fault, config, e) < 0) {
        free(fault->name_prefix);
        free(fault);
        return err_wrap(e, "fault");
    }
    *out = &fault->base;
    return 0;
}

static const char *const options[] = {
    "fail-op",          "fail-name",    "fail-every", "fail-percent",   "fail-after-ops",
    "fail-count",       "seed",         "code",       "retry-after-ms", "fail-when",
    "fail-after-bytes", "truncate-get", "flip-byte",  "delay-ms",       NULL,
};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "fault",
    .version = NACRE_VERSION,
    .description = "wrapper: makes the store fail in chosen ways, for tests",
    .options = options,
    .wrap = fault_wrap,
};

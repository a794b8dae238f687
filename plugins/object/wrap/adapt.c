/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapper `adapt`: as many calls of a store at once as it bears.
 *
 * Option: connections (default 8), the most that there may be. Each call needs a place; when the store asks
 * to slow down (NACRE_THROTTLED) there are half as many, at least one, and with every round of calls that
 * went well one more, up to the option. What was under way when the places were halved says nothing about the
 * new number: a call that began before that does not halve them again.
 *
 * It belongs inside of `retry`, so that a place is not held while that waits, and outside of what makes the
 * requests. The callback of a list, a sink or an input may call the store again: a thread that has a place of
 * a handle needs no second one, which could keep it waiting for itself. The wait ends when the program is
 * asked to stop. */
#include <nacre/object_store.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/err.h"
#include "common/log.h"
#include "common/option.h"

#define LOOK_MS 50 /* how often a waiting call looks whether it should stop */

struct adapt {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    bool (*cancelled)(void);
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t left;   /* a place became free, or another call is the first that waits */
    struct call *waiting;  /* in order, so that a lock's refresh is not kept waiting by uploads for ever */
    uint64_t most, places, taken;
    uint64_t went_well; /* calls since `places` was last changed */
    uint64_t halvings;
};

/* A call that is under way. They lie on the stacks of their threads. */
struct call {
    struct adapt *adapt;
    struct call *outer; /* of the same thread */
    uint64_t halvings;  /* as it began */
    bool nested;        /* within another call of the handle: has no place of its own */
    struct call *next;  /* that waits */
};

static _Thread_local struct call *calls;

/* Waits for 50 ms at most, with the mutex held; -1 when the program was asked to stop. */
static int wait_a_moment(struct adapt *adapt, struct nacre_err *e)
{
    struct timespec until;
    if (adapt->cancelled && adapt->cancelled())
        return err_set(e, NACRE_CANCELLED, "interrupted");
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&adapt->left, &adapt->mutex, &until);
    return 0;
}

/* Waits in the queue for a place, and takes it; with the mutex held. */
static int take_place(struct adapt *adapt, struct call *call, struct nacre_err *e)
{
    int result = 0;
    struct call **at = &adapt->waiting;
    while (*at)
        at = &(*at)->next;
    *at = call;
    while (!result && (adapt->waiting != call || adapt->taken >= adapt->places))
        result = wait_a_moment(adapt, e);
    for (at = &adapt->waiting; *at != call;)
        at = &(*at)->next;
    *at = call->next;
    adapt->taken += result == 0;
    pthread_cond_broadcast(&adapt->left);
    return result;
}

static int begin(struct adapt *adapt, struct call *call, struct nacre_err *e)
{
    *call = (struct call){.adapt = adapt, .outer = calls};
    for (const struct call *outer = calls; outer; outer = outer->outer)
        call->nested |= outer->adapt == adapt;
    pthread_mutex_lock(&adapt->mutex);
    int result = call->nested ? 0 : take_place(adapt, call, e);
    call->halvings = adapt->halvings;
    pthread_mutex_unlock(&adapt->mutex);
    if (result == 0)
        calls = call;
    return result;
}

/* With the mutex held. */
static void slow_down(struct adapt *adapt)
{
    adapt->halvings++;
    adapt->went_well = 0;
    if (adapt->places > 1) {
        adapt->places /= 2;
        log_debug("the store asks to slow down: %" PRIu64 " requests at once from now on", adapt->places);
    }
}

static void speed_up(struct adapt *adapt)
{
    if (adapt->places == adapt->most || ++adapt->went_well < adapt->places)
        return;
    adapt->went_well = 0;
    adapt->places++;
    log_debug("the store keeps up: %" PRIu64 " requests at once from now on", adapt->places);
}

/* Ends the call with its result. */
static int end(struct call *call, int result, const struct nacre_err *e)
{
    struct adapt *adapt = call->adapt;
    bool throttled = result < 0 && e->code == NACRE_THROTTLED;
    calls = call->outer;
    pthread_mutex_lock(&adapt->mutex);
    if (throttled && call->halvings == adapt->halvings)
        slow_down(adapt);
    else if (result == 0 && call->halvings == adapt->halvings)
        speed_up(adapt);
    adapt->taken -= !call->nested;
    pthread_cond_broadcast(&adapt->left);
    pthread_mutex_unlock(&adapt->mutex);
    return result;
}

static void adapt_close(struct nacre_object_store *base)
{
    struct adapt *adapt = (struct adapt *)base;
    adapt->inner->ops->close(adapt->inner);
    pthread_cond_destroy(&adapt->left);
    pthread_mutex_destroy(&adapt->mutex);
    free(adapt);
}

/* The calls themselves: each is handed on when it has a place. */
#define HAND_ON(function, ...)                                                                               \
    struct adapt *adapt = (struct adapt *)base;                                                              \
    struct call call;                                                                                        \
    if (begin(adapt, &call, e) < 0)                                                                          \
        return -1;                                                                                           \
    return end(&call, adapt->inner->ops->function(adapt->inner, __VA_ARGS__, e), e)

static int adapt_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e)
{
    HAND_ON(put, name, input);
}

static int adapt_put_if_absent(struct nacre_object_store *base, const char *name,
                               const struct nacre_input *input, struct nacre_err *e)
{
    HAND_ON(put_if_absent, name, input);
}

static int adapt_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                     nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    HAND_ON(get, name, offset, length, sink, ctx);
}

static int adapt_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
                      struct nacre_err *e)
{
    HAND_ON(stat, name, out);
}

static int adapt_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
                      struct nacre_err *e)
{
    HAND_ON(list, prefix, entry, ctx);
}

static int adapt_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    HAND_ON(remove, name);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = adapt_close,
    .put = adapt_put,
    .put_if_absent = adapt_put_if_absent,
    .get = adapt_get,
    .stat = adapt_stat,
    .list = adapt_list,
    .remove = adapt_remove,
};

static int adapt_wrap(struct nacre_object_store *inner, const struct nacre_config *config,
                      struct nacre_object_store **out, struct nacre_err *e)
{
    log_forward(config->log);
    uint64_t connections = 8;
    if (option_number(config, "connections", 1, 1024, &connections, e) < 0)
        return err_wrap(e, "adapt");
    struct adapt *adapt = malloc(sizeof *adapt);
    if (!adapt)
        return err_no_memory(e, "an object store");
    *adapt = (struct adapt){.base.ops = &ops,
                            .inner = inner,
                            .cancelled = config->cancelled,
                            .mutex = PTHREAD_MUTEX_INITIALIZER,
                            .most = connections,
                            .places = connections};
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&adapt->left, &clock);
    pthread_condattr_destroy(&clock);
    *out = &adapt->base;
    return 0;
}

static const char *const options[] = {"connections", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "adapt",
    .version = NACRE_VERSION,
    .description = "wrapper: as many requests at once as the store bears",
    .options = options,
    .wrap = adapt_wrap,
};

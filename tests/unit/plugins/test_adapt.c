/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapper `adapt`, around a store whose gets stay inside until the test lets them go with a result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cancel.h"
#include "common/err.h"
#include "plugins/load.h"
#include "plugins/store.h"

#define THREADS 12

struct gate {
    struct nacre_object_store base;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned inside, entered;
    unsigned leave;     /* so many may go, */
    unsigned newest;    /* none that came after this one, */
    unsigned throttled; /* and so many of them with NACRE_THROTTLED, the first */
    bool open;          /* all may go at once */
};

static int gate_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                    nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct gate *gate = (struct gate *)base;
    (void)name, (void)offset, (void)length, (void)sink, (void)ctx;
    pthread_mutex_lock(&gate->mutex);
    unsigned number = ++gate->entered;
    gate->inside++;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->open && (!gate->leave || number > gate->newest))
        pthread_cond_wait(&gate->changed, &gate->mutex);
    gate->leave -= gate->leave > 0;
    bool throttled = gate->throttled > 0;
    gate->throttled -= throttled;
    gate->inside--;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
    return throttled ? err_set(e, NACRE_THROTTLED, "slow down") : 0;
}

static int gate_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
                     struct nacre_err *e)
{
    (void)base, (void)prefix, (void)e;
    entry(ctx, &(struct nacre_object_info){.name = "a"});
    return 0;
}

static void gate_close(struct nacre_object_store *base)
{
    (void)base;
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops, .close = gate_close, .get = gate_get, .list = gate_list};

static struct nacre_object_store *adapt(struct gate *gate, const char *connections)
{
    struct nacre_err e = {0};
    const struct nacre_option option = {"connections", connections};
    *gate = (struct gate){
        .base.ops = &ops, .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct nacre_object_store *store = &gate->base;
    if (plugin_wrap_store("adapt", &option, 1, &store, &e) < 0)
        fail_msg("%s", e.message);
    return store;
}

struct user {
    struct nacre_object_store *store;
    atomic_bool enough;
};

static int get(struct nacre_object_store *store)
{
    struct nacre_err e;
    return store->ops->get(store, "x", 0, NACRE_TO_END, NULL, NULL, &e);
}

static void *use(void *ctx)
{
    struct user *user = ctx;
    while (!atomic_load(&user->enough))
        get(user->store);
    return NULL;
}

static void wait_inside(struct gate *gate, unsigned count)
{
    pthread_mutex_lock(&gate->mutex);
    while (gate->inside != count)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

/* Lets `count` calls go, `throttled` of them with that error, and waits until they are gone. Those that come
 * in meanwhile stay, unless more are to go than there are. */
static void let_go(struct gate *gate, unsigned count, unsigned throttled)
{
    pthread_mutex_lock(&gate->mutex);
    gate->leave = count;
    gate->newest = count > gate->inside ? UINT32_MAX : gate->entered;
    gate->throttled = throttled;
    pthread_cond_broadcast(&gate->changed);
    while (gate->leave)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

/* Many callers; each step says how many calls leave, how many of them throttled, and how many are inside once
 * the wrapper has let in whom it will. */
static void run_steps(const char *connections, const unsigned (*steps)[3], size_t count)
{
    struct gate gate;
    CLEANUP(store_close) struct nacre_object_store *store = adapt(&gate, connections);
    struct user user = {.store = store};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, &user), 0);
    for (size_t i = 0; i < count; i++) {
        if (steps[i][0])
            let_go(&gate, steps[i][0], steps[i][1]);
        wait_inside(&gate, steps[i][2]);
        usleep(20000); /* whoever else were let in would be seen by the next line */
        pthread_mutex_lock(&gate.mutex);
        unsigned inside = gate.inside;
        pthread_mutex_unlock(&gate.mutex);
        assert_int_equal(inside, steps[i][2]);
    }
    pthread_mutex_lock(&gate.mutex);
    gate.open = true;
    atomic_store(&user.enough, true);
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.mutex);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void test_as_many_as_asked_for(void **state)
{
    (void)state;
    static const unsigned three[][3] = {{0, 0, 3}, {1, 0, 3}, {3, 0, 3}, {50, 0, 3}};
    run_steps("3", three, 4);
    static const unsigned one[][3] = {{0, 0, 1}, {7, 0, 1}};
    run_steps("1", one, 2);
}

static void test_halved_once_a_round(void **state)
{
    (void)state;
    /* All eight of a round are told to slow down: four are left, not none. */
    static const unsigned round[][3] = {{0, 0, 8}, {8, 8, 4}, {4, 4, 2}, {2, 2, 1}, {1, 1, 1}, {1, 1, 1}};
    run_steps("8", round, 6);
    /* One of them is enough, and the places that are gone are not given again as the others leave. */
    static const unsigned one[][3] = {{0, 0, 8}, {1, 1, 7}, {3, 0, 4}};
    run_steps("8", one, 3);
}

static void test_grows_again(void **state)
{
    (void)state;
    static const unsigned steps[][3] = {
        {0, 0, 8}, {8, 8, 4},                        /* halved */
        {3, 0, 4},                                   /* not yet a round */
        {1, 0, 5},                                   /* one more */
        {5, 0, 6}, {6, 0, 7}, {7, 0, 8}, {20, 0, 8}, /* never more than was asked for */
    };
    run_steps("8", steps, 8);
}

static int list_and_get(void *ctx, const struct nacre_object_info *info)
{
    (void)info;
    return get(ctx);
}

static void test_a_caller_does_not_wait_for_itself(void **state)
{
    (void)state;
    struct gate gate;
    struct nacre_err e;
    CLEANUP(store_close) struct nacre_object_store *store = adapt(&gate, "1");
    gate.open = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(store->ops->list(store, "", list_and_get, store, &e), 0);
    assert_int_equal(gate.entered, 3);
}

static void *get_one(void *ctx)
{
    get(ctx);
    return NULL;
}

/* In a child, since the stop flag stays set. */
static void test_the_wait_ends_when_asked(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct gate gate;
        struct nacre_err e = {0};
        struct nacre_object_store *store = adapt(&gate, "1");
        pthread_t first;
        alarm(20);
        pthread_create(&first, NULL, get_one, store);
        wait_inside(&gate, 1);
        cancel_request();
        int result = store->ops->get(store, "x", 0, NACRE_TO_END, NULL, NULL, &e);
        _exit(result == -1 && e.code == NACRE_CANCELLED && gate.entered == 1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_options(void **state)
{
    (void)state;
    struct gate gate = {.base.ops = &ops};
    struct nacre_err e = {0};
    static const char *const wrong[] = {"0", "-1", "x", "", "1025"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct nacre_option option = {"connections", wrong[i]};
        struct nacre_object_store *store = &gate.base;
        assert_int_equal(plugin_wrap_store("adapt", &option, 1, &store, &e), -1);
        assert_int_equal(e.code, NACRE_INVALID);
        assert_ptr_equal(store, &gate.base);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_many_as_asked_for),
        cmocka_unit_test(test_halved_once_a_round),
        cmocka_unit_test(test_grows_again),
        cmocka_unit_test(test_a_caller_does_not_wait_for_itself),
        cmocka_unit_test(test_the_wait_ends_when_asked),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

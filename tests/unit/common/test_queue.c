/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded queue: order, bounds, closing, and that nothing is lost between many threads. */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/queue.h"

static int numbers[4000];

static void keeps_order(void **state)
{
    (void)state;
    CLEANUP(queue_free) struct queue *q = queue_new(3);
    for (int round = 0; round < 5; round++) { /* around the ring */
        assert_null(queue_try_pop(q));
        assert_true(queue_push(q, &numbers[0]) && queue_push(q, &numbers[1]));
        assert_ptr_equal(queue_pop(q), &numbers[0]);
        assert_true(queue_push(q, &numbers[2]));
        assert_ptr_equal(queue_try_pop(q), &numbers[1]);
        assert_ptr_equal(queue_pop(q), &numbers[2]);
    }
    assert_true(queue_push(q, &numbers[7]));
    queue_close(q);
    queue_close(q);
    assert_false(queue_push(q, &numbers[8]));
    assert_ptr_equal(queue_pop(q), &numbers[7]);
    assert_null(queue_pop(q));
}

struct side {
    struct queue *q;
    int first, step;
    atomic_int *pushed;
    atomic_long *sum;
};

static void *push_some(void *ctx)
{
    struct side *s = ctx;
    for (int i = s->first; i < 4000; i += s->step)
        if (queue_push(s->q, &numbers[i]))
            atomic_fetch_add(s->pushed, 1);
    return NULL;
}

static void *pop_all(void *ctx)
{
    struct side *s = ctx;
    for (int *number; (number = queue_pop(s->q));)
        atomic_fetch_add(s->sum, *number);
    return NULL;
}

static void loses_nothing(void **state)
{
    (void)state;
    CLEANUP(queue_free) struct queue *q = queue_new(2);
    atomic_int pushed = 0;
    atomic_long sum = 0;
    pthread_t pushers[4], poppers[3];
    struct side sides[4];
    for (int i = 0; i < 4000; i++)
        numbers[i] = i + 1;
    for (int i = 0; i < 4; i++) {
        sides[i] = (struct side){q, i, 4, &pushed, &sum};
        assert_int_equal(pthread_create(&pushers[i], NULL, push_some, &sides[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&poppers[i], NULL, pop_all, &sides[0]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(pushers[i], NULL);
    queue_close(q);
    for (int i = 0; i < 3; i++)
        pthread_join(poppers[i], NULL);
    assert_int_equal(pushed, 4000);
    assert_int_equal(sum, 4000L * 4001 / 2);
}

/* Closing wakes those that wait, for room and for items. */
static void closing_wakes(void **state)
{
    (void)state;
    CLEANUP(queue_free) struct queue *full = queue_new(1), *empty = queue_new(1);
    atomic_int pushed = 0;
    atomic_long sum = 0;
    pthread_t pusher, popper;
    struct side to_full = {full, 0, 1, &pushed, &sum}, from_empty = {empty, 0, 1, &pushed, &sum};
    assert_int_equal(pthread_create(&pusher, NULL, push_some, &to_full), 0);
    assert_int_equal(pthread_create(&popper, NULL, pop_all, &from_empty), 0);
    while (atomic_load(&pushed) < 1)
        usleep(1000);
    usleep(20000);
    assert_int_equal(atomic_load(&pushed), 1); /* it waits: one is all that fits */
    queue_close(full);
    queue_close(empty);
    pthread_join(pusher, NULL);
    pthread_join(popper, NULL);
    assert_int_equal(pushed, 1);
    assert_int_equal(sum, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order),
        cmocka_unit_test(loses_nothing),
        cmocka_unit_test(closing_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Work done ahead: everything is taken, in order and once; not too much of it waits; nothing leaks when it
 * ends early. */
#include "support.h"

#include <stdatomic.h>
#include <unistd.h>

#include "common/ahead.h"
#include "common/err.h"

struct counts {
    atomic_size_t expected; /* to be taken next */
    size_t fails_every, stops_at;
    atomic_size_t begun, most_waiting;
    atomic_int alive; /* results that nobody freed */
    size_t taken, failed;
};

static int work(void *ctx, size_t i, void **result, struct nacre_err *e)
{
    struct counts *c = ctx;
    size_t waiting = atomic_fetch_add(&c->begun, 1) + 1 - c->expected, most = c->most_waiting;
    while (waiting > most && !atomic_compare_exchange_weak(&c->most_waiting, &most, waiting))
        ;
    usleep((useconds_t)(i * 7919 % 13) * 100); /* they end in another order than they began */
    if (c->fails_every && i % c->fails_every == 0)
        return err_set(e, NACRE_CORRUPT, "item %zu", i);
    size_t *value = malloc(sizeof *value);
    *value = i;
    c->alive++;
    *result = value;
    return 0;
}

static struct counts *dropped_from;

static void drop(void *result)
{
    dropped_from->alive--;
    free(result);
}

static int take(void *ctx, size_t i, void *result, const struct nacre_err *error)
{
    struct counts *c = ctx;
    assert_int_equal(i, c->expected);
    c->expected++;
    if (c->fails_every && i % c->fails_every == 0) {
        char message[32];
        snprintf(message, sizeof message, "item %zu", i);
        assert_null(result);
        assert_string_equal(error->message, message);
        c->failed++;
    } else {
        assert_int_equal(*(size_t *)result, i);
        c->taken++;
        drop(result);
    }
    return c->stops_at && i == c->stops_at ? -7 : 0;
}

static int go(struct counts *c, size_t count)
{
    struct nacre_err e = {0};
    const struct ahead job = {.count = count, .work = work, .take = take, .drop = drop, .ctx = c};
    dropped_from = c;
    int result = ahead_run(&job, &e);
    assert_int_equal(c->alive, 0);
    return result;
}

static void in_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 7, 8, 16, 17, 300};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct counts c = {0};
        assert_int_equal(go(&c, sizes[i]), 0);
        assert_int_equal(c.taken, sizes[i]);
        assert_in_range(c.most_waiting, 0, 2 * AHEAD_THREADS + 1);
    }
}

static void with_failures(void **state)
{
    (void)state;
    struct counts c = {.fails_every = 3};
    assert_int_equal(go(&c, 100), 0);
    assert_int_equal(c.failed, 34);
    assert_int_equal(c.taken, 66);
}

static void ends_early(void **state)
{
    (void)state;
    for (size_t at = 1; at < 60; at += 7) {
        struct counts c = {.stops_at = at};
        assert_int_equal(go(&c, 100), -7);
        assert_int_equal(c.taken, at + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(with_failures),
        cmocka_unit_test(ends_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

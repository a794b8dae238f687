/* SPDX-License-Identifier: Apache-2.0 */
/* Being asked to stop. Each case is a process of its own: the flag cannot be taken back. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cancel.h"
#include "common/timestamp.h"

/* Runs `body` in a child; its wait status. */
static int in_child(int (*body)(void))
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (!child)
        _exit(body());
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int the_flag(void)
{
    struct nacre_err e = {0};
    if (cancel_requested() || cancel_check(&e) != 0 || cancel_sleep(1, NULL, &e) != 0)
        return 1;
    cancel_request();
    if (!cancel_requested() || cancel_check(&e) != -1 || e.code != NACRE_CANCELLED)
        return 2;
    int64_t start = timestamp_elapsed();
    if (cancel_sleep(60000, NULL, &e) != -1 || e.code != NACRE_CANCELLED)
        return 3;
    return timestamp_elapsed() - start < INT64_C(5000000000) ? 0 : 4;
}

static int one_signal(void)
{
    cancel_on_signals();
    raise(SIGTERM);
    return cancel_requested() ? 0 : 1;
}

static int two_signals(void)
{
    cancel_on_signals();
    raise(SIGINT);
    raise(SIGINT);
    return 0; /* not reached */
}

static void *request_soon(void *ctx)
{
    (void)ctx;
    usleep(100000);
    cancel_request();
    return NULL;
}

static int wakes_from_sleep(void)
{
    struct nacre_err e;
    pthread_t thread;
    int64_t start = timestamp_elapsed();
    if (pthread_create(&thread, NULL, request_soon, NULL))
        return 1;
    if (cancel_sleep(60000, NULL, &e) != -1)
        return 2;
    pthread_join(thread, NULL);
    return timestamp_elapsed() - start < INT64_C(10000000000) ? 0 : 3;
}

static bool always(void)
{
    return true;
}

static void flag(void **state)
{
    (void)state;
    assert_int_equal(in_child(the_flag), 0);
    assert_int_equal(in_child(wakes_from_sleep), 0);
}

static void signals(void **state)
{
    (void)state;
    assert_int_equal(in_child(one_signal), 0);
    int status = in_child(two_signals);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

static void a_flag_of_someone_else(void **state)
{
    (void)state;
    struct nacre_err e;
    assert_fails(cancel_sleep(60000, always, &e), NACRE_CANCELLED, "interrupted");
    assert_false(cancel_requested());
    int64_t start = timestamp_elapsed();
    assert_ok(cancel_sleep(120, NULL, &e));
    assert_true(timestamp_elapsed() - start >= 120000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flag),
        cmocka_unit_test(signals),
        cmocka_unit_test(a_flag_of_someone_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

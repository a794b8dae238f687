/* SPDX-License-Identifier: Apache-2.0 */
/* Shared tokens: fetched once for all, replaced when spoilt, failures told to everybody who waited. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/err.h"
#include "http/token.h"

struct source {
    unsigned fetched;
    unsigned at_once; /* running now; must never be two */
    int64_t seconds;
    bool fail;
    unsigned delay_us;
};

static int fetch(void *ctx, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    struct source *source = ctx;
    assert_int_equal(__atomic_fetch_add(&source->at_once, 1, __ATOMIC_SEQ_CST), 0);
    usleep(source->delay_us);
    unsigned number = ++source->fetched;
    *seconds = source->seconds;
    __atomic_fetch_sub(&source->at_once, 1, __ATOMIC_SEQ_CST);
    if (source->fail)
        return err_set(e, NACRE_DENIED, "no token for you");
    buf_printf(out, "token-%u", number);
    return 0;
}

static void get(struct token *token, const char *expected)
{
    struct nacre_err e;
    CLEANUP(buf_wipe_free) struct buf text = {0};
    assert_int_equal(token_get(token, &text, &e), 0);
    assert_string_equal((char *)text.data, expected);
}

static struct token *make(struct source *source)
{
    struct nacre_err e;
    struct token *token = NULL;
    assert_int_equal(token_new(fetch, source, &token, &e), 0);
    return token;
}

static void kept(void **state)
{
    (void)state;
    struct source source = {.seconds = 3600};
    CLEANUP(token_free) struct token *token = make(&source);
    for (int i = 0; i < 10; i++)
        get(token, "token-1");
}

static void short_lived(void **state)
{
    (void)state;
    struct source source = {.seconds = 1};
    CLEANUP(token_free) struct token *token = make(&source);
    get(token, "token-1");
    usleep(1100000);
    get(token, "token-2");
}

/* Half of its life over: the next is fetched early; when that fails, the old one still does. */
static void early(void **state)
{
    (void)state;
    struct source source = {.seconds = 6};
    CLEANUP(token_free) struct token *token = make(&source);
    get(token, "token-1");
    sleep(3);
    source.fail = true;
    get(token, "token-1");
    assert_int_equal(source.fetched, 2);
    get(token, "token-1");
    assert_int_equal(source.fetched, 2); /* not again at once */
}

static void spoilt(void **state)
{
    (void)state;
    struct source source = {.seconds = 3600};
    CLEANUP(token_free) struct token *token = make(&source);
    get(token, "token-1");
    assert_false(token_spoilt(token, "token-1")); /* just fetched: the refusal stands */
    assert_true(token_spoilt(token, "token-0"));  /* another one is there already */
    get(token, "token-1");
}

static void failures(void **state)
{
    (void)state;
    struct nacre_err e;
    struct buf text = {0};
    struct source source = {.seconds = 3600, .fail = true};
    CLEANUP(token_free) struct token *token = make(&source);
    assert_int_equal(token_get(token, &text, &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    source.fail = false;
    source.seconds = 0;
    assert_int_equal(token_get(token, &text, &e), -1);
    assert_int_equal(e.code, NACRE_FAILED);
    source.seconds = 100;
    get(token, "token-3");
    buf_free(&text);
}

static void *get_many(void *arg)
{
    for (int i = 0; i < 100; i++)
        get(arg, "token-1");
    return NULL;
}

static void *get_fails(void *arg)
{
    struct nacre_err e;
    struct buf text = {0};
    assert_int_equal(token_get(arg, &text, &e), -1);
    assert_string_equal(e.message, "no token for you");
    buf_free(&text);
    return NULL;
}

static void run_threads(void *(*body)(void *), struct token *token)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, token), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}

static void many_threads(void **state)
{
    (void)state;
    struct source source = {.seconds = 3600, .delay_us = 100000};
    CLEANUP(token_free) struct token *token = make(&source);
    run_threads(get_many, token);
    assert_int_equal(source.fetched, 1);
}

static void many_fail_together(void **state)
{
    (void)state;
    struct source source = {.fail = true, .delay_us = 300000};
    CLEANUP(token_free) struct token *token = make(&source);
    run_threads(get_fails, token);
    assert_true(source.fetched < 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept),
        cmocka_unit_test(short_lived),
        cmocka_unit_test(early),
        cmocka_unit_test(spoilt),
        cmocka_unit_test(failures),
        cmocka_unit_test(many_threads),
        cmocka_unit_test(many_fail_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests against a server that answers as it should, and as it should not. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/err.h"
#include "http/encode.h"
#include "http/http.h"
#include "server.h"

#define KIB ((size_t)1024)

static bool stop_asked;

static bool cancelled(void)
{
    return __atomic_load_n(&stop_asked, __ATOMIC_RELAXED);
}

static struct http *open_with(const struct nacre_option *options, size_t count)
{
    struct nacre_err e;
    struct http *http = NULL;
    struct nacre_config config = {
        .size = sizeof config, .options = options, .option_count = count, .cancelled = cancelled};
    assert_int_equal(http_open(&config, &http, &e), 0);
    return http;
}

/* The server's behaviour by path. */
static void serve(void *ctx, const struct served *s, struct answer *answer)
{
    char text[256];
    (void)ctx;
    if (!strncmp(s->target, "/echo", 5)) {
        snprintf(text, sizeof text, "X-Method: %s\r\n", s->method);
        answer_text(answer, 200, text, s->body);
    } else if (!strcmp(s->target, "/agent")) {
        assert_true(served_header(s, "X-Mine", text, sizeof text));
        answer_text(answer, 200, "X-Two:  spaced out \r\n", text);
    } else if (!strcmp(s->target, "/length")) {
        answer_text(answer, 200, "", served_header(s, "Content-Length", text, sizeof text) ? text : "none");
    } else if (!strcmp(s->target, "/busy")) {
        answer_text(answer, 429, "Retry-After: 7\r\n", "slow\ndown");
    } else if (!strcmp(s->target, "/busy-date")) {
        char date[HTTP_DATE_SIZE];
        encode_http_date((int64_t)time(NULL) + 100, date);
        snprintf(text, sizeof text, "Retry-After: %s\r\n", date);
        answer_text(answer, 503, text, "");
    } else if (!strcmp(s->target, "/short")) {
        static const char said[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
        answer_raw(answer, said, strlen(said));
        answer_hang_up(answer);
    } else if (!strcmp(s->target, "/reset")) {
        answer_reset(answer);
    } else if (!strcmp(s->target, "/garbage")) {
        answer_raw(answer, "garbage\r\n\r\n", 11);
        answer_hang_up(answer);
    } else if (!strncmp(s->target, "/stall", 6)) {
        answer_wait(answer, 20000);
        answer_hang_up(answer);
    } else if (!strcmp(s->target, "/once") && s->connection == 0) {
        answer_text(answer, 200, "", "first");
        answer_hang_up(answer); /* without saying so */
    } else {
        answer_text(answer, 404, "", "no such thing");
    }
}

struct fixture {
    struct server *server;
    struct http *http;
};

static int set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof *fx);
    const struct nacre_option options[] = {{"stall-timeout", "2"}, {"proxy", "none"}};
    fx->server = server_start(serve, fx);
    fx->http = open_with(options, 2);
    *state = fx;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;
    http_free(fx->http);
    server_stop(fx->server);
    free(fx);
    return 0;
}

static int ask(struct fixture *fx, const char *method, const char *path, const struct nacre_input *body,
               struct http_response *response, struct nacre_err *e)
{
    char url[256];
    snprintf(url, sizeof url, "%s%s", server_url(fx->server), path);
    const struct http_request request = {.method = method,
                                         .url = url,
                                         .body = body,
                                         .body_size = body ? body->size : 0,
                                         .expected = NACRE_TO_END};
    return http_perform(fx->http, &request, response, e);
}

static void answers(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    const struct nacre_input body = {.size = 5, .data = "hello"};
    static const char *const methods[] = {"PUT", "POST", "DELETE", "GET"};
    for (int i = 0; i < 4; i++) {
        CLEANUP(http_response_free) struct http_response r = {0};
        CLEANUP(buf_free) struct buf method = {0};
        assert_int_equal(ask(fx, methods[i], "/echo", i < 2 ? &body : NULL, &r, &e), 0);
        assert_int_equal(r.status, 200);
        assert_true(http_response_header(&r, "x-method", &method));
        assert_string_equal((char *)method.data, methods[i]);
        assert_string_equal(r.body.size ? (char *)r.body.data : "", i < 2 ? "hello" : "");
    }
    assert_int_equal(server_connections(fx->server), 1); /* kept */
}

static void headers(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    char url[128];
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(http_response_free) struct http_response r = {0};
    CLEANUP(buf_free) struct buf value = {0};
    http_header_add(&headers, "X-Mine", "%d%%", 5);
    assert_string_equal(http_header_find(&headers, "x-mine"), "5%");
    assert_null(http_header_find(&headers, "x-min"));
    snprintf(url, sizeof url, "%s/agent", server_url(fx->server));
    const struct http_request request = {.method = "GET", .url = url, .headers = &headers, .expected = 2};
    assert_int_equal(http_perform(fx->http, &request, &r, &e), 0);
    assert_string_equal((char *)r.body.data, "5%");
    assert_true(http_response_header(&r, "X-Two", &value));
    assert_string_equal((char *)value.data, "spaced out");
    assert_false(http_response_header(&r, "X-Three", &value));
    for (int i = 0; i < HTTP_HEADERS_MAX; i++)
        http_header_add(&headers, "X-Many", "%d", i);
    struct http_response none = {0};
    assert_int_equal(http_perform(fx->http, &request, &none, &e), -1); /* too many: not sent without some */
}

static void empty_bodies_have_a_length(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    for (int i = 0; i < 2; i++) {
        CLEANUP(http_response_free) struct http_response r = {0};
        assert_int_equal(ask(fx, i ? "PUT" : "POST", "/length", NULL, &r, &e), 0);
        assert_string_equal((char *)r.body.data, "0");
    }
}

static int read_pattern(void *ctx, uint64_t offset, void *out, size_t size, struct nacre_err *e)
{
    (void)ctx;
    (void)e;
    for (size_t i = 0; i < size; i++)
        ((char *)out)[i] = (char)('a' + (offset + i) % 23);
    return 0;
}

static int read_breaks(void *ctx, uint64_t offset, void *out, size_t size, struct nacre_err *e)
{
    if (offset > 100 * KIB)
        return err_set(e, NACRE_CORRUPT, "the source is unreadable here");
    return read_pattern(ctx, offset, out, size, e);
}

static int compare(void *ctx, const void *data, size_t size, struct nacre_err *e)
{
    uint64_t *at = ctx;
    (void)e;
    for (size_t i = 0; i < size; i++, (*at)++)
        if (((const char *)data)[i] != (char)('a' + *at % 23))
            return err_set(e, NACRE_CORRUPT, "different at %llu", (unsigned long long)*at);
    return 0;
}

/* A part of a streamed body goes out and comes back through a sink. */
static void streams(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    CLEANUP(http_response_free) struct http_response r = {0};
    char url[128];
    uint64_t at = 1000;
    const uint64_t size = 3000 * KIB;
    const struct nacre_input body = {.size = size + 5000, .read = read_pattern};
    snprintf(url, sizeof url, "%s/echo", server_url(fx->server));
    struct http_request request = {.method = "PUT",
                                   .url = url,
                                   .body = &body,
                                   .body_offset = 1000,
                                   .body_size = size,
                                   .sink = compare,
                                   .sink_ctx = &at,
                                   .expected = size};
    assert_int_equal(http_perform(fx->http, &request, &r, &e), 0);
    assert_int_equal(at, 1000 + size);
    http_response_free(&r);
    request.expected = size - 1; /* longer than expected */
    at = 1000;
    assert_int_equal(http_perform(fx->http, &request, &r, &e), -1);
    assert_int_equal(e.code, NACRE_TRANSIENT);
    at = 999; /* the sink refuses */
    request.expected = size;
    assert_int_equal(http_perform(fx->http, &request, &r, &e), -1);
    assert_int_equal(e.code, NACRE_CORRUPT);
    const struct nacre_input broken = {.size = size, .read = read_breaks};
    request.body = &broken;
    request.body_offset = 0;
    assert_int_equal(http_perform(fx->http, &request, &r, &e), -1);
    assert_int_equal(e.code, NACRE_CORRUPT);
    assert_non_null(strstr(e.message, "unreadable here"));
}

static void expect_transient(struct fixture *fx, const char *path, const char *word)
{
    struct nacre_err e;
    struct http_response r = {0};
    assert_int_equal(ask(fx, "GET", path, NULL, &r, &e), -1);
    if (e.code != NACRE_TRANSIENT || !strstr(e.message, word))
        fail_msg("%s: %s: %s", path, err_code_name(e.code), e.message);
    assert_non_null(strstr(e.message, "GET http://127.0.0.1:"));
}

static void broken_answers(void **state)
{
    struct fixture *fx = *state;
    expect_transient(fx, "/short", "/short");
    expect_transient(fx, "/reset", "/reset");
    expect_transient(fx, "/garbage", "/garbage");
    expect_transient(fx, "/stall?sig=secret", "/stall:"); /* no query in messages */
}

/* A kept connection that the server closed meanwhile is no failure for a reader. */
static void stale_connection(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    CLEANUP(http_response_free) struct http_response first = {0}, second = {0};
    assert_int_equal(ask(fx, "GET", "/once", NULL, &first, &e), 0);
    assert_int_equal(ask(fx, "GET", "/once", NULL, &second, &e), 0);
    assert_int_equal(server_connections(fx->server), 2);
}

/* A write that was sent over a kept connection and had no answer may have been done: it is not sent again. */
static void lost_answer(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    CLEANUP(http_response_free) struct http_response first = {0}, second = {0};
    const struct nacre_input body = {.size = 5, .data = "again"};
    assert_int_equal(ask(fx, "PUT", "/echo", &body, &first, &e), 0);
    assert_int_equal(ask(fx, "PUT", "/reset", &body, &second, &e), -1);
    assert_int_equal(e.code, NACRE_TRANSIENT);
    assert_int_equal(server_connections(fx->server), 1);
}

static void meanings(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    CLEANUP(http_response_free) struct http_response busy = {0}, dated = {0}, absent = {0};
    assert_int_equal(ask(fx, "GET", "/busy", NULL, &busy, &e), 0);
    assert_int_equal(busy.retry_after_ms, 7000);
    assert_int_equal(http_fail(&busy, "GET gs://b/o", (char *)busy.body.data, &e), -1);
    assert_int_equal(e.code, NACRE_THROTTLED);
    assert_int_equal(e.retry_after_ms, 7000);
    assert_string_equal(e.message, "GET gs://b/o: HTTP 429, slow?down");
    assert_int_equal(ask(fx, "GET", "/busy-date", NULL, &dated, &e), 0);
    assert_in_range(dated.retry_after_ms, 90000, 100000);
    assert_int_equal(ask(fx, "GET", "/none", NULL, &absent, &e), 0);
    static const struct {
        int status;
        enum nacre_code code;
    } codes[] = {{404, NACRE_ABSENT},    {412, NACRE_EXISTS}, {403, NACRE_DENIED},   {500, NACRE_TRANSIENT},
                 {502, NACRE_TRANSIENT}, {400, NACRE_FAILED}, {416, NACRE_INVALID},  {501, NACRE_UNSUPPORTED},
                 {408, NACRE_TRANSIENT}, {307, NACRE_FAILED}, {507, NACRE_NO_SPACE}, {503, NACRE_THROTTLED}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        absent.status = codes[i].status;
        assert_int_equal(http_fail(&absent, "x", "", &e), -1);
        assert_int_equal(e.code, codes[i].code);
    }
}

static void unreachable(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    struct http_response r = {0};
    struct http_request request = {.method = "GET", .url = "http://127.0.0.1:1/x", .expected = NACRE_TO_END};
    assert_int_equal(http_perform(fx->http, &request, &r, &e), -1);
    assert_int_equal(e.code, NACRE_TRANSIENT);
    request.url = "ftp://127.0.0.1/x";
    assert_int_equal(http_perform(fx->http, &request, &r, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
}

static void *cancel_soon(void *arg)
{
    (void)arg;
    usleep(200000);
    __atomic_store_n(&stop_asked, true, __ATOMIC_RELAXED);
    return NULL;
}

static void cancels(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e;
    struct http_response r = {0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    int result = ask(fx, "GET", "/stall", NULL, &r, &e);
    pthread_join(thread, NULL);
    __atomic_store_n(&stop_asked, false, __ATOMIC_RELAXED);
    assert_int_equal(result, -1);
    assert_int_equal(e.code, NACRE_CANCELLED);
}

static void *ask_many(void *arg)
{
    struct fixture *fx = arg;
    const struct nacre_input body = {.size = 100 * KIB, .read = read_pattern};
    for (int i = 0; i < 20; i++) {
        struct nacre_err e;
        CLEANUP(http_response_free) struct http_response r = {0};
        if (ask(fx, "PUT", "/echo", &body, &r, &e) < 0 || r.body.size != body.size)
            fail_msg("%s", e.message);
    }
    return NULL;
}

static void many_threads(void **state)
{
    struct fixture *fx = *state;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many, fx), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(server_requests(fx->server), 160);
    assert_true(server_connections(fx->server) <= 8); /* as many as ran at once */
}

static void options(void **state)
{
    (void)state;
    static const struct nacre_option wrong[] = {{"stall-timeout", "0"},
                                                {"stall-timeout", "1x"},
                                                {"connect-timeout", ""},
                                                {"ca-file", "/nonexistent"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct nacre_err e;
        struct http *http = NULL;
        struct nacre_config config = {.size = sizeof config, .options = &wrong[i], .option_count = 1};
        assert_int_equal(http_open(&config, &http, &e), -1);
        assert_int_equal(e.code, NACRE_INVALID);
        assert_non_null(strstr(e.message, wrong[i].key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_bodies_have_a_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stale_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lost_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(meanings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unreachable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_threads, set_up, tear_down),
        cmocka_unit_test(options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

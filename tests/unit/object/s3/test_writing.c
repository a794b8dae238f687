/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to a service that does not do as it should: it passes over conditions, answers with other digests,
 * fails in the middle of an upload in parts. */
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "common/timestamp.h"
#include "fixture.h"

#define PART ((size_t)5 << 20)

/* One bucket with one object, and a log of what was asked. Handlers run one at a time: one connection each.
 */
struct service {
    bool exists;
    bool ignores, refuses; /* If-None-Match: overwrites; says 501 */
    bool wrong_digest;
    unsigned fail_part, failures; /* the first so many tries of this part get 503 */
    bool deny_part;
    const char *complete; /* the answer to it, when it is not the right one */
    char old[40], recent[40];
    char log[4096];
    size_t logged;
    size_t bytes; /* of all parts that were taken */
};

static bool conditional(const struct served *served)
{
    char value[8];
    return served_header(served, "If-None-Match", value, sizeof value) && !strcmp(value, "*");
}

static void answer_error(struct answer *answer, int status, const char *code)
{
    char body[128];
    snprintf(body, sizeof body, "<Error><Code>%s</Code></Error>", code);
    answer_text(answer, status, "", body);
}

/* The right ETag is the MD5, which the request has in base64: both are compared as bytes by their first one.
 */
static void etag(const struct service *service, const struct served *served, char *out, size_t size)
{
    char md5[64] = "";
    struct buf digest = {0};
    char hex[33] = "0123456789abcdef0123456789abcdef";
    assert_true(served_header(served, "Content-MD5", md5, sizeof md5));
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int have = 0;
    for (const char *at = md5; *at && *at != '='; at++) {
        bits = bits << 6 | (uint32_t)(strchr(alphabet, *at) - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_char(&digest, (char)(bits >> have & 0xff));
        }
    }
    assert_int_equal(digest.size, 16);
    if (!service->wrong_digest)
        hex_encode(digest.data, 16, hex);
    buf_free(&digest);
    snprintf(out, size, "ETag: \"%s\"\r\n", hex);
}

static void serve_upload(struct service *service, const struct served *served, struct answer *answer)
{
    const char *number = strstr(served->target, "partNumber=");
    char headers[64];
    if (strstr(served->target, "?uploads=")) {
        answer_text(
            answer, 200, "",
            "<InitiateMultipartUploadResult><UploadId>id/+1</UploadId></InitiateMultipartUploadResult>");
    } else if (!strcmp(served->method, "DELETE")) {
        answer_text(answer, 204, "", "");
    } else if (number && service->deny_part) {
        answer_error(answer, 403, "AccessDenied");
    } else if (number && strtoul(number + 11, NULL, 10) == service->fail_part && service->failures) {
        service->failures--;
        answer_error(answer, 503, "SlowDown");
    } else if (number) {
        service->bytes += served->body_size;
        etag(service, served, headers, sizeof headers);
        answer_text(answer, 200, headers, "");
    } else if (service->complete) {
        answer_text(answer, 200, "", service->complete);
    } else {
        service->exists = true;
        answer_text(answer, 200, "",
                    "<CompleteMultipartUploadResult><ETag>\"opaque\"</ETag></CompleteMultipartUploadResult>");
    }
}

static void list_uploads(const struct service *service, struct answer *answer)
{
    char body[1024];
    snprintf(body, sizeof body,
             "<ListMultipartUploadsResult><EncodingType>url</EncodingType>"
             "<Upload><Key>pre/old</Key><UploadId>OLD</UploadId><Initiated>%s</Initiated></Upload>"
             "<Upload><Key>pre/new</Key><UploadId>NEW</UploadId><Initiated>%s</Initiated></Upload>"
             "<Upload><Key>others/old</Key><UploadId>OTHER</UploadId><Initiated>%s</Initiated></Upload>"
             "</ListMultipartUploadsResult>",
             service->old, service->recent, service->old);
    answer_text(answer, 200, "", body);
}

static void serve(void *ctx, const struct served *served, struct answer *answer)
{
    static const char found[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    struct service *service = ctx;
    char headers[64];
    service->logged +=
        (size_t)snprintf(service->log + service->logged, sizeof service->log - service->logged, "%s%s %s\n",
                         conditional(served) ? "conditional " : "", served->method, served->target);
    if (strstr(served->target, "/?encoding-type"))
        list_uploads(service, answer);
    else if (strchr(served->target, '?'))
        serve_upload(service, served, answer);
    else if (!strcmp(served->method, "HEAD") && service->exists)
        answer_raw(answer, found, strlen(found));
    else if (strcmp(served->method, "PUT") != 0)
        answer_text(answer, 404, "",
                    strcmp(served->method, "HEAD") ? "<Error><Code>NoSuchKey</Code></Error>" : "");
    else if (conditional(served) && service->refuses)
        answer_error(answer, 501, "NotImplemented");
    else if (conditional(served) && service->exists && !service->ignores)
        answer_error(answer, 412, "PreconditionFailed");
    else {
        service->exists = true;
        etag(service, served, headers, sizeof headers);
        answer_text(answer, 200, headers, "");
    }
}

struct fixture {
    struct service service;
    struct server *server;
    struct nacre_object_store *store;
};

static void start(struct fixture *fx, const char *key, const char *value)
{
    const struct nacre_option options[] = {{"part-size", "5MiB"}, {key, value}};
    struct nacre_err e = {0};
    timestamp_format_seconds(timestamp_now() - INT64_C(90000) * 1000000000, fx->service.old);
    timestamp_format_seconds(timestamp_now() - INT64_C(80000) * 1000000000, fx->service.recent);
    fx->server = server_start(serve, &fx->service);
    fx->store = fixture_open(fx->server, options, key ? 2 : 1, &e);
    assert_non_null(fx->store);
}

static void stop(struct fixture *fx)
{
    fx->store->ops->close(fx->store);
    server_stop(fx->server);
}

static int put_large(struct fixture *fx, size_t size, struct nacre_err *e)
{
    char *data = calloc(1, size);
    assert_non_null(data);
    const struct nacre_input input = {.size = size, .data = data};
    int result = fx->store->ops->put(fx->store, "large", &input, e);
    free(data);
    return result;
}

static void test_conditions_honoured(void **state)
{
    (void)state;
    struct fixture fx = {0};
    struct nacre_err e = {0};
    start(&fx, NULL, NULL);
    assert_int_equal(fixture_put_if_absent(fx.store, "a", "abc", &e), 0);
    assert_string_equal(fixture_warning, "");
    fx.service.exists = false;
    fx.service.logged = 0;
    assert_int_equal(fixture_put_if_absent(fx.store, "b", "abc", &e), 0);
    assert_string_equal(fx.service.log, "conditional PUT /bucket/pre/b\n"); /* it is known by now */
    assert_int_equal(fixture_put_if_absent(fx.store, "b", "abc", &e), -1);
    assert_int_equal(e.code, NACRE_EXISTS);
    stop(&fx);
}

static void test_conditions_passed_over(void **state)
{
    (void)state;
    struct fixture fx = {.service.ignores = true};
    struct nacre_err e = {0};
    start(&fx, NULL, NULL);
    assert_int_equal(fixture_put_if_absent(fx.store, "a", "abc", &e), 0);
    assert_non_null(strstr(fixture_warning, "passes over If-None-Match"));
    *fixture_warning = '\0';
    assert_int_equal(fixture_put_if_absent(fx.store, "a", "abc", &e), -1);
    assert_int_equal(e.code, NACRE_EXISTS);
    fx.service.exists = false;
    assert_int_equal(fixture_put_if_absent(fx.store, "b", "abc", &e), 0);
    assert_string_equal(fixture_warning, ""); /* once is enough */
    stop(&fx);
}

static void test_conditions_refused(void **state)
{
    (void)state;
    struct fixture fx = {.service.refuses = true};
    struct nacre_err e = {0};
    start(&fx, NULL, NULL);
    assert_int_equal(fixture_put_if_absent(fx.store, "a", "abc", &e), 0);
    assert_non_null(strstr(fixture_warning, "does not know If-None-Match"));
    assert_int_equal(fixture_put_if_absent(fx.store, "a", "abc", &e), -1);
    assert_int_equal(e.code, NACRE_EXISTS);
    stop(&fx);

    struct fixture known = {.service.refuses = true};
    start(&known, "conditional-writes", "false");
    assert_int_equal(fixture_put_if_absent(known.store, "a", "abc", &e), 0);
    assert_string_equal(fixture_warning, "");
    assert_null(strstr(known.service.log, "conditional"));
    assert_int_equal(fixture_put_if_absent(known.store, "a", "abc", &e), -1);
    assert_int_equal(e.code, NACRE_EXISTS);
    stop(&known);
}

static void test_wrong_digest(void **state)
{
    (void)state;
    struct fixture fx = {.service.wrong_digest = true};
    struct nacre_err e = {0};
    start(&fx, NULL, NULL);
    assert_int_equal(fixture_put(fx.store, "a", "abc", &e), -1);
    assert_int_equal(e.code, NACRE_TRANSIENT);
    assert_non_null(strstr(e.message, "other bytes than were sent"));
    stop(&fx);
}

static void test_parts(void **state)
{
    (void)state;
    struct fixture fx = {.service = {.fail_part = 2, .failures = 2}};
    struct nacre_err e = {0};
    start(&fx, NULL, NULL);
    assert_int_equal(put_large(&fx, 2 * PART + 1, &e), 0);
    assert_true(fx.service.exists);
    assert_int_equal(fx.service.bytes, 2 * PART + 1);
    /* What was begun long ago below our prefix is gone, nothing else. */
    assert_non_null(strstr(fx.service.log, "DELETE /bucket/pre/old?uploadId=OLD\n"));
    assert_null(strstr(fx.service.log, "NEW"));
    assert_null(strstr(fx.service.log, "OTHER"));
    assert_non_null(strstr(fx.service.log, "PUT /bucket/pre/large?partNumber=3&uploadId=id%2F%2B1\n"));
    assert_null(strstr(fx.service.log, "DELETE /bucket/pre/large"));
    fx.service.logged = 0;
    assert_int_equal(put_large(&fx, PART, &e), 0); /* no more than one part: a plain PUT */
    assert_string_equal(fx.service.log, "PUT /bucket/pre/large\n");
    stop(&fx);
}

static void expect_aborted(struct fixture *fx, enum nacre_code code, const char *words)
{
    struct nacre_err e = {0};
    start(fx, NULL, NULL);
    assert_int_equal(put_large(fx, PART + 1, &e), -1);
    if (e.code != code || !strstr(e.message, words))
        fail_msg("%s: %s", err_code_name(e.code), e.message);
    assert_non_null(strstr(fx->service.log, "DELETE /bucket/pre/large?uploadId=id%2F%2B1\n"));
    assert_false(fx->service.exists);
    stop(fx);
}

static void test_failed_uploads_are_aborted(void **state)
{
    (void)state;
    struct fixture denied = {.service.deny_part = true};
    expect_aborted(&denied, NACRE_DENIED, "s3:PutObject");
    struct fixture wrong = {.service.wrong_digest = true};
    expect_aborted(&wrong, NACRE_TRANSIENT, "other bytes than were sent");
    /* 200, and yet a failure. */
    struct fixture late = {.service.complete =
                               "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>"};
    expect_aborted(&late, NACRE_TRANSIENT, "InternalError");
    struct fixture silent = {.service.complete = ""};
    expect_aborted(&silent, NACRE_TRANSIENT, "did not say that the parts are joined");
    struct fixture other = {.service.complete = "<CompleteMultipartUploadResult><ETag>"
                                                "\"0123456789abcdef0123456789abcdef-2\"</ETag>"
                                                "</CompleteMultipartUploadResult>"};
    expect_aborted(&other, NACRE_TRANSIENT, "joined other parts");
}

static int set_up(void **state)
{
    (void)state;
    fixture_environment();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions_honoured),
        cmocka_unit_test(test_conditions_passed_over),
        cmocka_unit_test(test_conditions_refused),
        cmocka_unit_test(test_wrong_digest),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_failed_uploads_are_aborted),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

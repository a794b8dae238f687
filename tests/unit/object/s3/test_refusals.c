/* SPDX-License-Identifier: Apache-2.0 */
/* What each refusal becomes: a code for the program, advice for people; and answers that are wrong. */
#include <stdio.h>
#include <time.h>

#include "fixture.h"
#include "http/encode.h"

struct reply {
    int status;
    const char *headers, *body;
};

/* Answers everything alike; HEAD without the body. */
static void reply_always(void *ctx, const struct served *served, struct answer *answer)
{
    const struct reply *reply = ctx;
    answer_text(answer, reply->status, reply->headers, strcmp(served->method, "HEAD") ? reply->body : "");
}

struct refusal {
    int status;
    const char *code, *more; /* of the error document */
    const char *headers;
    enum nacre_code expected;
    const char *advice;
};

static const struct refusal refusals[] = {
    {404, "NoSuchBucket", "", "", NACRE_FAILED, "there is no bucket bucket at http://127.0.0.1"},
    {404, "NoSuchKey", "", "", NACRE_ABSENT, "there is no such object"},
    {403, "AccessDenied", "<Message>Access Denied</Message>", "", NACRE_DENIED,
     "must allow s3:PutObject on bucket"},
    {403, "InvalidAccessKeyId", "", "", NACRE_DENIED, "does not know the access key"},
    {403, "SignatureDoesNotMatch", "", "", NACRE_DENIED, "the secret key is not the one"},
    {400, "ExpiredToken", "", "", NACRE_DENIED, "has expired; get new keys"},
    {400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>", "", NACRE_INVALID,
     "in region eu-west-3: set region to that (it is us-east-1 now)"},
    {301, "PermanentRedirect", "<Endpoint>bucket.s3-eu-west-3.amazonaws.com</Endpoint>", "", NACRE_INVALID,
     "set endpoint to that"},
    {400, "AuthorizationHeaderMalformed", "<Message>no key</Message>", "", NACRE_FAILED, "no key"},
    {301, "PermanentRedirect", "", "x-amz-bucket-region: ap-south-1\r\n", NACRE_INVALID,
     "in region ap-south-1: set region to that"},
    {503, "SlowDown", "", "Retry-After: 3\r\n", NACRE_THROTTLED, "SlowDown"},
    {503, "ServiceUnavailable", "", "", NACRE_THROTTLED, "ServiceUnavailable"},
    {500, "InternalError", "<Message>We encountered an error</Message>", "", NACRE_TRANSIENT,
     "We encountered an error"},
    {400, "RequestTimeout", "", "", NACRE_TRANSIENT, "RequestTimeout"},
    {409, "ConditionalRequestConflict", "", "", NACRE_TRANSIENT, "somebody else writes the same object"},
    {409, "OperationAborted", "", "", NACRE_TRANSIENT, "OperationAborted"},
    {412, "PreconditionFailed", "", "", NACRE_EXISTS, "exists already"},
    {400, "BadDigest", "", "", NACRE_TRANSIENT, "arrived damaged"},
    {403, "QuotaExceeded", "", "", NACRE_NO_SPACE, "quota"},
    {400, "EntityTooLarge", "", "", NACRE_FAILED, "part-size"},
    {400, "InvalidBucketName", "", "", NACRE_INVALID, "cannot be the name of a bucket"},
    {403, "SomethingNew", "<Message>with\na line</Message>", "x-amz-request-id: ID7\r\n", NACRE_DENIED,
     "HTTP 403, SomethingNew: with?a line, request ID7"},
};

static void test_refusals(void **state)
{
    (void)state;
    struct reply reply = {0};
    struct server *server = server_start(reply_always, &reply);
    struct nacre_err e = {0};
    struct nacre_object_store *store = fixture_open(server, NULL, 0, &e);
    assert_non_null(store);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *refusal = &refusals[i];
        char body[512];
        snprintf(body, sizeof body, "<?xml version=\"1.0\"?><Error><Code>%s</Code>%s</Error>", refusal->code,
                 refusal->more);
        reply = (struct reply){refusal->status, refusal->headers, body};
        e = (struct nacre_err){0};
        assert_int_equal(fixture_put(store, "x", "text", &e), -1);
        if (e.code != refusal->expected || !strstr(e.message, refusal->advice))
            fail_msg("%s: %s: %s", refusal->code, err_code_name(e.code), e.message);
        assert_non_null(strstr(e.message, "cannot write s3://bucket/pre/x: "));
        assert_null(strstr(e.message, "test-secret"));
        assert_int_equal(e.retry_after_ms, strstr(refusal->headers, "Retry-After") ? 3000 : 0);
    }
    store->ops->close(store);
    server_stop(server);
}

static void test_skew(void **state)
{
    (void)state;
    char date[HTTP_DATE_SIZE], headers[64];
    struct reply reply = {403, headers, "<Error><Code>RequestTimeTooSkewed</Code></Error>"};
    struct server *server = server_start(reply_always, &reply);
    struct nacre_err e = {0};
    struct nacre_object_store *store = fixture_open(server, NULL, 0, &e);
    assert_non_null(store);
    encode_http_date((int64_t)time(NULL) + 100000, date);
    snprintf(headers, sizeof headers, "Date: %s\r\n", date);
    assert_int_equal(fixture_put(store, "x", "", &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    assert_non_null(strstr(e.message, "this machine's clock is "));
    assert_non_null(strstr(e.message, " s behind the service's; set it"));
    encode_http_date((int64_t)time(NULL) - 100000, date);
    snprintf(headers, sizeof headers, "Date: %s\r\n", date);
    assert_int_equal(fixture_put(store, "x", "", &e), -1);
    assert_non_null(strstr(e.message, " s ahead of the service's"));
    store->ops->close(store);
    server_stop(server);
}

/* HEAD has no body: the reason is asked for by a GET. */
static void test_head_is_explained(void **state)
{
    (void)state;
    struct reply reply = {404, "", "<Error><Code>NoSuchBucket</Code></Error>"};
    struct server *server = server_start(reply_always, &reply);
    struct nacre_err e = {0};
    struct nacre_object_info info;
    struct nacre_object_store *store = fixture_open(server, NULL, 0, &e);
    assert_non_null(store);
    assert_int_equal(store->ops->stat(store, "x", &info, &e), -1);
    assert_int_equal(e.code, NACRE_FAILED);
    assert_non_null(strstr(e.message, "there is no bucket"));
    reply.body = "<Error><Code>NoSuchKey</Code></Error>";
    assert_int_equal(store->ops->stat(store, "x", &info, &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
    unsigned before = server_requests(server); /* the bucket is there: no further question */
    assert_int_equal(store->ops->stat(store, "x", &info, &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
    assert_int_equal(server_requests(server), before + 1);
    reply = (struct reply){400, "", "<Error><Code>ExpiredToken</Code></Error>"};
    assert_int_equal(store->ops->stat(store, "x", &info, &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    store->ops->close(store);
    server_stop(server);
}

/* Answers to reads that are no refusals, and wrong. */
static void test_wrong_reads(void **state)
{
    (void)state;
    struct reply reply = {200, "", "whole"};
    struct server *server = server_start(reply_always, &reply);
    struct nacre_err e = {0};
    struct buf got = {0};
    struct nacre_object_info info;
    struct nacre_object_store *store = fixture_open(server, NULL, 0, &e);
    assert_non_null(store);
    assert_int_equal(fixture_get(store, "x", 4, 5, &got, &e), -1);
    assert_int_equal(e.code, NACRE_FAILED);
    assert_non_null(strstr(e.message, "does not know ranges"));
    reply = (struct reply){206, "Content-Range: bytes 3-7/100\r\n", "whole"};
    assert_int_equal(fixture_get(store, "x", 4, 5, &got, &e), -1);
    assert_int_equal(e.code, NACRE_TRANSIENT);
    assert_int_equal(got.size, 0); /* of neither anything was handed on */
    reply = (struct reply){206, "Content-Range: bytes 4-7/8\r\n", "whol"};
    assert_int_equal(fixture_get(store, "x", 4, 5, &got, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
    buf_clear(&got);
    reply = (struct reply){206, "Content-Range: bytes 4-8/100\r\n", "whole"};
    assert_int_equal(fixture_get(store, "x", 4, 5, &got, &e), 0);
    assert_string_equal((const char *)got.data, "whole");
    reply = (struct reply){206, "Content-Range: bytes 4-6/100\r\n", "who"};
    assert_int_equal(fixture_get(store, "x", 4, 5, &got, &e), -1);
    assert_int_equal(e.code, NACRE_TRANSIENT);
    reply = (struct reply){200, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", ""};
    assert_int_equal(store->ops->stat(store, "x", &info, &e), 0);
    assert_int_equal(info.modified_ns, INT64_C(784111777) * 1000000000);
    buf_free(&got);
    store->ops->close(store);
    server_stop(server);
}

static int count(void *ctx, const struct nacre_object_info *info)
{
    assert_true(nacre_object_name_valid(info->name));
    ++*(int *)ctx;
    return 0;
}

#define LIST "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define KEY(name) "<Contents><Key>" name "</Key><Size>1</Size></Contents>"

static void test_lists(void **state)
{
    (void)state;
    struct reply reply = {200, "", ""};
    struct server *server = server_start(reply_always, &reply);
    struct nacre_err e = {0};
    struct nacre_object_store *store = fixture_open(server, NULL, 0, &e);
    assert_non_null(store);
    static const struct {
        const char *body;
        enum nacre_code expected;
        int count;
    } pages[] = {
        {LIST "<EncodingType>url</EncodingType>" KEY("pre%2Fa") KEY("pre/b%2fc") "</ListBucketResult>",
         NACRE_OK, 2},
        {LIST KEY("pre/a") KEY("pre/b") KEY("pre/c d") KEY("preb") KEY("other") "</ListBucketResult>",
         NACRE_OK, 2},
        {LIST KEY("pre/b") KEY("pre/a") "</ListBucketResult>", NACRE_UNSUPPORTED, 1},
        {LIST KEY("pre/b") KEY("pre/b") "</ListBucketResult>", NACRE_UNSUPPORTED, 1},
        {LIST "<IsTruncated>true</IsTruncated></ListBucketResult>", NACRE_TRANSIENT, 0},
        {LIST "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
              "</ListBucketResult>",
         NACRE_CORRUPT, 0},
        {"<html/>", NACRE_TRANSIENT, 0},
        {"", NACRE_TRANSIENT, 0},
        {LIST KEY("pre/b"), NACRE_TRANSIENT, 0},
        {"<Error><Code>InternalError</Code></Error>", NACRE_TRANSIENT, 0},
    };
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        int seen = 0;
        reply.body = pages[i].body;
        e = (struct nacre_err){0};
        int result = store->ops->list(store, "", count, &seen, &e);
        if (result != (pages[i].expected ? -1 : 0) || e.code != pages[i].expected || seen != pages[i].count)
            fail_msg("page %zu: %d names, %s: %s", i, seen, err_code_name(e.code), e.message);
    }
    store->ops->close(store);
    server_stop(server);
}

static void test_options(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *says;
    } bad[] = {
        {"endpoint", "s3.example.com", "expected https://HOST"},
        {"endpoint", "https://user:test-secret@h", "without credentials"},
        {"endpoint", "https://h/?x=1", "without credentials and query"},
        {"region", "a:b", "is no region"},
        {"path-style", "yes", "true or false"},
        {"part-size", "1MiB", "5MiB to 5GiB"},
        {"part-size", "6GiB", "5MiB to 5GiB"},
        {"part-size", "-5", "5MiB to 5GiB"},
        {"part-size", "18446744073709551615GiB", "5MiB to 5GiB"},
        {"conditional-writes", "maybe", "auto, true or false"},
        {"credentials-file", "/nonexistent/keys", "/nonexistent/keys"},
    };
    struct reply reply = {200, "", ""};
    struct server *server = server_start(reply_always, &reply);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nacre_err e = {0};
        const struct nacre_option option = {bad[i].key, bad[i].value};
        const struct nacre_config config = {.size = sizeof config, .options = &option, .option_count = 1};
        struct nacre_object_store *store = NULL;
        extern const struct nacre_object_store_plugin nacre_object_store_plugin;
        assert_int_equal(nacre_object_store_plugin.open("s3://bucket/pre", &config, &store, &e), -1);
        if (!strstr(e.message, bad[i].says) || strstr(e.message, "test-secret"))
            fail_msg("%s: %s", bad[i].key, e.message);
    }
    server_stop(server);
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
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_skew),
        cmocka_unit_test(test_head_is_explained),
        cmocka_unit_test(test_wrong_reads),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}

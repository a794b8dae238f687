/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: Amazon's published examples, through the very libcurl that signs for the store.
 *
 * The requests are made to the published host names by way of a proxy, which is a server of this test: it
 * notes what arrives. Sources: "Examples: Signature Calculations" of the Amazon S3 API Reference (the first
 * four), and post-sts-header-before of the SigV4 test suite (the last). */
#include "fixture.h"
#include <stdio.h>

#include "http/http.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct published {
    const char *method, *url, *provider, *user, *password;
    const char *headers[6][2];
    const char *body;
    const char *signature, *signed_headers;
};

#define EXAMPLE_KEYS "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define EXAMPLE_DATE                                                                                         \
    {                                                                                                        \
        "x-amz-date", "20130524T000000Z"                                                                     \
    }

static const struct published examples[] = {
    {"GET",
     "http://examplebucket.s3.amazonaws.com/test.txt",
     "aws:amz:us-east-1:s3",
     EXAMPLE_KEYS,
     {EXAMPLE_DATE, {"Range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY_SHA256}},
     NULL,
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
     "host;range;x-amz-content-sha256;x-amz-date"},
    {"PUT",
     "http://examplebucket.s3.amazonaws.com/test%24file.text",
     "aws:amz:us-east-1:s3",
     EXAMPLE_KEYS,
     {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
      EXAMPLE_DATE,
      {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
      {"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}},
     "Welcome to Amazon S3.",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class"},
    {"GET",
     "http://examplebucket.s3.amazonaws.com/?lifecycle=",
     "aws:amz:us-east-1:s3",
     EXAMPLE_KEYS,
     {EXAMPLE_DATE, {"x-amz-content-sha256", EMPTY_SHA256}},
     NULL,
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
     "host;x-amz-content-sha256;x-amz-date"},
    {"GET",
     "http://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
     "aws:amz:us-east-1:s3",
     EXAMPLE_KEYS,
     {EXAMPLE_DATE, {"x-amz-content-sha256", EMPTY_SHA256}},
     NULL,
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
     "host;x-amz-content-sha256;x-amz-date"},
    {"POST",
     "http://example.amazonaws.com/",
     "aws:amz:us-east-1:service",
     "AKIDEXAMPLE",
     "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
     {{"x-amz-date", "20150830T123600Z"},
      {"x-amz-security-token",
       "AQoDYXdzEPT//////////"
       "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTf"
       "lfKD8YUuwthAx7mSEI/qkPpKPi/"
       "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HF"
       "vlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"
       "scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr"
       "4rvx3iSIlTJabIQwj2ICCR/oLxBA=="}},
     NULL,
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
     "host;x-amz-date;x-amz-security-token"},
};

struct noted {
    char target[256], authorization[512];
};

static void note_request(void *ctx, const struct served *served, struct answer *answer)
{
    struct noted *noted = ctx;
    snprintf(noted->target, sizeof noted->target, "%s", served->target);
    served_header(served, "Authorization", noted->authorization, sizeof noted->authorization);
    answer_text(answer, 200, "", "");
}

static void sign_example(struct http *http, const struct noted *noted, const struct published *example)
{
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(http_response_free) struct http_response response = {0};
    struct nacre_err e = {0};
    char expected[256];
    for (size_t i = 0; i < 6 && example->headers[i][0]; i++)
        http_header_add(&headers, example->headers[i][0], "%s", example->headers[i][1]);
    const struct nacre_input body = {.size = example->body ? strlen(example->body) : 0,
                                     .data = example->body};
    const struct http_request request = {
        .method = example->method,
        .url = example->url,
        .headers = &headers,
        .body = example->body ? &body : NULL,
        .body_size = body.size,
        .expected = NACRE_TO_END,
        .aws_sigv4 = example->provider,
        .user = example->user,
        .password = example->password,
    };
    if (http_perform(http, &request, &response, &e) < 0)
        fail_msg("%s", e.message);
    assert_string_equal(noted->target, example->url);
    snprintf(expected, sizeof expected, "SignedHeaders=%s, Signature=%s", example->signed_headers,
             example->signature);
    if (!strstr(noted->authorization, expected))
        fail_msg("%s %s: expected %s, got %s", example->method, example->url, expected, noted->authorization);
}

static void test_published_examples(void **state)
{
    (void)state;
    struct noted noted = {0};
    struct server *server = server_start(note_request, &noted);
    const struct nacre_option options[] = {{"proxy", server_url(server)}};
    const struct nacre_config config = {.size = sizeof config, .options = options, .option_count = 1};
    struct http *http = NULL;
    struct nacre_err e = {0};
    unsetenv("no_proxy");
    assert_int_equal(http_open(&config, &http, &e), 0);
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        sign_example(http, &noted, &examples[i]);
    http_free(http);
    server_stop(server);
}

/* What the signature rests on: queries in order with '=' everywhere, the digest, the token; and no signature
 * where none is wanted. */
struct seen {
    char target[512], authorization[512], sha[80], md5[32], token[32];
};

static void see(void *ctx, const struct served *served, struct answer *answer)
{
    struct seen *seen = ctx;
    *seen = (struct seen){0};
    snprintf(seen->target, sizeof seen->target, "%s %s", served->method, served->target);
    served_header(served, "Authorization", seen->authorization, sizeof seen->authorization);
    served_header(served, "x-amz-content-sha256", seen->sha, sizeof seen->sha);
    served_header(served, "Content-MD5", seen->md5, sizeof seen->md5);
    served_header(served, "x-amz-security-token", seen->token, sizeof seen->token);
    answer_text(answer, 200, "",
                strstr(served->target, "list-type") ? "<ListBucketResult><Name>b</Name></ListBucketResult>"
                                                    : "");
}

static int ignore(void *ctx, const struct nacre_object_info *info)
{
    (void)ctx;
    (void)info;
    return 0;
}

static void test_requests_as_they_are_signed(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct nacre_err e = {0};
    struct server *server = server_start(see, &seen);
    fixture_environment();
    setenv("AWS_SESSION_TOKEN", "a/session+token==", 1);
    setenv("AWS_REGION", "eu-central-1", 1);
    struct nacre_object_store *store = fixture_open(server, NULL, 0, &e);
    assert_non_null(store);
    assert_int_equal(fixture_put(store, "data/a-b_c.d", "abc", &e), 0);
    assert_string_equal(seen.target, "PUT /bucket/pre/data/a-b_c.d");
    assert_string_equal(seen.sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(seen.md5, "kAFQmDzST7DWlj99KOF/cg==");
    assert_string_equal(seen.token, "a/session+token==");
    assert_non_null(strstr(seen.authorization, "Credential=AKIDTEST/"));
    assert_non_null(strstr(seen.authorization, "/eu-central-1/s3/aws4_request"));
    assert_non_null(strstr(seen.authorization,
                           "content-md5;content-type;host;x-amz-content-sha256;x-amz-date;"
                           "x-amz-security-token"));
    assert_int_equal(store->ops->list(store, "a b", ignore, NULL, &e), 0);
    assert_string_equal(seen.target, "GET /bucket/"
                                     "?encoding-type=url&list-type=2&max-keys=1000&prefix=pre%2Fa%20b");
    assert_string_equal(seen.sha, EMPTY_SHA256);
    store->ops->close(store);

    const struct nacre_option anonymous[] = {{"anonymous", "true"}};
    store = fixture_open(server, anonymous, 1, &e);
    assert_non_null(store);
    assert_int_equal(fixture_put(store, "x", "abc", &e), 0);
    assert_string_equal(seen.authorization, "");
    assert_string_equal(seen.md5, "kAFQmDzST7DWlj99KOF/cg==");
    store->ops->close(store);
    server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_examples),
        cmocka_unit_test(test_requests_as_they_are_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

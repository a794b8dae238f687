/* SPDX-License-Identifier: Apache-2.0 */
/* Shared Key on published requests.
 *
 * The text that is signed: the example of
 * https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key. Whole signatures: requests
 * of Microsoft's own .NET client, with the key of an account that is no more, as the tests of its project
 * Dash have them (github.com/MicrosoftDX/Dash, SignatureValidationTests). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "azure/sign.h"
#include "common/json.h"

#define ACCOUNT "dashstorage1"
#define KEY "8jqRVtXUWiEthgIhR+dFwrB8gh3lFuquvJQ1v4eabObIj7okI1cZIuzY8zZHmEdpcC0f+XlUkbFwAhjTfyrLIg=="
#define MD5 "LHmMkMS8mTXh0bRP4e4Ptw=="

struct line {
    const char *name, *value;
};

static void add(struct http_headers *headers, const struct line *lines)
{
    for (; lines->name; lines++)
        http_header_add(headers, lines->name, "%s", lines->value);
    assert_false(headers->failed);
}

static void text_of_the_documentation(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {"x-ms-version", "2015-02-21"}, {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}, {0}};
    static const struct azure_query query[] = {
        {"timeout", "20"}, {"restype", "container"}, {"comp", "metadata"}};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(buf_free) struct buf text = {0};
    add(&headers, lines);
    const struct azure_signed what = {.method = "GET",
                                      .account = "myaccount",
                                      .path = "/mycontainer",
                                      .query = query,
                                      .query_count = 3,
                                      .headers = &headers};
    azure_string_to_sign(&what, &text);
    assert_string_equal((char *)text.data,
                        "GET\n\n\n\n\n\n\n\n\n\n\n\n"
                        "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
                        "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
}

/* An emulator's path has the account: it is in the text twice. A name that begins as another does is sorted
 * as a name, not as a line. */
static void emulator(void **state)
{
    (void)state;
    static const struct line lines[] = {{"x-ms-a-b", "1"}, {"X-MS-A", "2"}, {"Range", "bytes=0-1"}, {0}};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(buf_free) struct buf text = {0};
    add(&headers, lines);
    const struct azure_signed what = {
        .method = "PUT", .account = "one", .path = "/one/c/x", .headers = &headers, .content_length = 7};
    azure_string_to_sign(&what, &text);
    assert_string_equal((char *)text.data,
                        "PUT\n\n\n7\n\n\n\n\n\n\n\nbytes=0-1\nx-ms-a:2\nx-ms-a-b:1\n/one/one/c/x");
}

static void check(const struct azure_signed *what, const struct line *lines, const char *expected)
{
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(buf_free) struct buf key = {0};
    CLEANUP(buf_free) struct buf signature = {0};
    struct azure_signed request = *what;
    add(&headers, lines);
    request.headers = &headers;
    request.account = ACCOUNT;
    assert_true(json_decode_base64(KEY, strlen(KEY), &key));
    assert_true(azure_sign(&request, &key, &signature));
    assert_string_equal((char *)signature.data, expected);
}

static void signatures_of_the_net_client(void **state)
{
    (void)state;
    const struct azure_signed put = {.method = "PUT", .path = "/test/test.txt", .content_length = 423};
    static const struct line plain[] = {{"Content-MD5", MD5},
                                        {"x-ms-blob-type", "BlockBlob"},
                                        {"x-ms-client-request-id", "TestRequest1"},
                                        {"x-ms-date", "Thu, 30 Oct 2014 19:48:43 GMT"},
                                        {"x-ms-version", "2014-02-14"},
                                        {"x-ms-test", "testvalue"},
                                        {"x-test", "differentvalue"},
                                        {0}};
    check(&put, plain, "ktMmzuta7Wsqtzyd3TBbd3zW4miedtJPkWWlW9DCRb0=");
    static const struct line since[] = {{"Content-MD5", MD5},
                                        {"x-ms-version", "2014-02-14"},
                                        {"x-ms-blob-type", "BlockBlob"},
                                        {"x-ms-client-request-id", "d0863cd4-ae43-4dd4-aa27-eff01d30b5cf"},
                                        {"x-ms-date", "Thu, 30 Oct 2014 20:15:46 GMT"},
                                        {"If-Modified-Since", "Thu, 30 Oct 2014 20:15:41 GMT"},
                                        {0}};
    check(&put, since, "21rAYhnoRQQu6MmxXj6W5Rx3YWI8OCjO50CNNniohAA=");
    static const struct line all[] = {{"x-ms-version", "2014-02-14"},
                                      {"Content-Type", "application/octet-stream"},
                                      {"Content-MD5", MD5},
                                      {"Content-Language", "EN-US"},
                                      {"Content-Encoding", "gzip"},
                                      {"x-ms-blob-type", "BlockBlob"},
                                      {"If-Match", "DummyETag"},
                                      {"x-ms-client-request-id", "93399f8e-6ce2-4020-81a4-4f1f53f427fd"},
                                      {"x-ms-date", "Thu, 30 Oct 2014 20:46:48 GMT"},
                                      {0}};
    check(&put, all, "ZBQYgC9dgzldVfH6t06qIYZujSz/3blWrinuYePTMv8=");
}

static void check_key(void **state)
{
    (void)state;
    static const struct line lines[] = {{"x-ms-version", "2014-02-14"}, {0}};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(buf_free) struct buf none = {0};
    CLEANUP(buf_free) struct buf one = {0};
    CLEANUP(buf_free) struct buf a = {0};
    CLEANUP(buf_free) struct buf b = {0};
    add(&headers, lines);
    buf_string(&none, "key");
    buf_string(&one, "kez");
    const struct azure_signed what = {.method = "GET", .account = "a", .path = "/c", .headers = &headers};
    assert_true(azure_sign(&what, &none, &a) && azure_sign(&what, &one, &b));
    assert_string_not_equal((char *)a.data, (char *)b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_the_documentation),
        cmocka_unit_test(emulator),
        cmocka_unit_test(signatures_of_the_net_client),
        cmocka_unit_test(check_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

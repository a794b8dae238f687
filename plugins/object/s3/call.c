/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the service, signed.
 *
 * libcurl signs (Signature Version 4). For that to be right in every version from 7.88 on, queries are given
 * as the signature wants them (encoded, in order, with '=' everywhere) and so is the digest of the body;
 * tests/unit compares with Amazon's published examples.
 *
 * The body's SHA-256 is signed and its MD5 sent along. Both are checked by the service before it says that
 * the object is written; this pair is what all who speak S3 understand, which cannot be said of the newer
 * checksum headers. */
#include <string.h>

#include "common/err.h"
#include "http/xml.h"
#include "s3.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void add_body_headers(const struct s3_call *call, struct http_headers *headers)
{
    char sha[2 * SHA256_SIZE + 1] = EMPTY_SHA256;
    if (call->body) {
        CLEANUP(buf_free) struct buf md5 = {0};
        encode_base64(&md5, call->md5, MD5_SIZE);
        headers->failed |= buf_failed(&md5);
        if (!buf_failed(&md5))
            http_header_add(headers, "Content-MD5", "%s", (const char *)md5.data);
        hex_encode(call->sha, SHA256_SIZE, sha);
    }
    http_header_add(headers, "x-amz-content-sha256", "%s", sha);
    if (call->body || !strcmp(call->method, "POST"))
        http_header_add(headers, "Content-Type", "application/octet-stream");
}

static void append_url(const struct s3_store *store, const struct s3_call *call, struct buf *url)
{
    buf_string(url, store->root);
    buf_char(url, '/');
    if (call->name) {
        encode_percent(url, store->url.prefix, true);
        encode_percent(url, call->name, true);
    }
    if (call->query) {
        buf_char(url, '?');
        buf_string(url, call->query);
    }
}

/* keys: NULL = unsigned. */
static int perform(struct s3_store *store, const struct s3_call *call, const struct keys *keys,
                   struct http_response *response, struct nacre_err *e)
{
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(buf_free) struct buf url = {0};
    append_url(store, call, &url);
    if (buf_failed(&url))
        return err_no_memory(e, "a URL");
    add_body_headers(call, &headers);
    if (call->if_absent)
        http_header_add(&headers, "If-None-Match", "*");
    if (*call->range)
        http_header_add(&headers, "Range", "%s", call->range);
    if (keys && *keys->session)
        http_header_add(&headers, "x-amz-security-token", "%s", keys->session);
    const struct http_request request = {
        .method = call->method,
        .url = (const char *)url.data,
        .headers = &headers,
        .body = call->body,
        .body_offset = call->body_offset,
        .body_size = call->body_size,
        .sink = call->sink,
        .sink_ctx = call->sink_ctx,
        .expected = call->expected,
        .aws_sigv4 = keys ? store->sigv4 : NULL,
        .user = keys ? keys->access : NULL,
        .password = keys ? keys->secret : NULL,
    };
    return http_perform(store->http, &request, response, e);
}

/* What the service says of credentials that were good once. */
static bool have_ended(const struct http_response *response)
{
    return response->status >= 400 &&
           (s3_answer_is(response, "ExpiredToken") || s3_answer_is(response, "TokenRefreshRequired") ||
            s3_answer_is(response, "InvalidToken") || s3_answer_is(response, "InvalidAccessKeyId"));
}

static int signed_call(struct s3_store *store, const struct s3_call *call, struct http_response *response,
                       struct nacre_err *e)
{
    for (bool again = false;; again = true) {
        CLEANUP(buf_wipe_free) struct buf text = {0};
        CLEANUP(keys_free) struct keys keys = {0};
        if (token_get(store->token, &text, e) < 0 || keys_parse(&text, &keys, e) < 0)
            return -1;
        if (perform(store, call, &keys, response, e) < 0)
            return -1;
        if (again || !have_ended(response) || !token_spoilt(store->token, (const char *)text.data))
            return 0;
        http_response_free(response);
    }
}

int s3_call(struct s3_store *store, struct s3_call *call, struct http_response *response, struct nacre_err *e)
{
    const struct digests digests = {.md5 = call->md5, .sha256 = call->sha};
    int result = 0;
    *response = (struct http_response){0};
    if (call->body)
        result = digest_input(call->body, call->body_offset, call->body_size, &digests, e);
    if (result == 0)
        result =
            store->token ? signed_call(store, call, response, e) : perform(store, call, NULL, response, e);
    if (result < 0)
        return s3_wrap(store, call, e);
    if (response->status >= 200 && response->status <= 299)
        store->bucket_seen = true;
    return 0;
}

int s3_expect(struct s3_store *store, struct s3_call *call, struct http_response *response,
              struct nacre_err *e)
{
    if (s3_call(store, call, response, e) < 0)
        return -1;
    bool refused = response->status < 200 || response->status > 299;
    /* The service begins to answer CompleteMultipartUpload before it knows how it ends. */
    if (!refused && response->body.size && response->body.size <= HTTP_ERROR_MAX && !call->sink) {
        CLEANUP(buf_free) struct buf code = {0};
        refused = xml_find(response->body.data, response->body.size, "Error/Code", &code);
    }
    return refused ? s3_refused(store, call, response, e) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: URLs, the token, and once more with a new token when the old one is refused. */
#include <string.h>

#include "common/err.h"
#include "gcs.h"
#include "http/encode.h"

/* Up to here a body is sent without asking first whether it is welcome: a round trip would cost more. */
#define SMALL_BODY ((uint64_t)1 << 20)

void gcs_url_object(const struct gcs_store *store, const char *name, struct buf *out)
{
    buf_printf(out, "%s/storage/v1/b/", store->endpoint);
    encode_percent(out, store->bucket, false);
    buf_string(out, "/o/");
    encode_percent(out, store->prefix, false);
    encode_percent(out, name, false);
}

void gcs_url_upload(const struct gcs_store *store, struct buf *out)
{
    buf_printf(out, "%s/upload/storage/v1/b/", store->endpoint);
    encode_percent(out, store->bucket, false);
    buf_string(out, "/o");
}

bool gcs_url_is_ours(const struct gcs_store *store, const char *url)
{
    const char *host = strstr(store->endpoint, "://");
    size_t origin = host ? (size_t)(host + 3 - store->endpoint) : 0;
    origin += strcspn(store->endpoint + origin, "/");
    return !strncasecmp(url, store->endpoint, origin) && (url[origin] == '/' || url[origin] == '?');
}

static void add_headers(const struct gcs_store *store, const struct gcs_request *request,
                        const struct buf *token, struct http_headers *headers)
{
    size_t most = sizeof request->headers / sizeof *request->headers;
    for (size_t i = 0; i < most && request->headers[i][0]; i++)
        http_header_add(headers, request->headers[i][0], "%s", request->headers[i][1]);
    if (request->body && request->body_size <= SMALL_BODY)
        http_header_add(headers, "Expect", "%s", ""); /* to libcurl: none */
    if (token->size)
        http_header_add(headers, "Authorization", "Bearer %s", (const char *)token->data);
    if (store->project)
        http_header_add(headers, "x-goog-user-project", "%s", store->project);
}

/* One attempt; the token it was made with is appended to token. */
static int attempt(struct gcs_store *store, const struct gcs_request *request, struct buf *token,
                   struct http_response *response, struct nacre_err *e)
{
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    bool ours = gcs_url_is_ours(store, request->url);
    if (store->token && ours && token_get(store->token, token, e) < 0)
        return -1;
    add_headers(store, request, token, &headers);
    const struct http_request plain = {
        .method = request->method,
        .url = request->url,
        .headers = &headers,
        .body = request->body,
        .body_offset = request->body_offset,
        .body_size = request->body_size,
        .sink = request->sink,
        .sink_ctx = request->sink_ctx,
        .expected = NACRE_TO_END,
    };
    return http_perform(store->http, &plain, response, e);
}

int gcs_perform(struct gcs_store *store, const struct gcs_request *request, struct http_response *response,
                struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf token = {0};
    if (!request->url)
        return err_no_memory(e, "a request");
    if (attempt(store, request, &token, response, e) < 0)
        return -1;
    if (response->status != 401 || !token.size || !token_spoilt(store->token, (const char *)token.data))
        return 0;
    http_response_free(response);
    buf_wipe_free(&token);
    return attempt(store, request, &token, response, e);
}

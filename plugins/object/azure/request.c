/* SPDX-License-Identifier: Apache-2.0 */
/* One request: its URL, the headers that all have, and what authorises it. */
#include <openssl/crypto.h>
#include <string.h>
#include <time.h>

#include "azure.h"
#include "common/err.h"
#include "http/encode.h"

/* What is put together for one try. All of it may hold secrets. */
struct attempt {
    struct buf url;
    struct http_headers headers;
    struct buf token; /* the bearer token that was used */
};

static void attempt_free_at(struct attempt *a)
{
    buf_wipe_free(&a->url);
    buf_wipe_free(&a->token);
    http_headers_free(&a->headers);
}

static void add_path(const struct azure_store *store, const struct azure_request *request, struct buf *out)
{
    buf_printf(out, "/%s", store->url.bucket);
    if (request->name)
        buf_printf(out, "/%s%s", store->url.prefix, request->name);
}

/* The URL without what a signature adds; names have no character that is encoded. */
static void add_url(const struct azure_store *store, const struct azure_request *request, struct buf *out)
{
    buf_string(out, store->endpoint);
    add_path(store, request, out);
    for (size_t i = 0; i < request->query_count; i++) {
        buf_printf(out, "%c%s=", i ? '&' : '?', request->query[i].name);
        encode_percent(out, request->query[i].value, false);
    }
}

static void add_headers(const struct azure_request *request, struct http_headers *out)
{
    char date[HTTP_DATE_SIZE];
    encode_http_date((int64_t)time(NULL), date);
    http_header_add(out, "x-ms-date", "%s", date);
    http_header_add(out, "x-ms-version", "%s", AZURE_VERSION);
    for (size_t i = 0; request->headers && i < request->headers->count; i++) {
        const char *line = request->headers->lines[i];
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line, ":"), line);
        http_header_add(out, name, "%s", line + strlen(name) + 2);
    }
    out->failed |= request->headers && request->headers->failed;
}

static int add_signature(const struct azure_store *store, const struct azure_request *request,
                         struct attempt *a, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf path = {0};
    CLEANUP(buf_wipe_free) struct buf signature = {0};
    const char *below = strchr(strstr(store->endpoint, "://") + 3, '/');
    buf_string(&path, below ? below : "");
    add_path(store, request, &path);
    if (buf_failed(&path))
        return err_no_memory(e, "a signature");
    const struct azure_signed what = {.method = request->method,
                                      .account = store->account,
                                      .path = (const char *)path.data,
                                      .query = request->query,
                                      .query_count = request->query_count,
                                      .headers = &a->headers,
                                      .content_length = request->body ? request->body_size : 0};
    if (!azure_sign(&what, &store->credential->secret, &signature))
        return err_no_memory(e, "a signature");
    http_header_add(&a->headers, "Authorization", "SharedKey %s:%s", store->account,
                    (const char *)signature.data);
    return 0;
}

static int authorise(const struct azure_store *store, const struct azure_request *request, struct attempt *a,
                     struct nacre_err *e)
{
    const struct azure_credential *credential = store->credential;
    if (credential->kind == AZURE_KEY)
        return add_signature(store, request, a, e);
    if (credential->kind == AZURE_SAS) {
        buf_char(&a->url, request->query_count ? '&' : '?');
        buf_string(&a->url, (const char *)credential->secret.data);
        return 0;
    }
    if (token_get(credential->token, &a->token, e) < 0)
        return -1;
    http_header_add(&a->headers, "Authorization", "Bearer %s", (const char *)a->token.data);
    return 0;
}

/* *again: the token was refused, and another can be had. */
static int try(const struct azure_store *store, const struct azure_request *request,
               struct http_response *response, bool *again, struct nacre_err *e)
{
    __attribute__((cleanup(attempt_free_at))) struct attempt a = {0};
    add_url(store, request, &a.url);
    add_headers(request, &a.headers);
    if (authorise(store, request, &a, e) < 0)
        return -1;
    if (buf_failed(&a.url))
        return err_no_memory(e, "a request");
    const struct http_request sent = {.method = request->method,
                                      .url = (const char *)a.url.data,
                                      .headers = &a.headers,
                                      .body = request->body,
                                      .body_offset = request->body_offset,
                                      .body_size = request->body_size,
                                      .sink = request->sink,
                                      .sink_ctx = request->sink_ctx,
                                      .expected = NACRE_TO_END};
    if (http_perform(store->http, &sent, response, e) < 0)
        return -1;
    *again = response->status == 401 && a.token.size &&
             token_spoilt(store->credential->token, (const char *)a.token.data);
    return 0;
}

int azure_perform(const struct azure_store *store, const struct azure_request *request,
                  struct http_response *response, struct nacre_err *e)
{
    bool again = false;
    if (try(store, request, response, &again, e) < 0)
        return -1;
    if (again) {
        http_response_free(response);
        if (try(store, request, response, &again, e) < 0)
            return -1;
    }
    if (response->status >= 200 && response->status <= 299)
        return 0;
    azure_fail(store, request, response, e);
    http_response_free(response);
    return -1;
}

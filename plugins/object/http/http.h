/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP for the object stores of services: requests of bounded memory over connections that are kept.
 *
 * libcurl does the work. A client (struct http) belongs to one open store. It keeps a pool of handles: one is
 * taken for each request and given back, so that its connection is used again by whoever comes next, and all
 * share names looked up and TLS sessions. No thread of its own.
 *
 * What is an error and what is an answer. http_perform returns 0 as soon as a complete answer of any status
 * came, also 404 or 503: what that means is the service's affair (http_fail knows the general part). It
 * returns -1 when there is none: connection refused, reset or silent, TLS refused, a name unknown, the body's
 * source or sink failed, the program was asked to stop. Of those NACRE_TRANSIENT may succeed when tried
 * again. Nothing is tried again here: that is the wrapper `retry`'s.
 *
 * Secrets. Header lines and bodies may hold them; nothing of them is logged or put into an error. Of a URL
 * only scheme, host and path are shown; a query may be a signature. */
#ifndef OBJECT_HTTP_HTTP_H
#define OBJECT_HTTP_HTTP_H

#include <nacre/object_store.h>

#include "common/buf.h"
#include "common/cleanup.h"

/* The options of every store that speaks HTTP, for its list of options, in HTTP_OPTIONS:
 *   ca-file           PEM file of the authorities to trust instead of the system's
 *   proxy             URL of a proxy; "none" = no proxy. Else as the environment says (https_proxy, no_proxy,
 * …) connect-timeout   seconds, default 20 stall-timeout     seconds, default 60: a transfer that moves
 * nothing for so long is broken off */
#define HTTP_OPTIONS "ca-file", "proxy", "connect-timeout", "stall-timeout"

struct http;

/* Reads those of its options that are given. NACRE_INVALID names the one that is wrong, also a ca-file that
 * cannot be read. config->log and ->cancelled are kept. */
int http_open(const struct nacre_config *config, struct http **out, struct nacre_err *e);
void http_free(struct http *http); /* NULL is legal */
CLEANUP_DEFINE(struct http *, http_free)

#define HTTP_HEADERS_MAX 32

/* Header lines "Name: value", made one by one. Wiped when freed: they hold credentials. */
struct http_headers {
    char *lines[HTTP_HEADERS_MAX];
    size_t count;
    bool failed; /* out of memory or too many: http_perform says so */
};
void http_header_add(struct http_headers *headers, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The value of a header that was added, NULL when there is none; names without case. */
const char *http_header_find(const struct http_headers *headers, const char *name);
void http_headers_free(struct http_headers *headers);
static inline void http_headers_free_at(struct http_headers *headers)
{
    http_headers_free(headers);
}

struct http_request {
    const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
    const char *url;    /* whole, encoded as it goes out */
    const struct http_headers *headers;

    /* The body: the bytes [body_offset, body_offset + body_size) of `body`, sent with a Content-Length as
     * they are read. NULL = no body (a PUT or POST then says Content-Length: 0). */
    const struct nacre_input *body;
    uint64_t body_offset, body_size;

    /* Gets the body of a 2xx answer as it arrives, and only that. NULL: it is kept in the response, up to
     * HTTP_BODY_MAX. Bodies of other answers are kept always, cut at HTTP_ERROR_MAX. */
    nacre_sink *sink;
    void *sink_ctx;

    /* For a 2xx answer: this many bytes are expected (NACRE_TO_END = any number). More or fewer are
     * NACRE_TRANSIENT: a truncated answer. */
    uint64_t expected;

    bool no_proxy;         /* for services of the machine itself (metadata) */
    unsigned timeout_ms;   /* of the whole request, 0 = none (the stall timeout holds) */
    const char *aws_sigv4; /* libcurl's signing: "aws:amz:REGION:s3", with user and password; or NULL */
    const char *user, *password;
};

#define HTTP_BODY_MAX ((size_t)64 << 20)
#define HTTP_ERROR_MAX ((size_t)64 << 10)

struct http_response {
    int status;
    uint32_t retry_after_ms; /* of Retry-After in seconds or as a date; 0 = not said */
    struct buf headers;      /* lines separated by '\n', of the last answer (not of a 100 or a proxy's 200) */
    struct buf body;
};
void http_response_free(struct http_response *response);
static inline void http_response_free_at(struct http_response *response)
{
    http_response_free(response);
}

/* Appends the value of a header of the answer to out (names without case); false when it is not there. */
bool http_response_header(const struct http_response *response, const char *name, struct buf *out);

/* *response is empty before, and after a failure. Thread-safe. */
int http_perform(struct http *http, const struct http_request *request, struct http_response *response,
                 struct nacre_err *e);

/* Sets *e from an answer that is no success, by its status alone: 404 and 410 absent, 409 and 412 exists, 401
 * and 403 denied, 429 and 503 throttled (with retry_after_ms), 408, 425 and other 5xx transient, 507
 * no space, 416 invalid, else failed. `what` is what was asked for, such as "GET gs://bucket/name"; `detail`
 * what the service says of the reason, such as its error code, or "". Control characters in it are
 * shown as '?'. Returns -1. */
int http_fail(const struct http_response *response, const char *what, const char *detail,
              struct nacre_err *e);

#endif

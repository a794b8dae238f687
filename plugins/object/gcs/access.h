/* SPDX-License-Identifier: Apache-2.0 */
/* Access tokens for credentials. */
#ifndef OBJECT_GCS_ACCESS_H
#define OBJECT_GCS_ACCESS_H

#include "credentials.h"
#include "http/http.h"
#include "http/token.h"

/* What nacre asks for: to read and write objects, nothing more. */
#define ACCESS_SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
/* To act as a service account another scope is needed; the token that results has the one above. */
#define ACCESS_SCOPE_TO_IMPERSONATE "https://www.googleapis.com/auth/cloud-platform"

struct access {
    const struct credentials *credentials;
    struct http *http;
    bool (*cancelled)(void);
    bool metadata_answered; /* the metadata server is there */
};

/* ctx is a struct access. Errors are NACRE_TRANSIENT, _THROTTLED or _CANCELLED where they may pass, else
 * NACRE_DENIED: never what could be taken for the fate of an object. */
token_fetch access_fetch;

/* Appends the token of the other identity, for external accounts. */
int access_subject(const struct access *access, struct buf *out, struct nacre_err *e);
/* The same from an executable. */
int access_execute(const struct access *access, struct buf *out, struct nacre_err *e);
/* The token in what such an executable printed, of which must be unexpired when `cached`. */
int access_read_executed(const struct credentials *credentials, const void *data, size_t size, bool cached,
                         struct buf *out, struct nacre_err *e);

/* Appends a signed JWT (RS256) that says: I am the service account, at this time (Unix seconds), and want a
 * token of ACCESS_SCOPE. */
int access_jwt(const struct credentials *credentials, int64_t now, struct buf *out, struct nacre_err *e);

/* A request to a service that gives tokens. */
struct access_request {
    const char *method, *url;
    const char *content_type;
    const char *header[2];       /* a further header, or NULL */
    const struct buf *body;      /* NULL = none */
    const char *user, *password; /* of HTTP's own authentication, or NULL */
    bool no_proxy;
    unsigned timeout_ms;
};

/* 0 only for a success; else says what the service answers and what to do about it. */
int access_ask(const struct access *access, const struct access_request *request,
               struct http_response *response, struct nacre_err *e);

/* The token in an answer: {"access_token": …, "expires_in": …}. */
int access_read_token(const void *data, size_t size, struct buf *out, int64_t *seconds, struct nacre_err *e);
/* The same as IAM writes it: {"accessToken": …, "expireTime": …}. */
int access_read_impersonated(const void *data, size_t size, struct buf *out, int64_t *seconds,
                             struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the store for S3 and what speaks it: Amazon, Ceph's radosgw, MinIO, Google's XML interface.
 *
 * In reading order: open.c (options, address), credentials.c with profile.c, web_identity.c and instance.c
 * (who we are), call.c (one signed request), answer.c (what a refusal means), put.c and multipart.c
 * (writing), read.c (reading, looking at, removing), list.c with page.c.
 *
 * Facts about the interface are those of Amazon's S3 API reference unless a comment names another source. */
#ifndef OBJECT_S3_S3_H
#define OBJECT_S3_S3_H

#include <nacre/object_store.h>

#include <stdatomic.h>

#include "credentials.h"
#include "http/encode.h"
#include "http/http.h"
#include "http/location.h"
#include "http/token.h"

#define MIB ((uint64_t)1 << 20)
#define S3_PART_MIN (5 * MIB)
#define S3_SINGLE_MAX (5120 * MIB) /* of one PUT, and of one part */
#define S3_PARTS_MAX 10000

/* What is known of If-None-Match on a PUT (put.c). */
enum s3_conditional { S3_UNKNOWN, S3_HONOURED, S3_IGNORED, S3_NOT_SENT };

struct s3_store {
    struct nacre_object_store base;
    struct http *http;
    struct bucket_url url;
    char *endpoint; /* as messages show it */
    char *root;     /* what goes before "/KEY" in a request's URL */
    char *region;
    char *sigv4; /* what libcurl signs for */
    struct credentials *credentials;
    struct token *token; /* keys as one text; NULL = anonymous */
    uint64_t part_size;
    bool (*cancelled)(void);
    atomic_int conditional;  /* enum s3_conditional */
    atomic_bool bucket_seen; /* an answer showed that the bucket is there */
    atomic_bool swept;       /* stale uploads were looked for */
};

/* One request. */
struct s3_call {
    const char *method;
    const char *name;   /* of an object; NULL = the bucket */
    const char *query;  /* encoded, names in ascending order, each with '='; NULL = none */
    const char *verb;   /* for messages: "write", "read", … */
    const char *action; /* what a policy must allow, such as "s3:PutObject" */
    const struct nacre_input *body;
    uint64_t body_offset, body_size;
    bool if_absent;
    char range[64]; /* of the header Range; "" = none */
    nacre_sink *sink;
    void *sink_ctx;
    uint64_t expected;        /* of http_request; NACRE_TO_END where the size is not known */
    uint8_t md5[MD5_SIZE];    /* out: of the body */
    uint8_t sha[SHA256_SIZE]; /* out */
};

/* Makes the request, once more when the service says that the credentials have ended and others can be had. 0
 * for an answer of any status. */
int s3_call(struct s3_store *store, struct s3_call *call, struct http_response *response,
            struct nacre_err *e);

/* As s3_call; an answer that is no 2xx, or whose body is an <Error>, is an error. */
int s3_expect(struct s3_store *store, struct s3_call *call, struct http_response *response,
              struct nacre_err *e);

/* Sets *e from an answer that is a refusal: its code, what it means, what to do. -1. */
int s3_refused(const struct s3_store *store, const struct s3_call *call, const struct http_response *response,
               struct nacre_err *e);

/* True when the answer's error code is `code`. */
bool s3_answer_is(const struct http_response *response, const char *code);

/* Whether the ETag of an answer can be the MD5 of what was sent: false when it is surely another. `parts` >
 * 0: of a multipart upload, whose `md5` is that of the parts' digests. */
bool s3_etag_matches(const struct http_response *response, const char *etag, const uint8_t md5[MD5_SIZE],
                     unsigned parts);

/* "cannot VERB s3://BUCKET/PREFIX/NAME: …" in front of *e; -1. */
int s3_wrap(const struct s3_store *store, const struct s3_call *call, struct nacre_err *e);

/* All of the ABI's functions. */
int s3_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
           struct nacre_err *e);
int s3_put_if_absent(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e);
int s3_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
           nacre_sink *sink, void *ctx, struct nacre_err *e);
int s3_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
            struct nacre_err *e);
int s3_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
            struct nacre_err *e);
int s3_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e);

/* put of what is larger than one part (multipart.c). */
int s3_put_parts(struct s3_store *store, const char *name, const struct nacre_input *input,
                 struct nacre_err *e);

#endif

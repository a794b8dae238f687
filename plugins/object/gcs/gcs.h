/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the store `gcs`: the handle, requests with a token, the functions of the ABI.
 *
 * It speaks the JSON API of Cloud Storage (https://cloud.google.com/storage/docs/json_api/v1). */
#ifndef OBJECT_GCS_H
#define OBJECT_GCS_H

#include <nacre/object_store.h>

#include "access.h"
#include "answer.h"
#include "http/http.h"
#include "http/token.h"

/* What the sizes of pieces of a resumable upload are multiples of, all but the last one's. */
#define GCS_QUANTUM (UINT64_C(256) << 10)

struct gcs_store {
    struct nacre_object_store base;
    struct http *http;
    struct http *last;               /* does not stop on request: for tidying up after what was stopped */
    struct credentials *credentials; /* NULL: anonymous */
    struct access access;
    struct token *token; /* NULL: anonymous */
    char *endpoint;      /* "https://storage.googleapis.com", no slash at its end */
    char *bucket, *prefix;
    char *project;      /* who pays, NULL = the bucket's own */
    uint64_t threshold; /* larger objects are sent in a resumable session */
    uint64_t chunk;     /* in pieces of this size, a multiple of GCS_QUANTUM */
    bool (*cancelled)(void);
};

struct gcs_request {
    const char *method, *url;
    const char *headers[4][2]; /* names and values; the first without a name ends them */
    const struct nacre_input *body;
    uint64_t body_offset, body_size;
    nacre_sink *sink;
    void *sink_ctx;
};

/* Makes a request with the store's token, which only goes to the store's own endpoint; when the service
 * refuses it, once more with another. As http_perform otherwise. */
int gcs_perform(struct gcs_store *store, const struct gcs_request *request, struct http_response *response,
                struct nacre_err *e);

/* True when a URL that the service gave leads to the endpoint itself: same scheme, host and port. */
bool gcs_url_is_ours(const struct gcs_store *store, const char *url);

/* Appends the URL of an object's metadata, without a query; and of its uploads. */
void gcs_url_object(const struct gcs_store *store, const char *name, struct buf *out);
void gcs_url_upload(const struct gcs_store *store, struct buf *out);

/* An object's resource, of which these fields are wanted, joined by commas; the size must be among them. */
int gcs_look(struct gcs_store *store, const char *name, const char *fields, struct answer_object *out,
             struct nacre_err *e);

enum gcs_verb { GCS_WRITE, GCS_READ, GCS_STAT, GCS_LIST, GCS_REMOVE };

/* Sets *e from an answer that is no success: what failed, what the service says, what to do. name NULL = of a
 * listing. Returns -1. */
int gcs_fail(const struct gcs_store *store, enum gcs_verb verb, const char *name,
             const struct http_response *response, struct nacre_err *e);

/* An object being written. */
struct gcs_upload {
    struct gcs_store *store;
    const char *name;
    const struct nacre_input *input;
    bool only_if_absent;
    uint32_t crc32c;
    bool unclear;       /* all of it was sent, and no answer says what became of it: it may be stored */
    struct buf session; /* URL of the resumable session: who has it may write */
    uint64_t stored;
};

/* Appends the object's resource for an upload: its name, and the checksum that the service is to verify. */
void gcs_upload_resource(const struct gcs_upload *upload, struct buf *out);
/* Appends "…?uploadType=TYPE&…". */
void gcs_upload_url(const struct gcs_upload *upload, const char *type, struct buf *out);
/* After a 200: compares what the service stored with what was sent. */
int gcs_upload_verify(const struct gcs_upload *upload, const struct http_response *response,
                      struct nacre_err *e);
/* After another answer; 412 is NACRE_EXISTS, or NACRE_TRANSIENT while it is unclear whose the object is. */
int gcs_upload_fail(const struct gcs_upload *upload, const struct http_response *response,
                    struct nacre_err *e);
/* In a session, resumed as long as that makes progress; one that fails is cancelled. */
int gcs_upload_resumable(struct gcs_upload *upload, struct nacre_err *e);

int gcs_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
            struct nacre_err *e);
int gcs_put_if_absent(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                      struct nacre_err *e);
int gcs_get(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
            nacre_sink *sink, void *ctx, struct nacre_err *e);
int gcs_stat(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
             struct nacre_err *e);
int gcs_list(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry, void *ctx,
             struct nacre_err *e);
int gcs_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the store `azure`: the handle, one request to the service, and what its errors mean. */
#ifndef OBJECT_AZURE_H
#define OBJECT_AZURE_H

#include <nacre/object_store.h>

#include "credential.h"
#include "http/http.h"
#include "http/location.h"
#include "sign.h"

/* The version of the interface. Later ones bring nothing that is needed here, and old emulators refuse them.
 */
#define AZURE_VERSION "2021-12-02"

struct azure_store {
    struct nacre_object_store base;
    struct http *http;
    struct bucket_url url; /* the container and the prefix */
    char *endpoint;        /* "https://ACCOUNT.blob.core.windows.net", no slash at its end; may have a path */
    char *account;
    uint64_t block_size;
    bool (*cancelled)(void);
    struct azure_credential *credential;
};

#define AZURE_BLOCK_SIZE ((uint64_t)16 << 20)
#define AZURE_BLOCK_SIZE_MIN ((uint64_t)64 << 10)
/* https://learn.microsoft.com/rest/api/storageservices/put-block (from version 2019-12-12 on) */
#define AZURE_BLOCK_SIZE_MAX ((uint64_t)4000 << 20)
#define AZURE_BLOCKS_MAX 50000u

struct azure_request {
    const char *method;
    const char *name; /* of the object, relative to the prefix; NULL = the container itself */
    struct azure_query query[AZURE_QUERY_MAX];
    size_t query_count;
    const struct http_headers *headers; /* beyond those that every request has; may be NULL */
    const struct nacre_input *body;     /* and the rest as in struct http_request */
    uint64_t body_offset, body_size;
    nacre_sink *sink;
    void *sink_ctx;
    const char *needs; /* letters of a SAS for it, such as "r": for the message when it is refused */
};

/* One request, signed; a bearer token that is refused is replaced once. 0 with the whole answer when it is a
 * success (2xx); else -1 with what the service's error means. *response is empty before, and after a
 * failure. */
int azure_perform(const struct azure_store *store, const struct azure_request *request,
                  struct http_response *response, struct nacre_err *e);

/* Sets *e from an answer that is no success. Returns -1. */
int azure_fail(const struct azure_store *store, const struct azure_request *request,
               const struct http_response *response, struct nacre_err *e);

/* Checks a checksum that the service answered against ours, where it answered one: what was stored is not
 * what was sent otherwise, which is NACRE_TRANSIENT, for it can be written again. */
int azure_check_md5(const struct http_response *response, const char *expected, const char *name,
                    struct nacre_err *e);

/* The base64 of the MD5 of a part of an input; NUL-terminated. */
#define AZURE_MD5_SIZE 25
int azure_md5(const struct nacre_input *input, uint64_t offset, uint64_t size, char out[AZURE_MD5_SIZE],
              struct nacre_err *e);

int azure_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
              struct nacre_err *e);
int azure_put_if_absent(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                        struct nacre_err *e);
int azure_get(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
              nacre_sink *sink, void *ctx, struct nacre_err *e);
int azure_stat(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
               struct nacre_err *e);
int azure_list(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry, void *ctx,
               struct nacre_err *e);
int azure_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A server of Google Cloud Storage's JSON API for the tests: what its parts share.
 *
 * It is as strict as the real one where a client can be wrong: preconditions, offsets of resumable uploads,
 * checksums, page tokens, names, bearer tokens. It keeps nothing: contents are files without a name (in
 * memory, or below --directory), which are gone with the process. One thread a connection; one lock around
 * all that is known of buckets, objects, sessions and tokens, held for look-ups only, never while bytes move.
 *
 * Facts are from Google's documentation of the JSON API (cloud.google.com/storage/docs/json_api,
 * .../docs/performing-resumable-uploads), of service accounts
 * (developers.google.com/identity/protocols/oauth2/service-account) and of token exchange (RFC 8693, RFC
 * 7523). */
#ifndef SERVERS_GCS_H
#define SERVERS_GCS_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/json.h"

#include "fault.h"

#define CHUNK_UNIT 262144u /* what is not the last of a session comes in multiples of it */
#define NAME_MAX_BYTES 1024
#define PAGE_MAX 1000
#define SMALL_BODY_MAX (4u << 20)
#define SEGMENTS_MAX 16
#define PARAMETERS_MAX 32
#define HEADERS_MAX 12
#define UNKNOWN UINT64_MAX

/* Bytes: [offset, offset + size) of a file that has no name. */
struct content {
    int fd;
    uint64_t offset, size;
    uint32_t crc32c;
    uint8_t md5[16];
};

/* Never changed once it is in a bucket; a new write is a new object. Counted. */
struct object {
    unsigned references;
    char *name;
    char *type;
    json_t *metadata; /* the user's own; NULL without */
    uint64_t generation;
    int64_t created_us;
    bool composed; /* has no MD5, as Google's have none */
    struct content content;
};

/* What a write asks for, as its query and its JSON say it. */
struct conditions {
    bool has[4];
    uint64_t value[4]; /* ifGenerationMatch, ifGenerationNotMatch, ifMetagenerationMatch, ...NotMatch */
};

struct wish {
    char *bucket, *name, *type;
    json_t *metadata;
    char *crc32c, *md5; /* base64, as the client says that they are; NULL without */
    struct conditions conditions;
};

struct session;

struct request {
    struct MHD_Connection *connection;
    char *uri;  /* the path and query as they were sent */
    char *path; /* cut into segments, which are decoded in place */
    char *segments[SEGMENTS_MAX];
    size_t segment_count;
    char *query;
    struct {
        const char *key, *value;
    } parameters[PARAMETERS_MAX];
    size_t parameter_count;
    const char *method;
    bool malformed; /* the path or the query cannot be decoded */

    bool begun, answered;
    struct buf body; /* of requests that upload nothing */
    bool too_large;
    int fd;                /* of uploads; -1 without */
    uint64_t at, received; /* where in fd the next byte goes; how many came */
    uint64_t skip;         /* so many are stored already */
    bool write_failed;
    struct session *session; /* a chunk of it is being received */

    struct {
        char *name, *value;
    } headers[HEADERS_MAX];
    size_t header_count;
    enum fault_kind fault;
};

struct server {
    pthread_mutex_t lock;
    int port;
    const char *directory; /* NULL: memory */
    bool anonymous, durable, log;
    int64_t token_seconds, session_seconds;
    struct faults faults;
};
extern struct server server;

/* request.c: MHD's callbacks. */
void *request_new(void *unused, const char *uri, struct MHD_Connection *connection);
enum MHD_Result request_more(void *unused, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *data, size_t *size,
                             void **context);
void request_done(void *unused, struct MHD_Connection *connection, void **context,
                  enum MHD_RequestTerminationCode code);
const char *request_header(const struct request *r, const char *name);   /* NULL without */
const char *request_parameter(const struct request *r, const char *key); /* NULL without */
bool request_is(const struct request *r, const char *method);
bool percent_decode(char *text, bool plus); /* in place; false when it is malformed or holds a NUL */

/* route.c: what the path and the method mean. */
enum MHD_Result route(struct request *r);
bool route_is_upload(const struct request *r);

/* reply.c. Each sends the answer; a fault that was drawn for the request is done here. */
void reply_header(struct request *r, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum MHD_Result reply_json(struct request *r, unsigned status, json_t *body); /* takes body */
enum MHD_Result reply_empty(struct request *r, unsigned status);
enum MHD_Result reply_text(struct request *r, unsigned status, const char *text);
enum MHD_Result reply_content(struct request *r, unsigned status, const struct content *content,
                              uint64_t offset, uint64_t size);
enum MHD_Result reply_error(struct request *r, unsigned status, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
enum MHD_Result reply_object(struct request *r, const char *bucket, struct object *object); /* releases it */
/* Closes the connection by a reset. */
enum MHD_Result reply_reset(struct request *r);

/* content.c */
int content_open(void);                      /* a new file without a name; -1 */
bool content_flush(const struct content *c); /* to the disk, when that was asked for */
bool content_digest(struct content *c);      /* fills crc32c and md5 */
bool content_copy(int to, uint64_t at, const struct content *from);
void base64(const void *data, size_t size, char *out); /* out: 4 * ((size + 2) / 3) + 1 */
void crc32c_base64(uint32_t crc, char out[9]);
uint32_t checksum(const void *data, size_t size); /* CRC-32C */

/* bucket.c: with the lock held by the caller where it says so. */
struct bucket;
struct bucket *bucket_find(const char *name); /* locked */
int bucket_create(const char *name);          /* 200, 409, 400 */
enum MHD_Result bucket_route(struct request *r);
struct object *object_find(struct bucket *bucket, const char *name);                  /* locked; borrowed */
struct object *object_get(const char *bucket, const char *name, bool *bucket_exists); /* counted */
void object_release(struct object *object);
/* The index of the first object whose name is not before `name`; object_at: NULL past the end. Locked. */
size_t object_lower_bound(const struct bucket *bucket, const char *name);
struct object *object_at(const struct bucket *bucket, size_t index);
/* Stores, as one step with its conditions. Takes c and what it needs of w. 200 and *out (counted), or 404,
 * 412 and nothing changed. */
unsigned object_store(const struct wish *w, struct content *c, bool composed, struct object **out);
unsigned object_remove(const char *bucket, const char *name, const struct conditions *conditions);
json_t *object_resource(const char *bucket, const struct object *object);
bool name_is_valid(const char *name);

/* condition.c */
bool conditions_parse(const struct request *r, struct conditions *out); /* false: one is no number */
/* 200, 412 or (reading only) 304. */
unsigned conditions_check(const struct conditions *c, const struct object *object, bool reading);

/* upload.c */
enum MHD_Result upload_media(struct request *r);
enum MHD_Result upload_multipart(struct request *r);
/* The answer to a write whose bytes are complete: verifies what the client said of them. Takes c. */
enum MHD_Result upload_finish(struct request *r, struct wish *w, struct content *c, struct object **out);
/* The wish of a request: query, and JSON (may be NULL, borrowed). False: the answer was given, *result. */
bool wish_read(struct request *r, const char *bucket, json_t *resource, struct wish *out,
               enum MHD_Result *result);
void wish_free(struct wish *w);

/* resumable.c */
void session_begin_chunk(struct request *r); /* says where the bytes of a PUT go */
void session_broken(struct request *r);      /* the connection ended within a chunk */
enum MHD_Result session_start(struct request *r);
enum MHD_Result session_put(struct request *r);
enum MHD_Result session_delete(struct request *r);

/* download.c, list.c, compose.c */
enum MHD_Result download(struct request *r, const char *bucket, const char *name, bool xml);
enum MHD_Result list(struct request *r, const char *bucket);
enum MHD_Result compose(struct request *r, const char *bucket, const char *name);
enum MHD_Result rewrite(struct request *r);

/* fields.c: the part of an answer that ?fields= asks for; NULL when the mask is malformed. */
json_t *fields_apply(const char *mask, const json_t *value);

/* token.c: who asks. */
enum permission { PERMISSION_READ, PERMISSION_WRITE };
/* False: the answer was given, *result. */
bool token_allows(struct request *r, enum permission wanted, const char *action, enum MHD_Result *result);
enum MHD_Result token_grant(struct request *r);       /* POST /token */
enum MHD_Result token_exchange(struct request *r);    /* POST /v1/token */
enum MHD_Result token_impersonate(struct request *r); /* POST /v1/projects/-/serviceAccounts/X:generate... */
enum MHD_Result token_metadata(struct request *r);    /* GET /computeMetadata/... */
/* EMAIL=PUBLIC-KEY.pem; a reader is denied all writes. */
int token_add_account(const char *text, bool reader);
extern const char *token_subject, *token_refresh; /* what the exchange and refreshing accept; NULL: nothing */

/* jwt.c: verifies an RS256 JWT. NULL, or what is wrong, in Google's words. */
typedef struct evp_pkey_st EVP_PKEY;
const char *jwt_verify(const char *jwt, EVP_PKEY *(*key_of)(const char *issuer), const char *audience,
                       json_t **claims);

#endif

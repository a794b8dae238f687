/* SPDX-License-Identifier: Apache-2.0 */
/* Resumable uploads: a session begins with what the object shall be, then come its bytes, in chunks. What was
 * stored is told in a 308's Range; of a chunk that broke off, whole units of 256 KiB are kept. A session's
 * address is its own credential. */
#include "gcs.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SESSIONS_MAX 65536

enum state { OPEN, DONE, CANCELLED };

struct session {
    char id[65];
    struct wish wish;
    struct content content; /* size: what is stored for good */
    uint64_t total;         /* UNKNOWN until the client says it */
    int64_t begun;
    enum state state;
    bool busy;
    struct object *object; /* counted, when done */
};

static struct session *sessions[SESSIONS_MAX]; /* never forgotten, so that each answers as it should */
static size_t session_count;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static struct session *session_find(const char *id)
{
    struct session *found = NULL;
    pthread_mutex_lock(&server.lock);
    for (size_t i = session_count; i > 0 && !found; i--)
        if (!strcmp(sessions[i - 1]->id, id))
            found = sessions[i - 1];
    pthread_mutex_unlock(&server.lock);
    return found;
}

static struct session *session_new(void)
{
    uint8_t random[32];
    struct session *s = calloc(1, sizeof *s);
    if (!s || RAND_bytes(random, sizeof random) != 1) {
        free(s);
        return NULL;
    }
    hex_encode(random, sizeof random, s->id);
    *s = (struct session){.content.fd = content_open(), .total = UNKNOWN, .begun = now()};
    hex_encode(random, sizeof random, s->id);
    pthread_mutex_lock(&server.lock);
    bool full = session_count == SESSIONS_MAX;
    if (!full)
        sessions[session_count++] = s;
    pthread_mutex_unlock(&server.lock);
    if (s->content.fd >= 0 && !full)
        return s;
    if (full) {
        close(s->content.fd);
        free(s);
    }
    return NULL;
}

enum MHD_Result session_start(struct request *r)
{
    struct wish w = {0};
    enum MHD_Result result;
    struct nacre_err e = {0};
    CLEANUP(json_value_free) json_t *resource = NULL;
    const char *bucket = r->segments[r->segment_count - 2];
    if (r->body.size && json_parse_object(r->body.data, r->body.size, SMALL_BODY_MAX, &resource, &e) < 0)
        return reply_error(r, 400, "parseError", "Parse Error: %s", e.message);
    if (!wish_read(r, bucket, resource, &w, &result))
        return result;
    bool bucket_exists;
    struct object *old = object_get(bucket, w.name, &bucket_exists);
    unsigned status = conditions_check(&w.conditions, old, false);
    object_release(old);
    struct session *s = bucket_exists && status == MHD_HTTP_OK ? session_new() : NULL;
    if (!s) {
        wish_free(&w);
        return !bucket_exists ? reply_error(r, 404, "notFound", "The specified bucket does not exist.")
               : status != MHD_HTTP_OK
                   ? reply_error(r, status, "conditionNotMet",
                                 "At least one of the pre-conditions you specified did not hold.")
                   : reply_error(r, 503, "backendError", "Backend Error");
    }
    const char *type = request_header(r, "X-Upload-Content-Type"),
               *length = request_header(r, "X-Upload-Content-Length");
    if (!w.type && type)
        w.type = strdup(type);
    s->total = length ? strtoull(length, NULL, 10) : UNKNOWN;
    s->wish = w;
    const char *host = request_header(r, MHD_HTTP_HEADER_HOST);
    reply_header(r, "Location", "http://%s%s%cupload_id=%s", host ? host : "127.0.0.1", r->uri,
                 strchr(r->uri, '?') ? '&' : '?', s->id);
    reply_header(r, "X-GUploader-UploadID", "%s", s->id);
    return reply_empty(r, MHD_HTTP_OK);
}

struct chunk {
    bool query;           /* bytes * / … : what is stored? */
    uint64_t first, last; /* last: UNKNOWN when the request has no end but its own */
    uint64_t total;       /* UNKNOWN: a star */
};

static bool read_number(const char **at, uint64_t *out)
{
    char *end;
    if (**at == '*') {
        *out = UNKNOWN;
        (*at)++;
        return true;
    }
    if (**at < '0' || **at > '9')
        return false;
    *out = strtoull(*at, &end, 10);
    *at = end;
    return true;
}

/* Content-Range: a-b or a star, slash, t or a star; or no header: all of the object. */
static bool chunk_parse(const struct request *r, struct chunk *c)
{
    const char *text = request_header(r, "Content-Range"), *length = request_header(r, "Content-Length");
    *c = (struct chunk){.last = UNKNOWN, .total = UNKNOWN};
    if (!text) {
        c->total = length ? strtoull(length, NULL, 10) : UNKNOWN;
        return true;
    }
    if (strncmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    if (*text == '*') {
        c->query = true;
        text++;
    } else if (!read_number(&text, &c->first) || *text++ != '-' || !read_number(&text, &c->last) ||
               c->first > c->last) {
        return false;
    }
    return *text++ == '/' && read_number(&text, &c->total) && !*text &&
           (c->query || c->last == UNKNOWN || c->last < c->total);
}

void session_begin_chunk(struct request *r)
{
    struct session *s = session_find(request_parameter(r, "upload_id"));
    struct chunk c;
    if (!request_is(r, "PUT") || !s || !chunk_parse(r, &c) || c.query)
        return;
    pthread_mutex_lock(&server.lock);
    if (s->state == OPEN && !s->busy && c.first <= s->content.size) {
        s->busy = true;
        r->session = s;
        r->at = s->content.size;
        r->skip = s->content.size - c.first; /* what is stored stays as it is */
    }
    pthread_mutex_unlock(&server.lock);
    if (r->session)
        r->fd = dup(s->content.fd);
    if (r->session && r->fd < 0)
        r->write_failed = true;
}

static void session_free_chunk(struct request *r)
{
    pthread_mutex_lock(&server.lock);
    r->session->busy = false;
    pthread_mutex_unlock(&server.lock);
    r->session = NULL;
}

void session_broken(struct request *r)
{
    r->session->content.size = r->at / CHUNK_UNIT * CHUNK_UNIT > r->session->content.size
                                   ? r->at / CHUNK_UNIT * CHUNK_UNIT
                                   : r->session->content.size;
    session_free_chunk(r);
}

static enum MHD_Result incomplete(struct request *r, const struct session *s)
{
    if (s->content.size)
        reply_header(r, "Range", "bytes=0-%" PRIu64, s->content.size - 1);
    reply_header(r, "X-GUploader-UploadID", "%s", s->id);
    return reply_empty(r, 308);
}

static enum MHD_Result finished(struct request *r, struct session *s)
{
    pthread_mutex_lock(&server.lock);
    struct object *object = s->object;
    if (object)
        object->references++;
    pthread_mutex_unlock(&server.lock);
    return object ? reply_object(r, s->wish.bucket, object)
                  : reply_error(r, 410, "gone", "The upload failed.");
}

static enum MHD_Result finish(struct request *r, struct session *s)
{
    struct object *object = NULL;
    enum MHD_Result result = upload_finish(r, &s->wish, &s->content, &object);
    pthread_mutex_lock(&server.lock);
    s->state = DONE;
    s->object = object;
    pthread_mutex_unlock(&server.lock);
    if (s->content.fd >= 0 && !object) {
        close(s->content.fd);
        s->content.fd = -1;
    }
    return object ? finished(r, s) : result;
}

/* The bytes of a chunk are in the file; counts them, or says what is wrong with them. */
static enum MHD_Result accept_chunk(struct request *r, struct session *s, const struct chunk *c)
{
    uint64_t end = c->first + r->received;
    if (c->last != UNKNOWN && end != c->last + 1)
        return reply_error(r, 400, "invalid",
                           "The request has %" PRIu64 " bytes, its Content-Range says %" PRIu64 ".",
                           r->received, c->last + 1 - c->first);
    uint64_t total =
        c->last == UNKNOWN && c->total == UNKNOWN ? end : c->total; /* a-star/star: all the rest */
    if (s->total != UNKNOWN && total != UNKNOWN && total != s->total)
        return reply_error(r, 400, "invalid",
                           "Invalid request. The upload is of %" PRIu64 " bytes, not %" PRIu64 ".", s->total,
                           total);
    if (total != UNKNOWN)
        s->total = total;
    if (end != total && r->received < CHUNK_UNIT)
        return reply_error(
            r, 400, "badRequest",
            "Invalid request. The number of bytes uploaded is required to be equal or greater than "
            "262144, except for the final request (it's recommended to be the exact multiple of "
            "262144). The received request contained %" PRIu64
            " bytes, which does not meet this requirement.",
            r->received);
    if (end != total)
        end = end / CHUNK_UNIT * CHUNK_UNIT;
    if (end > s->content.size)
        s->content.size = end;
    return s->content.size == s->total ? finish(r, s) : incomplete(r, s);
}

enum MHD_Result session_put(struct request *r)
{
    struct session *s = session_find(request_parameter(r, "upload_id"));
    struct chunk c;
    if (!s)
        return reply_error(r, 404, "notFound", "No such upload.");
    if (s->state == CANCELLED)
        return reply_error(r, 499, "cancelled", "The upload was cancelled.");
    if (now() - s->begun >= server.session_seconds)
        return reply_error(r, 410, "gone", "The upload's session has ended.");
    if (!chunk_parse(r, &c))
        return reply_error(r, 400, "badRequest", "Failed to parse Content-Range header.");
    if (s->state == DONE)
        return finished(r, s);
    if (c.query) {
        if (r->received)
            return reply_error(r, 400, "badRequest", "A query of the state has no body.");
        return c.total != UNKNOWN && c.total == s->content.size ? finish(r, s) : incomplete(r, s);
    }
    if (!r->session)
        return c.first > s->content.size
                   ? reply_error(
                         r, 503, "backendError",
                         "Invalid request.  According to the Content-Range header, the upload offset is "
                         "%" PRIu64 " byte(s), which exceeds already uploaded size of %" PRIu64 " byte(s).",
                         c.first, s->content.size)
                   : reply_error(r, 503, "backendError", "Another request is writing to this upload.");
    enum MHD_Result result = accept_chunk(r, s, &c);
    session_free_chunk(r);
    return result;
}

enum MHD_Result session_delete(struct request *r)
{
    struct session *s = session_find(request_parameter(r, "upload_id"));
    if (!s)
        return reply_error(r, 404, "notFound", "No such upload.");
    pthread_mutex_lock(&server.lock);
    bool open = s->state == OPEN && !s->busy;
    if (open)
        s->state = CANCELLED;
    pthread_mutex_unlock(&server.lock);
    if (!open && s->state == DONE)
        return reply_error(r, 404, "notFound", "The upload is complete.");
    if (open)
        close(s->content.fd);
    return reply_error(r, 499, "cancelled", "The upload was cancelled.");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in one request: the bytes alone (media), or JSON and bytes (multipart/related, RFC 2387). The whole
 * body is in a file already; of a multipart one the object is a part of that file. */
#include "gcs.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

void wish_free(struct wish *w)
{
    free(w->bucket);
    free(w->name);
    free(w->type);
    free(w->crc32c);
    free(w->md5);
    json_decref(w->metadata);
    *w = (struct wish){0};
}

static char *copy_of(const json_t *resource, const char *key)
{
    const char *value = json_string_value(json_object_get(resource, key));
    return value ? strdup(value) : NULL;
}

/* "crc32c=…,md5=…" of x-goog-hash, over what the JSON says. */
static void read_hash_header(const struct request *r, struct wish *w)
{
    const char *header = request_header(r, "x-goog-hash");
    CLEANUP(mem_free) char *copy = header ? strdup(header) : NULL;
    char *rest = copy, *one;
    while (copy && (one = strsep(&rest, ", "))) {
        char **into = !strncmp(one, "crc32c=", 7) ? &w->crc32c : !strncmp(one, "md5=", 4) ? &w->md5 : NULL;
        if (into) {
            free(*into);
            *into = strdup(strchr(one, '=') + 1);
        }
    }
}

bool wish_read(struct request *r, const char *bucket, json_t *resource, struct wish *out,
               enum MHD_Result *result)
{
    const char *name = request_parameter(r, "name");
    struct conditions conditions;
    if (!conditions_parse(r, &conditions)) {
        *result = reply_error(r, 400, "invalidParameter", "Invalid value for a precondition");
        return false;
    }
    if (!name)
        name = json_string_value(json_object_get(resource, "name"));
    if (!name || !name_is_valid(name)) {
        *result = name ? reply_error(r, 400, "invalid", "Invalid object name")
                       : reply_error(r, 400, "required", "Required object name.");
        return false;
    }
    *out = (struct wish){.bucket = strdup(bucket),
                         .name = strdup(name),
                         .type = copy_of(resource, "contentType"),
                         .crc32c = copy_of(resource, "crc32c"),
                         .md5 = copy_of(resource, "md5Hash"),
                         .metadata = json_incref(json_object_get(resource, "metadata")),
                         .conditions = conditions};
    return true;
}

enum MHD_Result upload_finish(struct request *r, struct wish *w, struct content *c, struct object **out)
{
    char crc[9], md5[28];
    *out = NULL;
    read_hash_header(r, w);
    if (!content_flush(c) || !content_digest(c))
        return reply_error(r, 503, "backendError", "The server cannot keep what it received");
    crc32c_base64(c->crc32c, crc);
    base64(c->md5, 16, md5);
    if (w->crc32c && strcmp(w->crc32c, crc) != 0)
        return reply_error(r, 400, "invalid",
                           "Provided CRC32C \"%s\" doesn't match calculated CRC32C \"%s\".", w->crc32c, crc);
    if (w->md5 && strcmp(w->md5, md5) != 0)
        return reply_error(r, 400, "invalid",
                           "Provided MD5 hash \"%s\" doesn't match calculated MD5 hash \"%s\".", w->md5, md5);
    switch (object_store(w, c, false, out)) {
    case MHD_HTTP_OK:
        return MHD_YES;
    case MHD_HTTP_NOT_FOUND:
        return reply_error(r, 404, "notFound", "The specified bucket does not exist.");
    case MHD_HTTP_PRECONDITION_FAILED:
        return reply_error(r, 412, "conditionNotMet",
                           "At least one of the pre-conditions you specified did not hold.");
    default:
        return reply_error(r, 503, "backendError", "Backend Error");
    }
}

/* Finishes an upload of one request. Takes nothing of w, but the file. */
static enum MHD_Result finish(struct request *r, struct wish *w, struct content *c)
{
    struct object *object = NULL;
    const char *md5 = request_header(r, "Content-MD5");
    if (md5 && !w->md5)
        w->md5 = strdup(md5);
    enum MHD_Result result = upload_finish(r, w, c, &object);
    if (c->fd >= 0)
        close(c->fd);
    return object ? reply_object(r, w->bucket, object) : result;
}

static int take_fd(struct request *r)
{
    int fd = r->fd;
    r->fd = -1;
    return fd;
}

enum MHD_Result upload_media(struct request *r)
{
    struct wish w = {0};
    enum MHD_Result result;
    const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (!wish_read(r, r->segments[r->segment_count - 2], NULL, &w, &result))
        return result;
    w.type = type ? strdup(type) : NULL;
    struct content c = {.fd = take_fd(r), .size = r->received};
    result = finish(r, &w, &c);
    wish_free(&w);
    return result;
}

/* The boundary of "multipart/related; boundary=X" or boundary="X". */
static bool boundary_of(const char *type, char *out, size_t size)
{
    const char *at = type ? strcasestr(type, "boundary=") : NULL;
    if (!at || strncasecmp(type, "multipart/related", 17) != 0)
        return false;
    at += 9;
    bool quoted = *at == '"' || *at == '\'';
    size_t length = quoted ? strcspn(at + 1, "\"'") : strcspn(at, "; \t");
    if (!length || length > 70 || length + 3 > size)
        return false;
    snprintf(out, size, "--%.*s", (int)length, at + (quoted ? 1 : 0));
    return true;
}

#define HEAD_MAX (64u << 10)

struct parts {
    char *json, *type; /* point into the head */
    size_t json_size;
    uint64_t begin, end; /* of the bytes */
};

/* Passes over a part's headers; where its content begins. *type: its Content-Type, NULL without. */
static char *part_content(char *at, char **type)
{
    char *end = strstr(at, "\r\n\r\n");
    if (!end)
        return NULL;
    *end = '\0';
    char *found = strcasestr(at, "\r\nContent-Type:");
    if (found) {
        found += strlen("\r\nContent-Type:");
        found += strspn(found, " \t");
        *type = found; /* ends with its line */
    }
    return end + 4;
}

/* The delimiter that closes the last part lies in the file's tail; an epilogue may follow it. */
static bool find_end(const struct request *r, const char *boundary, uint64_t begin, uint64_t *end)
{
    char tail[512], close_delimiter[96];
    int length = snprintf(close_delimiter, sizeof close_delimiter, "\r\n%s--", boundary);
    uint64_t from = r->received > sizeof tail ? r->received - sizeof tail : 0;
    if (from < begin - 2)
        from = begin - 2; /* the bytes may be none: then the head's end is the delimiter's beginning */
    ssize_t n = pread(r->fd, tail, sizeof tail, (off_t)from);
    for (ssize_t i = n - length; i >= 0; i--)
        if (!memcmp(tail + i, close_delimiter, (size_t)length)) {
            *end = from + (uint64_t)i;
            return *end >= begin;
        }
    return false;
}

static bool find_parts(const struct request *r, char *head, const char *boundary, struct parts *out)
{
    size_t length = strlen(boundary);
    char *unused = NULL, *at = strstr(head, boundary);
    if (!at || (at != head && at[-1] != '\n') || !(out->json = part_content(at + length, &unused)))
        return false;
    CLEANUP(buf_free) struct buf delimiter = {0};
    buf_printf(&delimiter, "\r\n%s", boundary);
    if (buf_failed(&delimiter) || !(at = strstr(out->json, (char *)delimiter.data)))
        return false;
    *at = '\0';
    out->json_size = (size_t)(at - out->json);
    char *begin = part_content(at + delimiter.size, &out->type);
    if (!begin)
        return false;
    out->begin = (uint64_t)(begin - head);
    if (out->type)
        out->type[strcspn(out->type, "\r")] = '\0';
    return find_end(r, boundary, out->begin, &out->end);
}

enum MHD_Result upload_multipart(struct request *r)
{
    char boundary[80];
    struct parts parts = {0};
    struct wish w = {0};
    enum MHD_Result result;
    CLEANUP(mem_free) char *head = calloc(1, HEAD_MAX + 1);
    CLEANUP(json_value_free) json_t *resource = NULL;
    struct nacre_err e = {0};
    if (!head || pread(r->fd, head, HEAD_MAX, 0) < 0)
        return reply_error(r, 503, "backendError", "Backend Error");
    if (!boundary_of(request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE), boundary, sizeof boundary) ||
        !find_parts(r, head, boundary, &parts))
        return reply_error(r, 400, "badContent", "Malformed multipart body.");
    if (json_parse_object(parts.json, parts.json_size, HEAD_MAX, &resource, &e) < 0)
        return reply_error(r, 400, "parseError", "Parse Error: %s", e.message);
    if (!wish_read(r, r->segments[r->segment_count - 2], resource, &w, &result))
        return result;
    if (!w.type && parts.type)
        w.type = strdup(parts.type);
    struct content c = {.fd = take_fd(r), .offset = parts.begin, .size = parts.end - parts.begin};
    result = finish(r, &w, &c);
    wish_free(&w);
    return result;
}

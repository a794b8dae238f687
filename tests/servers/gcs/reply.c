/* SPDX-License-Identifier: Apache-2.0 */
/* Answers, whole or spoilt by the fault that was drawn for the request. */
#include "gcs.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define BLOCK 131072

void reply_header(struct request *r, const char *name, const char *format, ...)
{
    if (r->header_count == HEADERS_MAX)
        return;
    char value[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    r->headers[r->header_count].name = strdup(name);
    r->headers[r->header_count++].value = strdup(value);
}

enum MHD_Result reply_reset(struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct linger now = {.l_onoff = 1};
    if (info)
        setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return MHD_NO;
}

/* A body on its way: of a file or of memory. */
struct body {
    int fd;
    uint8_t *data;
    uint64_t offset, size;
    uint64_t flip; /* the byte that is wrong; UNKNOWN: none */
    uint64_t cut;  /* the connection ends here; UNKNOWN: nowhere */
};

static void body_free(void *at)
{
    struct body *b = at;
    if (b->fd >= 0)
        close(b->fd);
    free(b->data);
    free(b);
}

static ssize_t body_read(void *at, uint64_t position, char *out, size_t max)
{
    const struct body *b = at;
    if (position >= b->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (max > b->cut - position)
        max = (size_t)(b->cut - position);
    if (max > b->size - position)
        max = (size_t)(b->size - position);
    if (b->fd < 0)
        memcpy(out, b->data + position, max);
    else if (pread(b->fd, out, max, (off_t)(b->offset + position)) != (ssize_t)max)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (b->flip >= position && b->flip - position < max)
        out[b->flip - position] ^= 1;
    return (ssize_t)max;
}

/* The headers; with FAULT_CHECKSUM those that name checksums name others. */
static void add_headers(struct request *r, struct MHD_Response *response)
{
    for (size_t i = 0; i < r->header_count; i++) {
        char *value = r->headers[i].value, *at;
        if (!r->headers[i].name || !value)
            continue;
        if (r->fault == FAULT_CHECKSUM && !strcasecmp(r->headers[i].name, "x-goog-hash"))
            for (at = value; (at = strchr(at, '=')) && at[1];
                 at++) /* the first digit after each = that has one */
                at[1] = at[1] == 'A' ? 'B' : at[1] == '=' || at[1] == ',' ? at[1] : 'A';
        MHD_add_response_header(response, r->headers[i].name, value);
    }
}

static enum MHD_Result send_response(struct request *r, unsigned status, struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    add_headers(r, response);
    if (r->fault == FAULT_LOST_ANSWER) {
        MHD_destroy_response(response);
        return reply_reset(r);
    }
    enum MHD_Result result = MHD_queue_response(r->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* Takes fd and data. */
static enum MHD_Result send_spoilt(struct request *r, unsigned status, int fd, uint8_t *data, uint64_t offset,
                                   uint64_t size)
{
    struct body *b = malloc(sizeof *b);
    if (!b) {
        free(data);
        if (fd >= 0)
            close(fd);
        return MHD_NO;
    }
    *b = (struct body){
        .fd = fd, .data = data, .offset = offset, .size = size, .flip = UNKNOWN, .cut = UNKNOWN};
    if (r->fault == FAULT_FLIP)
        b->flip = size / 2;
    else
        b->cut = size / 2;
    return send_response(r, status, MHD_create_response_from_callback(size, BLOCK, body_read, b, body_free));
}

static bool spoils_body(const struct request *r, uint64_t size)
{
    return size && (r->fault == FAULT_FLIP || r->fault == FAULT_TRUNCATE);
}

/* Takes data, which malloc made. */
static enum MHD_Result send_data(struct request *r, unsigned status, char *data, size_t size)
{
    if (spoils_body(r, size))
        return send_spoilt(r, status, -1, (uint8_t *)data, 0, size);
    return send_response(r, status, MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE));
}

enum MHD_Result reply_empty(struct request *r, unsigned status)
{
    return send_response(r, status, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
}

enum MHD_Result reply_text(struct request *r, unsigned status, const char *text)
{
    char *copy = strdup(text);
    reply_header(r, "Content-Type", "text/html; charset=UTF-8");
    return copy ? send_data(r, status, copy, strlen(copy)) : MHD_NO;
}

enum MHD_Result reply_json(struct request *r, unsigned status, json_t *body)
{
    const char *mask = request_parameter(r, "fields");
    json_t *part = mask && status == MHD_HTTP_OK ? fields_apply(mask, body) : json_incref(body);
    json_decref(body);
    if (!part)
        return reply_error(r, 400, "invalidParameter", "Invalid field selection %s", mask ? mask : "");
    char *text = json_dumps(part, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(part);
    reply_header(r, "Content-Type", "application/json; charset=UTF-8");
    return text ? send_data(r, status, text, strlen(text)) : MHD_NO;
}

enum MHD_Result reply_content(struct request *r, unsigned status, const struct content *content,
                              uint64_t offset, uint64_t size)
{
    if (!size)
        return reply_empty(r, status);
    int fd = dup(content->fd);
    if (fd < 0)
        return MHD_NO;
    offset += content->offset;
    if (spoils_body(r, size))
        return send_spoilt(r, status, fd, NULL, offset, size);
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(size, fd, offset);
    if (!response)
        close(fd);
    return send_response(r, status, response);
}

enum MHD_Result reply_error(struct request *r, unsigned status, const char *reason, const char *format, ...)
{
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (status == MHD_HTTP_UNAUTHORIZED)
        reply_header(r, "WWW-Authenticate", "Bearer realm=\"https://accounts.google.com/\"");
    const char *alt = request_parameter(r, "alt");
    if (alt && !strcmp(alt, "media") && request_is(r, "GET")) /* what is downloaded has its errors as text */
        return reply_text(r, status, message);
    return reply_json(r, status,
                      json_pack("{s{si ss s[{ss ss ss}]}}", "error", "code", (int)status, "message", message,
                                "errors", "message", message, "domain", "global", "reason", reason));
}

static void time_text(int64_t microseconds, char out[40])
{
    struct tm tm;
    time_t seconds = microseconds / 1000000;
    gmtime_r(&seconds, &tm);
    size_t length = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + length, 40 - length, ".%03dZ", (int)(microseconds / 1000 % 1000));
}

json_t *object_resource(const char *bucket, const struct object *object)
{
    char generation[24], size[24], crc[9], md5[28], created[40], id[NAME_MAX_BYTES + 128];
    snprintf(generation, sizeof generation, "%" PRIu64, object->generation);
    snprintf(size, sizeof size, "%" PRIu64, object->content.size);
    snprintf(id, sizeof id, "%s/%s/%s", bucket, object->name, generation);
    crc32c_base64(object->content.crc32c, crc);
    base64(object->content.md5, 16, md5);
    time_text(object->created_us, created);
    CLEANUP(buf_free) struct buf link = {0};
    buf_printf(&link, "http://127.0.0.1:%d/storage/v1/b/%s/o/", server.port, bucket);
    for (const char *c = object->name; *c; c++)
        buf_printf(&link,
                   strchr("-._~", *c) || (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z')
                       ? "%c"
                       : "%%%02X",
                   (unsigned char)*c);
    size_t self_size = link.size;
    buf_printf(&link, "?generation=%s&alt=media", generation);
    if (buf_failed(&link))
        return NULL;
    json_t *out = json_pack("{ss ss ss# ss ss ss ss ss ss ss ss ss ss ss ss ss}", "kind", "storage#object",
                            "id", id, "selfLink", (char *)link.data, (int)self_size, "mediaLink",
                            (char *)link.data, "name", object->name, "bucket", bucket, "generation",
                            generation, "metageneration", "1", "contentType", object->type, "storageClass",
                            "STANDARD", "size", size, "crc32c", crc, "etag", generation, "timeCreated",
                            created, "updated", created, "timeStorageClassUpdated", created);
    if (!object->composed)
        json_object_set_new(out, "md5Hash", json_string(md5));
    if (object->metadata)
        json_object_set(out, "metadata", object->metadata);
    return out;
}

/* A digit of a checksum that the answer names is another. */
static void spoil_checksums(json_t *resource)
{
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "md5Hash" : "crc32c";
        const char *value = json_string_value(json_object_get(resource, key));
        char *wrong = value ? strdup(value) : NULL;
        if (wrong) {
            wrong[0] = wrong[0] == 'A' ? 'B' : 'A';
            json_object_set_new(resource, key, json_string(wrong));
        }
        free(wrong);
    }
}

enum MHD_Result reply_object(struct request *r, const char *bucket, struct object *object)
{
    json_t *resource = object_resource(bucket, object);
    object_release(object);
    if (r->fault == FAULT_CHECKSUM)
        spoil_checksums(resource);
    return reply_json(r, MHD_HTTP_OK, resource);
}

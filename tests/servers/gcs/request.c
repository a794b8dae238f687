/* SPDX-License-Identifier: Apache-2.0 */
/* One request: its address taken apart, its body brought to where it belongs, then routed. */
#include "gcs.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

bool percent_decode(char *text, bool plus)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '+' && plus)
            c = ' ';
        if (c == '%') {
            int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
            if (low < 0 || high + low == 0)
                return false;
            c = (char)(high << 4 | low);
            from += 2;
        }
        *to++ = c;
    }
    *to = '\0';
    return true;
}

static bool cut_path(struct request *r)
{
    bool good = r->path[0] == '/';
    char *rest = r->path + (good ? 1 : 0), *segment;
    while ((segment = strsep(&rest, "/"))) {
        if (r->segment_count == SEGMENTS_MAX)
            return false;
        good = percent_decode(segment, false) && good;
        r->segments[r->segment_count++] = segment;
    }
    return good;
}

static bool cut_query(struct request *r)
{
    bool good = true;
    char *rest = r->query, *pair;
    while ((pair = strsep(&rest, "&"))) {
        char *value = pair, *key = strsep(&value, "=");
        if (r->parameter_count == PARAMETERS_MAX)
            return false;
        good = percent_decode(key, true) && (!value || percent_decode(value, true)) && good;
        r->parameters[r->parameter_count].key = key;
        r->parameters[r->parameter_count++].value = value ? value : "";
    }
    return good;
}

static void request_free(struct request *r)
{
    for (size_t i = 0; i < r->header_count; i++) {
        free(r->headers[i].name);
        free(r->headers[i].value);
    }
    if (r->fd >= 0)
        close(r->fd);
    buf_wipe_free(&r->body);
    free(r->uri);
    free(r->path);
    free(r);
}

void *request_new(void *unused, const char *uri, struct MHD_Connection *connection)
{
    (void)unused;
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->connection = connection;
    r->fd = -1;
    r->uri = strdup(uri);
    r->path = strdup(uri);
    if (!r->uri || !r->path) {
        request_free(r);
        return NULL;
    }
    r->query = strchr(r->path, '?');
    if (r->query)
        *r->query++ = '\0';
    r->malformed = !cut_path(r);
    if (r->query && !cut_query(r))
        r->malformed = true;
    return r;
}

const char *request_header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *request_parameter(const struct request *r, const char *key)
{
    for (size_t i = 0; i < r->parameter_count; i++)
        if (!strcmp(r->parameters[i].key, key))
            return r->parameters[i].value;
    return NULL;
}

bool request_is(const struct request *r, const char *method)
{
    return !strcmp(r->method, method);
}

static enum MHD_Result begin(struct request *r, const char *method)
{
    uint64_t number = 0;
    r->begun = true;
    r->method = method;
    r->fault = fault_draw(&server.faults, &number);
    if (server.log)
        fprintf(stderr, "%llu %s %s%s%s\n", (unsigned long long)number, method, r->uri,
                r->fault ? " fault " : "", r->fault ? fault_name(r->fault) : "");
    if (r->fault == FAULT_STALL) {
        struct timespec pause = {.tv_sec = server.faults.stall_seconds};
        nanosleep(&pause, NULL);
    }
    if (r->fault == FAULT_RESET_BEFORE)
        return reply_reset(r);
    if (!r->malformed && route_is_upload(r)) {
        if (request_parameter(r, "upload_id"))
            session_begin_chunk(r);
        else if (request_parameter(r, "uploadType") &&
                 strcmp(request_parameter(r, "uploadType"), "resumable") != 0)
            r->fd = content_open();
    }
    return MHD_YES;
}

/* Bytes of an upload: to the file; without one (a chunk that will be refused) nowhere. */
static void take_upload(struct request *r, const char *data, size_t size)
{
    r->received += size;
    if (r->skip >= size) {
        r->skip -= size;
        return;
    }
    data += r->skip;
    size -= (size_t)r->skip;
    r->skip = 0;
    while (size && !r->write_failed) {
        ssize_t n = pwrite(r->fd, data, size, (off_t)r->at);
        if (n <= 0) {
            r->write_failed = true;
            return;
        }
        data += n;
        size -= (size_t)n;
        r->at += (uint64_t)n;
    }
}

static enum MHD_Result take(struct request *r, const char *data, size_t size)
{
    if (r->fault == FAULT_RESET_MIDDLE) {
        const char *length = request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
        if (length && r->received + size > strtoull(length, NULL, 10) / 2)
            return reply_reset(r);
    }
    if (r->fd >= 0) {
        take_upload(r, data, size);
        return MHD_YES;
    }
    r->received += size;
    if (route_is_upload(r) && request_parameter(r, "upload_id"))
        return MHD_YES;
    if (r->body.size + size > SMALL_BODY_MAX)
        r->too_large = true;
    else
        buf_append(&r->body, data, size);
    return MHD_YES;
}

static enum MHD_Result answer(struct request *r)
{
    r->answered = true;
    switch (r->fault) {
    case FAULT_503:
    case FAULT_503_AFTER:
        return reply_error(r, 503, "backendError", "Backend Error");
    case FAULT_429:
        reply_header(r, "Retry-After", "1");
        return reply_error(r, 429, "rateLimitExceeded", "The request rate exceeded the rate limit.");
    case FAULT_RESET_AFTER:
    case FAULT_RESET_MIDDLE: /* it had no body to be in the middle of */
        return reply_reset(r);
    default:
        break;
    }
    if (r->malformed)
        return reply_error(r, 400, "invalid", "Malformed URL");
    if (r->too_large)
        return reply_error(r, 413, "uploadTooLarge", "The request's body is too large");
    if (r->write_failed || buf_failed(&r->body))
        return reply_error(r, 503, "backendError", "The server cannot store what it received");
    return route(r);
}

enum MHD_Result request_more(void *unused, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *data, size_t *size,
                             void **context)
{
    (void)unused;
    (void)connection;
    (void)url;
    (void)version;
    struct request *r = *context;
    if (!r)
        return MHD_NO;
    if (!r->begun)
        return begin(r, method);
    if (!*size)
        return answer(r);
    enum MHD_Result result = take(r, data, *size);
    *size = 0;
    return result;
}

void request_done(void *unused, struct MHD_Connection *connection, void **context,
                  enum MHD_RequestTerminationCode code)
{
    (void)unused;
    (void)connection;
    (void)code;
    struct request *r = *context;
    if (!r)
        return;
    if (r->session) /* it was not asked to keep the chunk */
        session_broken(r);
    request_free(r);
    *context = NULL;
}

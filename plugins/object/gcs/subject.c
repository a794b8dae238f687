/* SPDX-License-Identifier: Apache-2.0 */
/* The token of the other identity: from a file or a URL (https://google.aip.dev/auth/4117). It is read anew
 * each time, since whoever provides it renews it. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>

#include "access.h"
#include "common/err.h"
#include "common/json.h"

#define SUBJECT_MAX ((size_t)256 << 10)

static int read_file(const char *path, struct buf *out, struct nacre_err *e)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;
    while (fd >= 0) {
        void *room = buf_reserve(out, 4096);
        got = room ? read(fd, room, 4096) : -1;
        if (got < 0 && room && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        buf_commit(out, (size_t)got);
        if (out->size > SUBJECT_MAX)
            return err_set(e, NACRE_DENIED, "the subject token's file %s is too long", path);
    }
    if (got < 0)
        return err_set(e, NACRE_DENIED, "cannot read the subject token's file %s: %s", path,
                       strerrordesc_np(errno));
    return 0;
}

static int read_url(const struct access *access, const struct subject_source *s, struct buf *out,
                    struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    for (size_t i = 0; i < s->header_count; i++)
        http_header_add(&headers, s->headers[i][0], "%s", s->headers[i][1]);
    const struct http_request request = {.method = "GET",
                                         .url = s->place,
                                         .headers = &headers,
                                         .expected = NACRE_TO_END,
                                         /* link-local: another cloud's metadata service */
                                         .no_proxy = !strncmp(s->place, "http://169.254.", 15)};
    if (http_perform(access->http, &request, &response, e) < 0)
        return -1;
    if (response.status != 200) {
        char what[300];
        snprintf(what, sizeof what, "the subject token's source %.*s", (int)strcspn(s->place, "?#"),
                 s->place);
        return http_fail(&response, what, "", e);
    }
    buf_append(out, response.body.data, response.body.size);
    return 0;
}

/* The field of a JSON object, which is wiped afterwards. */
static int take_field(const struct subject_source *s, const struct buf *text, struct buf *out,
                      struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *json = NULL;
    const char *token = NULL;
    struct nacre_err quoting;
    if (json_parse_object(text->data, text->size, SUBJECT_MAX, &json, &quoting) < 0)
        return err_set(e, NACRE_DENIED, "the subject token in %.200s is no JSON object", s->place);
    if (json_get_string(json, s->field, &token, e) < 0 || !token || !*token)
        return err_set(e, NACRE_DENIED, "the subject token in %.200s has no field \"%s\"", s->place,
                       s->field);
    buf_string(out, token);
    OPENSSL_cleanse((char *)token, strlen(token));
    return 0;
}

/* Without the white space around it that editors leave. */
static int take_text(const struct subject_source *s, const struct buf *text, struct buf *out,
                     struct nacre_err *e)
{
    const char *start = text->size ? (const char *)text->data : "", *end = start + text->size;
    while (start < end && strchr(" \t\r\n", *start))
        start++;
    while (end > start && strchr(" \t\r\n", end[-1]))
        end--;
    if (start == end || memchr(start, 0, (size_t)(end - start)))
        return err_set(e, NACRE_DENIED, "there is no subject token in %.200s", s->place);
    buf_append(out, start, (size_t)(end - start));
    return 0;
}

int access_subject(const struct access *access, struct buf *out, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf text = {0};
    const struct subject_source *s = &access->credentials->subject;
    if (s->kind == SUBJECT_EXECUTABLE)
        return access_execute(access, out, e);
    int result = s->kind == SUBJECT_FILE ? read_file(s->place, &text, e) : read_url(access, s, &text, e);
    if (result < 0)
        return -1;
    if (buf_failed(&text))
        return err_no_memory(e, "a token");
    return s->field ? take_field(s, &text, out, e) : take_text(s, &text, out, e);
}

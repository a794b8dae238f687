/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer means as far as HTTP itself says so (RFC 9110). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/err.h"
#include "http/encode.h"
#include "http/http.h"

void http_response_free(struct http_response *response)
{
    buf_wipe_free(&response->headers); /* tokens and session URLs come in them, */
    buf_wipe_free(&response->body);    /* and here */
    *response = (struct http_response){0};
}

bool http_response_header(const struct http_response *response, const char *name, struct buf *out)
{
    size_t size = strlen(name);
    const char *line = response->headers.size ? (const char *)response->headers.data : "";
    while (*line) {
        size_t line_size = strcspn(line, "\n");
        if (line_size > size && !strncasecmp(line, name, size) && line[size] == ':') {
            const char *value = line + size + 1, *end = line + line_size;
            while (value < end && (*value == ' ' || *value == '\t'))
                value++;
            while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
            buf_append(out, value, (size_t)(end - value));
            return true;
        }
        line += line_size + (line[line_size] == '\n');
    }
    return false;
}

static enum nacre_code code_of(int status)
{
    switch (status) {
    case 401:
    case 403:
    case 407:
        return NACRE_DENIED;
    case 404:
    case 410:
        return NACRE_ABSENT;
    case 408:
    case 425:
        return NACRE_TRANSIENT;
    case 409:
    case 412:
        return NACRE_EXISTS;
    case 416:
        return NACRE_INVALID;
    case 429:
    case 503:
        return NACRE_THROTTLED;
    case 501:
    case 505:
        return NACRE_UNSUPPORTED;
    case 507:
        return NACRE_NO_SPACE;
    default:
        return status >= 500 ? NACRE_TRANSIENT : NACRE_FAILED;
    }
}

int http_fail(const struct http_response *response, const char *what, const char *detail, struct nacre_err *e)
{
    char shown[512];
    size_t size = 0;
    for (; size < sizeof shown - 1 && detail[size]; size++)
        shown[size] = (char)(iscntrl((unsigned char)detail[size]) ? '?' : detail[size]);
    shown[size] = '\0';
    err_set(e, code_of(response->status), "%s: HTTP %d%s%s", what, response->status, size ? ", " : "", shown);
    if (e->code == NACRE_THROTTLED)
        e->retry_after_ms = response->retry_after_ms;
    return -1;
}

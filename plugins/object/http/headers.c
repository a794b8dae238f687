/* SPDX-License-Identifier: Apache-2.0 */
/* Header lines of requests. They hold credentials, so each is wiped when it is freed. */
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/http.h"

void http_header_add(struct http_headers *headers, const char *name, const char *format, ...)
{
    CLEANUP(buf_wipe_free) struct buf value = {0};
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0 || headers->count == HTTP_HEADERS_MAX) {
        headers->failed = true;
    } else {
        buf_string(&value, name);
        buf_string(&value, ": ");
        buf_append(&value, text, (size_t)size);
        char *line = buf_failed(&value) ? NULL : strdup((const char *)value.data);
        headers->failed |= !line;
        if (line)
            headers->lines[headers->count++] = line;
    }
    if (size >= 0) {
        OPENSSL_cleanse(text, (size_t)size);
        free(text);
    }
}

const char *http_header_find(const struct http_headers *headers, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < headers->count; i++)
        if (!strncasecmp(headers->lines[i], name, size) && headers->lines[i][size] == ':')
            return headers->lines[i] + size + 2;
    return NULL;
}

void http_headers_free(struct http_headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        OPENSSL_cleanse(headers->lines[i], strlen(headers->lines[i]));
        free(headers->lines[i]);
    }
    *headers = (struct http_headers){0};
}

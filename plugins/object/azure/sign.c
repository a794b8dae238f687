/* SPDX-License-Identifier: Apache-2.0 */
/* Shared Key. The service puts the same text together from what it receives, so every byte counts: header
 * names and query names in lower case and in order, values as they went out (headers) or decoded (query). */
#include "sign.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/encode.h"

static void add_header(const struct http_headers *headers, const char *name, struct buf *out)
{
    const char *value = headers ? http_header_find(headers, name) : NULL;
    buf_string(out, value ? value : "");
    buf_char(out, '\n');
}

/* By name alone: with the value behind it "x-ms-a-b" would come before "x-ms-a:…". */
static int by_name(const void *a, const void *b)
{
    const char *left = *(char *const *)a, *right = *(char *const *)b;
    size_t left_size = strcspn(left, ":"), right_size = strcspn(right, ":");
    int order = strncasecmp(left, right, left_size < right_size ? left_size : right_size);
    return order ? order : (left_size > right_size) - (left_size < right_size);
}

/* The headers x-ms-…: "name:value\n" each. */
static void add_own_headers(const struct http_headers *headers, struct buf *out)
{
    char *lines[HTTP_HEADERS_MAX];
    size_t count = 0;
    for (size_t i = 0; headers && i < headers->count; i++)
        if (!strncasecmp(headers->lines[i], "x-ms-", 5))
            lines[count++] = headers->lines[i];
    if (count)
        qsort(lines, count, sizeof *lines, by_name);
    for (size_t i = 0; i < count; i++) {
        size_t size = strcspn(lines[i], ":");
        for (size_t k = 0; k < size; k++)
            buf_char(out, (char)tolower((unsigned char)lines[i][k]));
        buf_char(out, ':');
        buf_string(out, lines[i] + size + strspn(lines[i] + size, ": "));
        buf_char(out, '\n');
    }
}

static int by_query_name(const void *a, const void *b)
{
    return strcmp(((const struct azure_query *)a)->name, ((const struct azure_query *)b)->name);
}

static void add_query(const struct azure_signed *what, struct buf *out)
{
    struct azure_query sorted[AZURE_QUERY_MAX];
    size_t count = what->query_count < AZURE_QUERY_MAX ? what->query_count : AZURE_QUERY_MAX;
    if (!count)
        return;
    memcpy(sorted, what->query, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_query_name);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "\n%s:%s", sorted[i].name, sorted[i].value);
}

void azure_string_to_sign(const struct azure_signed *what, struct buf *out)
{
    const struct http_headers *headers = what->headers;
    buf_printf(out, "%s\n", what->method);
    add_header(headers, "Content-Encoding", out);
    add_header(headers, "Content-Language", out);
    if (what->content_length) /* empty when it is 0, since version 2015-02-21 */
        buf_printf(out, "%" PRIu64, what->content_length);
    buf_char(out, '\n');
    add_header(headers, "Content-MD5", out);
    add_header(headers, "Content-Type", out);
    add_header(headers, "Date", out); /* none: x-ms-date stands for it */
    add_header(headers, "If-Modified-Since", out);
    add_header(headers, "If-Match", out);
    add_header(headers, "If-None-Match", out);
    add_header(headers, "If-Unmodified-Since", out);
    add_header(headers, "Range", out);
    add_own_headers(headers, out);
    /* An emulator has the account in the path already; it is there twice then. */
    buf_printf(out, "/%s%s", what->account, what->path);
    add_query(what, out);
}

bool azure_sign(const struct azure_signed *what, const struct buf *key, struct buf *out)
{
    uint8_t signature[SHA256_SIZE];
    CLEANUP(buf_free) struct buf text = {0};
    azure_string_to_sign(what, &text);
    if (buf_failed(&text) || !hmac_sha256(key->data, key->size, text.data, text.size, signature))
        return false;
    encode_base64(out, signature, sizeof signature);
    OPENSSL_cleanse(signature, sizeof signature);
    return !buf_failed(out);
}

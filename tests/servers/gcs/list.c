/* SPDX-License-Identifier: Apache-2.0 */
/* A page of a listing. A page token is the last name with a checksum over it and what was asked for, and over
 * a number that is of this process: a client can neither make one nor use it for another listing. */
#include "gcs.h"

#include <openssl/rand.h>
#include <string.h>

static uint64_t secret(void)
{
    static uint64_t number;
    pthread_mutex_lock(&server.lock);
    while (!number)
        if (RAND_bytes((unsigned char *)&number, sizeof number) != 1)
            number = (uintptr_t)&server;
    pthread_mutex_unlock(&server.lock);
    return number;
}

struct query {
    const char *bucket, *prefix, *delimiter, *start, *end;
    size_t max;
    char after[NAME_MAX_BYTES + 8]; /* the last name or prefix that was listed; "" at first */
};

static uint32_t seal(const struct query *q, const char *last)
{
    CLEANUP(buf_free) struct buf text = {0};
    buf_printf(&text, "%llx\n%s\n%s\n%s\n%s", (unsigned long long)secret(), q->bucket, q->prefix,
               q->delimiter, last);
    return checksum(text.data, text.size);
}

static json_t *token_make(const struct query *q, const char *last)
{
    CLEANUP(buf_free) struct buf raw = {0};
    buf_printf(&raw, "%08x%s", seal(q, last), last);
    CLEANUP(mem_free) char *text = calloc(1, raw.size * 2 + 8);
    if (!text || buf_failed(&raw))
        return NULL;
    base64(raw.data, raw.size, text);
    return json_string(text);
}

static bool token_open(const char *token, struct query *q)
{
    CLEANUP(buf_free) struct buf raw = {0};
    if (!json_decode_base64(token, strlen(token), &raw) || buf_failed(&raw) || raw.size < 9 ||
        raw.size - 8 >= sizeof q->after)
        return false;
    char sum[9];
    memcpy(q->after, raw.data + 8, raw.size - 8);
    q->after[raw.size - 8] = '\0';
    snprintf(sum, sizeof sum, "%08x", seal(q, q->after));
    return !memcmp(sum, raw.data, 8);
}

/* Appends what of the bucket belongs to the page; the last name, "" when nothing follows the page. Locked. */
static void fill(const struct query *q, const struct bucket *b, json_t *items, json_t *prefixes, char *last)
{
    size_t delimiter = strlen(q->delimiter), prefix = strlen(q->prefix), count = 0;
    const char *from = strcmp(q->start, q->prefix) > 0 ? q->start : q->prefix;
    size_t index = object_lower_bound(b, strcmp(q->after, from) > 0 ? q->after : from);
    const struct object *object;
    last[0] = '\0';
    for (; (object = object_at(b, index)) && !strncmp(object->name, q->prefix, prefix); index++) {
        if (q->end[0] && strcmp(object->name, q->end) >= 0)
            break;
        const char *cut = delimiter ? strstr(object->name + prefix, q->delimiter) : NULL;
        size_t length = cut ? (size_t)(cut - object->name) + delimiter : strlen(object->name);
        if (q->after[0] && strlen(q->after) == length && !strncmp(object->name, q->after, length))
            continue; /* the page before ended with it */
        if (cut && last[0] && strlen(last) == length && !strncmp(object->name, last, length))
            continue; /* a prefix is listed once */
        if (count++ == q->max)
            return;
        memcpy(last, object->name, length);
        last[length] = '\0';
        if (cut)
            json_array_append_new(prefixes, json_string(last));
        else
            json_array_append_new(items, object_resource(q->bucket, object));
    }
    last[0] = '\0';
}

static bool query_read(const struct request *r, const char *bucket, struct query *q)
{
    const char *max = request_parameter(r, "maxResults"), *prefix = request_parameter(r, "prefix"),
               *delimiter = request_parameter(r, "delimiter"), *start = request_parameter(r, "startOffset"),
               *end = request_parameter(r, "endOffset"), *token = request_parameter(r, "pageToken");
    *q = (struct query){.bucket = bucket,
                        .prefix = prefix ? prefix : "",
                        .delimiter = delimiter ? delimiter : "",
                        .start = start ? start : "",
                        .end = end ? end : "",
                        .max = PAGE_MAX};
    if (max) {
        char *rest;
        unsigned long n = strtoul(max, &rest, 10);
        if (*max < '0' || *max > '9' || *rest || !n)
            return false;
        q->max = n < PAGE_MAX ? n : PAGE_MAX;
    }
    return !token || !*token || token_open(token, q);
}

enum MHD_Result list(struct request *r, const char *bucket)
{
    struct query q;
    enum MHD_Result result;
    if (!token_allows(r, PERMISSION_READ, "storage.objects.list", &result))
        return result;
    if (!query_read(r, bucket, &q))
        return reply_error(r, 400, "invalid", "Invalid argument (maxResults or pageToken).");
    char last[NAME_MAX_BYTES + 8] = "";
    json_t *items = json_array(), *prefixes = json_array();
    pthread_mutex_lock(&server.lock);
    const struct bucket *b = bucket_find(bucket);
    if (b)
        fill(&q, b, items, prefixes, last);
    pthread_mutex_unlock(&server.lock);
    json_t *page = json_pack("{ss}", "kind", "storage#objects");
    if (last[0])
        json_object_set_new(page, "nextPageToken", token_make(&q, last));
    if (json_array_size(prefixes))
        json_object_set(page, "prefixes", prefixes);
    if (json_array_size(items))
        json_object_set(page, "items", items);
    json_decref(items);
    json_decref(prefixes);
    if (b)
        return reply_json(r, MHD_HTTP_OK, page);
    json_decref(page);
    return reply_error(r, 404, "notFound", "The specified bucket does not exist.");
}

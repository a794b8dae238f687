/* SPDX-License-Identifier: Apache-2.0 */
/* JSON and headers of Cloud Storage's answers. Numbers of 64 bits come as strings of digits. */
#include "answer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"

#define ANSWER_MAX ((size_t)16 << 20)
#define CRC_SIZE 4

/* Digits and nothing else, up to INT64_MAX; *end is the first character after them. */
static bool read_number(const char *text, const char **end, uint64_t *out)
{
    uint64_t value = 0;
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 19)
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    *end = text + digits;
    *out = value;
    return value <= INT64_MAX;
}

static bool read_whole_number(const char *text, uint64_t *out)
{
    const char *end;
    return read_number(text, &end, out) && !*end;
}

/* Base64 of the four bytes, the highest first. */
static bool read_crc32c(const char *text, size_t size, uint32_t *out)
{
    CLEANUP(buf_free) struct buf bytes = {0};
    if (size != 8 || !json_decode_base64(text, size, &bytes) || buf_failed(&bytes) || bytes.size != CRC_SIZE)
        return false;
    *out = (uint32_t)bytes.data[0] << 24 | (uint32_t)bytes.data[1] << 16 | (uint32_t)bytes.data[2] << 8 |
           bytes.data[3];
    return true;
}

static int unreadable(struct nacre_err *e, const char *why)
{
    return err_set(e, NACRE_TRANSIENT, "the service's answer cannot be read: %s", why);
}

static int parse(const void *data, size_t size, json_t **out, struct nacre_err *e)
{
    struct nacre_err why;
    if (json_parse_object(data, size, ANSWER_MAX, out, &why) < 0)
        return unreadable(e, why.message);
    return 0;
}

static int read_object(const json_t *json, struct answer_object *out, struct nacre_err *e)
{
    const char *size = NULL, *generation = NULL, *created = NULL, *updated = NULL, *crc32c = NULL;
    struct nacre_err why;
    *out = (struct answer_object){0};
    if (json_get_string(json, "name", &out->name, &why) < 0 ||
        json_get_string(json, "size", &size, &why) < 0 ||
        json_get_string(json, "generation", &generation, &why) < 0 ||
        json_get_string(json, "timeCreated", &created, &why) < 0 ||
        json_get_string(json, "updated", &updated, &why) < 0 ||
        json_get_string(json, "crc32c", &crc32c, &why) < 0)
        return unreadable(e, why.message);
    if (!size || !read_whole_number(size, &out->size))
        return unreadable(e, "an object without a size");
    if (generation && !read_whole_number(generation, &out->generation))
        return unreadable(e, "\"generation\" is no number");
    if (crc32c && !(out->has_crc32c = read_crc32c(crc32c, strlen(crc32c), &out->crc32c)))
        return unreadable(e, "\"crc32c\" is none");
    /* When this content was written; "updated" also moves when only metadata change. */
    const char *time = created ? created : updated;
    if (time && !timestamp_parse(time, &out->modified_ns))
        return unreadable(e, "an object's time is none");
    return 0;
}

int answer_object(const void *data, size_t size, struct answer_object *out, struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *json = NULL;
    if (parse(data, size, &json, e) < 0 || read_object(json, out, e) < 0)
        return -1;
    out->name = NULL; /* its bytes go with the JSON */
    return 0;
}

int answer_page(const void *data, size_t size, answer_entry *entry, void *ctx, struct buf *next,
                struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *json = NULL;
    const char *token = NULL;
    struct nacre_err why;
    if (parse(data, size, &json, e) < 0)
        return -1;
    const json_t *items = json_object_get(json, "items");
    if (items && !json_is_array(items))
        return unreadable(e, "\"items\" is not an array");
    if (json_get_string(json, "nextPageToken", &token, &why) < 0)
        return unreadable(e, why.message);
    for (size_t i = 0; i < json_array_size(items); i++) {
        struct answer_object object;
        if (read_object(json_array_get(items, i), &object, e) < 0)
            return -1;
        if (!object.name)
            return unreadable(e, "an object without a name");
        int result = entry(ctx, &object, e);
        if (result)
            return result;
    }
    if (token)
        buf_string(next, token);
    return 0;
}

bool answer_stored(const char *range, uint64_t *stored)
{
    static const char unit[] = "bytes=0-";
    if (strncasecmp(range, unit, sizeof unit - 1) != 0 || !read_whole_number(range + sizeof unit - 1, stored))
        return false;
    ++*stored;
    return true;
}

bool answer_range(const char *range, uint64_t *first, uint64_t *last, uint64_t *total)
{
    static const char unit[] = "bytes ";
    const char *at = range;
    if (strncasecmp(at, unit, sizeof unit - 1) != 0 || !read_number(at + sizeof unit - 1, &at, first) ||
        *at != '-' || !read_number(at + 1, &at, last) || *at != '/' || !read_whole_number(at + 1, total))
        return false;
    return *first <= *last && *last < *total;
}

/* In a list such as "crc32c=AAAAAA==,md5=…" up to the end of the line. */
static bool find_crc32c(const char *value, uint32_t *crc32c)
{
    static const char key[] = "crc32c=";
    for (;;) {
        value += strspn(value, " \t,");
        size_t size = strcspn(value, " \t,\n");
        if (!size)
            return false;
        if (size > sizeof key - 1 && !strncasecmp(value, key, sizeof key - 1))
            return read_crc32c(value + sizeof key - 1, size - (sizeof key - 1), crc32c);
        value += size;
    }
}

bool answer_hash(const char *headers, uint32_t *crc32c)
{
    static const char name[] = "x-goog-hash:";
    while (*headers) {
        if (!strncasecmp(headers, name, sizeof name - 1) && find_crc32c(headers + sizeof name - 1, crc32c))
            return true;
        headers += strcspn(headers, "\n");
        headers += *headers == '\n';
    }
    return false;
}

static void copy(char *out, size_t room, const json_t *object, const char *key)
{
    const char *text = NULL;
    struct nacre_err ignored;
    if (object && json_get_string(object, key, &text, &ignored) == 0 && text && !*out)
        snprintf(out, room, "%s", text);
}

void answer_complaint(const void *data, size_t size, struct answer_complaint *out)
{
    CLEANUP(json_value_free) json_t *json = NULL;
    struct nacre_err ignored;
    *out = (struct answer_complaint){0};
    if (parse(data, size, &json, &ignored) < 0)
        return;
    const json_t *error = json_object_get(json, "error");
    if (json_is_string(error)) { /* RFC 6749 */
        copy(out->reason, sizeof out->reason, json, "error");
        copy(out->message, sizeof out->message, json, "error_description");
        return;
    }
    const json_t *first = json_array_get(json_object_get(error, "errors"), 0);
    copy(out->reason, sizeof out->reason, first, "reason");
    copy(out->reason, sizeof out->reason, error, "status");
    copy(out->message, sizeof out->message, error, "message");
}

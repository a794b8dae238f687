/* SPDX-License-Identifier: Apache-2.0 */
/* Go's escapes, base64, and jansson behind bounds: jansson alone recurses up to 2048 levels and takes a
 * document of any size. */
#include "common/json.h"

#include <string.h>

#include "common/err.h"
#include "common/utf8.h"

static void append_escape(struct buf *out, uint32_t code)
{
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\',
                    'u',
                    digits[code >> 12 & 15],
                    digits[code >> 8 & 15],
                    digits[code >> 4 & 15],
                    digits[code & 15]};
    buf_append(out, text, sizeof text);
}

static void append_ascii_escape(struct buf *out, char c)
{
    switch (c) {
    case '"':
        buf_append(out, "\\\"", 2);
        break;
    case '\\':
        buf_append(out, "\\\\", 2);
        break;
    case '\n':
        buf_append(out, "\\n", 2);
        break;
    case '\r':
        buf_append(out, "\\r", 2);
        break;
    case '\t':
        buf_append(out, "\\t", 2);
        break;
    default:
        append_escape(out, (uint8_t)c);
    }
}

/* Length of the first character when it may stand as it is, 0 when it needs an escape. */
static size_t plain_length(const char *text, size_t size)
{
    uint8_t c = (uint8_t)*text;
    if (c < 0x80)
        return c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
    uint32_t rune = 0;
    size_t length = utf8_decode(text, size, &rune);
    return rune == 0x2028 || rune == 0x2029 ? 0 : length;
}

void json_append_bytes(struct buf *out, const char *text, size_t size)
{
    buf_char(out, '"');
    size_t at = 0, start = 0;
    while (at < size) {
        size_t length = plain_length(text + at, size - at);
        if (length) {
            at += length;
            continue;
        }
        buf_append(out, text + start, at - start);
        uint32_t rune = 0xfffd;
        length = utf8_decode(text + at, size - at, &rune);
        if (length == 1)
            append_ascii_escape(out, text[at]);
        else
            append_escape(out, length ? rune : 0xfffd);
        at += length ? length : 1;
        start = at;
    }
    buf_append(out, text + start, at - start);
    buf_char(out, '"');
}

void json_append_string(struct buf *out, const char *text)
{
    json_append_bytes(out, text, strlen(text));
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void json_append_base64(struct buf *out, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    buf_char(out, '"');
    for (size_t at = 0; at < size; at += 3) {
        size_t left = size - at;
        uint32_t group = (uint32_t)bytes[at] << 16 | (left > 1 ? (uint32_t)bytes[at + 1] << 8 : 0) |
                         (left > 2 ? bytes[at + 2] : 0);
        char text[4] = {base64_digits[group >> 18], base64_digits[group >> 12 & 63],
                        left > 1 ? base64_digits[group >> 6 & 63] : '=',
                        left > 2 ? base64_digits[group & 63] : '='};
        buf_append(out, text, sizeof text);
    }
    buf_char(out, '"');
}

static int base64_value(char c)
{
    const char *at = c ? strchr(base64_digits, c) : NULL;
    return at ? (int)(at - base64_digits) : -1;
}

bool json_decode_base64(const char *text, size_t size, struct buf *out)
{
    if (size % 4)
        return false;
    for (size_t at = 0; at < size; at += 4) {
        size_t padding = 0;
        if (at + 4 == size)
            padding = text[at + 3] != '=' ? 0 : text[at + 2] != '=' ? 1 : 2;
        uint32_t group = 0;
        for (size_t i = 0; i < 4; i++) {
            int value = i < 4 - padding ? base64_value(text[at + i]) : 0;
            if (value < 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        uint8_t bytes[3] = {(uint8_t)(group >> 16), (uint8_t)(group >> 8), (uint8_t)group};
        if ((padding >= 1 && bytes[2]) || (padding == 2 && bytes[1]))
            return false; /* bits that belong to nothing */
        buf_append(out, bytes, 3 - padding);
    }
    return true;
}

/* The deepest nesting, strings aside. What it is told of malformed text does not matter: the parser refuses
 * that by itself. */
static size_t depth_of(const char *text, size_t size)
{
    size_t depth = 0, deepest = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest)
                deepest = depth;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return deepest;
}

int json_parse_object(const void *data, size_t size, size_t limit, json_t **out, struct nacre_err *e)
{
    if (size > limit)
        return err_set(e, NACRE_CORRUPT, "JSON of %zu bytes, at most %zu are believed", size, limit);
    if (depth_of(data, size) > JSON_DEPTH_MAX)
        return err_set(e, NACRE_CORRUPT, "JSON nested deeper than %d levels", JSON_DEPTH_MAX);
    if (!size)
        return err_set(e, NACRE_CORRUPT, "not JSON: it is empty"); /* jansson calls that "wrong arguments" */
    json_error_t error;
    CLEANUP(json_value_free) json_t *value = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
    if (!value)
        return err_set(e, NACRE_CORRUPT, "not JSON at line %d, column %d: %s", error.line, error.column,
                       error.text);
    if (!json_is_object(value))
        return err_set(e, NACRE_CORRUPT, "a JSON object was expected");
    *out = MOVE(value);
    return 0;
}

/* NULL when the field is absent or null. */
static const json_t *field(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

int json_get_string(const json_t *object, const char *key, const char **out, struct nacre_err *e)
{
    const json_t *value = field(object, key);
    if (!value)
        return 0;
    if (!json_is_string(value))
        return err_set(e, NACRE_CORRUPT, "\"%s\" is not a string", key);
    *out = json_string_value(value);
    return 0;
}

int json_get_bool(const json_t *object, const char *key, bool *out, struct nacre_err *e)
{
    const json_t *value = field(object, key);
    if (!value)
        return 0;
    if (!json_is_boolean(value))
        return err_set(e, NACRE_CORRUPT, "\"%s\" is neither true nor false", key);
    *out = json_is_true(value);
    return 0;
}

int json_get_uint(const json_t *object, const char *key, uint64_t maximum, uint64_t *out, struct nacre_err *e)
{
    const json_t *value = field(object, key);
    if (!value)
        return 0;
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (number < 0 || (uint64_t)number > maximum)
        return err_set(e, NACRE_CORRUPT, "\"%s\" is not a number from 0 to %llu", key,
                       (unsigned long long)maximum);
    *out = (uint64_t)number;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The growing byte buffer; capacity doubles, one byte is always kept for the closing NUL. */
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_wipe_free(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buf_free(b);
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = 0;
}

bool buf_failed(const struct buf *b)
{
    return b->failed;
}

void *buf_reserve(struct buf *b, size_t size)
{
    if (b->failed || size > SIZE_MAX / 4 || b->size > SIZE_MAX / 4) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->size + size + 1;
    if (need > b->capacity) {
        size_t capacity = b->capacity ? b->capacity : 64;
        while (capacity < need)
            capacity *= 2;
        uint8_t *data = realloc(b->data, capacity);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->capacity = capacity;
    }
    return b->data + b->size;
}

void buf_commit(struct buf *b, size_t size)
{
    b->size += size;
    b->data[b->size] = 0;
}

void buf_append(struct buf *b, const void *data, size_t size)
{
    void *at = buf_reserve(b, size);
    if (!at)
        return;
    if (size)
        memcpy(at, data, size);
    buf_commit(b, size);
}

void buf_string(struct buf *b, const char *string)
{
    buf_append(b, string, strlen(string));
}

void buf_char(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    void *at = size >= 0 ? buf_reserve(b, (size_t)size) : NULL;
    if (at) {
        vsnprintf(at, (size_t)size + 1, format, again);
        buf_commit(b, (size_t)size);
    }
    va_end(again);
}

void hex_encode(const void *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = 0;
}

/* The value of a lower-case digit plus one; 0 for anything else. A table, without branches on the digits: ids
 * are decoded by the million. */
static const uint8_t hex_values[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

bool hex_decode(const char *hex, void *out, size_t size)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++) {
        unsigned high = hex_values[(uint8_t)hex[2 * i]];
        unsigned low = high ? hex_values[(uint8_t)hex[2 * i + 1]] : 0; /* hex may end here */
        if (!low)
            return false;
        bytes[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}

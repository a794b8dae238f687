/* SPDX-License-Identifier: Apache-2.0 */
/* Quoting as Go's strconv does. Unquoting is complete: whatever another version quotes in another way (it may
 * know more printable characters, or write \u for \x) reads back as the same bytes. */
#include "repository/tree_name.h"

#include <string.h>

#include "common/utf8.h"

/* The characters with an escape of one letter, and the letters. */
static const char short_bytes[] = "\a\b\f\n\r\t\v\\\"";
static const char short_letters[] = "abfnrtv\\\"";

static void append_hex(struct buf *out, char kind, uint32_t value, int digits)
{
    static const char hex[] = "0123456789abcdef";
    char text[10] = {'\\', kind};
    for (int i = 0; i < digits; i++)
        text[2 + i] = hex[value >> (4 * (digits - 1 - i)) & 15];
    buf_append(out, text, (size_t)digits + 2);
}

static void quote_rune(struct buf *out, uint32_t rune, const char *bytes, size_t length)
{
    const char *at = rune && rune < 0x80 ? strchr(short_bytes, (int)rune) : NULL;
    if (at) {
        const char text[2] = {'\\', short_letters[at - short_bytes]};
        buf_append(out, text, sizeof text);
    } else if (tree_rune_printable(rune)) {
        buf_append(out, bytes, length);
    } else if (rune < 0x80) {
        append_hex(out, 'x', rune, 2);
    } else if (rune < 0x10000) {
        append_hex(out, 'u', rune, 4);
    } else {
        append_hex(out, 'U', rune, 8);
    }
}

void tree_name_quote(struct buf *out, const char *name, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint32_t rune;
        size_t length = utf8_decode(name + at, size - at, &rune);
        if (length) {
            quote_rune(out, rune, name + at, length);
            at += length;
        } else {
            append_hex(out, 'x', (uint8_t)name[at++], 2);
        }
    }
}

/* Reads `count` digits of a base, 8 or 16. */
static bool number(const char **at, const char *end, int count, unsigned base, uint32_t *out)
{
    uint32_t value = 0;
    if (end - *at < count)
        return false;
    for (; count; count--) {
        char c = *(*at)++;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 99;
        if (digit >= base)
            return false;
        value = value * base + digit;
    }
    *out = value;
    return true;
}

static bool append_rune(struct buf *out, uint32_t rune)
{
    if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
        return false;
    char text[4];
    buf_append(out, text, utf8_encode(rune, text));
    return true;
}

/* *at is behind the backslash. */
static bool unquote_escape(const char **at, const char *end, struct buf *out)
{
    if (*at == end)
        return false;
    char c = *(*at)++;
    const char *letter = c ? strchr(short_letters, c) : NULL;
    uint32_t value;
    if (letter) {
        buf_char(out, short_bytes[letter - short_letters]);
        return true;
    }
    switch (c) {
    case 'x':
        if (!number(at, end, 2, 16, &value))
            return false;
        buf_char(out, (char)value);
        return true;
    case 'u':
        return number(at, end, 4, 16, &value) && append_rune(out, value);
    case 'U':
        return number(at, end, 8, 16, &value) && append_rune(out, value);
    default:
        (*at)--;
        if (c < '0' || c > '7' || !number(at, end, 3, 8, &value) || value > 255)
            return false;
        buf_char(out, (char)value);
        return true;
    }
}

bool tree_name_unquote(const char *text, size_t size, struct buf *out)
{
    const char *at = text, *end = text + size;
    while (at < end) {
        const char *start = at;
        while (at < end && *at != '\\' && *at != '"' && *at != '\n')
            at++;
        buf_append(out, start, (size_t)(at - start));
        if (at == end)
            return true;
        if (*at++ != '\\' || !unquote_escape(&at, end, out))
            return false;
    }
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 by the table of well-formed byte sequences (Unicode, table 3-7): only the range of the second byte
 * depends on the first. */
#include "common/utf8.h"

static bool continuation(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

static size_t decode_two(const char *text, size_t size, uint32_t *rune)
{
    if (size < 2 || !continuation(text[1]))
        return 0;
    *rune = ((uint32_t)text[0] & 0x1f) << 6 | ((uint32_t)text[1] & 0x3f);
    return 2;
}

static size_t decode_three(const char *text, size_t size, uint32_t *rune)
{
    if (size < 3 || !continuation(text[1]) || !continuation(text[2]))
        return 0;
    uint32_t r =
        ((uint32_t)text[0] & 0x0f) << 12 | ((uint32_t)text[1] & 0x3f) << 6 | ((uint32_t)text[2] & 0x3f);
    if (r < 0x800 || (r >= 0xd800 && r <= 0xdfff))
        return 0;
    *rune = r;
    return 3;
}

static size_t decode_four(const char *text, size_t size, uint32_t *rune)
{
    if (size < 4 || !continuation(text[1]) || !continuation(text[2]) || !continuation(text[3]))
        return 0;
    uint32_t r = ((uint32_t)text[0] & 0x07) << 18 | ((uint32_t)text[1] & 0x3f) << 12 |
                 ((uint32_t)text[2] & 0x3f) << 6 | ((uint32_t)text[3] & 0x3f);
    if (r < 0x10000 || r > 0x10ffff)
        return 0;
    *rune = r;
    return 4;
}

size_t utf8_decode(const char *text, size_t size, uint32_t *rune)
{
    uint8_t first = (uint8_t)text[0];
    if (first < 0x80) {
        *rune = first;
        return 1;
    }
    if (first < 0xc2 || first > 0xf4)
        return 0;
    if (first < 0xe0)
        return decode_two(text, size, rune);
    return first < 0xf0 ? decode_three(text, size, rune) : decode_four(text, size, rune);
}

size_t utf8_encode(uint32_t rune, char out[4])
{
    if (rune < 0x80) {
        out[0] = (char)rune;
        return 1;
    }
    if (rune < 0x800) {
        out[0] = (char)(0xc0 | rune >> 6);
        out[1] = (char)(0x80 | (rune & 0x3f));
        return 2;
    }
    if (rune < 0x10000) {
        out[0] = (char)(0xe0 | rune >> 12);
        out[1] = (char)(0x80 | (rune >> 6 & 0x3f));
        out[2] = (char)(0x80 | (rune & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | rune >> 18);
    out[1] = (char)(0x80 | (rune >> 12 & 0x3f));
    out[2] = (char)(0x80 | (rune >> 6 & 0x3f));
    out[3] = (char)(0x80 | (rune & 0x3f));
    return 4;
}

bool utf8_valid(const char *text, size_t size)
{
    uint32_t rune;
    for (size_t at = 0, length; at < size; at += length) {
        length = utf8_decode(text + at, size - at, &rune);
        if (!length)
            return false;
    }
    return true;
}

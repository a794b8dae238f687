/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, as strict as Go's unicode/utf8: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first character of text (size ≥ 1 bytes): its length in bytes, 1 to 4, with *rune set; 0 when the bytes
 * are not UTF-8: the caller then passes over one byte. */
size_t utf8_decode(const char *text, size_t size, uint32_t *rune);

/* Writes a character, at most 4 bytes; returns how many. rune is at most 0x10ffff and no surrogate. */
size_t utf8_encode(uint32_t rune, char out[4]);

bool utf8_valid(const char *text, size_t size);

#endif

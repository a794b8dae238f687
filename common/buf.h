/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer. Appending never fails at the call: a failed allocation is remembered, further
 * appends do nothing, and buf_failed tells, once, before the content is used. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data; /* size bytes; one NUL follows them, so that text is a string. NULL while empty */
    size_t size;
    size_t capacity;
    bool failed;
};

/* struct buf b = {0} is an empty buffer; buf_free leaves one. */
void buf_free(struct buf *b);
void buf_wipe_free(struct buf *b); /* overwrites the content first: for secrets */
void buf_clear(struct buf *b);     /* keeps the memory */
bool buf_failed(const struct buf *b);

void buf_append(struct buf *b, const void *data, size_t size);
void buf_string(struct buf *b, const char *string);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for `size` more bytes and returns where they go, NULL on failure; buf_commit adds them. */
void *buf_reserve(struct buf *b, size_t size);
void buf_commit(struct buf *b, size_t size);

/* CLEANUP(buf_free) struct buf b = {0}; */
static inline void buf_free_at(struct buf *b)
{
    buf_free(b);
}
static inline void buf_wipe_free_at(struct buf *b)
{
    buf_wipe_free(b);
}

/* Lower-case hex: out has 2 * size + 1 bytes. Decoding takes exactly 2 * size digits, lower case, and
 * returns false on anything else. */
void hex_encode(const void *data, size_t size, char *out);
bool hex_decode(const char *hex, void *out, size_t size);

#endif

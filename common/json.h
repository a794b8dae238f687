/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of small documents: written in the bytes that Go's encoding/json writes, read with bounds. Documents
 * that may reach megabytes (indexes, trees) are read as a stream by repository/json_stream. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <jansson.h>
#include <nacre/plugin.h>

#include "common/buf.h"
#include "common/cleanup.h"

/* Appends text as a JSON string with its quotes: < > & U+2028 U+2029 and control characters escaped, bytes
 * that are not UTF-8 become \ufffd. */
void json_append_string(struct buf *out, const char *text);
void json_append_bytes(struct buf *out, const char *text, size_t size); /* may hold NULs */

/* Appends data as a JSON string in base64 (standard alphabet, padded), as Go writes []byte. */
void json_append_base64(struct buf *out, const void *data, size_t size);

/* Decodes what json_append_base64 wrote (without the quotes), appending to out; false when it is no
 * canonical base64. */
bool json_decode_base64(const char *text, size_t size, struct buf *out);

#define JSON_DEPTH_MAX 64

/* Parses an object of at most `limit` bytes and JSON_DEPTH_MAX levels; keys must not repeat. NACRE_CORRUPT
 * with the position otherwise. *out: json_decref. */
int json_parse_object(const void *data, size_t size, size_t limit, json_t **out, struct nacre_err *e);

/* Fields of an object. A field that is absent or null leaves *out as it is and gives 0; one of another type
 * is NACRE_CORRUPT, naming the key. Strings are borrowed from the object and hold no NUL. */
int json_get_string(const json_t *object, const char *key, const char **out, struct nacre_err *e);
int json_get_bool(const json_t *object, const char *key, bool *out, struct nacre_err *e);
/* 0 … maximum (at most INT64_MAX). */
int json_get_uint(const json_t *object, const char *key, uint64_t maximum, uint64_t *out,
                  struct nacre_err *e);

static inline void json_value_free(json_t *value)
{
    json_decref(value);
}
/* CLEANUP(json_value_free) json_t *object = NULL; */
CLEANUP_DEFINE(json_t *, json_value_free)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the service's answers say: objects, pages of a listing, ranges, checksums, complaints. All of it is
 * received text, so all of it is checked; none of it needs a connection. */
#ifndef OBJECT_GCS_ANSWER_H
#define OBJECT_GCS_ANSWER_H

#include <nacre/plugin.h>

#include "common/buf.h"

struct answer_object {
    const char *name; /* borrowed from the answer during the call; NULL = not said */
    uint64_t size;
    uint64_t generation; /* 0 = not said */
    int64_t modified_ns; /* 0 = not said */
    uint32_t crc32c;
    bool has_crc32c;
};

/* An object's resource (name not set). An answer that is none is NACRE_TRANSIENT, here and below: what came
 * is not what the service sent, or not from it. */
int answer_object(const void *data, size_t size, struct answer_object *out, struct nacre_err *e);

/* 0 to go on; else the page ends, and answer_page returns that. */
typedef int answer_entry(void *ctx, const struct answer_object *object, struct nacre_err *e);

/* A page of a listing: entry for each object, in the order of the answer; appends the token of the next page
 * to next, nothing when this is the last. */
int answer_page(const void *data, size_t size, answer_entry *entry, void *ctx, struct buf *next,
                struct nacre_err *e);

/* "bytes=0-N" of a 308: *stored = N + 1. */
bool answer_stored(const char *range, uint64_t *stored);

/* "bytes FIRST-LAST/TOTAL" of a 206. */
bool answer_range(const char *range, uint64_t *first, uint64_t *last, uint64_t *total);

/* The CRC-32C in the lines "x-goog-hash: …" of an answer's headers; false when there is none. */
bool answer_hash(const char *headers, uint32_t *crc32c);

/* The reason and the message of an error, of the JSON API or of an OAuth service; "" where it says none. */
struct answer_complaint {
    char reason[64]; /* "notFound", "invalid_grant" */
    char message[400];
};
void answer_complaint(const void *data, size_t size, struct answer_complaint *out);

#endif

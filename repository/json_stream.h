/* SPDX-License-Identifier: Apache-2.0 */
/* Large JSON documents as a stream of events: indexes and trees reach tens of megabytes and are never held as
 * values in memory. */
#ifndef REPOSITORY_JSON_STREAM_H
#define REPOSITORY_JSON_STREAM_H

#include <nacre/plugin.h>

enum stream_kind {
    STREAM_BEGIN_OBJECT,
    STREAM_END_OBJECT,
    STREAM_BEGIN_ARRAY,
    STREAM_END_ARRAY,
    STREAM_STRING,
    STREAM_NUMBER,
    STREAM_BOOL,
    STREAM_NULL
};

#define STREAM_DEPTH_MAX 64

struct stream_event {
    enum stream_kind kind;
    unsigned depth; /* of containers around it; 0 is the document itself; of an END that of its BEGIN */
    const char
        *key; /* in an object: its key ("?" for one of more than 31 bytes); in an array, and of an END, "" */
    const char *text; /* STREAM_STRING: its bytes, UTF-8, may hold NULs; STREAM_NUMBER: as written */
    size_t size;      /* of text, which has no NUL behind it */
    bool truth;       /* STREAM_BOOL */
};

/* 0 to go on; STREAM_SKIP at a BEGIN: nothing of it, nor its END, is reported; -1 with *e set ends. */
#define STREAM_SKIP 1
typedef int stream_handler(void *ctx, const struct stream_event *event, struct nacre_err *e);

/* NACRE_CORRUPT, with the position, when it is not exactly one JSON document. */
int json_stream_parse(const void *json, size_t size, stream_handler *handler, void *ctx, struct nacre_err *e);

/* The number of an event, 0 … maximum; null counts as "not there": 0 and *out as it was. NACRE_CORRUPT for
 * anything else. */
int stream_uint(const struct stream_event *event, uint64_t maximum, uint64_t *out, struct nacre_err *e);

/* NACRE_CORRUPT: the event is not of the kind that its key should have. */
int stream_unexpected(const struct stream_event *event, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* zstd frames: one call each, with the limits that hostile input needs. Thread-safe. */
#ifndef REPOSITORY_FRAME_H
#define REPOSITORY_FRAME_H

#include <nacre/plugin.h>

#include "common/buf.h"

#define FRAME_LEVEL_DEFAULT 3

/* Room in which frame_compress always succeeds. */
size_t frame_bound(size_t size);

/* Compresses into out: one frame that states the size of its content, has no checksum and a window of at most
 * 8 MiB. *used = 0 when it does not get as small as capacity, or when capacity is less than size and a trial
 * of parts of it promises nothing. */
int frame_compress(const void *plain, size_t size, int level, void *out, size_t capacity, size_t *used,
                   struct nacre_err *e);

/* Decompresses into exactly plain_size bytes; NACRE_CORRUPT when it would be more or less. */
int frame_decompress(const void *frame, size_t size, void *out, size_t plain_size, struct nacre_err *e);

/* Decompresses one frame whose content size is not known, appending to out. NACRE_CORRUPT beyond `limit`
 * bytes, whatever the frame says of itself, and when bytes follow the frame. */
int frame_append(const void *frame, size_t size, size_t limit, struct buf *out, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* How the JSON of an unpacked file (index, snapshot, lock) lies inside its seal: 0x02 ‖ zstd frame, or, in
 * format version 1, raw. */
#ifndef REPOSITORY_UNPACKED_H
#define REPOSITORY_UNPACKED_H

#include <nacre/plugin.h>

#include "common/buf.h"
#include "repository/crypto.h"

/* Appends the JSON, at most `limit` bytes of it, to out; NACRE_CORRUPT. */
int unpacked_decode(const void *content, size_t size, size_t limit, struct buf *out, struct nacre_err *e);

/* Appends the sealed content of JSON to out. */
int unpacked_seal(const struct seal_key *key, bool compress, const void *json, size_t size, struct buf *out,
                  struct nacre_err *e);

#endif

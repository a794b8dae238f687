/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding of unpacked files. The first byte tells the two forms apart: JSON of ours begins with { or [. */
#include "repository/unpacked.h"

#include <string.h>

#include "common/err.h"
#include "repository/frame.h"

#define COMPRESSED 2

int unpacked_decode(const void *content, size_t size, size_t limit, struct buf *out, struct nacre_err *e)
{
    const uint8_t *bytes = content;
    if (!size)
        return err_set(e, NACRE_CORRUPT, "it is empty");
    if (bytes[0] == COMPRESSED)
        return frame_append(bytes + 1, size - 1, limit, out, e);
    if (bytes[0] != '{' && bytes[0] != '[')
        return err_set(e, NACRE_CORRUPT, "its content begins with byte 0x%02x, which is no known encoding",
                       bytes[0]);
    if (size > limit)
        return err_set(e, NACRE_CORRUPT, "it holds more than %zu bytes", limit);
    buf_append(out, content, size);
    return buf_failed(out) ? err_no_memory(e, "a file of the repository") : 0;
}

int unpacked_seal(const struct seal_key *key, bool compress, const void *json, size_t size, struct buf *out,
                  struct nacre_err *e)
{
    size_t bound = compress ? 1 + frame_bound(size) : size, content_size = size;
    uint8_t *at = buf_reserve(out, bound + SEAL_OVERHEAD);
    if (!at)
        return err_no_memory(e, "a file of the repository");
    /* Built where the ciphertext goes, and sealed in place. */
    uint8_t *content = at + 16;
    if (compress) {
        content[0] = COMPRESSED;
        if (frame_compress(json, size, FRAME_LEVEL_DEFAULT, content + 1, bound - 1, &content_size, e) < 0)
            return -1;
        content_size++;
    } else {
        memcpy(content, json, size);
    }
    if (seal(key, content, content_size, at, e) < 0)
        return -1;
    buf_commit(out, content_size + SEAL_OVERHEAD);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Opened pack headers. The first four bytes of the input say where the blobs end; with 0xffffffff there, the
 * end is what the header itself adds up to, so that the way to success stays open to small inputs. */
#include <stdlib.h>
#include <string.h>

#include "repository/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t find_end(const uint8_t *data, size_t size)
{
    struct nacre_err e;
    struct pack_blob *blobs = NULL;
    size_t count;
    /* Any wrong end gives an error; the sum is read from the entries by the same rules as in the parser. */
    uint64_t sum = 0;
    for (size_t at = 0; at + 5 <= size; at += data[at] >= 2 ? 41 : 37)
        sum += data[at + 1] | (uint32_t)data[at + 2] << 8 | (uint32_t)data[at + 3] << 16 |
               (uint32_t)data[at + 4] << 24;
    if (pack_header_parse(data, size, sum + 1, &blobs, &count, &e) == 0)
        abort();
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct pack_blob *blobs = NULL;
    size_t count = 0;
    uint32_t end32;
    if (size < 4)
        return 0;
    memcpy(&end32, data, 4);
    uint64_t end = end32 == UINT32_MAX ? find_end(data + 4, size - 4) : end32, offset = 0;
    if (pack_header_parse(data + 4, size - 4, end, &blobs, &count, &e) < 0) {
        if (e.code != NACRE_CORRUPT || blobs)
            abort();
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (blobs[i].offset != offset || blobs[i].length < SEAL_OVERHEAD ||
            blobs[i].plain_length > BLOB_PLAIN_MAX)
            abort();
        offset += blobs[i].length;
    }
    if (!count || offset != end)
        abort();
    free(blobs);
    return 0;
}

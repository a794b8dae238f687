/* SPDX-License-Identifier: Apache-2.0 */
/* What stored bytes decompress to: never more than was announced, never beyond the limit. */
#include <stdlib.h>
#include <string.h>

#include "repository/frame.h"
#include "repository/unpacked.h"

#define LIMIT 70000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* frame_decompress into memory of exactly the announced size, right and wrong. */
static void decompress_exactly(const uint8_t *frame, size_t size, const struct buf *content)
{
    struct nacre_err e;
    uint8_t *out = malloc(content->size + 1);
    if (out && frame_decompress(frame, size, out, content->size, &e) == 0 && content->size &&
        memcmp(out, content->data, content->size) != 0)
        abort();
    free(out);
    out = content->size ? malloc(content->size) : NULL;
    if (out && frame_decompress(frame, size, out, content->size - 1, &e) == 0)
        abort();
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct buf out = {0};
    uint8_t small[64];
    frame_decompress(data, size, small, sizeof small, &e);
    if (unpacked_decode(data, size, LIMIT, &out, &e) == 0) {
        if (out.size > LIMIT)
            abort();
        if (data[0] == 2)
            decompress_exactly(data + 1, size - 1, &out);
    } else if (e.code != NACRE_CORRUPT || out.size > LIMIT) {
        abort();
    }
    buf_free(&out);
    return 0;
}

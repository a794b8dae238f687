/* SPDX-License-Identifier: Apache-2.0 */
/* Index files: every blob that reaches a caller lies within 4 GiB and has believable lengths; what was read,
 * written and read again is the same. */
#include <stdlib.h>
#include <string.h>

#include "repository/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_pack(void *ctx, const struct id *pack, const struct pack_blob *blobs, size_t count,
                   struct nacre_err *e)
{
    struct buf *out = ctx;
    (void)e;
    for (size_t i = 0; i < count; i++) {
        const struct pack_blob *blob = &blobs[i];
        if (blob->length < SEAL_OVERHEAD || (uint64_t)blob->offset + blob->length > UINT32_MAX ||
            blob->plain_length > BLOB_PLAIN_MAX || blob->type > BLOB_TREE ||
            (!blob->compressed && blob->plain_length != blob->length - SEAL_OVERHEAD))
            abort();
    }
    if (out->data[out->size - 1] == '}')
        buf_char(out, ',');
    index_json_pack(out, pack, blobs, count);
    return 0;
}

static int rewrite(const void *data, size_t size, struct buf *out, struct nacre_err *e)
{
    buf_string(out, "{\"packs\":[");
    int result = index_parse(data, size, on_pack, out, e);
    buf_string(out, "]}");
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct buf once = {0}, twice = {0};
    if (rewrite(data, size, &once, &e) < 0) {
        if (!e.code || !*e.message)
            abort();
    } else if (rewrite(once.data, once.size, &twice, &e) < 0 || once.size != twice.size ||
               memcmp(once.data, twice.data, once.size) != 0) {
        abort();
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: what is taken for one, written again and read again, is the same when written once more. */
#include <stdlib.h>
#include <string.h>

#include "repository/snapshot_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int rewrite(const void *data, size_t size, struct buf *out, struct nacre_err *e)
{
    CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
    if (snapshot_parse(data, size, &snapshot, e) < 0)
        return -1;
    for (size_t i = 0; i < snapshot->tag_count; i++)
        if (!snapshot->tags[i])
            abort();
    snapshot_tag_value(snapshot, "volume");
    snapshot_json(out, snapshot);
    return 0;
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

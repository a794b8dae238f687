/* SPDX-License-Identifier: Apache-2.0 */
/* One blob: compress, seal; and back. The hot path of backup and restore.
 *
 * Copies are what there is to save here: compression writes where the ciphertext goes, sealing happens in
 * place, and a blob that is not compressed is opened straight into the caller's memory. */
#include <string.h>

#include "common/err.h"
#include "repository/frame.h"
#include "repository/pack.h"

static int wrap_blob(const struct id *id, enum blob_type type, struct nacre_err *e)
{
    char hex[ID_HEX_SIZE];
    id_format(id, hex);
    return err_wrap(e, "%s blob %s", type == BLOB_TREE ? "tree" : "data", hex);
}

int blob_seal(struct repo *repo, const struct id *id, enum blob_type type, const void *plain, size_t size,
              int level, struct buf *out, struct pack_blob *blob, struct nacre_err *e)
{
    if (size > BLOB_PLAIN_MAX)
        return err_set(e, NACRE_INVALID, "a blob of %zu bytes is larger than any reader accepts", size);
    size_t start = out->size, content_size = 0;
    uint8_t *at = buf_reserve(out, size + SEAL_OVERHEAD);
    if (!at)
        return err_no_memory(e, "a blob");
    uint8_t *content = at + 16;
    /* Only a frame that is smaller than the blob is of use, so it gets no more room than that. */
    if (level && size > 1 && repo_version(repo) >= 2 &&
        frame_compress(plain, size, level, content, size - 1, &content_size, e) < 0)
        return wrap_blob(id, type, e);
    bool compressed = content_size > 0;
    if (!compressed)
        content_size = size;
    if (seal(repo_seal_key(repo), compressed ? content : plain, content_size, at, e) < 0)
        return wrap_blob(id, type, e);
    buf_commit(out, content_size + SEAL_OVERHEAD);
    *blob = (struct pack_blob){
        .id = *id,
        .offset = (uint32_t)start,
        .length = (uint32_t)(content_size + SEAL_OVERHEAD),
        .plain_length = (uint32_t)size,
        .type = (uint8_t)type,
        .compressed = compressed,
    };
    return 0;
}

static int check_lengths(const struct pack_blob *blob, struct nacre_err *e)
{
    if (blob->plain_length > BLOB_PLAIN_MAX)
        return err_set(e, NACRE_CORRUPT, "its announced length of %u bytes is not believed",
                       blob->plain_length);
    if (blob->length < SEAL_OVERHEAD || blob->length > BLOB_PLAIN_MAX + SEAL_OVERHEAD ||
        (!blob->compressed && blob->length != blob->plain_length + SEAL_OVERHEAD))
        return err_set(e, NACRE_CORRUPT, "a sealed length of %u bytes does not go with %u plain bytes",
                       blob->length, blob->plain_length);
    return 0;
}

static int open_compressed(const struct repo *repo, const struct pack_blob *blob, const void *sealed,
                           void *out, struct nacre_err *e)
{
    size_t frame_size = blob->length - SEAL_OVERHEAD;
    CLEANUP(mem_free) uint8_t *frame = malloc(frame_size + 1);
    if (!frame)
        return err_no_memory(e, "a compressed blob");
    if (unseal(repo_seal_key(repo), sealed, blob->length, frame, e) < 0)
        return -1;
    return frame_decompress(frame, frame_size, out, blob->plain_length, e);
}

int blob_unseal(const struct repo *repo, const struct pack_blob *blob, const void *sealed, void *out,
                struct nacre_err *e)
{
    struct id actual;
    if (check_lengths(blob, e) < 0)
        return wrap_blob(&blob->id, blob->type, e);
    int result = blob->compressed ? open_compressed(repo, blob, sealed, out, e)
                                  : unseal(repo_seal_key(repo), sealed, blob->length, out, e);
    if (result < 0)
        return wrap_blob(&blob->id, blob->type, e);
    id_hash(&actual, out, blob->plain_length);
    if (id_equal(&actual, &blob->id))
        return 0;
    err_set(e, NACRE_CORRUPT, "its content does not hash to its id");
    return wrap_blob(&blob->id, blob->type, e);
}

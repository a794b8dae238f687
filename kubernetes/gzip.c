/* SPDX-License-Identifier: Apache-2.0 */
/* gzip in memory, by zlib, which checks the checksum and the length at the end of every member (libarchive's
 * reader does not). Unpacking is bounded by the caller's limit at every step, as a few kilobytes from a store
 * may claim to be gigabytes. */
#include "kubernetes/gzip.h"

#include <zlib.h>

#include "common/err.h"

#define GZIP_WINDOW (MAX_WBITS + 16) /* +16: a gzip frame around the deflate stream */
#define STEP (256u << 10)

int gzip_pack(const void *data, size_t size, struct buf *out, struct nacre_err *e)
{
    z_stream stream = {0};
    if (size > UINT32_MAX / 2)
        return err_set(e, NACRE_INVALID, "%zu bytes are too many for one gzip object", size);
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_no_memory(e, "a gzip stream");
    size_t bound = deflateBound(&stream, size);
    void *at = buf_reserve(out, bound);
    if (!at) {
        deflateEnd(&stream);
        return err_no_memory(e, "a gzip object");
    }
    stream.next_in = (Bytef *)data;
    stream.avail_in = (uInt)size;
    stream.next_out = at;
    stream.avail_out = (uInt)bound;
    int status = deflate(&stream, Z_FINISH);
    if (status == Z_STREAM_END)
        buf_commit(out, bound - stream.avail_out);
    deflateEnd(&stream);
    return status == Z_STREAM_END ? 0 : err_set(e, NACRE_FAILED, "gzip ended with status %d", status);
}

static int corrupt(struct nacre_err *e, const z_stream *stream, int status)
{
    if (status == Z_MEM_ERROR)
        return err_no_memory(e, "a gzip stream");
    if (status == Z_BUF_ERROR || status == Z_OK)
        return err_set(e, NACRE_CORRUPT, "the gzip data is cut off");
    return err_set(e, NACRE_CORRUPT, "bad gzip data: %s", stream->msg ? stream->msg : "not gzip");
}

/* Inflates up to one step further, and at most one byte beyond the limit, which tells that there is more. */
static int inflate_step(z_stream *stream, size_t start, size_t limit, struct buf *out, struct nacre_err *e)
{
    size_t room = limit - (out->size - start);
    room = room < STEP ? room + 1 : STEP;
    void *at = buf_reserve(out, room);
    if (!at)
        return err_no_memory(e, "unpacking gzip data");
    stream->next_out = at;
    stream->avail_out = (uInt)room;
    int status = inflate(stream, Z_NO_FLUSH);
    buf_commit(out, room - stream->avail_out);
    if (out->size - start > limit)
        return err_set(e, NACRE_CORRUPT, "more than %zu bytes when unpacked: refused", limit);
    return status == Z_OK || status == Z_STREAM_END ? status : corrupt(e, stream, status);
}

int gzip_unpack(const void *data, size_t size, size_t limit, struct buf *out, struct nacre_err *e)
{
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)size};
    if (size > UINT32_MAX)
        return err_set(e, NACRE_CORRUPT, "%zu bytes of gzip data: refused", size);
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return err_no_memory(e, "a gzip stream");
    size_t start = out->size;
    int status;
    for (;;) {
        status = inflate_step(&stream, start, limit, out, e);
        if (status < 0)
            break;
        if (status == Z_STREAM_END) {
            if (!stream.avail_in)
                break;
            inflateReset(&stream); /* another member follows */
        }
    }
    inflateEnd(&stream);
    return status < 0 ? -1 : 0;
}

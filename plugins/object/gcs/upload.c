/* SPDX-License-Identifier: Apache-2.0 */
/* Writing objects. Small ones go in one request of two parts (multipart/related): the resource, with the
 * CRC-32C that the service compares before it lets the object appear, and the bytes. Larger ones go in a
 * session (resumable.c). Either way the answer's size and checksum are compared once more with what was sent.
 *
 * MD5 is not sent as well: the service needs one checksum, it recommends this one, and MD5 of all that is
 * uploaded would take more processor time than encrypting it.
 *
 * put_if_absent is ifGenerationMatch=0. When that is refused after a request whose answer was lost, the
 * object may be our own. Within a session that is NACRE_TRANSIENT, so that whoever tries again (the wrapper
 * `retry`) compares it with what was to be written; a single request that is lost is transient anyway. */
#include <inttypes.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "gcs.h"
#include "http/encode.h"
#include "http/location.h"

#define BOUNDARY_BYTES 24

/* An input in its frame: head, content, tail. */
struct framed {
    const struct nacre_input *content;
    struct buf head, tail;
};

static void framed_free_at(struct framed *f)
{
    buf_free(&f->head);
    buf_free(&f->tail);
}

/* The part of [offset, offset + len) that lies in a piece of `size` bytes at `start`. */
static size_t overlap(uint64_t offset, size_t len, uint64_t start, uint64_t size)
{
    if (offset < start || offset - start >= size)
        return 0;
    uint64_t left = size - (offset - start);
    return len < left ? len : (size_t)left;
}

static int framed_read(void *ctx, uint64_t offset, void *room, size_t len, struct nacre_err *e)
{
    struct framed *f = ctx;
    uint8_t *to = room;
    const struct nacre_input *in = f->content;
    const uint64_t starts[] = {0, f->head.size, f->head.size + in->size};
    while (len) {
        size_t part;
        if ((part = overlap(offset, len, starts[0], f->head.size)))
            memcpy(to, f->head.data + offset, part);
        else if (!(part = overlap(offset, len, starts[1], in->size)) &&
                 (part = overlap(offset, len, starts[2], f->tail.size)))
            memcpy(to, f->tail.data + (offset - starts[2]), part);
        else if (part && nacre_input_send(in, offset - starts[1], to, part, e) < 0)
            return -1;
        if (!part)
            return err_set(e, NACRE_FAILED, "read beyond the end of a request");
        to += part;
        offset += part;
        len -= part;
    }
    return 0;
}

void gcs_upload_resource(const struct gcs_upload *upload, struct buf *out)
{
    const uint8_t crc[] = {(uint8_t)(upload->crc32c >> 24), (uint8_t)(upload->crc32c >> 16),
                           (uint8_t)(upload->crc32c >> 8), (uint8_t)upload->crc32c};
    buf_printf(out, "{\"name\":\"%s%s\",\"contentType\":\"application/octet-stream\",\"crc32c\":",
               upload->store->prefix, upload->name); /* valid names: nothing to escape */
    json_append_base64(out, crc, sizeof crc);
    buf_char(out, '}');
}

void gcs_upload_url(const struct gcs_upload *upload, const char *type, struct buf *out)
{
    gcs_url_upload(upload->store, out);
    buf_printf(out, "?uploadType=%s&fields=size,crc32c,generation%s", type,
               upload->only_if_absent ? "&ifGenerationMatch=0" : "");
    if (!strcmp(type, "resumable")) { /* that one may come without a resource, so its name comes here */
        buf_string(out, "&name=");
        encode_percent(out, upload->store->prefix, false);
        encode_percent(out, upload->name, false);
    }
}

/* Takes back, as well as it goes, what the service stored wrongly. */
static void take_back(const struct gcs_upload *upload, uint64_t generation)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf url = {0};
    struct nacre_err ignored;
    gcs_url_object(upload->store, upload->name, &url);
    buf_printf(&url, "?ifGenerationMatch=%" PRIu64, generation);
    const struct gcs_request request = {.method = "DELETE", .url = (const char *)url.data};
    if (generation && !buf_failed(&url))
        (void)gcs_perform(upload->store, &request, &response, &ignored);
}

static bool is_right(const struct gcs_upload *upload, const struct answer_object *stored)
{
    return stored->size == upload->input->size && stored->has_crc32c && stored->crc32c == upload->crc32c;
}

int gcs_upload_verify(const struct gcs_upload *upload, const struct http_response *response,
                      struct nacre_err *e)
{
    struct answer_object stored, now;
    const struct gcs_store *store = upload->store;
    if (answer_object(response->body.data, response->body.size, &stored, e) < 0)
        return err_wrap(e, "cannot write gs://%s/%s%s", store->bucket, store->prefix, upload->name);
    if (!stored.has_crc32c)
        return err_set(e, NACRE_UNSUPPORTED,
                       "cannot write gs://%s/%s%s: the service does not say the checksum of what it stored",
                       store->bucket, store->prefix, upload->name);
    if (is_right(upload, &stored))
        return 0;
    /* It has compared the checksum itself before; so most likely it is the answer that came to harm. */
    if (gcs_look(upload->store, upload->name, "size,generation,crc32c", &now, e) < 0)
        return e->code == NACRE_ABSENT ? err_set(e, NACRE_TRANSIENT, "%s", e->message) : -1;
    if (is_right(upload, &now))
        return 0;
    if (now.generation == stored.generation)
        take_back(upload, now.generation);
    return err_set(e, NACRE_TRANSIENT,
                   "cannot write gs://%s/%s%s: the service stored %" PRIu64 " bytes with the checksum "
                   "%08" PRIx32 ", sent were %" PRIu64 " with %08" PRIx32,
                   store->bucket, store->prefix, upload->name, now.size, now.crc32c, upload->input->size,
                   upload->crc32c);
}

int gcs_upload_fail(const struct gcs_upload *upload, const struct http_response *response,
                    struct nacre_err *e)
{
    const struct gcs_store *store = upload->store;
    if (response->status == 412 && upload->unclear)
        return err_set(e, NACRE_TRANSIENT,
                       "cannot write gs://%s/%s%s: it exists, and may have been written by a request whose "
                       "answer was lost",
                       store->bucket, store->prefix, upload->name);
    return gcs_fail(upload->store, GCS_WRITE, upload->name, response, e);
}

static void frame(const struct gcs_upload *upload, const char *boundary, struct framed *f)
{
    buf_printf(&f->head, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n", boundary);
    gcs_upload_resource(upload, &f->head);
    buf_printf(&f->head, "\r\n--%s\r\nContent-Type: application/octet-stream\r\n\r\n", boundary);
    buf_printf(&f->tail, "\r\n--%s--\r\n", boundary);
}

static int send_multipart(struct gcs_upload *upload, struct nacre_err *e)
{
    CLEANUP(framed_free) struct framed framed = {.content = upload->input};
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf url = {0};
    uint8_t random[BOUNDARY_BYTES];
    char boundary[2 * BOUNDARY_BYTES + 1], type[128];
    if (RAND_bytes(random, sizeof random) != 1) /* so that no content can hold it */
        return err_set(e, NACRE_FAILED, "openssl gives no random numbers");
    hex_encode(random, sizeof random, boundary);
    snprintf(type, sizeof type, "multipart/related; boundary=%s", boundary);
    frame(upload, boundary, &framed);
    gcs_upload_url(upload, "multipart", &url);
    if (buf_failed(&framed.head) || buf_failed(&framed.tail) || buf_failed(&url))
        return err_no_memory(e, "an upload");
    const struct nacre_input body = {.size = framed.head.size + upload->input->size + framed.tail.size,
                                     .read = framed_read,
                                     .ctx = &framed};
    const struct gcs_request request = {.method = "POST",
                                        .url = (const char *)url.data,
                                        .headers = {{"Content-Type", type}},
                                        .body = &body,
                                        .body_size = body.size};
    if (gcs_perform(upload->store, &request, &response, e) < 0)
        return -1;
    if (response.status != 200)
        return gcs_upload_fail(upload, &response, e);
    return gcs_upload_verify(upload, &response, e);
}

static int put(struct gcs_store *store, const char *name, const struct nacre_input *input,
               bool only_if_absent, struct nacre_err *e)
{
    struct gcs_upload upload = {
        .store = store, .name = name, .input = input, .only_if_absent = only_if_absent};
    const struct digests digests = {.crc32c = &upload.crc32c};
    if (object_name_check(name, e) < 0 || digest_input(input, 0, input->size, &digests, e) < 0)
        return -1;
    return input->size > store->threshold ? gcs_upload_resumable(&upload, e) : send_multipart(&upload, e);
}

int gcs_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
            struct nacre_err *e)
{
    return put((struct gcs_store *)store, name, input, false, e);
}

int gcs_put_if_absent(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                      struct nacre_err *e)
{
    return put((struct gcs_store *)store, name, input, true, e);
}

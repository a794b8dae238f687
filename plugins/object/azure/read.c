/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, looking at and removing one object.
 *
 * The service cuts a range that goes beyond the end, and refuses one that begins there; the ABI refuses the
 * first and allows an empty range at the very end. So a short answer is looked at, and a refused one leads to
 * a question for the size. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "azure.h"
#include "common/err.h"
#include "http/encode.h"

/* Counts what arrives, and digests it when the object is read whole. */
struct reading {
    nacre_sink *sink;
    void *ctx;
    uint64_t received;
    EVP_MD_CTX *md5; /* NULL: a range, which has no checksum to compare with */
};

static int receive(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct reading *reading = ctx;
    reading->received += len;
    if (reading->md5 && !EVP_DigestUpdate(reading->md5, data, len))
        return err_set(e, NACRE_FAILED, "openssl cannot compute a checksum");
    return reading->sink(reading->ctx, data, len, e);
}

static int out_of_range(const char *name, struct nacre_err *e)
{
    return err_set(e, NACRE_INVALID, "object %s ends before the range that was asked for", name);
}

/* Whether the bytes of a whole object are those of the checksum that it was stored with. Not transient: who
 * tries again goes on where this ended, at the end. */
static int check_whole(const struct reading *reading, const struct http_response *response, const char *name,
                       struct nacre_err *e)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CLEANUP(buf_free) struct buf stored = {0};
    CLEANUP(buf_free) struct buf ours = {0};
    if (!http_response_header(response, "Content-MD5", &stored))
        return 0; /* another program may have written it without */
    if (!EVP_DigestFinal_ex(reading->md5, digest, &size))
        return err_set(e, NACRE_FAILED, "openssl cannot compute a checksum");
    encode_base64(&ours, digest, size);
    if (buf_failed(&stored) || buf_failed(&ours))
        return err_no_memory(e, "a checksum");
    if (stored.size == ours.size && !memcmp(stored.data, ours.data, ours.size))
        return 0;
    return err_set(e, NACRE_CORRUPT, "object %s does not have the checksum that it was stored with", name);
}

/* The size in "bytes 0-9/SIZE"; false when it is not said. */
static bool total_of(const struct http_response *response, uint64_t *total)
{
    CLEANUP(buf_free) struct buf range = {0};
    if (!http_response_header(response, "Content-Range", &range) || !range.size || buf_failed(&range))
        return false;
    const char *slash = strchr((const char *)range.data, '/');
    char *end = NULL;
    if (slash)
        *total = strtoull(slash + 1, &end, 10);
    return slash && end != slash + 1 && !*end;
}

/* A range of which fewer bytes came than were asked for. */
static int explain_short(const struct reading *reading, const struct http_response *response,
                         const char *name, uint64_t offset, uint64_t length, struct nacre_err *e)
{
    uint64_t total;
    if (total_of(response, &total) && (offset > total || length > total - offset))
        return out_of_range(name, e);
    return err_set(e, NACRE_TRANSIENT, "object %s: %" PRIu64 " bytes came of %" PRIu64, name,
                   reading->received, length);
}

static int read_range(const struct azure_store *store, const char *name, uint64_t offset, uint64_t length,
                      struct reading *reading, struct nacre_err *e)
{
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(http_response_free) struct http_response response = {0};
    bool whole = offset == 0 && length == NACRE_TO_END;
    if (!whole && length == NACRE_TO_END)
        http_header_add(&headers, "x-ms-range", "bytes=%" PRIu64 "-", offset);
    else if (!whole) /* a sum beyond what a service counts in is beyond every end as well */
        http_header_add(&headers, "x-ms-range", "bytes=%" PRIu64 "-%" PRIu64, offset,
                        length > INT64_MAX - offset ? (uint64_t)INT64_MAX : offset + length - 1);
    const struct azure_request request = {.method = "GET",
                                          .name = name,
                                          .headers = &headers,
                                          .sink = receive,
                                          .sink_ctx = reading,
                                          .needs = "r"};
    if (azure_perform(store, &request, &response, e) < 0)
        return -1;
    if (!whole && response.status != 206)
        return err_set(e, NACRE_UNSUPPORTED, "object %s: the service answered a range with HTTP %d", name,
                       response.status);
    if (length != NACRE_TO_END && reading->received != length)
        return explain_short(reading, &response, name, offset, length, e);
    return whole && reading->md5 ? check_whole(reading, &response, name, e) : 0;
}

/* An empty range, or one that begins at the end or beyond. */
static int check_end(const struct azure_store *store, const char *name, uint64_t offset, uint64_t length,
                     struct nacre_err *e)
{
    struct nacre_object_info info;
    if (azure_stat((struct nacre_object_store *)store, name, &info, e) < 0)
        return -1;
    if (offset > info.size || (length != NACRE_TO_END && length > info.size - offset))
        return out_of_range(name, e);
    if (length == 0 || offset == info.size)
        return 0;
    return err_set(e, NACRE_TRANSIENT, "object %s was replaced while it was read", name);
}

int azure_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
              nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    const struct azure_store *store = (const struct azure_store *)base;
    if (object_name_check(name, e) < 0)
        return -1;
    if (length == 0 || offset > INT64_MAX)
        return check_end(store, name, offset, length, e);
    struct reading reading = {.sink = sink, .ctx = ctx};
    if (offset == 0 && length == NACRE_TO_END)
        reading.md5 = EVP_MD_CTX_new();
    if (reading.md5 && !EVP_DigestInit_ex(reading.md5, EVP_md5(), NULL)) {
        EVP_MD_CTX_free(reading.md5);
        reading.md5 = NULL; /* a machine without MD5: the repository has checksums of its own */
    }
    int result = read_range(store, name, offset, length, &reading, e);
    EVP_MD_CTX_free(reading.md5);
    if (result < 0 && e->code == NACRE_INVALID && !reading.received)
        return check_end(store, name, offset, length, e);
    return result;
}

int azure_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
               struct nacre_err *e)
{
    const struct azure_store *store = (const struct azure_store *)base;
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf size = {0};
    CLEANUP(buf_free) struct buf modified = {0};
    if (object_name_check(name, e) < 0)
        return -1;
    const struct azure_request request = {.method = "HEAD", .name = name, .needs = "r"};
    if (azure_perform(store, &request, &response, e) < 0)
        return -1;
    char *end = NULL;
    *out = (struct nacre_object_info){0};
    if (http_response_header(&response, "Content-Length", &size) && size.size && !buf_failed(&size))
        out->size = strtoull((const char *)size.data, &end, 10);
    if (!end || *end || end == (const char *)size.data)
        return err_set(e, NACRE_TRANSIENT, "object %s: the answer does not say how long it is", name);
    buf_string(&modified, "");
    http_response_header(&response, "Last-Modified", &modified);
    int64_t seconds = buf_failed(&modified) ? -1 : decode_http_date((const char *)modified.data);
    out->modified_ns = seconds < 0 ? 0 : seconds * 1000000000;
    return 0;
}

int azure_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    const struct azure_store *store = (const struct azure_store *)base;
    CLEANUP(http_response_free) struct http_response response = {0};
    if (object_name_check(name, e) < 0)
        return -1;
    const struct azure_request request = {.method = "DELETE", .name = name, .needs = "d"};
    return azure_perform(store, &request, &response, e);
}

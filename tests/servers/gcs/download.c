/* SPDX-License-Identifier: Apache-2.0 */
/* One object read: what is known of it, or its bytes, all or a range of them. */
#include "gcs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "bytes=a-b", "bytes=a-", "bytes=-n" of size bytes. 200: no range, or one that is to be ignored (RFC 9110);
 * 206 and *first, *length; 416. */
static unsigned range_of(const char *text, uint64_t size, uint64_t *first, uint64_t *length)
{
    if (!text || strncmp(text, "bytes=", 6) != 0 || strchr(text, ','))
        return MHD_HTTP_OK;
    char *end;
    text += 6;
    if (*text == '-') {
        uint64_t last = strtoull(text + 1, &end, 10);
        if (text[1] < '0' || text[1] > '9' || *end)
            return MHD_HTTP_OK;
        if (!last || !size)
            return MHD_HTTP_RANGE_NOT_SATISFIABLE;
        *length = last < size ? last : size;
        *first = size - *length;
        return MHD_HTTP_PARTIAL_CONTENT;
    }
    *first = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '-')
        return MHD_HTTP_OK;
    const char *second = end + 1;
    uint64_t last = *second ? strtoull(second, &end, 10) : UINT64_MAX;
    if (*second && (*second < '0' || *second > '9' || *end || last < *first))
        return MHD_HTTP_OK;
    if (*first >= size)
        return MHD_HTTP_RANGE_NOT_SATISFIABLE;
    *length = (last < size - 1 ? last : size - 1) - *first + 1;
    return MHD_HTTP_PARTIAL_CONTENT;
}

static enum MHD_Result send_bytes(struct request *r, const struct object *object)
{
    const struct content *c = &object->content;
    char crc[9], md5[28];
    uint64_t first = 0, length = c->size;
    unsigned status = range_of(request_header(r, MHD_HTTP_HEADER_RANGE), c->size, &first, &length);
    if (status == MHD_HTTP_RANGE_NOT_SATISFIABLE) {
        reply_header(r, "Content-Range", "bytes */%" PRIu64, c->size);
        return reply_error(r, status, "requestedRangeNotSatisfiable", "Request range not satisfiable");
    }
    if (status == MHD_HTTP_PARTIAL_CONTENT)
        reply_header(r, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first, first + length - 1,
                     c->size);
    crc32c_base64(c->crc32c, crc);
    base64(c->md5, 16, md5);
    if (object->composed)
        reply_header(r, "x-goog-hash", "crc32c=%s", crc);
    else
        reply_header(r, "x-goog-hash", "crc32c=%s,md5=%s", crc, md5);
    reply_header(r, "x-goog-generation", "%" PRIu64, object->generation);
    reply_header(r, "x-goog-metageneration", "1");
    reply_header(r, "x-goog-stored-content-length", "%" PRIu64, c->size);
    reply_header(r, "x-goog-stored-content-encoding", "identity");
    reply_header(r, "Content-Type", "%s", object->type);
    reply_header(r, "ETag", "\"%" PRIu64 "\"", object->generation);
    return reply_content(r, status, c, first, length);
}

enum MHD_Result download(struct request *r, const char *bucket, const char *name, bool xml)
{
    const char *alt = request_parameter(r, "alt"), *generation = request_parameter(r, "generation");
    struct conditions conditions;
    bool bucket_exists;
    enum MHD_Result result;
    if (!token_allows(r, PERMISSION_READ, "storage.objects.get", &result))
        return result;
    if (!conditions_parse(r, &conditions))
        return reply_error(r, 400, "invalidParameter", "Invalid value for a precondition");
    struct object *object = object_get(bucket, name, &bucket_exists);
    if (object && generation && strtoull(generation, NULL, 10) != object->generation) {
        object_release(object);
        object = NULL;
    }
    if (!object)
        return bucket_exists ? reply_error(r, 404, "notFound", "No such object: %s/%s", bucket, name)
                             : reply_error(r, 404, "notFound", "The specified bucket does not exist.");
    unsigned status = conditions_check(&conditions, object, true);
    if (status == MHD_HTTP_NOT_MODIFIED)
        result = reply_empty(r, status);
    else if (status != MHD_HTTP_OK)
        result = reply_error(r, status, "conditionNotMet",
                             "At least one of the pre-conditions you specified did not hold.");
    else if (xml || (alt && !strcmp(alt, "media")))
        result = send_bytes(r, object);
    else
        return reply_object(r, bucket, object);
    object_release(object);
    return result;
}

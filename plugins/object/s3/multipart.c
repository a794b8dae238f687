/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a large object in parts. It is there when the last request has ended, whole, and not before.
 *
 * Parts are sent one after the other: the engine writes several objects at once. A part that fails is sent
 * again by itself, so that the parts before it are not lost. An upload that fails is aborted; one whose
 * process was killed stays with the service and costs money, so the first large write of a handle aborts what
 * was begun below our prefix more than a day ago. Without a prefix the bucket may hold uploads of others:
 * then it is left to a lifecycle rule of the bucket (docs/stores.md). */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "http/xml.h"
#include "page.h"
#include "s3.h"

#define STALE_S 86400
#define PART_TRIES 4
#define WAIT_MAX_MS 60000
#define ETAG_MAX 256

struct upload {
    struct s3_store *store;
    const char *name;
    const struct nacre_input *input;
    struct buf id;   /* encoded for a query */
    struct buf list; /* <Part>… of those that are there */
    uint64_t part_size;
    unsigned count;
    uint8_t *digests; /* MD5 of each part */
};

static void upload_free_at(struct upload *upload)
{
    buf_free(&upload->id);
    buf_free(&upload->list);
    free(upload->digests);
}

static void abort_upload(struct s3_store *store, const char *name, const char *id)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf query = {0};
    struct nacre_err e = {0};
    buf_printf(&query, "uploadId=%s", id);
    struct s3_call call = {
        .method = "DELETE",
        .name = name,
        .query = (const char *)query.data,
        .verb = "abort an upload of",
        .action = "s3:AbortMultipartUpload",
        .expected = NACRE_TO_END,
    };
    if (!buf_failed(&query) && s3_expect(store, &call, &response, &e) < 0 && e.code != NACRE_ABSENT &&
        !s3_answer_is(&response, "NoSuchUpload"))
        log_warning("%s; what it left behind costs space until it is aborted", e.message);
}

/* Looks for uploads that a killed process left. A failure is no reason not to write. */
static void sweep(struct s3_store *store)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(s3_page_free) struct s3_page page = {0};
    CLEANUP(buf_free) struct buf query = {0};
    struct nacre_err e = {0};
    if (!*store->url.prefix || atomic_exchange(&store->swept, true))
        return;
    buf_string(&query, "encoding-type=url&prefix=");
    encode_percent(&query, store->url.prefix, false);
    buf_string(&query, "&uploads=");
    struct s3_call call = {
        .method = "GET",
        .query = (const char *)query.data,
        .verb = "look for unfinished uploads in",
        .action = "s3:ListBucketMultipartUploads",
        .expected = NACRE_TO_END,
    };
    if (buf_failed(&query) || s3_expect(store, &call, &response, &e) < 0 ||
        s3_page_read(response.body.data, response.body.size, &page, &e) < 0) {
        log_debug("%s", e.message);
        return;
    }
    size_t prefix = strlen(store->url.prefix);
    int64_t limit = ((int64_t)time(NULL) - STALE_S) * 1000000000;
    for (size_t i = 0; i < page.count; i++) {
        const struct s3_entry *entry = &page.entries[i];
        CLEANUP(buf_free) struct buf id = {0};
        if (strncmp(entry->key, store->url.prefix, prefix) != 0 || !entry->upload_id || !entry->modified_ns ||
            entry->modified_ns > limit || !nacre_object_name_valid(entry->key + prefix))
            continue;
        encode_percent(&id, entry->upload_id, false);
        if (!buf_failed(&id) && id.size) {
            log_info("aborting an upload of %s that was begun more than a day ago", entry->key);
            abort_upload(store, entry->key + prefix, (const char *)id.data);
        }
    }
}

static int begin(struct upload *upload, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf id = {0};
    struct s3_call call = {
        .method = "POST",
        .name = upload->name,
        .query = "uploads=",
        .verb = "begin to write",
        .action = "s3:PutObject",
        .expected = NACRE_TO_END,
    };
    if (s3_expect(upload->store, &call, &response, e) < 0)
        return -1;
    if (!xml_find(response.body.data, response.body.size, "InitiateMultipartUploadResult/UploadId", &id) ||
        !id.size) {
        err_set(e, NACRE_TRANSIENT, "the service gave no upload id");
        return s3_wrap(upload->store, &call, e);
    }
    if (!buf_failed(&id))
        encode_percent(&upload->id, (const char *)id.data, false);
    return buf_failed(&id) || buf_failed(&upload->id) ? err_no_memory(e, "an upload") : 0;
}

/* As large as asked for, or as it takes to stay within the number of parts; whole MiB. */
static uint64_t part_size_for(uint64_t size, uint64_t wanted)
{
    uint64_t least = (size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;
    least = (least + MIB - 1) / MIB * MIB;
    return wanted > least ? wanted : least;
}

static int note_part(struct upload *upload, unsigned number, const struct s3_call *call,
                     const struct http_response *response, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf etag = {0};
    const char *text;
    if (!http_response_header(response, "ETag", &etag) || buf_failed(&etag) || !etag.size ||
        etag.size > ETAG_MAX || strpbrk((text = (const char *)etag.data), "<>&"))
        return err_set(e, NACRE_TRANSIENT, "the service gave no ETag for part %u", number);
    if (!s3_etag_matches(response, text, call->md5, 0))
        return err_set(e, NACRE_TRANSIENT, "the service says that it has stored other bytes than were sent");
    memcpy(upload->digests + (size_t)(number - 1) * MD5_SIZE, call->md5, MD5_SIZE);
    buf_printf(&upload->list, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", number, text);
    return 0;
}

static int send_part(struct upload *upload, unsigned number, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf query = {0};
    uint64_t offset = (number - 1) * upload->part_size, left = upload->input->size - offset;
    buf_printf(&query, "partNumber=%u&uploadId=%s", number, (const char *)upload->id.data);
    if (buf_failed(&query))
        return err_no_memory(e, "a request");
    struct s3_call call = {
        .method = "PUT",
        .name = upload->name,
        .query = (const char *)query.data,
        .verb = "write a part of",
        .action = "s3:PutObject",
        .body = upload->input,
        .body_offset = offset,
        .body_size = left < upload->part_size ? left : upload->part_size,
        .expected = NACRE_TO_END,
    };
    if (s3_expect(upload->store, &call, &response, e) < 0)
        return -1;
    return note_part(upload, number, &call, &response, e) < 0 ? s3_wrap(upload->store, &call, e) : 0;
}

/* Tries again a few times; a service that is down for long is left to who called. */
static int send_part_surely(struct upload *upload, unsigned number, struct nacre_err *e)
{
    for (unsigned tries = 1;; tries++) {
        struct nacre_err why;
        if (send_part(upload, number, &why) == 0)
            return 0;
        uint64_t wait = why.retry_after_ms ? why.retry_after_ms : UINT64_C(250) << tries;
        if ((why.code != NACRE_TRANSIENT && why.code != NACRE_THROTTLED) || tries == PART_TRIES ||
            wait > WAIT_MAX_MS) {
            *e = why;
            return -1;
        }
        log_debug("%s; sending the part again in %llu ms", why.message, (unsigned long long)wait);
        if (cancel_sleep(wait, upload->store->cancelled, e) < 0)
            return -1;
    }
}

/* The ETag of the whole is the MD5 of the parts' MD5s, and their number. */
static int check_whole(const struct upload *upload, const struct http_response *response, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf etag = {0};
    uint8_t md5[MD5_SIZE];
    if (!xml_find(response->body.data, response->body.size, "CompleteMultipartUploadResult/ETag", &etag) ||
        buf_failed(&etag))
        return err_set(e, NACRE_TRANSIENT, "the service did not say that the parts are joined");
    if (!EVP_Digest(upload->digests, (size_t)upload->count * MD5_SIZE, md5, NULL, EVP_md5(), NULL))
        return err_set(e, NACRE_FAILED, "openssl cannot compute a checksum");
    if (etag.size && !s3_etag_matches(response, (const char *)etag.data, md5, upload->count))
        return err_set(e, NACRE_TRANSIENT, "the service joined other parts than were sent");
    return 0;
}

static int complete(struct upload *upload, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf query = {0}, document = {0};
    buf_printf(&query, "uploadId=%s", (const char *)upload->id.data);
    buf_string(&document, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    buf_append(&document, upload->list.data, upload->list.size);
    buf_string(&document, "</CompleteMultipartUpload>");
    if (buf_failed(&query) || buf_failed(&document) || buf_failed(&upload->list))
        return err_no_memory(e, "a request");
    const struct nacre_input body = {.size = document.size, .data = document.data};
    struct s3_call call = {
        .method = "POST",
        .name = upload->name,
        .query = (const char *)query.data,
        .verb = "join the parts of",
        .action = "s3:PutObject",
        .body = &body,
        .body_size = document.size,
        .expected = NACRE_TO_END,
    };
    if (s3_expect(upload->store, &call, &response, e) < 0)
        return -1;
    return check_whole(upload, &response, e) < 0 ? s3_wrap(upload->store, &call, e) : 0;
}

int s3_put_parts(struct s3_store *store, const char *name, const struct nacre_input *input,
                 struct nacre_err *e)
{
    CLEANUP(upload_free) struct upload upload = {.store = store, .name = name, .input = input};
    upload.part_size = part_size_for(input->size, store->part_size);
    if (upload.part_size > S3_SINGLE_MAX)
        return err_set(e, NACRE_INVALID, "cannot write %s: an object has 10000 parts of 5 GiB at most", name);
    upload.count = (unsigned)((input->size + upload.part_size - 1) / upload.part_size);
    upload.digests = calloc(upload.count, MD5_SIZE);
    if (!upload.digests)
        return err_no_memory(e, "an upload");
    sweep(store);
    if (begin(&upload, e) < 0)
        return -1;
    int result = 0;
    for (unsigned number = 1; number <= upload.count && result == 0; number++)
        result = send_part_surely(&upload, number, e);
    if (result == 0)
        result = complete(&upload, e);
    if (result < 0)
        abort_upload(store, name, (const char *)upload.id.data);
    return result;
}

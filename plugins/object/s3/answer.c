/* SPDX-License-Identifier: Apache-2.0 */
/* What a refusal means, and what to do about it. The services agree on the codes, less so on the statuses; a
 * code that is not known here is judged by its status (http_fail). */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/err.h"
#include "http/xml.h"
#include "s3.h"

#define DETAIL_MAX 200
#define MD5_DIGITS ((size_t)2 * MD5_SIZE)

/* Appends the text of an element of the error document, cut and without control characters. */
static bool error_text(const struct http_response *response, const char *element, struct buf *out)
{
    CLEANUP(buf_free) struct buf text = {0};
    char path[64];
    snprintf(path, sizeof path, "Error/%s", element);
    if (!response->body.size || !xml_find(response->body.data, response->body.size, path, &text) ||
        buf_failed(&text))
        return false;
    for (size_t i = 0; i < text.size && i < DETAIL_MAX; i++)
        buf_char(out, (char)(iscntrl(text.data[i]) ? '?' : text.data[i]));
    return text.size > 0;
}

bool s3_answer_is(const struct http_response *response, const char *code)
{
    CLEANUP(buf_free) struct buf found = {0};
    return error_text(response, "Code", &found) && !buf_failed(&found) &&
           !strcmp((const char *)found.data, code);
}

int s3_wrap(const struct s3_store *store, const struct s3_call *call, struct nacre_err *e)
{
    if (e->code == NACRE_CANCELLED)
        return -1;
    return err_wrap(e, "cannot %s s3://%s/%s%s", call->verb, store->url.bucket, store->url.prefix,
                    call->name ? call->name : "");
}

/* What to do is said in `advice`, where %b is the bucket, %e the endpoint, %a the action. */
struct meaning {
    const char *code;
    enum nacre_code means;
    const char *advice;
};

static const struct meaning meanings[] = {
    {"NoSuchBucket", NACRE_FAILED,
     "there is no bucket %b at %e; make it there, or correct the URL or the endpoint"},
    {"NoSuchKey", NACRE_ABSENT, "there is no such object"},
    {"NoSuchUpload", NACRE_TRANSIENT, "somebody else aborted the upload"},
    {"PreconditionFailed", NACRE_EXISTS, "the object exists already"},
    {"AccessDenied", NACRE_DENIED,
     "the credentials do not allow it: the policy of the bucket and of the user must allow %a on %b"},
    {"AllAccessDisabled", NACRE_DENIED, "all access to bucket %b is disabled"},
    {"InvalidAccessKeyId", NACRE_DENIED,
     "%e does not know the access key; check that it is of this service and account, and was not deleted"},
    {"SignatureDoesNotMatch", NACRE_DENIED,
     "the secret key is not the one that belongs to the access key (or a proxy changes requests)"},
    {"ExpiredToken", NACRE_DENIED, "the session token has expired; get new keys"},
    {"TokenRefreshRequired", NACRE_DENIED, "the session token has expired; get new keys"},
    {"InvalidToken", NACRE_DENIED,
     "the session token is not valid; it has to come from the same place as the keys"},
    {"InvalidBucketName", NACRE_INVALID, "%b cannot be the name of a bucket"},
    {"InvalidRange", NACRE_INVALID, "the object ends before the range does"},
    {"InvalidObjectState", NACRE_FAILED,
     "the object lies in an archive; restore it to a storage class that can be read"},
    {"SlowDown", NACRE_THROTTLED, ""},
    {"ServiceUnavailable", NACRE_THROTTLED, ""},
    {"Throttling", NACRE_THROTTLED, ""},
    {"ThrottlingException", NACRE_THROTTLED, ""},
    {"RequestLimitExceeded", NACRE_THROTTLED, ""},
    {"TooManyRequests", NACRE_THROTTLED, ""},
    {"InternalError", NACRE_TRANSIENT, ""},
    {"RequestTimeout", NACRE_TRANSIENT, ""},
    {"OperationAborted", NACRE_TRANSIENT, ""},
    {"ConditionalRequestConflict", NACRE_TRANSIENT, "somebody else writes the same object"},
    {"TemporaryRedirect", NACRE_TRANSIENT, "the bucket is being made or moved"},
    {"BadDigest", NACRE_TRANSIENT, "the bytes arrived damaged"},
    {"XAmzContentSHA256Mismatch", NACRE_TRANSIENT, "the bytes arrived damaged"},
    {"IncompleteBody", NACRE_TRANSIENT, "not all bytes arrived"},
    {"QuotaExceeded", NACRE_NO_SPACE,
     "the quota of user or bucket is used up; raise it or remove old backups"},
    {"XMinioAdminBucketQuotaExceeded", NACRE_NO_SPACE,
     "the quota of the bucket is used up; raise it or remove old backups"},
    {"XMinioStorageFull", NACRE_NO_SPACE, "the storage of %e is full"},
    {"EntityTooLarge", NACRE_FAILED,
     "the service takes no object or part of that size; set a smaller part-size"},
    {"NotImplemented", NACRE_UNSUPPORTED, ""},
};

static const struct meaning *meaning_of(const char *code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (!strcmp(meanings[i].code, code))
            return &meanings[i];
    return NULL;
}

static void append_advice(const struct s3_store *store, const struct s3_call *call, const char *advice,
                          struct buf *out)
{
    for (; *advice; advice++) {
        if (*advice != '%') {
            buf_char(out, *advice);
            continue;
        }
        advice++;
        buf_string(out, *advice == 'b' ? store->url.bucket : *advice == 'e' ? store->endpoint : call->action);
    }
}

/* Whether the answer can be that the bucket lies in another region. The header names it in answers of any
 * kind; a malformed signature is about the region only when one is named. */
static bool may_be_elsewhere(const struct http_response *response, const char *code, const char *region)
{
    if (response->status == 301 || !strcmp(code, "PermanentRedirect") ||
        !strcmp(code, "IllegalLocationConstraintException"))
        return true;
    return response->status == 400 && *region && (!*code || !strcmp(code, "AuthorizationHeaderMalformed"));
}

/* True when the bucket lies elsewhere; says where. */
static bool is_elsewhere(const struct s3_store *store, const struct http_response *response, const char *code,
                         struct buf *advice)
{
    CLEANUP(buf_free) struct buf region = {0}, endpoint = {0};
    if (!error_text(response, "Region", &region))
        http_response_header(response, "x-amz-bucket-region", &region);
    const char *there = region.size && !buf_failed(&region) ? (const char *)region.data : "";
    if (there[strspn(there, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        there = ""; /* no region's name */
    if (!may_be_elsewhere(response, code, there))
        return false;
    error_text(response, "Endpoint", &endpoint);
    if (*there && strcmp(there, store->region) != 0)
        buf_printf(advice, "bucket %s is in region %.64s: set region to that (it is %s now)",
                   store->url.bucket, there, store->region);
    else if (endpoint.size && !buf_failed(&endpoint))
        buf_printf(advice, "bucket %s is to be reached at %.200s: set endpoint to that", store->url.bucket,
                   (const char *)endpoint.data);
    else
        buf_printf(advice, "bucket %s is not in region %s; set region to the one where it was made",
                   store->url.bucket, store->region);
    return true;
}

static bool is_skewed(const struct http_response *response, const char *code, struct buf *advice)
{
    CLEANUP(buf_free) struct buf date = {0};
    if (strcmp(code, "RequestTimeTooSkewed") != 0 && strcmp(code, "RequestExpired") != 0)
        return false;
    int64_t theirs = http_response_header(response, "Date", &date) && !buf_failed(&date)
                         ? decode_http_date((const char *)date.data)
                         : -1;
    int64_t ahead = (int64_t)time(NULL) - theirs;
    if (theirs < 0)
        buf_string(advice, "this machine's clock is too far from the service's");
    else
        buf_printf(advice, "this machine's clock is %" PRId64 " s %s the service's",
                   ahead < 0 ? -ahead : ahead, ahead < 0 ? "behind" : "ahead of");
    buf_string(advice, "; set it, for example with chrony or systemd-timesyncd");
    return true;
}

/* "AccessDenied: the message, request 123". */
static void append_detail(const struct http_response *response, const char *code, struct buf *out)
{
    buf_string(out, code);
    size_t before = out->size;
    if (*code)
        buf_string(out, ": ");
    if (!error_text(response, "Message", out) && *code)
        out->size = before;
    if (out->data)
        out->data[out->size] = '\0';
    CLEANUP(buf_free) struct buf id = {0};
    if (http_response_header(response, "x-amz-request-id", &id) && !buf_failed(&id))
        buf_printf(out, "%srequest %.64s", out->size ? ", " : "", (const char *)id.data);
}

int s3_refused(const struct s3_store *store, const struct s3_call *call, const struct http_response *response,
               struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf code = {0}, advice = {0}, detail = {0}, what = {0};
    buf_string(&code, "");
    error_text(response, "Code", &code);
    if (buf_failed(&code))
        return err_no_memory(e, "an error's code");
    const char *name = (const char *)code.data;
    const struct meaning *meaning = meaning_of(name);
    enum nacre_code means = NACRE_OK;
    if (is_elsewhere(store, response, name, &advice)) {
        means = NACRE_INVALID;
    } else if (is_skewed(response, name, &advice)) {
        means = NACRE_DENIED;
    } else if (meaning) {
        means = meaning->means;
        append_advice(store, call, meaning->advice, &advice);
    } else if (response->status == 404) {
        buf_string(&advice, "there is no such object");
    }
    append_detail(response, name, &detail);
    buf_string(&what, advice.size ? (const char *)advice.data : "the service refused it");
    if (buf_failed(&advice) || buf_failed(&detail) || buf_failed(&what))
        return err_no_memory(e, "an error");
    http_fail(response, (const char *)what.data, detail.size ? (const char *)detail.data : "", e);
    if (means != NACRE_OK)
        e->code = means;
    e->retry_after_ms = e->code == NACRE_THROTTLED ? response->retry_after_ms : 0;
    return s3_wrap(store, call, e);
}

bool s3_etag_matches(const struct http_response *response, const char *etag, const uint8_t md5[MD5_SIZE],
                     unsigned parts)
{
    CLEANUP(buf_free) struct buf how = {0};
    char ours[MD5_DIGITS + 16];
    size_t size = strlen(etag);
    if (size >= 2 && etag[0] == '"' && etag[size - 1] == '"') {
        etag++;
        size -= 2;
    }
    /* With keys of the customer or of the key service the ETag is no digest of the content. */
    if (http_response_header(response, "x-amz-server-side-encryption-customer-algorithm", &how) ||
        (http_response_header(response, "x-amz-server-side-encryption", &how) && how.size >= 7 &&
         !memcmp(how.data, "aws:kms", 7)))
        return true;
    size_t digits = strspn(etag, "0123456789abcdefABCDEF");
    hex_encode(md5, MD5_SIZE, ours);
    if (parts)
        snprintf(ours + MD5_DIGITS, sizeof ours - MD5_DIGITS, "-%u", parts);
    if (digits != MD5_DIGITS || (size != digits && !(parts && etag[digits] == '-')) ||
        (parts && size == digits))
        return true; /* another kind of ETag */
    return size == strlen(ours) && !strncasecmp(etag, ours, size);
}

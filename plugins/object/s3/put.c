/* SPDX-License-Identifier: Apache-2.0 */
/* Writing an object with one request: whole to every reader, or not there.
 *
 * put_if_absent rests on `If-None-Match: *`, which the service decides atomically. Amazon, radosgw (16 at the
 * least) and MinIO do; some that speak S3 pass over the header, and overwrite. That is found out by the first
 * object that a handle writes so: it is written once more in the same way, which must be refused. Where it is
 * not, a warning is given once, and from then on (and before, while it is not known) the object is looked for
 * first: that leaves a moment in which two writers may both succeed. The second request changes nothing that
 * anybody sees: it carries the same bytes.
 *
 * The option conditional-writes says what is known: true = honoured, neither looked for nor tried; false =
 * not honoured, looked for first, header left out, no warning. */
#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "s3.h"

/* What is longer is not sent twice to find something out. */
#define TRIAL_MAX (16 * MIB)

static int check_etag(const struct s3_store *store, const struct s3_call *call,
                      const struct http_response *response, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf etag = {0};
    if (!http_response_header(response, "ETag", &etag))
        return 0;
    if (buf_failed(&etag))
        return err_no_memory(e, "an ETag");
    if (s3_etag_matches(response, (const char *)etag.data, call->md5, 0))
        return 0;
    err_set(e, NACRE_TRANSIENT, "the service says that it has stored other bytes than were sent");
    return s3_wrap(store, call, e);
}

static int put_once(struct s3_store *store, const char *name, const struct nacre_input *input, bool if_absent,
                    struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    struct s3_call call = {
        .method = "PUT",
        .name = name,
        .verb = "write",
        .action = "s3:PutObject",
        .body = input,
        .body_size = input->size,
        .if_absent = if_absent,
        .expected = NACRE_TO_END,
    };
    if (s3_expect(store, &call, &response, e) < 0)
        return -1;
    return check_etag(store, &call, &response, e);
}

int s3_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
           struct nacre_err *e)
{
    struct s3_store *store = (struct s3_store *)base;
    if (object_name_check(name, e) < 0)
        return -1;
    return input->size > store->part_size ? s3_put_parts(store, name, input, e)
                                          : put_once(store, name, input, false, e);
}

/* Writes the object, which is there by us, once more. */
static void find_out(struct s3_store *store, const char *name, const struct nacre_input *input)
{
    struct nacre_err e = {0};
    if (input->size > TRIAL_MAX)
        return;
    if (put_once(store, name, input, true, &e) == 0) {
        int unknown = S3_UNKNOWN;
        if (atomic_compare_exchange_strong(&store->conditional, &unknown, S3_IGNORED))
            log_warning("%s passes over If-None-Match: of two programs that write the same name at the same "
                        "moment both may succeed; conditional-writes: false says that this is known",
                        store->endpoint);
    } else if (e.code == NACRE_EXISTS) {
        store->conditional = S3_HONOURED;
    }
}

/* 0 when there is no such object. */
static int expect_absent(struct s3_store *store, const char *name, struct nacre_err *e)
{
    struct nacre_object_info info;
    struct nacre_err why;
    if (s3_stat(&store->base, name, &info, &why) == 0)
        return err_set(e, NACRE_EXISTS, "cannot write s3://%s/%s%s: the object exists already",
                       store->url.bucket, store->url.prefix, name);
    if (why.code == NACRE_ABSENT)
        return 0;
    *e = why;
    return -1;
}

/* Without the header, after the service refused it. */
static int put_without(struct s3_store *store, const char *name, const struct nacre_input *input,
                       struct nacre_err *e)
{
    int unknown = S3_UNKNOWN;
    if (atomic_compare_exchange_strong(&store->conditional, &unknown, S3_NOT_SENT))
        log_warning("%s does not know If-None-Match: of two programs that write the same name at the same "
                    "moment both may succeed; conditional-writes: false says that this is known",
                    store->endpoint);
    return put_once(store, name, input, false, e);
}

static int put_absent(struct s3_store *store, const char *name, const struct nacre_input *input,
                      struct nacre_err *e)
{
    int known = store->conditional;
    if (known != S3_HONOURED && expect_absent(store, name, e) < 0)
        return -1;
    struct nacre_err why;
    if (put_once(store, name, input, known != S3_NOT_SENT, &why) == 0) {
        if (known == S3_UNKNOWN)
            find_out(store, name, input);
        return 0;
    }
    if (known == S3_UNKNOWN && why.code == NACRE_UNSUPPORTED)
        return put_without(store, name, input, e);
    if (known == S3_UNKNOWN && why.code == NACRE_EXISTS)
        store->conditional = S3_HONOURED;
    *e = why;
    return -1;
}

int s3_put_if_absent(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e)
{
    struct s3_store *store = (struct s3_store *)base;
    if (object_name_check(name, e) < 0)
        return -1;
    if (input->size > S3_SINGLE_MAX)
        return err_set(e, NACRE_UNSUPPORTED,
                       "cannot write %s only if it is absent: it has %" PRIu64
                       " bytes, and one request takes "
                       "5 GiB at most",
                       name, input->size);
    return put_absent(store, name, input, e);
}

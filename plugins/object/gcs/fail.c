/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of the service in words: what failed, what it says, what to do next.
 *
 * The reasons are those of https://cloud.google.com/storage/docs/json_api/v1/status-codes. A 404 is about the
 * bucket when the request was for a listing or an upload, else about the object unless the message names the
 * bucket. */
#include <stdio.h>
#include <string.h>

#include "common/err.h"
#include "gcs.h"

static const char *const verbs[] = {
    [GCS_WRITE] = "write", [GCS_READ] = "read",     [GCS_STAT] = "look at",
    [GCS_LIST] = "list",   [GCS_REMOVE] = "remove",
};

static const char *const permissions[] = {
    [GCS_WRITE] = "storage.objects.create and storage.objects.delete",
    [GCS_READ] = "storage.objects.get",
    [GCS_STAT] = "storage.objects.get",
    [GCS_LIST] = "storage.objects.list",
    [GCS_REMOVE] = "storage.objects.delete",
};

static bool is(const struct answer_complaint *complaint, const char *reason)
{
    return !strcmp(complaint->reason, reason);
}

static bool says(const struct answer_complaint *complaint, const char *words)
{
    return strcasestr(complaint->message, words) != NULL;
}

static bool of_bucket(enum gcs_verb verb, int status, const struct answer_complaint *c)
{
    return status == 404 && (verb == GCS_WRITE || verb == GCS_LIST || says(c, "bucket does not exist"));
}

/* 400, 403 and 404 carry more meanings than their numbers: what the reason says wins. */
static void sharpen(enum gcs_verb verb, int status, const struct answer_complaint *c,
                    const struct http_response *response, struct nacre_err *e)
{
    if (is(c, "rateLimitExceeded") || is(c, "userRateLimitExceeded") || is(c, "RESOURCE_EXHAUSTED")) {
        e->code = NACRE_THROTTLED;
        e->retry_after_ms = response->retry_after_ms;
    } else if (status == 400 && (says(c, "crc32c") || says(c, "md5"))) {
        e->code = NACRE_TRANSIENT; /* what arrived is not what was sent */
    } else if (status == 400 && is(c, "required") && says(c, "requester pays")) {
        e->code = NACRE_DENIED;
    } else if (of_bucket(verb, status, c)) {
        e->code = NACRE_FAILED; /* an object that is absent is another matter */
    } else if (status == 409) {
        e->code = NACRE_TRANSIENT; /* another write of the same name at the same time */
    }
}

static void advise_forbidden(const struct gcs_store *store, enum gcs_verb verb,
                             const struct answer_complaint *c, struct buf *out)
{
    const struct credentials *who = store->credentials;
    if (says(c, "billing") || is(c, "accountDisabled"))
        buf_string(out, "; enable billing for the project that owns the bucket");
    else if (is(c, "accessNotConfigured") || is(c, "SERVICE_DISABLED"))
        buf_string(out, "; enable the API storage.googleapis.com in the project of the credentials");
    else if (says(c, "serviceusage.services.use") || is(c, "userProjectAccessDenied"))
        buf_printf(out,
                   "; the credentials may not use the project %s: grant them "
                   "roles/serviceusage.serviceUsageConsumer there, or set another user-project",
                   store->project ? store->project : "of the request");
    else if (is(c, "retentionPolicyNotMet") || says(c, "retention") || says(c, "hold"))
        buf_string(out, "; the bucket keeps its objects for a time, or holds this one: see its retention "
                        "policy");
    else if (!who)
        buf_string(out, "; nacre is anonymous here: give credentials in the location or the environment");
    else
        buf_printf(out, "; %s (%s) needs %s on gs://%s: grant it roles/storage.objectAdmin there%s",
                   who->email ? who->email : "the identity", who->origin, permissions[verb], store->bucket,
                   verb == GCS_READ || verb == GCS_STAT || verb == GCS_LIST
                       ? " (roles/storage.objectViewer is enough to restore)"
                       : "");
}

static void advise(const struct gcs_store *store, enum gcs_verb verb, int status,
                   const struct answer_complaint *c, struct buf *out)
{
    if (of_bucket(verb, status, c))
        buf_printf(out,
                   "; the bucket %s does not exist: check its spelling, or create it with "
                   "`gcloud storage buckets create gs://%s`",
                   store->bucket, store->bucket);
    else if (is(c, "required") && says(c, "requester pays"))
        buf_string(out, "; the bucket makes its readers pay: set user-project to the project that is to pay");
    else if (status == 401 && !store->credentials)
        buf_string(out, "; the bucket is not public and nacre is anonymous here: give credentials");
    else if (status == 401)
        buf_printf(out,
                   "; the token that %s gave is refused: check that its account is enabled, and this "
                   "machine's clock",
                   store->credentials->origin);
    else if (status == 403)
        advise_forbidden(store, verb, c, out);
}

int gcs_fail(const struct gcs_store *store, enum gcs_verb verb, const char *name,
             const struct http_response *response, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf advice = {0};
    struct answer_complaint complaint;
    char what[800], detail[sizeof complaint.reason + sizeof complaint.message + 2];
    answer_complaint(response->body.data, response->body.size, &complaint);
    snprintf(what, sizeof what, "cannot %s gs://%s/%s%s", verbs[verb], store->bucket, store->prefix,
             name ? name : "");
    snprintf(detail, sizeof detail, "%s%s%s", complaint.reason,
             *complaint.reason && *complaint.message ? ": " : "", complaint.message);
    http_fail(response, what, detail, e);
    sharpen(verb, response->status, &complaint, response, e);
    if (e->code == NACRE_THROTTLED || e->code == NACRE_TRANSIENT)
        return -1;
    advise(store, verb, response->status, &complaint, &advice);
    if (advice.size && !buf_failed(&advice))
        return err_set(e, e->code, "%s%s", e->message, (const char *)advice.data);
    return -1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Resumable uploads: a session, named by a URL, that takes the object in pieces.
 *
 * After each piece the service says with 308 and Range how much of the object it has; nothing of the next
 * piece is assumed. When a piece fails in a way that may pass, the service is asked (an empty PUT with
 * "bytes *" + "/SIZE"), and the upload goes on from there. A session that is gone (404, 410) is begun anew.
 * TRIES failures in a row without a byte of progress, or SESSIONS sessions, end the upload. The last session
 * is then cancelled, so that nothing of it is left; one whose owner dies expires by itself, within a week,
 * and was never visible.
 *
 * The protocol: https://cloud.google.com/storage/docs/performing-resumable-uploads. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "gcs.h"

#define TRIES 5
#define SESSIONS 4
#define WAIT_FIRST_MS 100
#define WAIT_MOST_MS 3000
#define RETRY_AFTER_MOST_MS 60000
#define CANCEL_TIMEOUT_MS 10000

enum step { DONE, GO_ON, ASK, BEGIN_ANEW, STOP };

static int wrap(const struct gcs_upload *u, struct nacre_err *e)
{
    return err_wrap(e, "cannot write gs://%s/%s%s", u->store->bucket, u->store->prefix, u->name);
}

/* A session may not lead from TLS to plain text: who reads its URL can write. */
static int take_session(struct gcs_upload *u, const struct http_response *response, struct nacre_err *e)
{
    bool found = http_response_header(response, "Location", &u->session);
    if (buf_failed(&u->session))
        return err_no_memory(e, "an upload");
    const char *url = found && u->session.size ? (const char *)u->session.data : "";
    bool secret = !strncasecmp(u->store->endpoint, "https://", 8);
    if (strncasecmp(url, "https://", 8) != 0 && (secret || strncasecmp(url, "http://", 7) != 0)) {
        err_set(e, NACRE_TRANSIENT, "the service gave no session to upload in");
        return wrap(u, e);
    }
    return 0;
}

static int begin(struct gcs_upload *u, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf url = {0};
    CLEANUP(buf_free) struct buf resource = {0};
    char size[32];
    snprintf(size, sizeof size, "%" PRIu64, u->input->size);
    gcs_upload_url(u, "resumable", &url);
    gcs_upload_resource(u, &resource);
    buf_wipe_free(&u->session);
    u->stored = 0;
    if (buf_failed(&url) || buf_failed(&resource))
        return err_no_memory(e, "an upload");
    const struct nacre_input body = {.size = resource.size, .data = resource.data};
    const struct gcs_request request = {.method = "POST",
                                        .url = (const char *)url.data,
                                        .headers = {{"Content-Type", "application/json; charset=UTF-8"},
                                                    {"X-Upload-Content-Type", "application/octet-stream"},
                                                    {"X-Upload-Content-Length", size}},
                                        .body = &body,
                                        .body_size = body.size};
    if (gcs_perform(u->store, &request, &response, e) < 0)
        return -1;
    if (response.status != 200 && response.status != 201)
        return gcs_upload_fail(u, &response, e);
    return take_session(u, &response, e);
}

/* Of a 308: what is stored. Less than before cannot be; all of it and yet no object may pass. */
static enum step go_on(struct gcs_upload *u, const struct http_response *response, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf range = {0};
    uint64_t stored = 0;
    bool said = http_response_header(response, "Range", &range);
    if (buf_failed(&range)) {
        err_no_memory(e, "an upload");
        return STOP;
    }
    bool sound = !said || (range.size && answer_stored((const char *)range.data, &stored));
    if (sound && stored >= u->stored && stored < u->input->size) {
        u->stored = stored;
        return GO_ON;
    }
    err_set(e, NACRE_TRANSIENT, "the session does not know what it stored");
    (void)wrap(u, e);
    return sound && stored == u->input->size ? ASK : BEGIN_ANEW;
}

static enum step read_answer(struct gcs_upload *u, const struct http_response *response, struct nacre_err *e)
{
    switch (response->status) {
    case 200:
    case 201:
        return gcs_upload_verify(u, response, e) < 0 ? STOP : DONE;
    case 308:
        return go_on(u, response, e);
    case 404:
    case 410:
        err_set(e, NACRE_TRANSIENT, "the session to upload in is gone");
        (void)wrap(u, e);
        return BEGIN_ANEW;
    default:
        (void)gcs_upload_fail(u, response, e);
        return e->code == NACRE_TRANSIENT || e->code == NACRE_THROTTLED ? ASK : STOP;
    }
}

/* One PUT: a piece, or (ask) the question what is stored. *e is set for ASK, BEGIN_ANEW and STOP. */
static enum step send_piece(struct gcs_upload *u, bool ask, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    char range[96];
    uint64_t left = u->input->size - u->stored;
    uint64_t piece = ask ? 0 : left < u->store->chunk ? left : u->store->chunk;
    if (ask)
        snprintf(range, sizeof range, "bytes */%" PRIu64, u->input->size);
    else
        snprintf(range, sizeof range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, u->stored,
                 u->stored + piece - 1, u->input->size);
    const struct gcs_request request = {.method = "PUT",
                                        .url = (const char *)u->session.data,
                                        .headers = {{"Content-Range", range}},
                                        .body = ask ? NULL : u->input,
                                        .body_offset = u->stored,
                                        .body_size = piece};
    if (gcs_perform(u->store, &request, &response, e) < 0) {
        u->unclear |= piece == left;
        return e->code == NACRE_TRANSIENT || e->code == NACRE_THROTTLED ? ASK : STOP;
    }
    u->unclear |= piece == left && response.status >= 500;
    return read_answer(u, &response, e);
}

/* Waits before try number `failures` + 1: longer each time, no less than the service asked for. */
static int pause_before(const struct gcs_upload *u, unsigned failures, const struct nacre_err *why,
                        struct nacre_err *e)
{
    uint64_t wait = (uint64_t)WAIT_FIRST_MS << failures;
    wait = wait < WAIT_MOST_MS ? wait : WAIT_MOST_MS;
    uint64_t asked = why->code == NACRE_THROTTLED ? why->retry_after_ms : 0;
    asked = asked < RETRY_AFTER_MOST_MS ? asked : RETRY_AFTER_MOST_MS;
    wait = wait < asked ? asked : wait;
    log_debug("%s; going on at byte %" PRIu64 " in %" PRIu64 " ms", why->message, u->stored, wait);
    return cancel_sleep(wait, u->store->cancelled, e);
}

/* After a step that did not make the object: 0 when another is worth while. */
static int after(struct gcs_upload *u, enum step step, unsigned failures, struct nacre_err *e)
{
    if (step == STOP || failures >= TRIES)
        return -1;
    if (step == GO_ON)
        return 0;
    const struct nacre_err why = *e;
    return pause_before(u, failures, &why, e) < 0 ? wrap(u, e) : 0;
}

static int send_all(struct gcs_upload *u, struct nacre_err *e)
{
    enum step step = BEGIN_ANEW;
    for (unsigned failures = 0, sessions = 0;;) {
        if (step == BEGIN_ANEW && (sessions++ == SESSIONS || begin(u, e) < 0))
            return -1; /* begin is not repeated here: the wrapper `retry` does so, and loses nothing by it */
        uint64_t before = u->stored;
        bool asked = step == ASK;
        step = send_piece(u, asked, e);
        if (step == DONE)
            return 0;
        if (step == GO_ON && u->stored == before && !asked)
            err_set(e, NACRE_TRANSIENT,
                    "cannot write gs://%s/%s%s: the service stores nothing of what is sent", u->store->bucket,
                    u->store->prefix, u->name);
        if (u->stored > before)
            failures = 0;
        else if (step != GO_ON || !asked)
            failures++;
        if (after(u, step, failures, e) < 0)
            return -1;
    }
}

/* As well as it goes: an answer of 499 is the service's word for done. */
static void cancel_session(const struct gcs_upload *u)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(buf_wipe_free) struct buf token = {0};
    struct nacre_err ignored;
    const char *url = (const char *)u->session.data;
    if (u->store->token && gcs_url_is_ours(u->store, url) &&
        token_get(u->store->token, &token, &ignored) == 0)
        http_header_add(&headers, "Authorization", "Bearer %s", (const char *)token.data);
    http_header_add(&headers, "Content-Length", "0");
    const struct http_request request = {.method = "DELETE",
                                         .url = url,
                                         .headers = &headers,
                                         .expected = NACRE_TO_END,
                                         .timeout_ms = CANCEL_TIMEOUT_MS};
    if (http_perform(u->store->last, &request, &response, &ignored) < 0)
        log_debug("the session of an upload that failed stays until it expires: %s", ignored.message);
}

int gcs_upload_resumable(struct gcs_upload *u, struct nacre_err *e)
{
    int result = send_all(u, e);
    if (result < 0 && u->session.size)
        cancel_session(u);
    buf_wipe_free(&u->session);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How each kind of credentials becomes an access token.
 *
 * service account   a JWT, signed with its key, for a token (RFC 7523)
 * user              a refresh token for a token (RFC 6749)
 * external          the other identity's token for a federated one (RFC 8693), that one, where it is so
 *                   configured, for a service account's
 * metadata server   the machine's own account, over HTTP on a link of its own */
#include "access.h"

#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "http/encode.h"

#define METADATA_TIMEOUT_MS 5000
#define FORM "application/x-www-form-urlencoded"

/* Appends "name=value" to a form, encoded. */
static void field(struct buf *form, const char *name, const char *value)
{
    if (form->size)
        buf_char(form, '&');
    buf_string(form, name);
    buf_char(form, '=');
    encode_percent(form, value, false);
}

static int ask_for_token(const struct access *access, const struct access_request *request, struct buf *out,
                         int64_t *seconds, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    if (request->body && buf_failed(request->body))
        return err_no_memory(e, "a token request");
    if (access_ask(access, request, &response, e) < 0)
        return -1;
    return access_read_token(response.body.data, response.body.size, out, seconds, e);
}

static int of_service_account(const struct access *access, struct buf *out, int64_t *seconds,
                              struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf jwt = {0};
    CLEANUP(buf_wipe_free) struct buf form = {0};
    if (access_jwt(access->credentials, (int64_t)time(NULL), &jwt, e) < 0)
        return -1;
    field(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    field(&form, "assertion", (const char *)jwt.data);
    const struct access_request request = {
        .method = "POST", .url = access->credentials->token_url, .content_type = FORM, .body = &form};
    return ask_for_token(access, &request, out, seconds, e);
}

static int of_user(const struct access *access, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf form = {0};
    const struct credentials *c = access->credentials;
    field(&form, "grant_type", "refresh_token");
    field(&form, "client_id", c->client_id);
    field(&form, "client_secret", c->client_secret);
    field(&form, "refresh_token", c->refresh_token);
    const struct access_request request = {
        .method = "POST", .url = c->token_url, .content_type = FORM, .body = &form};
    return ask_for_token(access, &request, out, seconds, e);
}

/* {"userProject": …}, for identities of a workforce pool. */
static void add_options(struct buf *form, const struct credentials *c)
{
    CLEANUP(buf_free) struct buf json = {0};
    buf_string(&json, "{\"userProject\":");
    json_append_string(&json, c->workforce_project);
    buf_char(&json, '}');
    form->failed |= json.failed;
    if (!json.failed)
        field(form, "options", (const char *)json.data);
}

static int exchange(const struct access *access, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf subject = {0};
    CLEANUP(buf_wipe_free) struct buf form = {0};
    const struct credentials *c = access->credentials;
    if (access_subject(access, &subject, e) < 0)
        return -1;
    if (buf_failed(&subject) || !subject.size)
        return err_no_memory(e, "a token");
    field(&form, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    field(&form, "audience", c->audience);
    field(&form, "scope", c->impersonation_url ? ACCESS_SCOPE_TO_IMPERSONATE : ACCESS_SCOPE);
    field(&form, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    field(&form, "subject_token_type", c->subject_type);
    field(&form, "subject_token", (const char *)subject.data);
    if (c->workforce_project && !c->client_id)
        add_options(&form, c);
    const struct access_request request = {.method = "POST",
                                           .url = c->token_url,
                                           .content_type = FORM,
                                           .body = &form,
                                           .user = c->client_id,
                                           .password = c->client_secret};
    return ask_for_token(access, &request, out, seconds, e);
}

static int impersonate(const struct access *access, const struct buf *federated, struct buf *out,
                       int64_t *seconds, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_wipe_free) struct buf bearer = {0};
    CLEANUP(buf_free) struct buf body = {0};
    buf_string(&bearer, "Bearer ");
    buf_append(&bearer, federated->data, federated->size);
    buf_printf(&body, "{\"scope\":[\"%s\"],\"lifetime\":\"%us\"}", ACCESS_SCOPE,
               access->credentials->impersonation_seconds);
    if (buf_failed(&bearer) || buf_failed(&body))
        return err_no_memory(e, "a token request");
    const struct access_request request = {.method = "POST",
                                           .url = access->credentials->impersonation_url,
                                           .content_type = "application/json",
                                           .header = {"Authorization", (const char *)bearer.data},
                                           .body = &body};
    if (access_ask(access, &request, &response, e) < 0)
        return -1;
    return access_read_impersonated(response.body.data, response.body.size, out, seconds, e);
}

static int of_external(const struct access *access, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    if (!access->credentials->impersonation_url)
        return exchange(access, out, seconds, e);
    CLEANUP(buf_wipe_free) struct buf federated = {0};
    if (exchange(access, &federated, seconds, e) < 0)
        return -1;
    return impersonate(access, &federated, out, seconds, e);
}

static int of_metadata(struct access *access, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf url = {0};
    const struct credentials *c = access->credentials;
    buf_printf(&url, "http://%s/computeMetadata/v1/instance/service-accounts/default/token",
               c->metadata_host);
    if (buf_failed(&url))
        return err_no_memory(e, "a token request");
    const struct access_request request = {.method = "GET",
                                           .url = (const char *)url.data,
                                           .header = {"Metadata-Flavor", "Google"},
                                           .no_proxy = true,
                                           .timeout_ms = METADATA_TIMEOUT_MS};
    if (ask_for_token(access, &request, out, seconds, e) == 0) {
        access->metadata_answered = true;
        return 0;
    }
    if (c->metadata_named || access->metadata_answered || e->code == NACRE_CANCELLED)
        return -1;
    return err_set(e, NACRE_DENIED,
                   "no credentials for Google Cloud Storage: the location has no option credentials, "
                   "GOOGLE_APPLICATION_CREDENTIALS is not set, gcloud is not logged in (`gcloud auth "
                   "application-default login`), and this is no machine of Google's (%s)",
                   e->message);
}

static int fetch(struct access *access, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    switch (access->credentials->kind) {
    case CREDENTIALS_SERVICE_ACCOUNT:
        return of_service_account(access, out, seconds, e);
    case CREDENTIALS_USER:
        return of_user(access, out, seconds, e);
    case CREDENTIALS_EXTERNAL:
        return of_external(access, out, seconds, e);
    case CREDENTIALS_METADATA:
        break;
    }
    return of_metadata(access, out, seconds, e);
}

int access_fetch(void *ctx, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    struct access *access = ctx;
    if (fetch(access, out, seconds, e) == 0)
        return 0;
    uint32_t wait = e->retry_after_ms;
    bool passes = e->code == NACRE_TRANSIENT || e->code == NACRE_THROTTLED || e->code == NACRE_CANCELLED;
    enum nacre_code code = passes ? e->code : NACRE_DENIED;
    if (code == NACRE_CANCELLED)
        return -1;
    err_set(e, code, "no access token for %s: %s", access->credentials->origin, e->message);
    e->retry_after_ms = code == NACRE_THROTTLED ? wait : 0;
    return -1;
}

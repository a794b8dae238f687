/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the services that give tokens, and reading what they say. Their answers hold secrets: of a good one
 * nothing is shown, of a refusal the reason. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "access.h"
#include "answer.h"
#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "http/encode.h"

#define ANSWER_MAX ((size_t)1 << 20)
#define TOKEN_MAX ((size_t)64 << 10)
/* A clock that is off by more gets mentioned. Google refuses from some five minutes on. */
#define SKEW_S 60

/* How far this machine's clock is ahead of the one that answered; 0 when it does not say. */
static int64_t skew(const struct http_response *response)
{
    CLEANUP(buf_free) struct buf text = {0};
    if (!http_response_header(response, "Date", &text) || !text.size || buf_failed(&text))
        return 0;
    int64_t there = decode_http_date((const char *)text.data);
    return there < 0 ? 0 : (int64_t)time(NULL) - there;
}

static void advise(const struct access *access, const struct answer_complaint *c,
                   const struct http_response *response, struct buf *out)
{
    int64_t ahead = skew(response);
    const struct credentials *who = access->credentials;
    bool refused = !strcmp(c->reason, "invalid_grant");
    if (ahead > SKEW_S || ahead < -SKEW_S)
        buf_printf(out, "; this machine's clock is %" PRId64 " seconds %s of the service's: set it right",
                   ahead < 0 ? -ahead : ahead, ahead < 0 ? "behind" : "ahead");
    else if (refused && who->kind == CREDENTIALS_SERVICE_ACCOUNT)
        buf_printf(out,
                   "; the key or the account %s was deleted or disabled: make a new key with `gcloud iam "
                   "service-accounts keys create FILE --iam-account=%s`",
                   who->email, who->email);
    else if (who->kind == CREDENTIALS_USER && (refused || !strcmp(c->reason, "invalid_client")))
        buf_string(out, "; the login has expired or was withdrawn: `gcloud auth application-default login`");
    else if (who->kind == CREDENTIALS_EXTERNAL && response->status == 403)
        buf_printf(out, "; grant the external identity roles/iam.workloadIdentityUser on %s",
                   who->email ? who->email : "the service account");
    else if (who->kind == CREDENTIALS_EXTERNAL && response->status < 500)
        buf_string(out, "; the pool's provider must accept the token's issuer and audience, and the token be "
                        "unexpired");
    else if (who->kind == CREDENTIALS_METADATA && response->status == 404)
        buf_string(out, "; the machine has no service account: give it one, or credentials to the location");
}

static int refuse(const struct access *access, const struct access_request *request,
                  const struct http_response *response, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf advice = {0};
    struct answer_complaint c;
    char what[300], detail[sizeof c.reason + sizeof c.message + 2];
    answer_complaint(response->body.data, response->body.size, &c);
    snprintf(what, sizeof what, "%.*s", (int)strcspn(request->url, "?#"), request->url);
    snprintf(detail, sizeof detail, "%s%s%s", c.reason, *c.reason && *c.message ? ": " : "", c.message);
    http_fail(response, what, detail, e);
    if (e->code == NACRE_TRANSIENT || e->code == NACRE_THROTTLED)
        return -1;
    advise(access, &c, response, &advice);
    return err_set(e, NACRE_DENIED, "%s%s", e->message,
                   advice.size && !buf_failed(&advice) ? (const char *)advice.data : "");
}

int access_ask(const struct access *access, const struct access_request *request,
               struct http_response *response, struct nacre_err *e)
{
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    if (request->content_type)
        http_header_add(&headers, "Content-Type", "%s", request->content_type);
    if (request->header[0])
        http_header_add(&headers, request->header[0], "%s", request->header[1]);
    http_header_add(&headers, "Accept", "application/json");
    const struct nacre_input body = {.size = request->body ? request->body->size : 0,
                                     .data = request->body ? request->body->data : NULL};
    const struct http_request plain = {.method = request->method,
                                       .url = request->url,
                                       .headers = &headers,
                                       .body = request->body ? &body : NULL,
                                       .body_size = body.size,
                                       .expected = NACRE_TO_END,
                                       .no_proxy = request->no_proxy,
                                       .timeout_ms = request->timeout_ms,
                                       .user = request->user,
                                       .password = request->password};
    if (http_perform(access->http, &plain, response, e) < 0)
        return -1;
    if (response->status >= 200 && response->status <= 299)
        return 0;
    return refuse(access, request, response, e);
}

/* A token goes into a header line: visible characters only. */
static int take_token(const char *token, struct buf *out, struct nacre_err *e)
{
    size_t size = token ? strlen(token) : 0;
    for (size_t i = 0; i < size; i++)
        if (token[i] <= ' ' || token[i] > '~')
            return err_set(e, NACRE_DENIED, "the answer holds no usable token");
    if (!size || size > TOKEN_MAX)
        return err_set(e, NACRE_DENIED, "the answer holds no usable token");
    buf_append(out, token, size);
    return 0;
}

static int parse(const void *data, size_t size, json_t **out, struct nacre_err *e)
{
    struct nacre_err quoting; /* the parser's message shows text of the answer */
    if (json_parse_object(data, size, ANSWER_MAX, out, &quoting) == 0)
        return 0;
    return err_set(e, NACRE_TRANSIENT, "the token service's answer is no JSON object");
}

/* jansson does not wipe what it frees. */
static void wipe_string(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    if (json_is_string(value))
        explicit_bzero((char *)json_string_value(value), json_string_length(value));
}

int access_read_token(const void *data, size_t size, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *json = NULL;
    const char *token = NULL;
    uint64_t life = 3600;
    if (parse(data, size, &json, e) < 0)
        return -1;
    int result = json_get_string(json, "access_token", &token, e);
    if (result == 0)
        result = json_get_uint(json, "expires_in", INT32_MAX, &life, e);
    if (result == 0)
        result = take_token(token, out, e);
    wipe_string(json, "access_token");
    *seconds = (int64_t)life;
    return result;
}

int access_read_impersonated(const void *data, size_t size, struct buf *out, int64_t *seconds,
                             struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *json = NULL;
    const char *token = NULL, *end = NULL;
    int64_t ns = 0;
    if (parse(data, size, &json, e) < 0)
        return -1;
    int result = json_get_string(json, "accessToken", &token, e);
    if (result == 0)
        result = json_get_string(json, "expireTime", &end, e);
    if (result == 0 && (!end || !timestamp_parse(end, &ns)))
        result = err_set(e, NACRE_DENIED, "the answer does not say how long the token is good");
    if (result == 0)
        result = take_token(token, out, e);
    wipe_string(json, "accessToken");
    *seconds = (ns - timestamp_now()) / 1000000000;
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens, of Entra ID for a client and of the machine's own metadata service for a managed identity.
 *
 * https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 *
 * A federated token is read from its file each time: who put it there replaces it before it ends. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "common/option.h"
#include "credential.h"
#include "http/encode.h"
#include "secret_file.h"

#define METADATA "http://169.254.169.254"
#define ANSWER_MAX ((size_t)256 << 10)
/* Nobody answers at that address outside of Azure: a few seconds are enough to know. */
#define METADATA_TIMEOUT_MS 5000u
#define TOKEN_TIMEOUT_MS 60000u

/* The life of a token: a number, or one as text, as the metadata service has it. */
static int64_t life_of(const json_t *answer)
{
    const json_t *value = json_object_get(answer, "expires_in");
    if (json_is_integer(value))
        return (int64_t)json_integer_value(value);
    return json_is_string(value) ? strtoll(json_string_value(value), NULL, 10) : 0;
}

/* Overwrites the token in the parsed answer as well. */
static int read_token(const struct http_response *response, const char *from, struct buf *out,
                      int64_t *seconds, struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *answer = NULL;
    const char *token = NULL;
    if (json_parse_object(response->body.data, response->body.size, ANSWER_MAX, &answer, e) < 0 ||
        json_get_string(answer, "access_token", &token, e) < 0) {
        e->code = NACRE_TRANSIENT; /* something between us and it answered */
        return err_wrap(e, "the answer of %s", from);
    }
    *seconds = life_of(answer);
    if (token) {
        buf_string(out, token);
        OPENSSL_cleanse((char *)token, strlen(token));
    }
    if (!token || !*seconds)
        return err_set(e, NACRE_FAILED, "the answer of %s has no token, or not how long it lives", from);
    return 0;
}

/* The first line of what the service says of an error. */
static void describe(const struct http_response *response, struct buf *out)
{
    CLEANUP(json_value_free) json_t *answer = NULL;
    struct nacre_err ignored;
    const char *text = NULL;
    buf_string(out, "");
    if (json_parse_object(response->body.data, response->body.size, ANSWER_MAX, &answer, &ignored) < 0)
        return;
    if (json_get_string(answer, "error_description", &text, &ignored) < 0 || !text)
        (void)json_get_string(answer, "error", &text, &ignored);
    if (text)
        buf_append(out, text, strcspn(text, "\r\n"));
}

static int refused(const struct http_response *response, const char *from, const char *advice,
                   struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf detail = {0};
    describe(response, &detail);
    http_fail(response, from, buf_failed(&detail) ? "" : (const char *)detail.data, e);
    /* A refused secret or client is a 400 or 401; what is asked for is never at fault. */
    if (response->status == 400 || response->status == 401 || response->status == 404)
        e->code = NACRE_DENIED;
    if (e->code != NACRE_DENIED)
        return -1;
    size_t size = strlen(e->message);
    snprintf(e->message + size, sizeof e->message - size, "; %s", advice);
    return -1;
}

static int ask(const struct azure_credential *c, const struct http_request *request, const char *from,
               const char *advice, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    if (http_perform(c->http, request, &response, e) < 0)
        return err_wrap(e, "a token from %s", from);
    if (response.status != 200)
        return refused(&response, from, advice, e);
    return read_token(&response, from, out, seconds, e);
}

static void add_field(struct buf *form, const char *name, const char *value)
{
    if (form->size)
        buf_char(form, '&');
    buf_printf(form, "%s=", name);
    encode_percent(form, value, false);
}

static int make_form(const struct azure_credential *c, struct buf *form, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf assertion = {0};
    add_field(form, "grant_type", "client_credentials");
    add_field(form, "client_id", c->client);
    add_field(form, "scope", "https://storage.azure.com/.default");
    if (c->kind == AZURE_CLIENT_SECRET) {
        add_field(form, "client_secret", (const char *)c->secret.data);
    } else {
        if (secret_file_read(c->token_file, &assertion, e) < 0)
            return err_wrap(e, "federated token");
        add_field(form, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        add_field(form, "client_assertion", (const char *)assertion.data);
    }
    return buf_failed(form) ? err_no_memory(e, "a request for a token") : 0;
}

static int fetch_of_client(const struct azure_credential *c, struct buf *out, int64_t *seconds,
                           struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf form = {0};
    CLEANUP(buf_free) struct buf url = {0};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    if (make_form(c, &form, e) < 0)
        return -1;
    buf_printf(&url, "%s/%s/oauth2/v2.0/token", c->authority, c->tenant);
    if (buf_failed(&url))
        return err_no_memory(e, "a request for a token");
    http_header_add(&headers, "Content-Type", "application/x-www-form-urlencoded");
    const struct nacre_input body = {.size = form.size, .data = form.data};
    const struct http_request request = {.method = "POST",
                                         .url = (const char *)url.data,
                                         .headers = &headers,
                                         .body = &body,
                                         .body_size = form.size,
                                         .expected = NACRE_TO_END,
                                         .timeout_ms = TOKEN_TIMEOUT_MS};
    return ask(c, &request, (const char *)url.data,
               c->kind == AZURE_FEDERATED
                   ? "check tenant, client and that the client trusts the issuer of the federated token"
                   : "check tenant, client and client secret, and that the secret has not ended",
               out, seconds, e);
}

static int fetch_of_machine(const struct azure_credential *c, struct buf *out, int64_t *seconds,
                            struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf url = {0};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    /* Azure's own libraries look for the service there, too, when this is set. */
    const char *host = option_environment("AZURE_POD_IDENTITY_AUTHORITY_HOST");
    buf_printf(&url,
               "%s/metadata/identity/oauth2/token?api-version=2018-02-01&resource=", host ? host : METADATA);
    encode_percent(&url, "https://storage.azure.com/", false);
    if (c->client)
        buf_printf(&url, "&client_id=%s", c->client);
    if (buf_failed(&url))
        return err_no_memory(e, "a request for a token");
    http_header_add(&headers, "Metadata", "true");
    const struct http_request request = {.method = "GET",
                                         .url = (const char *)url.data,
                                         .headers = &headers,
                                         .expected = NACRE_TO_END,
                                         .no_proxy = true,
                                         .timeout_ms = METADATA_TIMEOUT_MS};
    return ask(c, &request, "the machine's metadata service",
               "check that the machine has a managed identity, and its client id", out, seconds, e);
}

int azure_fetch_token(void *ctx, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    const struct azure_credential *c = ctx;
    if (c->kind != AZURE_MANAGED)
        return fetch_of_client(c, out, seconds, e);
    if (fetch_of_machine(c, out, seconds, e) == 0)
        return 0;
    if (c->found)
        return -1;
    /* Nobody asked for it: what is missing is any credential, and waiting does not bring one. */
    if (e->code == NACRE_TRANSIENT)
        e->code = NACRE_DENIED;
    return err_wrap(e,
                    "no credentials for Azure are given (see sas-file, account-key-file, client-secret-file, "
                    "federated-token-file), and this machine has no managed identity");
}

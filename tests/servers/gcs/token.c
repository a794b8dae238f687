/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens: how they are got (a service account's JWT, refreshing, token exchange, impersonation, the
 * metadata server), and what they allow. */
#include "gcs.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ACCOUNTS_MAX 8
#define TOKENS_MAX 4096
#define SCOPES "https://www.googleapis.com/auth/"

const char *token_subject, *token_refresh;

static struct account {
    char *email;
    EVP_PKEY *key;
    bool reader;
} accounts[ACCOUNTS_MAX];
static size_t account_count;

/* A ring: the oldest is forgotten. Locked by the server's lock. */
static struct token {
    char text[80];
    int64_t ends;
    bool writes, federated;
    const char *who;
} tokens[TOKENS_MAX];
static size_t token_count;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int token_add_account(const char *text, bool reader)
{
    const char *equals = strchr(text, '=');
    FILE *file = equals && account_count < ACCOUNTS_MAX ? fopen(equals + 1, "re") : NULL;
    EVP_PKEY *key = file ? PEM_read_PUBKEY(file, NULL, NULL, NULL) : NULL;
    if (file)
        fclose(file);
    if (!key)
        return -1;
    accounts[account_count++] =
        (struct account){.email = strndup(text, (size_t)(equals - text)), .key = key, .reader = reader};
    return 0;
}

static const struct account *account_find(const char *email)
{
    for (size_t i = 0; i < account_count; i++)
        if (!strcmp(accounts[i].email, email))
            return &accounts[i];
    return NULL;
}

static EVP_PKEY *key_of(const char *email)
{
    const struct account *account = account_find(email);
    return account ? account->key : NULL;
}

static void token_new(struct token *made, const char *who, bool writes, bool federated)
{
    uint8_t random[32];
    char hex[65];
    if (RAND_bytes(random, sizeof random) != 1)
        abort();
    hex_encode(random, sizeof random, hex);
    *made = (struct token){
        .ends = now_ms() + server.token_seconds * 1000, .writes = writes, .federated = federated, .who = who};
    snprintf(made->text, sizeof made->text, "ya29.%s", hex);
    pthread_mutex_lock(&server.lock);
    tokens[token_count++ % TOKENS_MAX] = *made;
    pthread_mutex_unlock(&server.lock);
}

static bool token_find(const char *text, struct token *out)
{
    bool found = false;
    pthread_mutex_lock(&server.lock);
    for (size_t i = 0; i < token_count && i < TOKENS_MAX && !found; i++)
        if (!strcmp(tokens[i].text, text) && tokens[i].ends > now_ms()) {
            *out = tokens[i];
            found = true;
        }
    pthread_mutex_unlock(&server.lock);
    return found;
}

static enum MHD_Result send_token(struct request *r, const struct token *t, const char *more_key,
                                  const char *more)
{
    json_t *answer = json_pack("{ss sI ss}", "access_token", t->text, "expires_in",
                               (json_int_t)server.token_seconds, "token_type", "Bearer");
    if (more_key)
        json_object_set_new(answer, more_key, json_string(more));
    return reply_json(r, MHD_HTTP_OK, answer);
}

static enum MHD_Result refuse(struct request *r, unsigned status, const char *error, const char *description)
{
    return reply_json(r, status, json_pack("{ss ss}", "error", error, "error_description", description));
}

/* A form's fields, as parameters of the request. */
static bool read_form(struct request *r)
{
    const char *type = request_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    char *rest = (char *)r->body.data, *pair;
    if (!type || strncmp(type, "application/x-www-form-urlencoded", 33) != 0 || !rest)
        return false;
    while ((pair = strsep(&rest, "&")) && r->parameter_count < PARAMETERS_MAX) {
        char *value = pair, *key = strsep(&value, "=");
        if (!value || !percent_decode(key, true) || !percent_decode(value, true))
            return false;
        r->parameters[r->parameter_count].key = key;
        r->parameters[r->parameter_count++].value = value;
    }
    return true;
}

static bool scope_has(const char *scope, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = scope; (at = strstr(at, word)); at += length)
        if ((at == scope || at[-1] == ' ') && (!at[length] || at[length] == ' '))
            return true;
    return false;
}

/* 0: the scopes do not allow to use storage; 1: to read; 2: to write. */
static int scope_rank(const char *scope)
{
    if (!scope)
        return 0;
    if (scope_has(scope, SCOPES "devstorage.read_write") ||
        scope_has(scope, SCOPES "devstorage.full_control") || scope_has(scope, SCOPES "cloud-platform"))
        return 2;
    return scope_has(scope, SCOPES "devstorage.read_only") ? 1 : 0;
}

static enum MHD_Result grant_jwt(struct request *r)
{
    const char *assertion = request_parameter(r, "assertion"),
               *host = request_header(r, MHD_HTTP_HEADER_HOST);
    char audience[256];
    CLEANUP(json_value_free) json_t *claims = NULL;
    snprintf(audience, sizeof audience, "http://%s/token", host ? host : "");
    const char *wrong = assertion ? jwt_verify(assertion, key_of, audience, &claims) : "Missing assertion";
    if (wrong)
        return refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_grant", wrong);
    int rank = scope_rank(json_string_value(json_object_get(claims, "scope")));
    if (!rank)
        return refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_scope",
                      "Invalid OAuth scope or ID token audience provided.");
    const struct account *account = account_find(json_string_value(json_object_get(claims, "iss")));
    struct token t;
    token_new(&t, account->email, rank == 2 && !account->reader, false);
    return send_token(r, &t, NULL, NULL);
}

enum MHD_Result token_grant(struct request *r)
{
    const char *grant = read_form(r) ? request_parameter(r, "grant_type") : NULL;
    if (grant && !strcmp(grant, "urn:ietf:params:oauth:grant-type:jwt-bearer"))
        return grant_jwt(r);
    if (!grant || strcmp(grant, "refresh_token") != 0)
        return refuse(r, MHD_HTTP_BAD_REQUEST, "unsupported_grant_type", "Invalid grant_type");
    const char *given = request_parameter(r, "refresh_token");
    if (!given || !token_refresh || strcmp(given, token_refresh) != 0 || !request_parameter(r, "client_id") ||
        !request_parameter(r, "client_secret"))
        return refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_grant", "Bad Request");
    struct token t;
    token_new(&t, "user@example.com", true, false);
    return send_token(r, &t, "scope", SCOPES "cloud-platform");
}

enum MHD_Result token_exchange(struct request *r)
{
    static const char *const wanted[][2] = {
        {"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"},
        {"requested_token_type", "urn:ietf:params:oauth:token-type:access_token"},
        {"audience", NULL},
        {"scope", NULL},
        {"subject_token", NULL},
        {"subject_token_type", NULL}};
    if (!read_form(r))
        return refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_request", "A form is expected.");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const char *value = request_parameter(r, wanted[i][0]);
        if (!value || !*value || (wanted[i][1] && strcmp(value, wanted[i][1]) != 0))
            return refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_request", wanted[i][0]);
    }
    if (!token_subject || strcmp(request_parameter(r, "subject_token"), token_subject) != 0)
        return refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_grant", "The subject token is not accepted.");
    int rank = scope_rank(request_parameter(r, "scope"));
    if (!rank)
        return refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_scope", "Invalid scope");
    struct token t;
    token_new(&t, "principal://federated", rank == 2, true);
    return send_token(r, &t, "issued_token_type", "urn:ietf:params:oauth:token-type:access_token");
}

static bool bearer(const struct request *r, struct token *out)
{
    const char *header = request_header(r, MHD_HTTP_HEADER_AUTHORIZATION);
    return header && !strncmp(header, "Bearer ", 7) && token_find(header + 7, out);
}

enum MHD_Result token_impersonate(struct request *r)
{
    struct token caller, made;
    struct nacre_err e = {0};
    CLEANUP(json_value_free) json_t *body = NULL;
    char *colon = strchr(r->segments[4], ':');
    if (strcmp(r->segments[3], "serviceAccounts") != 0 || !colon ||
        strcmp(colon, ":generateAccessToken") != 0)
        return reply_error(r, 404, "notFound", "Not Found");
    if (!bearer(r, &caller))
        return reply_error(r, 401, "authError", "Invalid Credentials");
    *colon = '\0';
    const struct account *account = account_find(r->segments[4]);
    if (!account || !caller.federated)
        return reply_error(
            r, 403, "forbidden",
            "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).");
    if (json_parse_object(r->body.data, r->body.size, SMALL_BODY_MAX, &body, &e) < 0)
        return reply_error(r, 400, "parseError", "%s", e.message);
    int rank = scope_rank(json_string_value(json_array_get(json_object_get(body, "scope"), 0)));
    if (!rank)
        return reply_error(r, 400, "invalid", "The scope must be a list of scopes.");
    token_new(&made, account->email, rank == 2 && !account->reader, false);
    char ends[40];
    time_t at = time(NULL) + server.token_seconds;
    struct tm tm;
    strftime(ends, sizeof ends, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
    return reply_json(r, MHD_HTTP_OK, json_pack("{ss ss}", "accessToken", made.text, "expireTime", ends));
}

enum MHD_Result token_metadata(struct request *r)
{
    const char *flavor = request_header(r, "Metadata-Flavor");
    reply_header(r, "Metadata-Flavor", "Google");
    reply_header(r, "Server", "Metadata Server for VM");
    if (!flavor || strcmp(flavor, "Google") != 0 || request_header(r, "X-Forwarded-For"))
        return reply_text(r, MHD_HTTP_FORBIDDEN, "Missing Metadata-Flavor:Google header.");
    if (r->segment_count == 1)
        return reply_text(r, MHD_HTTP_OK, "computeMetadata/\n");
    if (r->segment_count != 6 || strcmp(r->segments[1], "v1") != 0 ||
        strcmp(r->segments[2], "instance") != 0 || strcmp(r->segments[3], "service-accounts") != 0 ||
        strcmp(r->segments[4], "default") != 0)
        return reply_text(r, MHD_HTTP_NOT_FOUND, "Not Found");
    if (!strcmp(r->segments[5], "email"))
        return reply_text(r, MHD_HTTP_OK, "default@example.com");
    if (strcmp(r->segments[5], "token") != 0)
        return reply_text(r, MHD_HTTP_NOT_FOUND, "Not Found");
    struct token t;
    token_new(&t, "default@example.com", true, false);
    return send_token(r, &t, NULL, NULL);
}

bool token_allows(struct request *r, enum permission wanted, const char *action, enum MHD_Result *result)
{
    struct token t;
    if (bearer(r, &t)) {
        if (t.writes || wanted == PERMISSION_READ)
            return true;
        *result =
            reply_error(r, 403, "forbidden",
                        "%s does not have %s access to the Google Cloud Storage object. Permission '%s' "
                        "denied on resource (or it may not exist).",
                        t.who, action, action);
        return false;
    }
    if (request_header(r, MHD_HTTP_HEADER_AUTHORIZATION))
        *result = reply_error(r, 401, "authError", "Invalid Credentials");
    else if (server.anonymous)
        return true;
    else
        *result = reply_error(r, 401, "required",
                              "Anonymous caller does not have %s access to the Google Cloud Storage object. "
                              "Permission '%s' denied on resource (or it may not exist).",
                              action, action);
    return false;
}

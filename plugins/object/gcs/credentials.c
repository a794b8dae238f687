/* SPDX-License-Identifier: Apache-2.0 */
/* Reading credentials files. Nothing of their content gets into an error but names of fields: the parser's
 * own messages quote the text near a mistake, so they are dropped. Addresses that secrets are sent to must be
 * TLS, or this machine itself. */
#include "credentials.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <string.h>
#include <strings.h>

#include "common/err.h"
#include "common/json.h"

#define FILE_MAX ((size_t)1 << 20)
#define TOKEN_URL "https://oauth2.googleapis.com/token"

static void wipe(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

static void subject_free(struct subject_source *subject)
{
    for (size_t i = 0; i < subject->header_count; i++) {
        wipe(subject->headers[i][0]);
        wipe(subject->headers[i][1]);
    }
    free(subject->place);
    free(subject->field);
    free(subject->output_file);
}

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    EVP_PKEY_free(c->key);
    wipe(c->client_secret);
    wipe(c->refresh_token);
    char *const plain[] = {
        c->origin,        c->email,    c->token_url,    c->client_id,         c->key_id,
        c->quota_project, c->audience, c->subject_type, c->workforce_project, c->impersonation_url,
        c->metadata_host};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        free(plain[i]);
    subject_free(&c->subject);
    free(c);
}

/* Wipes the strings of a document before it is freed. */
static void json_wipe(json_t *json)
{
    const char *key;
    json_t *value;
    if (json_is_string(json))
        OPENSSL_cleanse((char *)json_string_value(json), json_string_length(json));
    json_object_foreach(json, key, value)
    {
        json_wipe(value);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        json_wipe(json_array_get(json, i));
}

static void json_wipe_free(json_t *json)
{
    json_wipe(json);
    json_decref(json);
}
CLEANUP_DEFINE(json_t *, json_wipe_free)

/* Copies a string field; an absent one leaves *out as it is. */
static int take(const json_t *json, const char *key, char **out, struct nacre_err *e)
{
    const char *text = NULL;
    if (json_get_string(json, key, &text, e) < 0)
        return err_set(e, NACRE_INVALID, "%s", e->message);
    if (text && !(*out = strdup(text)))
        return err_no_memory(e, "credentials");
    return 0;
}

static int need(const json_t *json, const char *key, char **out, struct nacre_err *e)
{
    if (take(json, key, out, e) < 0)
        return -1;
    if (!*out || !**out)
        return err_set(e, NACRE_INVALID, "it has no \"%s\"", key);
    return 0;
}

static bool starts(const char *text, const char *with)
{
    return !strncasecmp(text, with, strlen(with));
}

static bool is_this_machine(const char *url)
{
    static const char *const hosts[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (starts(url, hosts[i]) && strchr(":/", url[strlen(hosts[i])]))
            return true;
    return false;
}

/* A URL that secrets are sent to. */
static int check_url(const char *key, const char *url, struct nacre_err *e)
{
    if (!url || starts(url, "https://") || is_this_machine(url))
        return 0;
    return err_set(e, NACRE_INVALID, "its \"%s\" is no https:// URL", key);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): openssl's type */
static int no_passphrase(char *room, int size, int writing, void *ctx)
{
    (void)room;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1; /* else openssl asks the terminal */
}

static int take_key(const json_t *json, struct credentials *c, struct nacre_err *e)
{
    const char *pem = NULL;
    if (json_get_string(json, "private_key", &pem, e) < 0 || !pem)
        return err_set(e, NACRE_INVALID, "it has no \"private_key\"");
    BIO *bio = BIO_new_mem_buf(pem, -1);
    c->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (!c->key || EVP_PKEY_get_base_id(c->key) != EVP_PKEY_RSA)
        return err_set(e, NACRE_INVALID, "its \"private_key\" is no RSA key in PEM");
    return 0;
}

static int default_token_url(struct credentials *c, const char *key, struct nacre_err *e)
{
    if (!c->token_url && !(c->token_url = strdup(TOKEN_URL)))
        return err_no_memory(e, "credentials");
    return check_url(key, c->token_url, e);
}

static int read_service_account(const json_t *json, struct credentials *c, struct nacre_err *e)
{
    c->kind = CREDENTIALS_SERVICE_ACCOUNT;
    if (need(json, "client_email", &c->email, e) < 0 || take_key(json, c, e) < 0 ||
        take(json, "private_key_id", &c->key_id, e) < 0 || take(json, "token_uri", &c->token_url, e) < 0)
        return -1;
    return default_token_url(c, "token_uri", e);
}

static int read_user(const json_t *json, struct credentials *c, struct nacre_err *e)
{
    c->kind = CREDENTIALS_USER;
    if (need(json, "client_id", &c->client_id, e) < 0 ||
        need(json, "client_secret", &c->client_secret, e) < 0 ||
        need(json, "refresh_token", &c->refresh_token, e) < 0 ||
        take(json, "token_uri", &c->token_url, e) < 0)
        return -1;
    return default_token_url(c, "token_uri", e);
}

static int read_headers(const json_t *json, struct subject_source *s, struct nacre_err *e)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)json, name, value)
    {
        if (s->header_count == SUBJECT_HEADERS_MAX || !json_is_string(value) ||
            strpbrk(json_string_value(value), "\r\n") || strpbrk(name, "\r\n:"))
            return err_set(e, NACRE_INVALID, "its \"headers\" cannot be used");
        char **header = s->headers[s->header_count++];
        if (!(header[0] = strdup(name)) || !(header[1] = strdup(json_string_value(value))))
            return err_no_memory(e, "credentials");
    }
    return 0;
}

/* "format": {"type": "text"} or {"type": "json", "subject_token_field_name": …}; absent = text. */
static int read_format(const json_t *format, struct subject_source *s, struct nacre_err *e)
{
    const char *type = "text";
    if (!format)
        return 0;
    if (json_get_string(format, "type", &type, e) < 0 ||
        (strcmp(type, "text") != 0 && strcmp(type, "json") != 0))
        return err_set(e, NACRE_INVALID, "its \"format\" is neither text nor json");
    return strcmp(type, "json") ? 0 : need(format, "subject_token_field_name", &s->field, e);
}

static int read_executable(const json_t *json, struct subject_source *s, struct nacre_err *e)
{
    uint64_t timeout = 30000;
    s->kind = SUBJECT_EXECUTABLE;
    if (need(json, "command", &s->place, e) < 0 || take(json, "output_file", &s->output_file, e) < 0)
        return -1;
    if (json_get_uint(json, "timeout_millis", 120000, &timeout, e) < 0 || timeout < 5000)
        return err_set(e, NACRE_INVALID, "its \"timeout_millis\" is not 5000 to 120000");
    s->timeout_ms = (unsigned)timeout;
    return 0;
}

static int read_subject(const json_t *source, struct subject_source *s, struct nacre_err *e)
{
    const json_t *executable = json_object_get(source, "executable");
    if (!json_is_object(source))
        return err_set(e, NACRE_INVALID, "it has no \"credential_source\"");
    if (json_object_get(source, "environment_id") || json_object_get(source, "certificate"))
        return err_set(e, NACRE_UNSUPPORTED,
                       "its \"credential_source\" is of a kind that nacre cannot use; make one with a file, "
                       "url or executable");
    if (executable)
        return read_executable(executable, s, e);
    s->kind = json_object_get(source, "file") ? SUBJECT_FILE : SUBJECT_URL;
    if (need(source, s->kind == SUBJECT_FILE ? "file" : "url", &s->place, e) < 0)
        return -1;
    if (read_format(json_object_get(source, "format"), s, e) < 0)
        return -1;
    return read_headers(json_object_get(source, "headers"), s, e);
}

/* "…/serviceAccounts/EMAIL:generateAccessToken": whom the requests will be made as. */
static int take_email(struct credentials *c, struct nacre_err *e)
{
    const char *slash = c->impersonation_url ? strrchr(c->impersonation_url, '/') : NULL;
    if (slash && !(c->email = strndup(slash + 1, strcspn(slash + 1, ":"))))
        return err_no_memory(e, "credentials");
    return 0;
}

static int read_external(const json_t *json, struct credentials *c, struct nacre_err *e)
{
    uint64_t seconds = 3600;
    c->kind = CREDENTIALS_EXTERNAL;
    if (need(json, "audience", &c->audience, e) < 0 ||
        need(json, "subject_token_type", &c->subject_type, e) < 0 ||
        need(json, "token_url", &c->token_url, e) < 0 || check_url("token_url", c->token_url, e) < 0 ||
        take(json, "client_id", &c->client_id, e) < 0 ||
        take(json, "client_secret", &c->client_secret, e) < 0 ||
        take(json, "workforce_pool_user_project", &c->workforce_project, e) < 0 ||
        take(json, "service_account_impersonation_url", &c->impersonation_url, e) < 0 ||
        check_url("service_account_impersonation_url", c->impersonation_url, e) < 0 ||
        read_subject(json_object_get(json, "credential_source"), &c->subject, e) < 0)
        return -1;
    const json_t *impersonation = json_object_get(json, "service_account_impersonation");
    if (impersonation &&
        (json_get_uint(impersonation, "token_lifetime_seconds", 43200, &seconds, e) < 0 || seconds < 600))
        return err_set(e, NACRE_INVALID, "its \"token_lifetime_seconds\" is not 600 to 43200");
    c->impersonation_seconds = (unsigned)seconds;
    return take_email(c, e);
}

static int read_any(const json_t *json, struct credentials *c, struct nacre_err *e)
{
    const char *type = NULL;
    if (json_get_string(json, "type", &type, e) < 0 || !type)
        return err_set(e, NACRE_INVALID, "it has no \"type\": it is no file of Google credentials");
    if (take(json, "quota_project_id", &c->quota_project, e) < 0)
        return -1;
    if (!strcmp(type, "service_account"))
        return read_service_account(json, c, e);
    if (!strcmp(type, "authorized_user"))
        return read_user(json, c, e);
    if (!strcmp(type, "external_account"))
        return read_external(json, c, e);
    return err_set(
        e, NACRE_UNSUPPORTED,
        "its type is \"%.50s\"; nacre can use service_account, authorized_user and external_account", type);
}

int credentials_parse(const void *data, size_t size, const char *origin, struct credentials **out,
                      struct nacre_err *e)
{
    CLEANUP(json_wipe_free) json_t *json = NULL;
    CLEANUP(credentials_free) struct credentials *c = calloc(1, sizeof *c);
    struct nacre_err quoting;
    if (!c || !(c->origin = strdup(origin)))
        return err_no_memory(e, "credentials");
    if (json_parse_object(data, size, FILE_MAX, &json, &quoting) < 0)
        /* cppcheck-suppress memleak; it is freed by scope */
        return err_set(e, NACRE_INVALID, "%s: it is no JSON object", origin);
    if (read_any(json, c, e) < 0)
        return err_wrap(e, "%s", origin);
    *out = MOVE(c);
    /* cppcheck-suppress memleak; it was handed on */
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing among the credentials, and reading those that are files. */
#include "credential.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "common/log.h"
#include "common/option.h"
#include "secret_file.h"

#define AUTHORITY "https://login.microsoftonline.com"

const char *azure_option(const struct nacre_config *config, const char *key)
{
    const char *text = option_text(config, key);
    return text && *text ? text : NULL;
}

static int copy(char **out, const char *text, struct nacre_err *e)
{
    if (!text)
        return 0;
    *out = strdup(text);
    return *out ? 0 : err_no_memory(e, "credentials");
}

/* Letters, digits, '-' and '.': what tenants and client ids are made of. They become part of URLs. */
static int copy_id(char **out, const char *what, const char *text, struct nacre_err *e)
{
    for (const char *c = text; c && *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.')
            return err_set(e, NACRE_INVALID, "%s is \"%.100s\"; expected an id such as %s", what, text,
                           "72f988bf-86f1-41af-91ab-2d7cd011db47");
    return copy(out, text, e);
}

int azure_check_secure(const char *what, const char *url, struct nacre_err *e)
{
    static const char *const own[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    if (!strncmp(url, "https://", 8) && url[8])
        return 0;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        size_t size = strlen(own[i]);
        if (!strncmp(url, own[i], size) && (!url[size] || url[size] == ':' || url[size] == '/'))
            return 0;
    }
    return err_set(e, NACRE_INVALID,
                   "%s is \"%.200s\"; expected https://…, so that no secret crosses the network in the clear",
                   what, url);
}

/* A SAS goes into URLs as it is. */
static int take_sas(struct azure_credential *c, const char *where, const char *text, struct nacre_err *e)
{
    text += *text == '?';
    for (const char *at = text; *at; at++)
        if (!isgraph((unsigned char)*at) || *at == '#')
            return err_set(e, NACRE_INVALID,
                           "%s is no shared access signature: it has a character that none has", where);
    if (strstr(text, "://") || (strncmp(text, "sig=", 4) != 0 && !strstr(text, "&sig=")))
        return err_set(e, NACRE_INVALID,
                       "%s is no shared access signature; expected its query only: sv=…&sp=…&se=…&sig=…",
                       where);
    c->kind = AZURE_SAS;
    buf_string(&c->secret, text);
    return 1;
}

static int take_key(struct azure_credential *c, const char *where, const char *text, struct nacre_err *e)
{
    c->kind = AZURE_KEY;
    if (!json_decode_base64(text, strlen(text), &c->secret) || !c->secret.size)
        return err_set(e, NACRE_INVALID,
                       "%s is no account key; expected base64, as the portal shows it under \"Access keys\"",
                       where);
    return 1;
}

static int need_client(const struct azure_credential *c, const char *for_what, struct nacre_err *e)
{
    if (c->tenant && c->client)
        return 1;
    return err_set(e, NACRE_INVALID, "%s needs a %s as well: set %s", for_what,
                   c->tenant ? "client id" : "tenant id",
                   c->tenant ? "client-id or AZURE_CLIENT_ID" : "tenant-id or AZURE_TENANT_ID");
}

static int take_client_secret(struct azure_credential *c, const char *where, const char *text,
                              struct nacre_err *e)
{
    c->kind = AZURE_CLIENT_SECRET;
    buf_string(&c->secret, text);
    return need_client(c, where, e);
}

static int take_federated(struct azure_credential *c, const char *where, const char *path,
                          struct nacre_err *e)
{
    c->kind = AZURE_FEDERATED;
    return copy(&c->token_file, path, e) < 0 ? -1 : need_client(c, where, e);
}

typedef int taker(struct azure_credential *c, const char *where, const char *text, struct nacre_err *e);

/* 1 when the option is given and its file was taken, 0 when it is not given. */
static int from_file(struct azure_credential *c, const struct nacre_config *config, const char *key,
                     taker *take, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf text = {0};
    const char *path = azure_option(config, key);
    if (!path)
        return 0;
    if (secret_file_read(path, &text, e) < 0)
        return err_wrap(e, "%s", key);
    return take(c, path, (const char *)text.data, e);
}

static int from_options(struct azure_credential *c, const struct nacre_config *config, struct nacre_err *e)
{
    int found = from_file(c, config, "sas-file", take_sas, e);
    if (!found)
        found = from_file(c, config, "account-key-file", take_key, e);
    if (!found)
        found = from_file(c, config, "client-secret-file", take_client_secret, e);
    const char *token_file = azure_option(config, "federated-token-file");
    if (!found && token_file)
        found = take_federated(c, "federated-token-file", token_file, e);
    const char *managed = azure_option(config, "managed-identity");
    if (found || !managed || !strcmp(managed, "false"))
        return found;
    c->kind = AZURE_MANAGED;
    if (!strcmp(managed, "true"))
        return 1;
    free(MOVE(c->client));
    return copy_id(&c->client, "managed-identity", managed, e) < 0 ? -1 : 1;
}

static int from_environment(struct azure_credential *c, const struct azure_connection *connection,
                            struct nacre_err *e)
{
    const struct {
        taker *take;
        const char *name, *text;
    } places[] = {
        {take_sas, "AZURE_STORAGE_SAS_TOKEN", option_environment("AZURE_STORAGE_SAS_TOKEN")},
        {take_sas, "the signature in AZURE_STORAGE_CONNECTION_STRING", connection->sas},
        {take_key, "AZURE_STORAGE_KEY", option_environment("AZURE_STORAGE_KEY")},
        {take_key, "the key in AZURE_STORAGE_CONNECTION_STRING", connection->key},
        {take_client_secret, "AZURE_CLIENT_SECRET", option_environment("AZURE_CLIENT_SECRET")},
        {take_federated, "AZURE_FEDERATED_TOKEN_FILE", option_environment("AZURE_FEDERATED_TOKEN_FILE")},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i].text)
            return places[i].take(c, places[i].name, places[i].text, e);
    return 0;
}

static int read_ids(struct azure_credential *c, const struct nacre_config *config, struct nacre_err *e)
{
    const char *tenant = azure_option(config, "tenant-id"), *client = azure_option(config, "client-id");
    const char *authority = azure_option(config, "authority-host");
    authority = authority ? authority : option_environment("AZURE_AUTHORITY_HOST");
    authority = authority ? authority : AUTHORITY;
    if (azure_check_secure("authority-host", authority, e) < 0 ||
        copy_id(&c->tenant, "tenant-id", tenant ? tenant : option_environment("AZURE_TENANT_ID"), e) < 0 ||
        copy_id(&c->client, "client-id", client ? client : option_environment("AZURE_CLIENT_ID"), e) < 0 ||
        copy(&c->authority, authority, e) < 0)
        return -1;
    for (size_t size = strlen(c->authority); size && c->authority[size - 1] == '/';)
        c->authority[--size] = '\0';
    return 0;
}

static int choose(struct azure_credential *c, const struct nacre_config *config,
                  const struct azure_connection *connection, struct nacre_err *e)
{
    if (read_ids(c, config, e) < 0)
        return -1;
    int found = from_options(c, config, e);
    if (!found)
        found = from_environment(c, connection, e);
    if (found < 0)
        return -1;
    if (buf_failed(&c->secret))
        return err_no_memory(e, "credentials");
    c->found = found;
    if (found)
        return 0;
    const char *managed = azure_option(config, "managed-identity");
    c->kind = AZURE_MANAGED;
    return managed ? err_set(e, NACRE_INVALID,
                             "no credentials for Azure are given: set sas-file, account-key-file, "
                             "client-secret-file or federated-token-file, or managed-identity: true")
                   : 0;
}

int azure_credential_new(const struct nacre_config *config, const struct azure_connection *connection,
                         struct http *http, struct azure_credential **out, struct nacre_err *e)
{
    static const char *const names[] = {"a shared access signature", "the account's key", "a client secret",
                                        "a federated token", "the machine's managed identity"};
    struct azure_credential *c = calloc(1, sizeof *c);
    if (!c)
        return err_no_memory(e, "credentials");
    c->http = http;
    if (choose(c, config, connection, e) < 0 ||
        (c->kind >= AZURE_CLIENT_SECRET && token_new(azure_fetch_token, c, &c->token, e) < 0)) {
        azure_credential_free(c);
        return -1;
    }
    log_debug("azure: authorised by %s", names[c->kind]);
    *out = c;
    return 0;
}

void azure_credential_free(struct azure_credential *credential)
{
    if (!credential)
        return;
    token_free(credential->token);
    buf_wipe_free(&credential->secret);
    free(credential->tenant);
    free(credential->client);
    free(credential->authority);
    free(credential->token_file);
    free(credential);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which credential is used, how tokens are asked for, and that one which is refused is replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "azure/azure.h"
#include "common/err.h"
#include "server.h"

#define KEY "c29tZSBrZXk="
#define SAS "sp=r&sig=YQ%3D%3D"

extern const struct nacre_object_store_plugin nacre_object_store_plugin;

static const char *const variables[] = {
    "AZURE_STORAGE_ACCOUNT",   "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_TENANT_ID",         "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",     "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
};

static int clear(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    return 0;
}

struct file {
    char path[64];
};

static struct file make_file(const char *text)
{
    struct file file = {"/tmp/nacre-azure-file-XXXXXX"};
    int fd = mkstemp(file.path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return file;
}

/* Opens with pairs of option and value up to NULL. */
static int open_with(struct nacre_object_store **store, struct nacre_err *e, const char *const *pairs)
{
    struct nacre_option options[12];
    struct nacre_config config = {.size = sizeof config, .options = options};
    for (; pairs[0]; pairs += 2)
        options[config.option_count++] = (struct nacre_option){pairs[0], pairs[1]};
    *e = (struct nacre_err){0};
    *store = NULL;
    return nacre_object_store_plugin.open("azblob://box/at", &config, store, e);
}
#define try_open(store, e, ...) open_with(store, e, (const char *const[]){__VA_ARGS__})

static void assert_opens(enum azure_kind kind, const char *account, const char *endpoint, const char *key,
                         const char *value)
{
    struct nacre_object_store *base;
    struct nacre_err e;
    if (try_open(&base, &e, key, value, NULL) < 0)
        fail_msg("%s", e.message);
    const struct azure_store *store = (struct azure_store *)base;
    assert_int_equal(store->credential->kind, kind);
    assert_string_equal(store->account, account);
    assert_string_equal(store->endpoint, endpoint);
    base->ops->close(base);
}

static void order(void **state)
{
    (void)state;
    struct file key = make_file(KEY "\n"), sas = make_file(SAS);
    static const char one[] = "https://one.blob.core.windows.net";
    setenv("AZURE_STORAGE_ACCOUNT", "one", 1);
    assert_opens(AZURE_MANAGED, "one", one, NULL, NULL);
    setenv("AZURE_TENANT_ID", "tenant", 1);
    setenv("AZURE_CLIENT_ID", "client", 1);
    setenv("AZURE_FEDERATED_TOKEN_FILE", "/none", 1);
    assert_opens(AZURE_FEDERATED, "one", one, NULL, NULL);
    setenv("AZURE_CLIENT_SECRET", "secret", 1);
    assert_opens(AZURE_CLIENT_SECRET, "one", one, NULL, NULL);
    setenv("AZURE_STORAGE_KEY", KEY, 1);
    assert_opens(AZURE_KEY, "one", one, NULL, NULL);
    setenv("AZURE_STORAGE_SAS_TOKEN", SAS, 1);
    assert_opens(AZURE_SAS, "one", one, NULL, NULL);
    /* What the location says comes before all of these. */
    assert_opens(AZURE_KEY, "one", one, "account-key-file", key.path);
    assert_opens(AZURE_SAS, "one", one, "sas-file", sas.path);
    assert_opens(AZURE_MANAGED, "one", one, "managed-identity", "true");
    assert_opens(AZURE_SAS, "other", "https://other.blob.core.windows.net", "account", "other");
    unlink(key.path);
    unlink(sas.path);
}

static void accounts(void **state)
{
    (void)state;
    setenv("AZURE_STORAGE_KEY", KEY, 1);
    assert_opens(AZURE_KEY, "two", "https://two.blob.example.net", "endpoint",
                 "https://two.blob.example.net/");
    assert_opens(AZURE_KEY, "emulated", "http://127.0.0.1:10000/emulated", "endpoint",
                 "http://127.0.0.1:10000/emulated");
    unsetenv("AZURE_STORAGE_KEY");
    setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=three;AccountKey=" KEY ";EndpointSuffix=x.example",
           1);
    assert_opens(AZURE_KEY, "three", "https://three.blob.x.example", NULL, NULL);
    setenv("AZURE_STORAGE_CONNECTION_STRING", "BlobEndpoint=https://four.example;SharedAccessSignature=" SAS,
           1);
    assert_opens(AZURE_SAS, "four", "https://four.example", NULL, NULL);
}

static void assert_invalid(const char *words, int result, const struct nacre_err *e)
{
    assert_int_equal(result, -1);
    if (e->code != NACRE_INVALID || !strstr(e->message, words))
        fail_msg("%s: %s (expected \"%s\")", err_code_name(e->code), e->message, words);
}

static void mistakes(void **state)
{
    (void)state;
    struct nacre_object_store *s;
    struct nacre_err e;
    struct file empty = make_file(" \n"), key = make_file(KEY), wrong = make_file("not a key"),
                sas = make_file(SAS);
    assert_invalid("account is not known", try_open(&s, &e, NULL), &e);
    assert_invalid("cannot be a storage account", try_open(&s, &e, "account", "A B", NULL), &e);
    assert_invalid("is empty", try_open(&s, &e, "account", "one", "account-key-file", empty.path, NULL), &e);
    assert_invalid("No such file", try_open(&s, &e, "account", "one", "sas-file", "/none", NULL), &e);
    assert_invalid("no account key", try_open(&s, &e, "account", "one", "account-key-file", wrong.path, NULL),
                   &e);
    assert_invalid("no shared access", try_open(&s, &e, "account", "one", "sas-file", key.path, NULL), &e);
    assert_invalid("tenant id", try_open(&s, &e, "account", "one", "client-secret-file", key.path, NULL), &e);
    assert_invalid("client id",
                   try_open(&s, &e, "account", "one", "client-secret-file", key.path, "tenant-id", "t", NULL),
                   &e);
    assert_invalid("tenant-id is", try_open(&s, &e, "account", "one", "tenant-id", "a/b", NULL), &e);
    assert_invalid(
        "in the clear",
        try_open(&s, &e, "account", "one", "sas-file", sas.path, "endpoint", "http://example.com", NULL), &e);
    assert_invalid("in the clear",
                   try_open(&s, &e, "account", "one", "authority-host", "http://127.0.0.1.example.com", NULL),
                   &e);
    assert_invalid("no credentials", try_open(&s, &e, "account", "one", "managed-identity", "false", NULL),
                   &e);
    assert_invalid("endpoint is", try_open(&s, &e, "account", "one", "endpoint", "example.com", NULL), &e);
    assert_invalid("endpoint is", try_open(&s, &e, "account", "one", "endpoint", "https://u:p@h", NULL), &e);
    static const char *const sizes[] = {"1M",   "-1", "65535", "63KiB", "4001MiB", "99999999999999999999",
                                        "1KiBs"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_invalid("block-size", try_open(&s, &e, "account", "one", "block-size", sizes[i], NULL), &e);
    assert_int_equal(try_open(&s, &e, "account", "one", "block-size", "4000MiB", NULL), 0);
    assert_true(((struct azure_store *)s)->block_size == AZURE_BLOCK_SIZE_MAX);
    s->ops->close(s);
    assert_invalid("stall-timeout", try_open(&s, &e, "account", "one", "stall-timeout", "x", NULL), &e);
    unlink(empty.path);
    unlink(key.path);
    unlink(wrong.path);
    unlink(sas.path);
}

/* Gives out token-1, token-2, …; the blob service takes none but the last, and forgets it when told to. */
struct entra {
    unsigned given, asked;
    bool revoked, wrong_form, broken, numbers_as_text;
    char assertion[64];
};

static void serve(void *ctx, const struct served *s, struct answer *answer)
{
    struct entra *entra = ctx;
    char text[512], expected[64];
    if (!strcmp(s->target, "/tenant/oauth2/v2.0/token") || !strncmp(s->target, "/metadata/", 10)) {
        snprintf(expected, sizeof expected, "client_assertion=%s", entra->assertion);
        entra->asked++;
        entra->wrong_form |= *entra->assertion && !strstr(s->body, expected);
        if (entra->broken) {
            answer_text(answer, 401, "",
                        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: the "
                        "secret has ended.\\r\\nTrace ID: 5\"}");
            return;
        }
        entra->revoked = false;
        snprintf(text, sizeof text,
                 entra->numbers_as_text ? "{\"access_token\":\"token-%u\",\"expires_in\":\"3600\"}"
                                        : "{\"access_token\":\"token-%u\",\"expires_in\":3600}",
                 ++entra->given);
        answer_text(answer, 200, "", text);
        return;
    }
    snprintf(expected, sizeof expected, "Bearer token-%u", entra->given);
    bool good =
        served_header(s, "Authorization", text, sizeof text) && !strcmp(text, expected) && !entra->revoked;
    answer_text(answer, good ? 200 : 401,
                good ? "Content-Length: 1\r\n" : "x-ms-error-code: InvalidAuthenticationInfo\r\n", "");
}

static int stat_it(struct nacre_object_store *store, struct nacre_err *e)
{
    struct nacre_object_info info;
    *e = (struct nacre_err){0};
    return store->ops->stat(store, "x", &info, e);
}

/* The federated token is read from its file each time it is used. */
static void federated(void **state)
{
    (void)state;
    struct entra entra = {.assertion = "first"};
    struct server *server = server_start(serve, &entra);
    struct file file = make_file("first\n");
    struct nacre_object_store *store;
    struct nacre_err e;
    if (try_open(&store, &e, "account", "one", "endpoint", server_url(server), "authority-host",
                 server_url(server), "tenant-id", "tenant", "client-id", "client", "federated-token-file",
                 file.path, NULL) < 0)
        fail_msg("%s", e.message);
    assert_int_equal(entra.asked, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(stat_it(store, &e), 0);
    assert_int_equal(entra.asked, 1);
    /* Refused as soon as it was given: asking for another would not help. */
    entra.revoked = true;
    assert_int_equal(stat_it(store, &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    assert_null(strstr(e.message, "token-1"));
    assert_int_equal(entra.asked, 1);
    store->ops->close(store);

    snprintf(entra.assertion, sizeof entra.assertion, "second");
    FILE *again = fopen(file.path, "w");
    assert_non_null(again);
    fputs("second\n", again);
    fclose(again);
    setenv("AZURE_FEDERATED_TOKEN_FILE", file.path, 1);
    setenv("AZURE_TENANT_ID", "tenant", 1);
    setenv("AZURE_CLIENT_ID", "client", 1);
    setenv("AZURE_AUTHORITY_HOST", server_url(server), 1);
    assert_int_equal(try_open(&store, &e, "account", "one", "endpoint", server_url(server), NULL), 0);
    assert_int_equal(stat_it(store, &e), 0);
    assert_false(entra.wrong_form);
    store->ops->close(store);
    unlink(file.path);
    server_stop(server);
}

static void refused_secret(void **state)
{
    (void)state;
    struct entra entra = {.broken = true};
    struct server *server = server_start(serve, &entra);
    struct nacre_object_store *store;
    struct nacre_err e;
    setenv("AZURE_CLIENT_SECRET", "topsecret", 1);
    assert_int_equal(try_open(&store, &e, "account", "one", "endpoint", server_url(server), "authority-host",
                              server_url(server), "tenant-id", "tenant", "client-id", "client", NULL),
                     0);
    assert_int_equal(stat_it(store, &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    assert_non_null(strstr(e.message, "AADSTS7000222: the secret has ended."));
    assert_non_null(strstr(e.message, "check tenant, client"));
    assert_null(strstr(e.message, "topsecret"));
    assert_null(strstr(e.message, "Trace"));
    store->ops->close(store);
    server_stop(server);
}

/* The metadata service's life is a text. Without it and without anything else the message says what to give.
 */
static void managed(void **state)
{
    (void)state;
    struct entra entra = {.numbers_as_text = true};
    struct server *server = server_start(serve, &entra);
    struct nacre_object_store *store;
    struct nacre_err e;
    setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server_url(server), 1);
    assert_int_equal(try_open(&store, &e, "account", "one", "endpoint", server_url(server), NULL), 0);
    assert_int_equal(stat_it(store, &e), 0);
    store->ops->close(store);
    setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1", 1);
    assert_int_equal(try_open(&store, &e, "account", "one", "endpoint", server_url(server), NULL), 0);
    assert_int_equal(stat_it(store, &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    assert_non_null(strstr(e.message, "no credentials for Azure are given"));
    store->ops->close(store);
    server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(order, clear),          cmocka_unit_test_setup(accounts, clear),
        cmocka_unit_test_setup(mistakes, clear),       cmocka_unit_test_setup(federated, clear),
        cmocka_unit_test_setup(refused_secret, clear), cmocka_unit_test_setup(managed, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The object store `azure`: azblob://CONTAINER/PREFIX, Azure Blob Storage and what speaks like it.
 *
 * Objects are block blobs. The account is not part of the URL: it comes from the option `account`, from
 * AZURE_STORAGE_ACCOUNT, from a connection string, or out of the endpoint. credential.h says what requests
 * are authorised by. Of the rest of the container nothing is looked at or touched. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "azure.h"
#include "common/err.h"
#include "common/log.h"
#include "common/option.h"

static void azure_close(struct nacre_object_store *base)
{
    struct azure_store *store = (struct azure_store *)base;
    azure_credential_free(store->credential);
    http_free(store->http);
    bucket_url_free(&store->url);
    free(store->endpoint);
    free(store->account);
    free(store);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = azure_close,
    .put = azure_put,
    .put_if_absent = azure_put_if_absent,
    .get = azure_get,
    .stat = azure_stat,
    .list = azure_list,
    .remove = azure_remove,
};

/* https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
 */
static int check_container(const char *name, struct nacre_err *e)
{
    size_t size = strlen(name);
    if (size >= 3 && size <= 63 && name[0] != '-' && name[size - 1] != '-' && !strstr(name, "--") &&
        !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return 0;
    return err_set(e, NACRE_INVALID,
                   "\"%.100s\" cannot be a container: it needs 3 to 63 of a-z, 0-9 and single '-'", name);
}

static int check_account(const char *name, struct nacre_err *e)
{
    size_t size = strlen(name);
    if (size >= 3 && size <= 63 && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return 0;
    return err_set(e, NACRE_INVALID,
                   "\"%.100s\" cannot be a storage account: it needs 3 to 24 of a-z and 0-9", name);
}

static int parse_url(const char *url, struct bucket_url *out, struct nacre_err *e)
{
    const char *scheme = !strncmp(url, "azure:", 6) ? "azure" : "azblob";
    if (bucket_url_parse(url, scheme, out, e) < 0)
        return -1;
    return check_container(out->bucket, e);
}

/* The account in an endpoint: the first segment of its path, as emulators have it, or the first label of its
 * host. "" when there is none. */
static char *account_of(const char *endpoint)
{
    const char *host = strstr(endpoint, "://");
    host = host ? host + 3 : endpoint;
    const char *path = strchr(host, '/');
    if (path && path[1])
        return strndup(path + 1, strcspn(path + 1, "/"));
    size_t label = strcspn(host, ".:/");
    return strndup(host, host[label] == '.' && host[strspn(host, "0123456789.")] != ':' ? label : 0);
}

static int set_account(struct azure_store *store, const struct nacre_config *config,
                       const struct azure_connection *connection, const char *endpoint, struct nacre_err *e)
{
    const char *account = azure_option(config, "account");
    /* A key in the connection string is of the account there. */
    if (!account && (!endpoint || endpoint == connection->endpoint))
        account = connection->account;
    account = account ? account : option_environment("AZURE_STORAGE_ACCOUNT");
    account = account ? account : connection->account;
    if (!account && !endpoint)
        return err_set(e, NACRE_INVALID,
                       "the storage account is not known: set account, or AZURE_STORAGE_ACCOUNT");
    store->account = account ? strdup(account) : account_of(endpoint);
    if (!store->account)
        return err_no_memory(e, "an object store");
    return check_account(store->account, e);
}

static int set_endpoint(struct azure_store *store, const char *endpoint, struct nacre_err *e)
{
    if (!endpoint) {
        if (asprintf(&store->endpoint, "https://%s.blob.core.windows.net", store->account) >= 0)
            return 0;
        store->endpoint = NULL;
        return err_no_memory(e, "an object store");
    }
    const char *host = strstr(endpoint, "://");
    if ((strncmp(endpoint, "https://", 8) != 0 && strncmp(endpoint, "http://", 7) != 0) || !host[3] ||
        strpbrk(endpoint, "?#@% "))
        return err_set(
            e, NACRE_INVALID,
            "endpoint is \"%.200s\"; expected https://HOST, with a port and a path where it has some",
            endpoint);
    store->endpoint = strdup(endpoint);
    if (!store->endpoint)
        return err_no_memory(e, "an object store");
    for (size_t size = strlen(endpoint); size && store->endpoint[size - 1] == '/';)
        store->endpoint[--size] = '\0';
    return 0;
}

/* Bytes, or with KiB or MiB behind. */
static int set_block_size(struct azure_store *store, const struct nacre_config *config, struct nacre_err *e)
{
    const char *text = azure_option(config, "block-size");
    store->block_size = AZURE_BLOCK_SIZE;
    if (!text)
        return 0;
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    unsigned shift = !strcmp(end, "KiB") ? 10 : !strcmp(end, "MiB") ? 20 : 0;
    if (end == text || strspn(text, "0123456789") != (size_t)(end - text) || errno || (*end && !shift) ||
        value > AZURE_BLOCK_SIZE_MAX >> shift || value << shift < AZURE_BLOCK_SIZE_MIN)
        return err_set(e, NACRE_INVALID, "block-size is \"%.50s\"; expected 64KiB to 4000MiB", text);
    store->block_size = value << shift;
    return 0;
}

/* A SAS in a URL, or a token, must not go over a network in the clear; the signature of a key may. */
static int check_transport(const struct azure_store *store, struct nacre_err *e)
{
    return store->credential->kind == AZURE_KEY ? 0 : azure_check_secure("endpoint", store->endpoint, e);
}

static int set_up(struct azure_store *store, const char *url, const struct nacre_config *config,
                  struct nacre_err *e)
{
    CLEANUP(azure_connection_free) struct azure_connection connection = {0};
    if (azure_connection_parse(option_environment("AZURE_STORAGE_CONNECTION_STRING"), &connection, e) < 0)
        return -1;
    const char *endpoint = azure_option(config, "endpoint");
    /* That of the environment is of the account there, not of one that the location names. */
    if (!endpoint && !azure_option(config, "account"))
        endpoint = connection.endpoint;
    if (parse_url(url, &store->url, e) < 0 || set_account(store, config, &connection, endpoint, e) < 0 ||
        set_endpoint(store, endpoint, e) < 0 || set_block_size(store, config, e) < 0 ||
        http_open(config, &store->http, e) < 0 ||
        azure_credential_new(config, &connection, store->http, &store->credential, e) < 0)
        return -1;
    return check_transport(store, e);
}

static int azure_open(const char *url, const struct nacre_config *config, struct nacre_object_store **out,
                      struct nacre_err *e)
{
    log_forward(config->log);
    struct azure_store *store = calloc(1, sizeof *store);
    if (!store)
        return err_no_memory(e, "an object store");
    store->base.ops = &ops;
    store->cancelled = config->cancelled;
    if (set_up(store, url, config, e) < 0) {
        azure_close(&store->base);
        return -1;
    }
    *out = &store->base;
    return 0;
}

static const char *const schemes[] = {"azblob", "azure", NULL};
static const char *const options[] = {
    HTTP_OPTIONS,
    "account",
    "account-key-file",
    "sas-file",
    "tenant-id",
    "client-id",
    "client-secret-file",
    "federated-token-file",
    "managed-identity",
    "endpoint",
    "authority-host",
    "block-size",
    NULL,
};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "azure",
    .version = NACRE_VERSION,
    .description = "Azure Blob Storage",
    .schemes = schemes,
    .options = options,
    .open = azure_open,
};

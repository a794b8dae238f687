/* SPDX-License-Identifier: Apache-2.0 */
/* Connection strings: "Name=Value;Name=Value". A value may hold '=' (keys are base64), none holds ';'. */
#include "connection.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/err.h"

#define CONNECTION_MAX 8192

/* Beyond what is handed out. */
struct parts {
    struct azure_connection *out;
    char *protocol, *suffix;
};

static void wipe_free(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

void azure_connection_free(struct azure_connection *connection)
{
    free(connection->account);
    wipe_free(connection->key);
    wipe_free(connection->sas);
    free(connection->endpoint);
    *connection = (struct azure_connection){0};
}

/* Where the value of that name goes; NULL for a name that is of no use here. */
static char **place_of(struct parts *parts, const char *name, size_t size)
{
    const struct {
        const char *name;
        char **place;
    } known[] = {
        {"AccountName", &parts->out->account},   {"AccountKey", &parts->out->key},
        {"BlobEndpoint", &parts->out->endpoint}, {"SharedAccessSignature", &parts->out->sas},
        {"EndpointSuffix", &parts->suffix},      {"DefaultEndpointsProtocol", &parts->protocol},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == size && !strncasecmp(known[i].name, name, size))
            return known[i].place;
    return NULL;
}

static int read_part(struct parts *parts, const char *part, size_t size, struct nacre_err *e)
{
    const char *equals = memchr(part, '=', size);
    if (!equals)
        return err_set(
            e, NACRE_INVALID,
            "AZURE_STORAGE_CONNECTION_STRING: a part of it is no NAME=VALUE; copy it whole, as the "
            "portal shows it");
    char **place = place_of(parts, part, (size_t)(equals - part));
    if (!place)
        return 0;
    if (*place)
        return err_set(e, NACRE_INVALID, "AZURE_STORAGE_CONNECTION_STRING: %.*s is there twice",
                       (int)(equals - part), part);
    *place = strndup(equals + 1, (size_t)(part + size - equals - 1));
    return *place ? 0 : err_no_memory(e, "a connection string");
}

static int make_endpoint(struct parts *parts, struct nacre_err *e)
{
    struct azure_connection *out = parts->out;
    if (out->endpoint || !out->account || (!parts->protocol && !parts->suffix))
        return 0;
    if (asprintf(&out->endpoint, "%s://%s.blob.%s", parts->protocol ? parts->protocol : "https", out->account,
                 parts->suffix ? parts->suffix : "core.windows.net") >= 0)
        return 0;
    out->endpoint = NULL;
    return err_no_memory(e, "a connection string");
}

static int read_all(struct parts *parts, const char *text, struct nacre_err *e)
{
    while (*text) {
        size_t size = strcspn(text, ";");
        if (size && read_part(parts, text, size, e) < 0)
            return -1;
        text += size + (text[size] == ';');
    }
    return make_endpoint(parts, e);
}

int azure_connection_parse(const char *text, struct azure_connection *out, struct nacre_err *e)
{
    struct parts parts = {.out = out};
    *out = (struct azure_connection){0};
    if (text && strnlen(text, CONNECTION_MAX + 1) > CONNECTION_MAX)
        return err_set(e, NACRE_INVALID, "AZURE_STORAGE_CONNECTION_STRING is longer than %d bytes",
                       CONNECTION_MAX);
    int result = text ? read_all(&parts, text, e) : 0;
    free(parts.protocol);
    free(parts.suffix);
    if (result < 0)
        azure_connection_free(out);
    return result;
}

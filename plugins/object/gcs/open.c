/* SPDX-License-Identifier: Apache-2.0 */
/* The object store `gcs`: a bucket of Google Cloud Storage, gs://bucket/prefix.
 *
 * Opening reads options and credentials and makes no request: tokens are fetched when the first one is
 * needed. Read next: request.c, then upload.c, resumable.c, get.c, stat.c, list.c; for tokens credentials.c,
 * access.c. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/err.h"
#include "common/log.h"
#include "common/option.h"
#include "gcs.h"
#include "http/location.h"

#define ENDPOINT "https://storage.googleapis.com"
#define THRESHOLD (UINT64_C(8) << 20)
#define CHUNK (UINT64_C(64) << 20)
#define CHUNK_MAX (UINT64_C(1) << 40)

static void gcs_close(struct nacre_object_store *base)
{
    struct gcs_store *store = (struct gcs_store *)base;
    token_free(store->token);
    credentials_free(store->credentials);
    http_free(store->http);
    http_free(store->last);
    free(store->endpoint);
    free(store->bucket);
    free(store->prefix);
    free(store->project);
    free(store);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = gcs_close,
    .put = gcs_put,
    .put_if_absent = gcs_put_if_absent,
    .get = gcs_get,
    .stat = gcs_stat,
    .list = gcs_list,
    .remove = gcs_remove,
};

static const char *const options[] = {HTTP_OPTIONS,       "credentials", "anonymous",    "endpoint",
                                      "upload-threshold", "chunk-size",  "user-project", NULL};

static int check_options(const struct nacre_config *config, struct nacre_err *e)
{
    for (size_t i = 0; i < config->option_count; i++) {
        size_t k = 0;
        while (options[k] && strcmp(options[k], config->options[i].key) != 0)
            k++;
        if (!options[k])
            return err_set(e, NACRE_INVALID, "the store gcs has no option \"%.100s\"",
                           config->options[i].key);
    }
    return 0;
}

/* Bytes, in multiples of GCS_QUANTUM. */
static int read_size(const struct nacre_config *config, const char *key, uint64_t least, uint64_t *out,
                     struct nacre_err *e)
{
    const char *text = option_text(config, key);
    if (!text)
        return 0;
    errno = 0;
    uint64_t value = strtoull(text, NULL, 10);
    if (!*text || text[strspn(text, "0123456789")] || errno || value < least || value > CHUNK_MAX ||
        value % GCS_QUANTUM)
        return err_set(e, NACRE_INVALID, "%s is \"%.50s\"; expected bytes, a multiple of 262144", key, text);
    *out = value;
    return 0;
}

/* Where the service is; *emulator when the environment says so. */
static int read_endpoint(const struct nacre_config *config, struct gcs_store *store, bool *emulator,
                         struct nacre_err *e)
{
    static const char path[] = "/storage/v1";
    const char *given = option_text(config, "endpoint"), *variable = getenv("STORAGE_EMULATOR_HOST");
    *emulator = !given && variable && *variable;
    if (!given)
        given = *emulator ? variable : ENDPOINT;
    const char *scheme = strstr(given, "://") ? "" : *emulator ? "http://" : "https://";
    if (asprintf(&store->endpoint, "%s%s", scheme, given) < 0) {
        store->endpoint = NULL;
        return err_no_memory(e, "an object store");
    }
    char *host = strstr(store->endpoint, "://") + 3;
    size_t size = strlen(host);
    while (size && host[size - 1] == '/')
        host[--size] = '\0';
    if (size >= sizeof path && !strcmp(host + size - (sizeof path - 1), path))
        host[size -= sizeof path - 1] = '\0'; /* as other programs want it given */
    bool http = !strncasecmp(store->endpoint, "http://", 7) || !strncasecmp(store->endpoint, "https://", 8);
    if (!http || !size || strpbrk(host, "@?# \t\r\n"))
        return err_set(e, NACRE_INVALID, "%s is no URL of the form https://HOST:PORT",
                       *emulator ? "STORAGE_EMULATOR_HOST" : "the option endpoint");
    return 0;
}

static int find_credentials(const struct nacre_config *config, struct gcs_store *store, bool emulator,
                            struct nacre_err *e)
{
    const char *project = option_text(config, "user-project");
    bool anonymous = false;
    if (option_flag(config, "anonymous", &anonymous, e) < 0)
        return -1;
    if (anonymous && option_text(config, "credentials"))
        return err_set(e, NACRE_INVALID, "either anonymous or credentials, not both");
    if (!anonymous &&
        credentials_find(option_text(config, "credentials"), emulator, &store->credentials, e) < 0)
        return -1;
    if (!project && store->credentials)
        project = store->credentials->quota_project;
    if (project && !(store->project = strdup(project)))
        return err_no_memory(e, "an object store");
    if (!store->credentials)
        return 0;
    store->access = (struct access){
        .credentials = store->credentials, .http = store->http, .cancelled = store->cancelled};
    return token_new(access_fetch, &store->access, &store->token, e);
}

static int fill(struct gcs_store *store, const char *url, const struct nacre_config *config,
                struct nacre_err *e)
{
    struct bucket_url place = {0};
    struct nacre_config steady = *config;
    bool emulator = false;
    steady.cancelled = NULL;
    if (check_options(config, e) < 0 || bucket_url_parse(url, "gs", &place, e) < 0)
        return -1;
    store->bucket = place.bucket;
    store->prefix = place.prefix;
    if (read_size(config, "upload-threshold", 0, &store->threshold, e) < 0 ||
        read_size(config, "chunk-size", GCS_QUANTUM, &store->chunk, e) < 0 ||
        read_endpoint(config, store, &emulator, e) < 0 || http_open(config, &store->http, e) < 0 ||
        http_open(&steady, &store->last, e) < 0 || find_credentials(config, store, emulator, e) < 0)
        return -1;
    if (store->token && !strncasecmp(store->endpoint, "http://", 7))
        log_debug("the token goes to %s in plain text", store->endpoint);
    return 0;
}

static int gcs_open(const char *url, const struct nacre_config *config, struct nacre_object_store **out,
                    struct nacre_err *e)
{
    log_forward(config->log);
    struct gcs_store *store = calloc(1, sizeof *store);
    if (!store)
        return err_no_memory(e, "an object store");
    *store = (struct gcs_store){
        .base.ops = &ops, .threshold = THRESHOLD, .chunk = CHUNK, .cancelled = config->cancelled};
    if (fill(store, url, config, e) < 0) {
        gcs_close(&store->base);
        return -1;
    }
    *out = &store->base;
    return 0;
}

static const char *const schemes[] = {"gs", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "gcs",
    .version = NACRE_VERSION,
    .description = "Google Cloud Storage",
    .schemes = schemes,
    .options = options,
    .open = gcs_open,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The object store `s3`: s3://bucket/prefix. Options, and where requests go.
 *
 * Without an endpoint they go to Amazon, to BUCKET.s3.REGION.amazonaws.com; a bucket with a dot in its name
 * does not match Amazon's certificates and is reached by path. With one they go to ENDPOINT/BUCKET, or with
 * path-style: false to BUCKET.ENDPOINT. Nothing is asked at opening: the first call tells what is wrong. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/err.h"
#include "common/log.h"
#include "common/option.h"
#include "s3.h"

#define PART_DEFAULT (64 * MIB)

static void s3_close(struct nacre_object_store *base)
{
    struct s3_store *store = (struct s3_store *)base;
    token_free(store->token);
    credentials_free(store->credentials);
    http_free(store->http);
    bucket_url_free(&store->url);
    free(store->endpoint);
    free(store->root);
    free(store->region);
    free(store->sigv4);
    free(store);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = s3_close,
    .put = s3_put,
    .put_if_absent = s3_put_if_absent,
    .get = s3_get,
    .stat = s3_stat,
    .list = s3_list,
    .remove = s3_remove,
};

/* Bytes, or with MiB or GiB behind. */
static int read_part_size(const struct nacre_config *config, uint64_t *out, struct nacre_err *e)
{
    const char *text = option_text(config, "part-size");
    char *end;
    *out = PART_DEFAULT;
    if (!text)
        return 0;
    uint64_t value = strtoull(text, &end, 10), unit = 1;
    if (!strcmp(end, "MiB"))
        unit = MIB;
    else if (!strcmp(end, "GiB"))
        unit = 1024 * MIB;
    else if (*end)
        unit = 0;
    if (*text < '0' || *text > '9' || !unit || value > S3_SINGLE_MAX / unit || value * unit < S3_PART_MIN)
        return err_set(e, NACRE_INVALID, "part-size is \"%.100s\"; expected 5MiB to 5GiB", text);
    *out = value * unit;
    return 0;
}

static int read_conditional(const struct nacre_config *config, atomic_int *out, struct nacre_err *e)
{
    const char *text = option_text(config, "conditional-writes");
    *out = S3_UNKNOWN;
    if (!text || !strcmp(text, "auto"))
        return 0;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return err_set(e, NACRE_INVALID, "conditional-writes is \"%.100s\"; expected auto, true or false",
                       text);
    *out = *text == 't' ? S3_HONOURED : S3_NOT_SENT;
    return 0;
}

static bool only(const char *text, const char *more)
{
    for (; *text; text++)
        if (!((*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9') || strchr(more, *text)))
            return false;
    return true;
}

/* The region becomes a part of host names and of what is signed. */
static int read_region(const struct nacre_config *config, const struct profile *profile, char **out,
                       struct nacre_err *e)
{
    const char *region = option_text(config, "region");
    if (!region)
        region = option_environment("AWS_REGION");
    if (!region)
        region = option_environment("AWS_DEFAULT_REGION");
    if (!region)
        region = profile->region ? profile->region : "us-east-1";
    if (!*region || strlen(region) > 64 || !only(region, "-_ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return err_set(e, NACRE_INVALID, "\"%.100s\" is no region; expected one such as eu-central-1",
                       region);
    *out = strdup(region);
    return *out ? 0 : err_no_memory(e, "a region");
}

/* "https://host:port/path" in the spelling that is signed: lower case, no default port, no '/' at the end. */
static int clean_endpoint(const char *text, char **out, struct nacre_err *e)
{
    bool tls = !strncasecmp(text, "https://", 8);
    if (!tls && strncasecmp(text, "http://", 7) != 0)
        return err_set(e, NACRE_INVALID, "endpoint is \"%.200s\"; expected https://HOST or http://HOST:PORT",
                       text);
    const char *host = text + (tls ? 8 : 7);
    size_t size = strcspn(host, "/");
    if (!size || strpbrk(host, "@?#%\\ "))
        return err_set(e, NACRE_INVALID,
                       "the endpoint has to be https://HOST[:PORT][/PATH], without credentials and query");
    CLEANUP(buf_free) struct buf url = {0};
    buf_string(&url, tls ? "https://" : "http://");
    const char *port = tls ? ":443" : ":80";
    size_t shown = size > strlen(port) && !memcmp(host + size - strlen(port), port, strlen(port))
                       ? size - strlen(port)
                       : size;
    for (size_t i = 0; i < shown; i++)
        buf_char(&url, (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] | 0x20 : host[i]));
    size_t path = strlen(host + size);
    while (path && host[size + path - 1] == '/')
        path--;
    buf_append(&url, host + size, path);
    *out = buf_failed(&url) ? NULL : strdup((const char *)url.data);
    if (*out)
        return 0;
    err_no_memory(e, "an endpoint");
    return -1;
}

static int read_endpoint(const struct nacre_config *config, const struct profile *profile,
                         struct s3_store *store, bool *given, struct nacre_err *e)
{
    const char *endpoint = option_text(config, "endpoint");
    if (!endpoint)
        endpoint = option_environment("AWS_ENDPOINT_URL_S3");
    if (!endpoint)
        endpoint = option_environment("AWS_ENDPOINT_URL");
    if (!endpoint)
        endpoint = profile->endpoint;
    *given = endpoint != NULL;
    if (endpoint)
        return clean_endpoint(endpoint, &store->endpoint, e);
    if (asprintf(&store->endpoint, "https://s3.%s.amazonaws.com%s", store->region,
                 strncmp(store->region, "cn-", 3) ? "" : ".cn") < 0)
        store->endpoint = NULL;
    if (store->endpoint)
        return 0;
    err_no_memory(e, "an endpoint");
    return -1;
}

/* Makes store->root. */
static int read_address(const struct nacre_config *config, struct s3_store *store, bool endpoint_given,
                        struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf root = {0};
    const char *bucket = store->url.bucket, *host = strstr(store->endpoint, "://") + 3;
    size_t size = strlen(bucket);
    bool dns = size >= 3 && size <= 63 && only(bucket, ".-") && *bucket != '.' && *bucket != '-';
    bool path_style = endpoint_given || !dns || strchr(bucket, '.');
    if (!endpoint_given && !dns)
        return err_set(e, NACRE_INVALID,
                       "\"%.100s\" cannot be a bucket: 3 to 63 of [a-z0-9.-], and a letter or digit first",
                       bucket);
    if (option_flag(config, "path-style", &path_style, e) < 0)
        return -1;
    if (!path_style && !dns)
        return err_set(e, NACRE_INVALID,
                       "bucket \"%.100s\" cannot be part of a host name; set path-style: true", bucket);
    buf_append(&root, store->endpoint,
               path_style ? strlen(store->endpoint) : (size_t)(host - store->endpoint));
    if (path_style) {
        buf_char(&root, '/');
        encode_percent(&root, bucket, false);
    } else {
        buf_string(&root, bucket);
        buf_char(&root, '.');
        buf_string(&root, host);
    }
    store->root = buf_failed(&root) ? NULL : strdup((const char *)root.data);
    return store->root ? 0 : err_no_memory(e, "a URL");
}

/* The region and endpoint of the profile that will give the keys. */
static int read_profile(const struct nacre_config *config, struct profile *profile, struct nacre_err *e)
{
    const char *name = option_text(config, "profile"), *file = option_text(config, "credentials-file");
    if (!name && !file)
        name = option_environment("AWS_PROFILE");
    return profile_load(name ? name : "default", file, profile, e);
}

static int set_up(const struct nacre_config *config, struct s3_store *store, struct nacre_err *e)
{
    CLEANUP(profile_free) struct profile profile = {0};
    bool anonymous = false, endpoint_given;
    if (option_flag(config, "anonymous", &anonymous, e) < 0 ||
        (!anonymous && read_profile(config, &profile, e) < 0) ||
        read_region(config, &profile, &store->region, e) < 0 ||
        read_endpoint(config, &profile, store, &endpoint_given, e) < 0 ||
        read_address(config, store, endpoint_given, e) < 0 ||
        read_part_size(config, &store->part_size, e) < 0 ||
        read_conditional(config, &store->conditional, e) < 0 || http_open(config, &store->http, e) < 0)
        return -1;
    if (asprintf(&store->sigv4, "aws:amz:%s:s3", store->region) < 0) {
        store->sigv4 = NULL;
        return err_no_memory(e, "an object store");
    }
    if (anonymous)
        return 0;
    return credentials_open(store->http, store->region, option_text(config, "profile"),
                            option_text(config, "credentials-file"), &store->credentials, e) < 0
               ? -1
               : token_new(credentials_fetch, store->credentials, &store->token, e);
}

static int s3_open(const char *url, const struct nacre_config *config, struct nacre_object_store **out,
                   struct nacre_err *e)
{
    log_forward(config->log);
    struct s3_store *store = calloc(1, sizeof *store);
    if (!store)
        return err_no_memory(e, "an object store");
    store->base.ops = &ops;
    store->cancelled = config->cancelled;
    if (bucket_url_parse(url, "s3", &store->url, e) < 0 || set_up(config, store, e) < 0) {
        s3_close(&store->base);
        return -1;
    }
    *out = &store->base;
    return 0;
}

static const char *const schemes[] = {"s3", NULL};
static const char *const options[] = {
    HTTP_OPTIONS,       "endpoint",  "region",    "path-style",         "profile",
    "credentials-file", "part-size", "anonymous", "conditional-writes", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "s3",
    .version = NACRE_VERSION,
    .description = "Amazon S3 and what speaks it: Ceph's radosgw, MinIO, …",
    .schemes = schemes,
    .options = options,
    .open = s3_open,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a location with its wrappers, from the inside: the plugin; `fault` where a test asks for it;
 * `limit` where a rate is given; `adapt`, so many requests at once; `retry` around them, so that what any of
 * them does to a request is tried again like any failure, and a request that waits for its next try has no
 * place among those under way; the guard of a read-only one; and `cache` outermost, because what it has needs
 * no request. */
#include "cli/location_wrap.h"

#include <string.h>

#include "cli/location_guard.h"
#include "cli/quantity.h"
#include "cli/settings.h"
#include "common/err.h"
#include "plugins/load.h"
#include "repository/id.h"

/* Keys of a location that are nacre's own, and those that go to a wrapper without their prefix. All others
 * are the plugin's. */
static const char *const own_keys[] = {"url",          "password-file",  "password-command", "repository",
                                       "limit-upload", "limit-download", "access-mode",      "default",
                                       "connections",  "cache-size"};

static bool own_key(const char *key)
{
    for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++)
        if (!strcmp(key, own_keys[i]))
            return true;
    return false;
}

static bool wrapper_key(const char *key, const char *prefix)
{
    return !strncmp(key, prefix, strlen(prefix));
}

/* Gathers the options of the plugin (prefix NULL) or of a wrapper. options has room for all. */
static size_t collect(const struct settings_entry *entry, const char *prefix, struct nacre_option *options)
{
    size_t count = 0;
    for (size_t i = 0; entry && i < entry->option_count; i++) {
        const struct nacre_option *o = &entry->options[i];
        if (prefix && wrapper_key(o->key, prefix))
            options[count++] = (struct nacre_option){o->key + strlen(prefix), o->value};
        else if (!prefix && !own_key(o->key) && !wrapper_key(o->key, "retry-") &&
                 !wrapper_key(o->key, "fault-"))
            options[count++] = *o;
    }
    return count;
}

/* A rate from an option, or else from the configuration: KiB/s in, bytes per second out; 0 = none. */
static int rate(const struct cli *cli, const struct location *location, const struct option *option,
                uint64_t *out, struct nacre_err *e)
{
    const char *text = cli_value(cli, option);
    if (!text)
        text = settings_value(location->entry, option->name);
    *out = 0;
    if (!text)
        return 0;
    if (!number_parse(text, out) || !*out || *out > UINT64_MAX / 2048)
        return err_set(e, NACRE_INVALID, "%s %.64s: expected a number of KiB/s, such as 10240", option->name,
                       text);
    *out *= 1024;
    return 0;
}

static int wrap_limit(const struct cli *cli, struct location *location, struct nacre_err *e)
{
    uint64_t up, down;
    char up_text[24], down_text[24];
    struct nacre_option options[2];
    size_t count = 0;
    if (rate(cli, location, &option_limit_upload, &up, e) < 0 ||
        rate(cli, location, &option_limit_download, &down, e) < 0)
        return -1;
    snprintf(up_text, sizeof up_text, "%llu", (unsigned long long)up);
    snprintf(down_text, sizeof down_text, "%llu", (unsigned long long)down);
    if (up)
        options[count++] = (struct nacre_option){"upload-bytes-per-second", up_text};
    if (down)
        options[count++] = (struct nacre_option){"download-bytes-per-second", down_text};
    return count ? plugin_wrap_store("limit", options, count, &location->store, e) : 0;
}

/* A request that failed for now is worth ten tries to a backup, and three to who wants to know why. */
static int wrap_retry(struct location *location, enum location_use use, struct nacre_err *e)
{
    struct nacre_option options[SETTINGS_KEYS_MAX + 1];
    size_t count = collect(location->entry, "retry-", options);
    if (use == LOCATION_PROBE && !settings_value(location->entry, "retry-tries"))
        options[count++] = (struct nacre_option){"tries", "3"};
    return plugin_wrap_store("retry", options, count, &location->store, e);
}

static int wrap_adapt(struct location *location, struct nacre_err *e)
{
    char connections[16];
    snprintf(connections, sizeof connections, "%u", location->connections);
    return plugin_wrap_store("adapt", &(struct nacre_option){"connections", connections}, 1, &location->store,
                             e);
}

/* What tells the caches of two stores apart. What is in them is proven by its name, so that a mistake here
 * could cost time, and nothing else. */
static void cache_id(const struct location *location, const char *url, char out[ID_HEX_SIZE])
{
    static const char *const keys[] = {"endpoint", "account", "region"};
    CLEANUP(buf_free) struct buf text = {0};
    struct id id;
    buf_string(&text, url);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *value = settings_value(location->entry, keys[i]);
        buf_printf(&text, "\n%s", value ? value : "");
    }
    id_hash(&id, text.data, text.size);
    id_format(&id, out);
    out[32] = 0;
}

/* A directory of this machine is as near as its cache would be, unless a size is given for it: it may be a
 * network's. */
static int wrap_cache(struct cli *cli, struct location *location, const char *url, struct nacre_err *e)
{
    char id[ID_HEX_SIZE], bytes[24];
    uint64_t size = UINT64_C(2) << 30;
    const char *given = settings_value(location->entry, "cache-size");
    if (given && !size_parse(given, &size))
        return err_set(e, NACRE_INVALID, "cache-size %.64s: expected " SIZE_FORM, given);
    if (!size || (!given && (!strncmp(url, "file:", 5) || !strncmp(url, "memory:", 7))))
        return 0;
    CLEANUP(mem_free) char *base = location_cache_dir(cli);
    CLEANUP(mem_free) char *directory = NULL;
    if (!base)
        return 0;
    if (asprintf(&directory, "%s/objects", base) < 0)
        return err_no_memory(e, "the cache's name");
    cache_id(location, url, id);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)size);
    const struct nacre_option options[] = {{"directory", directory}, {"id", id}, {"max-bytes", bytes}};
    return plugin_wrap_store("cache", options, 3, &location->store, e);
}

int location_open_store(struct cli *cli, struct location *location, enum location_use use, const char *url,
                        struct nacre_err *e)
{
    struct nacre_option options[SETTINGS_KEYS_MAX];
    size_t count = collect(location->entry, NULL, options);
    if (plugin_open_store(url, options, count, &location->store, e) < 0)
        return -1;
    count = collect(location->entry, "fault-", options);
    if (count && plugin_wrap_store("fault", options, count, &location->store, e) < 0)
        return -1;
    if (wrap_limit(cli, location, e) < 0 || wrap_adapt(location, e) < 0 || wrap_retry(location, use, e) < 0 ||
        (location->read_only && location_guard(location->name, &location->store, e) < 0))
        return -1;
    return use == LOCATION_PROBE || use == LOCATION_CHECK ? 0 : wrap_cache(cli, location, url, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a location, and opening it. */
#include "cli/location.h"

#include <string.h>

#include "cli/location_wrap.h"
#include "cli/quantity.h"
#include "cli/settings.h"
#include "common/err.h"

const struct option option_location = {.name = "location",
                                       .argument = "L",
                                       .help = "the location: a name in the configuration, or a URL such as "
                                               "file:///srv/backups (default: the default location)"};
const struct option option_connections = {.name = "connections",
                                          .argument = "N",
                                          .help =
                                              "at most N requests to the object store at once (default: 8)"};
const struct option option_limit_upload = {
    .name = "limit-upload", .argument = "RATE", .help = "send at most RATE KiB/s"};
const struct option option_limit_download = {
    .name = "limit-download", .argument = "RATE", .help = "fetch at most RATE KiB/s"};

#define CONNECTIONS_DEFAULT 8
#define CONNECTIONS_MAX 64

char *location_url_clean(const char *url)
{
    char *copy = strdup(url);
    char *host = copy ? strstr(copy, "://") : NULL;
    if (!host)
        return copy;
    host += 3;
    size_t length = strcspn(host, "/?#");
    char *at = memrchr(host, '@', length);
    if (at)
        memmove(host, at + 1, strlen(at + 1) + 1);
    if (strncmp(copy, "file:", 5) != 0)
        host[strcspn(host, "?#")] = 0; /* a signed URL has its signature there */
    return copy;
}

static int read_connections(const struct cli *cli, struct location *location, struct nacre_err *e)
{
    const char *text = cli_value(cli, &option_connections);
    uint64_t value = CONNECTIONS_DEFAULT;
    if (!text)
        text = settings_value(location->entry, option_connections.name);
    if (text && (!number_parse(text, &value) || !value || value > CONNECTIONS_MAX))
        return err_set(e, NACRE_INVALID, "connections %.64s: expected a number from 1 to %d", text,
                       CONNECTIONS_MAX);
    location->connections = (unsigned)value;
    return 0;
}

static int check_use(const struct location *location, enum location_use use, struct nacre_err *e)
{
    if (use != LOCATION_WRITE || !location->read_only)
        return 0;
    return err_set(
        e, NACRE_DENIED,
        "location \"%s\" is read-only (access-mode: ReadOnly), and this command writes; choose another "
        "location, or nacre backup-location set %s --access-mode ReadWrite",
        location->name, location->name);
}

/* The names of the configured locations, for a message. */
static void known_locations(const struct settings *settings, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < settings->location_count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", settings->locations[i].name);
}

static int absent_location(const struct settings *settings, const char *name, bool given, struct nacre_err *e)
{
    char known[256];
    known_locations(settings, known, sizeof known);
    if (!given)
        return err_set(e, NACRE_INVALID,
                       "--location is missing, and %s has no default location%s%s; pass --location",
                       settings->file ? settings->file : "there is no configuration that",
                       *known ? ": it has " : "", known);
    if (!settings->file)
        return err_set(
            e, NACRE_INVALID,
            "location \"%.128s\": there is no configuration; write one (see nacre.yaml(5)) or give a "
            "URL such as file:///srv/backups",
            name);
    return err_set(e, NACRE_INVALID, "location \"%.128s\" is not in %s, which has %s; a URL holds \"://\"",
                   name, settings->file, *known ? known : "none");
}

/* entry NULL: the location is the URL. */
static int open_as(struct cli *cli, const struct settings_entry *entry, const char *url,
                   enum location_use use, struct location **out, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = calloc(1, sizeof *location);
    if (!location)
        return err_no_memory(e, "the location");
    location->entry = entry;
    location->read_only = settings_read_only(entry);
    location->url = location_url_clean(url);
    location->name = entry ? strdup(entry->name) : location_url_clean(url);
    if (!location->url || !location->name)
        /* cppcheck-suppress memleak ; it does not know CLEANUP here */
        return err_no_memory(e, "the location");
    if (check_use(location, use, e) < 0)
        return -1;
    if (read_connections(cli, location, e) < 0 || location_open_store(cli, location, use, url, e) < 0)
        return entry ? err_wrap(e, "location \"%s\" (%s:%u)", entry->name, cli->settings->file, entry->line)
                     : err_wrap(e, "location %s", location->url);
    *out = MOVE(location);
    return 0;
}

int location_open_entry(struct cli *cli, const struct settings_entry *entry, enum location_use use,
                        struct location **out, struct nacre_err *e)
{
    return open_as(cli, entry, settings_value(entry, "url"), use, out, e);
}

int location_open(struct cli *cli, enum location_use use, struct location **out, struct nacre_err *e)
{
    struct settings *settings;
    const char *name = cli_value(cli, &option_location);
    if (cli_settings(cli, &settings, e) < 0)
        return -1;
    if (name && strstr(name, "://"))
        return open_as(cli, NULL, name, use, out, e);
    const struct settings_entry *entry =
        name ? settings_location(settings, name) : settings_default_location(settings);
    return entry ? location_open_entry(cli, entry, use, out, e)
                 : absent_location(settings, name ? name : "default", name, e);
}

void location_free(struct location *location)
{
    if (!location)
        return;
    store_close(location->store);
    free(location->name);
    free(location->url);
    free(location);
}

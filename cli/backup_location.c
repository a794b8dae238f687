/* SPDX-License-Identifier: Apache-2.0 */
/* nacre backup-location get, describe. Values that are secrets, or could be, are never shown. */
#include "cli/backup_location.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "common/err.h"

int backup_location_find(struct cli *cli, const char *name, const struct settings_entry **out,
                         struct nacre_err *e)
{
    struct settings *settings;
    CLEANUP(buf_free) struct buf known = {0};
    if (cli_settings(cli, &settings, e) < 0)
        return -1;
    *out = settings_location(settings, name);
    if (*out)
        return 0;
    for (size_t i = 0; i < settings->location_count; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", settings->locations[i].name);
    return err_set(e, NACRE_ABSENT, "backup location \"%.64s\" is not in %s, which has %s", name,
                   settings->file ? settings->file : "any configuration",
                   known.data ? (const char *)known.data : "none");
}

void backup_location_provider(const char *url, char *out, size_t size)
{
    static const char *const names[][2] = {{"gs", "gcs"}, {"azblob", "azure"}};
    snprintf(out, size, "%.*s", (int)strcspn(url, ":"), url);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(out, names[i][0]))
            snprintf(out, size, "%s", names[i][1]);
}

/* A command may hold a secret as well, and so may the URL of a proxy. free() */
static char *shown(const struct nacre_option *option)
{
    return secrets_key(option->key) ? strdup("(not shown)") : location_url_clean(option->value);
}

/* What has a field of its own is not listed again. */
static bool own_field(const char *key)
{
    return !strcmp(key, "url") || !strcmp(key, "access-mode") || !strcmp(key, "default");
}

static json_t *document(struct cli *cli, const struct settings_entry *entry)
{
    char provider[32];
    const char *url = settings_value(entry, "url");
    CLEANUP(mem_free) char *clean = location_url_clean(url);
    json_t *options = json_object();
    backup_location_provider(url, provider, sizeof provider);
    for (size_t i = 0; i < entry->option_count; i++) {
        CLEANUP(mem_free) char *value = shown(&entry->options[i]);
        if (!own_field(entry->options[i].key))
            json_object_set_new(options, entry->options[i].key, output_text(value));
    }
    json_t *check = backup_location_last_check(cli, entry);
    return json_pack(
        "{s:s,s:o,s:o,s:s,s:b,s:o,s:o,s:o,s:i}", "name", entry->name, "provider", output_text(provider),
        "url", output_text(clean), "accessMode", settings_read_only(entry) ? "ReadOnly" : "ReadWrite",
        "default", entry == settings_default_location(cli->settings), "options", options, "lastCheck",
        check ? check : json_null(), "file", output_text(cli->settings->file), "line", (int)entry->line);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* "passed 2026-01-02T03:04:05Z". */
static void check_line(const json_t *check, char *out, size_t size)
{
    const char *result = text_of(check, "result"), *time = text_of(check, "time");
    snprintf(out, size, "%.16s%s%.32s", result ? result : "", time ? " " : "", time ? time : "");
}

static void add_row(struct table *table, const json_t *location, bool last_check)
{
    char check[64];
    check_line(json_object_get(location, "lastCheck"), check, sizeof check);
    const char *const cells[] = {text_of(location, "name"),
                                 text_of(location, "provider"),
                                 text_of(location, "url"),
                                 text_of(location, "accessMode"),
                                 json_is_true(json_object_get(location, "default")) ? "true" : NULL,
                                 last_check ? check : NULL};
    table_row(table, cells);
}

static int collect(struct cli *cli, json_t *items, struct nacre_err *e)
{
    struct settings *settings;
    const struct settings_entry *entry;
    if (cli_settings(cli, &settings, e) < 0)
        return -1;
    for (size_t i = 0; i < cli->argument_count; i++) {
        if (backup_location_find(cli, cli->arguments[i], &entry, e) < 0)
            return -1;
        json_array_append_new(items, document(cli, entry));
    }
    for (size_t i = 0; !cli->argument_count && i < settings->location_count; i++)
        json_array_append_new(items, document(cli, &settings->locations[i]));
    return 0;
}

static int print(struct cli *cli, json_t *items, struct nacre_err *e)
{
    static const char *const headers[] = {"NAME", "PROVIDER", "URL", "ACCESS MODE", "DEFAULT", "LAST CHECK"};
    if (cli->format != CLI_TABLE) {
        json_t *list = json_pack("{s:O}", "items", items);
        int result = output_document(cli, list, e);
        json_decref(list);
        return result;
    }
    CLEANUP(table_free) struct table *table = table_new(headers, cli->verbose ? 6 : 5);
    if (!table)
        return err_no_memory(e, "the list");
    for (size_t i = 0; i < json_array_size(items); i++)
        add_row(table, json_array_get(items, i), cli->verbose);
    table_print(table);
    return 0;
}

static int run_get(struct cli *cli, struct nacre_err *e)
{
    json_t *items = json_array();
    int result = collect(cli, items, e) < 0 ? -1 : print(cli, items, e);
    json_decref(items);
    return result;
}

static void print_one(const json_t *location)
{
    char text[4200];
    const char *key;
    json_t *value;
    const json_t *check = json_object_get(location, "lastCheck");
    output_field("Name:", text_of(location, "name"));
    output_field("Provider:", text_of(location, "provider"));
    output_field("URL:", text_of(location, "url"));
    output_field("Access mode:", text_of(location, "accessMode"));
    output_field("Default:", json_is_true(json_object_get(location, "default")) ? "true" : "false");
    snprintf(text, sizeof text, "%s:%lld", text_of(location, "file"),
             (long long)json_integer_value(json_object_get(location, "line")));
    output_field("Configured in:", text);
    check_line(check, text, sizeof text);
    output_field("Last check:", text);
    output_field("", text_of(check, "message"));
    bool first = true;
    json_object_foreach(json_object_get(location, "options"), key, value)
    {
        snprintf(text, sizeof text, "%s: %s", key, json_string_value(value));
        output_field(first ? "Options:" : "", text);
        first = false;
    }
}

static int run_describe(struct cli *cli, struct nacre_err *e)
{
    const struct settings_entry *entry;
    if (backup_location_find(cli, cli_argument(cli, 0), &entry, e) < 0)
        return -1;
    json_t *location = document(cli, entry);
    int result = 0;
    if (!location)
        result = err_no_memory(e, "the location");
    else if (cli->format == CLI_TABLE)
        print_one(location);
    else
        result = output_document(cli, location, e);
    json_decref(location);
    return result;
}

const struct command command_backup_location_get = {
    .group = "backup-location",
    .name = "get",
    .arguments = "[NAME]…",
    .most = ARGUMENTS_ANY,
    .summary = "List the backup locations of the configuration",
    .details = "With -v also when each was last checked on this machine, and what came of it.",
    .run = run_get,
};

const struct command command_backup_location_describe = {
    .group = "backup-location",
    .name = "describe",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Show a backup location and all its options but secrets",
    .details = "",
    .run = run_describe,
};

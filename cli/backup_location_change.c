/* SPDX-License-Identifier: Apache-2.0 */
/* nacre backup-location create, set, delete: edits of the configuration file. Nothing in an object store is
 * touched. */
#include <string.h>

#include "cli/backup_location.h"
#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/settings_edit.h"
#include "common/err.h"

static const struct option option_url = {.name = "url",
                                         .argument = "URL",
                                         .help =
                                             "where it is: gs://BUCKET/PREFIX, azblob://CONTAINER/PREFIX, "
                                             "s3://BUCKET/PREFIX or file:///DIRECTORY"};
static const struct option option_provider = {
    .name = "provider",
    .argument = "azure|gcs|s3",
    .help = "with --bucket and --prefix, in the place of --url: whose service it is"};
static const struct option option_bucket = {
    .name = "bucket", .argument = "BUCKET", .help = "the bucket or container, which exists already"};
static const struct option option_prefix = {
    .name = "prefix",
    .argument = "PREFIX",
    .help = "what the names of all objects begin with, so that others can share the bucket"};
static const struct option option_access_mode = {
    .name = "access-mode",
    .argument = "ReadWrite|ReadOnly",
    .help = "ReadOnly: restores only; commands that write are refused (default: ReadWrite)"};
static const struct option option_default = {.name = "default",
                                             .argument = "true|false",
                                             .help = "the location that is meant when none is named",
                                             .flags = OPTION_SWITCH};
static const struct option option_set = {
    .name = "set",
    .argument = "KEY=VALUE",
    .help =
        "any key of nacre.yaml(5), such as password-file=/etc/nacre/password, or of the store; secrets go "
        "into files",
    .flags = OPTION_REPEAT};
static const struct option option_unset = {
    .name = "unset", .argument = "KEY", .help = "remove a key", .flags = OPTION_REPEAT};

/* Options of the location, as the command line gives them. */
struct request {
    struct nacre_option options[SETTINGS_KEYS_MAX];
    size_t count;
    struct nacre_option *pairs; /* of --set */
    char *pair_text, *url;
};

static void request_free(struct request *request)
{
    free(request->pairs);
    free(request->pair_text);
    free(request->url);
}
static inline void request_free_at(struct request *request)
{
    request_free(request);
}

static int add(struct request *request, const char *key, const char *value, struct nacre_err *e)
{
    for (size_t i = 0; i < request->count; i++)
        if (!strcmp(request->options[i].key, key))
            return err_set(e, NACRE_INVALID, "\"%.64s\" was given twice", key);
    if (request->count == SETTINGS_KEYS_MAX)
        return err_set(e, NACRE_INVALID, "a location has at most %u keys", SETTINGS_KEYS_MAX);
    request->options[request->count++] = (struct nacre_option){key, value};
    return 0;
}

/* --provider, --bucket and --prefix, as a URL. */
static int make_url(const struct cli *cli, char **out, struct nacre_err *e)
{
    static const char *const schemes[][2] = {{"azure", "azblob"}, {"gcs", "gs"}, {"s3", "s3"}};
    const char *provider = cli_value(cli, &option_provider), *bucket = cli_value(cli, &option_bucket);
    const char *prefix = cli_value(cli, &option_prefix);
    if (!provider || !bucket)
        return err_set(e, NACRE_INVALID, "--provider and --bucket are given together");
    if (!*bucket || strchr(bucket, '/'))
        return err_set(e, NACRE_INVALID, "--bucket %.64s: expected the name of a bucket alone", bucket);
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(provider, schemes[i][0])) {
            prefix = prefix ? prefix + strspn(prefix, "/") : "";
            if (asprintf(out, "%s://%s%s%s", schemes[i][1], bucket, *prefix ? "/" : "", prefix) >= 0)
                return 0;
            *out = NULL;
            return err_no_memory(e, "the URL");
        }
    return err_set(e, NACRE_INVALID, "--provider %.64s: unknown", provider);
}

static int check_no_secret(const char *option, const char *value, struct nacre_err *e)
{
    CLEANUP(mem_free) char *clean = location_url_clean(value);
    if (!clean || !strcmp(clean, value))
        return 0;
    return err_set(e, NACRE_INVALID,
                   "%s %s: credentials do not belong into a URL, which other users of this machine can "
                   "see; put them into a file and name it with --set",
                   option, clean);
}

static int read_url(const struct cli *cli, struct request *request, struct nacre_err *e)
{
    const char *url = cli_value(cli, &option_url);
    bool parts =
        cli_flag(cli, &option_provider) || cli_flag(cli, &option_bucket) || cli_flag(cli, &option_prefix);
    if (url && parts)
        return err_set(e, NACRE_INVALID, "--url and --provider, --bucket, --prefix exclude each other");
    if (parts) {
        if (make_url(cli, &request->url, e) < 0)
            return -1;
        url = request->url;
    }
    if (!url)
        return 0;
    if (check_no_secret("--url", url, e) < 0)
        return -1;
    if (!strstr(url, "://"))
        return err_set(e, NACRE_INVALID, "--url %.128s: expected SCHEME://…, such as gs://bucket/prefix",
                       url);
    return add(request, "url", url, e);
}

static int read_pairs(const struct cli *cli, struct request *request, struct nacre_err *e)
{
    size_t count = 0;
    if (cli_pairs(cli, &option_set, &request->pairs, &count, &request->pair_text, e) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const char *key = request->pairs[i].key;
        if (secrets_key(key) && strcmp(key, "password-command") != 0)
            return err_set(
                e, NACRE_INVALID,
                "--set %.64s: a secret on the command line can be seen by every user of this machine; "
                "put it into a file, and give that as %.64s-file",
                key, key);
        if (check_no_secret(key, request->pairs[i].value, e) < 0)
            return -1;
        if (!*request->pairs[i].value)
            return err_set(e, NACRE_INVALID, "--set %.64s: no value; --unset removes a key", key);
        if (add(request, key, request->pairs[i].value, e) < 0)
            return -1;
    }
    return 0;
}

static int read_request(const struct cli *cli, struct request *request, struct nacre_err *e)
{
    const char *mode = cli_value(cli, &option_access_mode);
    if (read_url(cli, request, e) < 0 || read_pairs(cli, request, e) < 0 ||
        (mode && add(request, "access-mode", mode, e) < 0))
        return -1;
    if (cli_switch(cli, &option_default, false))
        return add(request, "default", "true", e);
    return 0;
}

/* The default marks that others carry go first: there is never more than one. */
static size_t unmark_others(const struct settings *settings, const char *name, struct settings_edit *edits)
{
    static const struct nacre_option mark = {"default", ""};
    size_t count = 0;
    for (size_t i = 0; i < settings->location_count; i++) {
        const struct settings_entry *entry = &settings->locations[i];
        if (settings_value(entry, "default") && strcmp(entry->name, name) != 0)
            edits[count++] = (struct settings_edit){SETTINGS_DROP, entry->name, &mark, 1};
    }
    return count;
}

static int done(struct cli *cli, const char *name, const char *what, const char *file, struct nacre_err *e)
{
    if (cli->format == CLI_TABLE) {
        printf("%s: %s (%s)\n", name, what, file);
        return 0;
    }
    json_t *document = json_pack("{s:s,s:s,s:o}", "name", name, "result", what, "file", output_text(file));
    int result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

/* A configuration that was named but is not there is an empty one to `create`, which makes it. */
static int load(struct cli *cli, bool may_be_absent, char **path, struct settings **out, struct nacre_err *e)
{
    static struct settings none;
    if (settings_path(cli_value(cli, &option_config), path, e) < 0)
        return -1;
    if (may_be_absent && access(*path, F_OK) < 0) {
        *out = &none;
        return 0;
    }
    return cli_settings(cli, out, e);
}

static int apply(struct cli *cli, enum settings_verb verb, const struct request *request,
                 const struct nacre_option *drops, size_t drop_count, const char *what, struct nacre_err *e)
{
    const char *name = cli_argument(cli, 0);
    struct settings *settings;
    struct settings_edit edits[SETTINGS_ENTRIES_MAX + 2];
    CLEANUP(mem_free) char *path = NULL;
    size_t count = 0;
    if (load(cli, verb == SETTINGS_ADD, &path, &settings, e) < 0)
        return -1;
    if (cli_switch(cli, &option_default, false))
        count = unmark_others(settings, name, edits);
    if (drop_count)
        edits[count++] = (struct settings_edit){SETTINGS_DROP, name, drops, drop_count};
    if (verb == SETTINGS_REMOVE || request->count)
        edits[count++] = (struct settings_edit){verb, name, request->options, request->count};
    if (settings_edit_file(path, edits, count, e) < 0)
        return -1;
    return done(cli, name, what, path, e);
}

static int run_create(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(request_free) struct request request = {0};
    const char *name = cli_argument(cli, 0);
    if (!settings_name_valid(name))
        return err_set(e, NACRE_INVALID, "NAME %.64s: expected at most 63 of A-Z, a-z, 0-9, '.', '_', '-'",
                       name);
    if (read_request(cli, &request, e) < 0)
        return -1;
    if (!cli_value(cli, &option_url) && !request.url)
        return err_set(e, NACRE_INVALID, "--url is missing: where is it? Such as --url gs://bucket/prefix");
    return apply(cli, SETTINGS_ADD, &request, NULL, 0, "created", e);
}

static int run_set(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(request_free) struct request request = {0};
    struct nacre_option drops[SETTINGS_KEYS_MAX];
    size_t drop_count = cli_count(cli, &option_unset);
    const struct settings_entry *entry;
    if (read_request(cli, &request, e) < 0 || backup_location_find(cli, cli_argument(cli, 0), &entry, e) < 0)
        return -1;
    if (drop_count >= SETTINGS_KEYS_MAX)
        return err_set(e, NACRE_INVALID, "--unset: a location has at most %u keys", SETTINGS_KEYS_MAX);
    for (size_t i = 0; i < drop_count; i++)
        drops[i] = (struct nacre_option){cli_value_at(cli, &option_unset, i), ""};
    if (!cli_switch(cli, &option_default, true))
        drops[drop_count++] = (struct nacre_option){"default", ""};
    if (!request.count && !drop_count)
        return err_set(e, NACRE_INVALID, "nothing to set: see nacre backup-location set --help");
    return apply(cli, SETTINGS_SET, &request, drops, drop_count, "changed", e);
}

static int run_delete(struct cli *cli, struct nacre_err *e)
{
    const struct settings_entry *entry;
    const struct request none = {0};
    const char *name = cli_argument(cli, 0);
    if (backup_location_find(cli, name, &entry, e) < 0 ||
        cli_confirm(cli, e, "delete backup location %s from %s (what is stored there stays)", name,
                    cli->settings->file) < 0)
        return -1;
    return apply(cli, SETTINGS_REMOVE, &none, NULL, 0, "deleted", e);
}

#define PLACE_OPTIONS                                                                                        \
    &option_url, &option_provider, &option_bucket, &option_prefix, &option_access_mode, &option_default,     \
        &option_set

const struct command command_backup_location_create = {
    .group = "backup-location",
    .name = "create",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Add a backup location to the configuration",
    .details =
        "The configuration file is made if there is none; what is in it stays as it is, comments included. "
        "Neither the bucket nor a repository is made: see nacre backup-location check and nacre repo init.",
    .options = (const struct option *const[]){PLACE_OPTIONS, NULL},
    .run = run_create,
};

const struct command command_backup_location_set = {
    .group = "backup-location",
    .name = "set",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Change a backup location in the configuration",
    .details = "With --default it is the default from now on, and no other.",
    .options = (const struct option *const[]){PLACE_OPTIONS, &option_unset, NULL},
    .run = run_set,
};

const struct command command_backup_location_delete = {
    .group = "backup-location",
    .name = "delete",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Remove a backup location from the configuration",
    .details = "What is stored there stays.",
    .options = (const struct option *const[]){&option_yes, NULL},
    .run = run_delete,
};

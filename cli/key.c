/* SPDX-License-Identifier: Apache-2.0 */
/* nacre key list, add, remove, passwd: the passwords that open a repository. */
#include <string.h>

#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/password.h"
#include "cli/quantity.h"
#include "common/err.h"
#include "repository/keys.h"

static const struct option option_new_password_file = {.name = "new-password-file",
                                                       .argument = "FILE",
                                                       .help = "read the new password from FILE",
                                                       .flags = OPTION_FILE};
static const struct option option_new_password_command = {
    .name = "new-password-command",
    .argument = "COMMAND",
    .help = "take the new password from the output of COMMAND, which /bin/sh runs"};

static int open_repository(struct cli *cli, enum location_use use, struct location **location,
                           struct repo **repo, struct nacre_err *e)
{
    return location_open(cli, use, location, e) < 0 ? -1 : location_open_repository(cli, *location, repo, e);
}

static int new_password(const struct cli *cli, struct buf *out, struct nacre_err *e)
{
    const struct password_sources sources = {.file_option = &option_new_password_file,
                                             .command_option = &option_new_password_command,
                                             .file_variable = "NACRE_NEW_PASSWORD_FILE",
                                             .variable = "NACRE_NEW_PASSWORD",
                                             .prompt = "new password",
                                             .twice = true};
    return password_get(cli, &sources, out, e);
}

struct listing {
    struct table *table;
    json_t *items;
};

static int list_key(void *ctx, const struct key_info *info)
{
    struct listing *listing = ctx;
    char id[ID_HEX_SIZE], created[QUANTITY_SIZE];
    id_format(&info->id, id);
    if (listing->items) {
        json_array_append_new(
            listing->items, json_pack("{s:s,s:b,s:o,s:o,s:o}", "id", id, "current", info->current, "username",
                                      output_text(info->username), "hostname", output_text(info->hostname),
                                      "created", output_time(info->created_ns)));
        return 0;
    }
    id[12] = 0;
    time_format_local(info->created_ns, created);
    table_row(listing->table,
              (const char *const[]){info->current ? "*" : " ", id, info->username, info->hostname, created});
    return 0;
}

static int run_list(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(table_free)
    struct table *table = table_new((const char *const[]){" ", "ID", "USER", "HOST", "CREATED"}, 5);
    if (open_repository(cli, LOCATION_READ, &location, &repo, e) < 0)
        return -1;
    struct listing listing = {table, cli->format == CLI_TABLE ? NULL : json_array()};
    int result = key_each(repo, list_key, &listing, e);
    json_t *document = json_pack("{s:o*}", "items", listing.items);
    if (!result && cli->format == CLI_TABLE)
        table_print(table);
    else if (!result)
        result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

static int done(const struct cli *cli, const struct id *id, const char *what, struct nacre_err *e)
{
    char hex[ID_HEX_SIZE];
    id_format(id, hex);
    if (cli->format == CLI_TABLE) {
        printf("key %.12s: %s\n", hex, what);
        return 0;
    }
    json_t *document = json_pack("{s:s,s:s}", "id", hex, "result", what);
    int result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

static int change(struct cli *cli, int (*apply)(struct repo *, const char *, struct id *, struct nacre_err *),
                  const char *what, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(lock_release) struct lock *lock = NULL;
    CLEANUP(buf_wipe_free) struct buf password = {0};
    struct id id;
    if (open_repository(cli, LOCATION_WRITE, &location, &repo, e) < 0 ||
        new_password(cli, &password, e) < 0 || location_lock(cli, location, repo, false, &lock, e) < 0 ||
        apply(repo, (const char *)password.data, &id, e) < 0)
        return -1;
    return done(cli, &id, what, e);
}

static int run_add(struct cli *cli, struct nacre_err *e)
{
    return change(cli, key_add, "added", e);
}

static int run_passwd(struct cli *cli, struct nacre_err *e)
{
    return change(cli, key_change_password, "replaces the key that this password opened", e);
}

static int run_remove(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(lock_release) struct lock *lock = NULL;
    struct id id;
    if (open_repository(cli, LOCATION_WRITE, &location, &repo, e) < 0 ||
        location_lock(cli, location, repo, false, &lock, e) < 0 ||
        repo_file_find(repo, REPO_KEY, cli_argument(cli, 0), &id, e) < 0 || key_remove(repo, &id, e) < 0)
        return -1;
    return done(cli, &id, "removed", e);
}

static const struct option *const list_options[] = {LOCATION_OPTIONS, REPOSITORY_OPTIONS, NULL};
static const struct option *const change_options[] = {&option_new_password_file, &option_new_password_command,
                                                      LOCATION_OPTIONS, REPOSITORY_OPTIONS, NULL};

const struct command command_key_list = {
    .group = "key",
    .name = "list",
    .arguments = "",
    .summary = "List the keys of a repository",
    .details = "The one that the password in use opened is marked with *.",
    .options = list_options,
    .run = run_list,
};

const struct command command_key_add = {
    .group = "key",
    .name = "add",
    .arguments = "",
    .summary = "Add a key for a further password",
    .details =
        "Without an option the new password comes from $NACRE_NEW_PASSWORD_FILE, $NACRE_NEW_PASSWORD or the "
        "terminal.",
    .options = change_options,
    .run = run_add,
};

const struct command command_key_remove = {
    .group = "key",
    .name = "remove",
    .arguments = "ID",
    .least = 1,
    .most = 1,
    .summary = "Remove a key",
    .details = "Its password opens the repository no longer. The key in use cannot be removed.",
    .options = list_options,
    .run = run_remove,
};

const struct command command_key_passwd = {
    .group = "key",
    .name = "passwd",
    .arguments = "",
    .summary = "Change the password",
    .details = "Adds a key for the new password, proves that it opens the repository, and removes the key of "
               "the old "
               "one. The new password is given as for key add.",
    .options = change_options,
    .run = run_passwd,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* nacre backup get, describe, logs: reading the catalogue. None of them needs the repository's password. */
#include <string.h>

#include "cli/backup_document.h"
#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/quantity.h"
#include "common/err.h"

struct listing {
    struct table *table;
    json_t *items;
};

static int list_entry(void *ctx, const struct catalogue_backup *backup)
{
    struct listing *listing = ctx;
    if (listing->items) {
        json_array_append_new(listing->items, backup_document(backup, BACKUP_LISTED));
        return 0;
    }
    char errors[24], warnings[24], started[QUANTITY_SIZE], completed[QUANTITY_SIZE], expires[QUANTITY_SIZE];
    snprintf(errors, sizeof errors, "%zu", backup->errors);
    snprintf(warnings, sizeof warnings, "%zu", backup->warnings);
    time_format_local(backup->started_ns, started);
    time_format_local(backup->completed_ns, completed);
    time_format_local(backup->expires_ns, expires);
    table_row(listing->table, (const char *const[]){backup->name, backup->phase_text, errors, warnings,
                                                    started, completed, expires});
    return 0;
}

static int list_named(struct cli *cli, struct location *location, struct listing *listing,
                      struct nacre_err *e)
{
    for (size_t i = 0; i < cli->argument_count; i++) {
        struct catalogue_backup *backup = NULL;
        if (catalogue_backup_read(location->store, cli->arguments[i], &backup, e) < 0)
            return -1;
        list_entry(listing, backup);
        catalogue_backup_free(backup);
    }
    return 0;
}

static int run_get(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(table_free)
    struct table *table = table_new(
        (const char *const[]){"NAME", "PHASE", "ERRORS", "WARNINGS", "STARTED", "COMPLETED", "EXPIRES"}, 7);
    if (location_open(cli, LOCATION_READ, &location, e) < 0)
        return -1;
    struct listing listing = {table, cli->format == CLI_TABLE ? NULL : json_array()};
    int result = cli->argument_count ? list_named(cli, location, &listing, e)
                                     : catalogue_backup_each(location->store, list_entry, &listing, e);
    json_t *document = json_pack("{s:o*}", "items", listing.items);
    if (!result && cli->format == CLI_TABLE)
        table_print(table);
    else if (!result)
        result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

static const struct option option_details = {.name = "details", .help = "every figure of every volume"};

static int run_describe(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    struct catalogue_backup *backup = NULL;
    bool full = cli_flag(cli, &option_details);
    if (location_open(cli, LOCATION_READ, &location, e) < 0 ||
        catalogue_backup_read(location->store, cli_argument(cli, 0), &backup, e) < 0)
        return -1;
    int result = 0;
    if (cli->format == CLI_TABLE) {
        backup_print(backup, full);
    } else {
        json_t *document = backup_document(backup, full ? BACKUP_FULL : BACKUP_BRIEF);
        result = output_document(cli, document, e);
        json_decref(document);
    }
    catalogue_backup_free(backup);
    return result;
}

static int run_logs(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(buf_free) struct buf log = {0};
    if (location_open(cli, LOCATION_READ, &location, e) < 0 ||
        catalogue_backup_log(location->store, cli_argument(cli, 0), &log, e) < 0)
        return -1;
    return output_log(cli, &log, e);
}

const struct command command_backup_get = {
    .group = "backup",
    .name = "get",
    .arguments = "[NAME]…",
    .most = ARGUMENTS_ANY,
    .summary = "List the backups in a location",
    .details = "",
    .options = (const struct option *const[]){LOCATION_OPTIONS, NULL},
    .run = run_get,
};

const struct command command_backup_describe = {
    .group = "backup",
    .name = "describe",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Show a backup and what became of each of its volumes",
    .details = "",
    .options = (const struct option *const[]){&option_details, LOCATION_OPTIONS, NULL},
    .run = run_describe,
};

const struct command command_backup_logs = {
    .group = "backup",
    .name = "logs",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Show the log of a backup",
    .details = "",
    .options = (const struct option *const[]){LOCATION_OPTIONS, NULL},
    .run = run_logs,
};

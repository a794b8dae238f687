/* SPDX-License-Identifier: Apache-2.0 */
/* nacre restore get, describe, logs, delete: the records of restores. */
#include <inttypes.h>
#include <string.h>

#include "cli/backup_document.h"
#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/restore_record.h"
#include "common/err.h"

struct listing {
    struct table *table;
    json_t *items;
};

static int list_entry(void *ctx, const char *name, json_t *record)
{
    struct listing *listing = ctx;
    size_t errors = json_array_size(json_object_get(record, "errors"));
    size_t warnings = json_array_size(json_object_get(record, "warnings"));
    if (listing->items) {
        json_array_append_new(listing->items,
                              json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "name", output_text(name), "phase",
                                        output_text(document_text(record, "phase")), "backup",
                                        output_text(document_text(record, "backup")), "started",
                                        output_text(document_text(record, "started")), "completed",
                                        output_text(document_text(record, "completed")), "errors",
                                        output_number(errors), "warnings", output_number(warnings)));
        return 0;
    }
    char errors_text[24], warnings_text[24];
    snprintf(errors_text, sizeof errors_text, "%zu", errors);
    snprintf(warnings_text, sizeof warnings_text, "%zu", warnings);
    table_row(listing->table,
              (const char *const[]){name, document_text(record, "phase"), document_text(record, "backup"),
                                    errors_text, warnings_text, document_text(record, "started"),
                                    document_text(record, "completed")});
    return 0;
}

static int list_named(struct cli *cli, struct location *location, struct listing *listing,
                      struct nacre_err *e)
{
    for (size_t i = 0; i < cli->argument_count; i++) {
        json_t *record = NULL;
        if (catalogue_restore_read(location->store, cli->arguments[i], &record, e) < 0)
            return -1;
        list_entry(listing, cli->arguments[i], record);
        json_decref(record);
    }
    return 0;
}

static int run_get(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(table_free)
    struct table *table = table_new(
        (const char *const[]){"NAME", "PHASE", "BACKUP", "ERRORS", "WARNINGS", "STARTED", "COMPLETED"}, 7);
    if (location_open(cli, LOCATION_READ, &location, e) < 0)
        return -1;
    struct listing listing = {table, cli->format == CLI_TABLE ? NULL : json_array()};
    int result = cli->argument_count ? list_named(cli, location, &listing, e)
                                     : catalogue_restore_each(location->store, list_entry, &listing, e);
    json_t *document = json_pack("{s:o*}", "items", listing.items);
    if (!result && cli->format == CLI_TABLE)
        table_print(table);
    else if (!result)
        result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

static int run_describe(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    json_t *record = NULL;
    if (location_open(cli, LOCATION_READ, &location, e) < 0 ||
        catalogue_restore_read(location->store, cli_argument(cli, 0), &record, e) < 0)
        return -1;
    int result = 0;
    if (cli->format == CLI_TABLE)
        restore_print(record);
    else
        result = output_document(cli, record, e);
    json_decref(record);
    return result;
}

static int run_logs(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(buf_free) struct buf log = {0};
    if (location_open(cli, LOCATION_READ, &location, e) < 0 ||
        catalogue_restore_log(location->store, cli_argument(cli, 0), &log, e) < 0)
        return -1;
    return output_log(cli, &log, e);
}

static int run_delete(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    const char *name = cli_argument(cli, 0);
    if (location_open(cli, LOCATION_WRITE, &location, e) < 0 ||
        catalogue_restore_remove(location->store, name, e) < 0)
        return -1;
    if (cli->format == CLI_TABLE) {
        printf("%s: deleted\n", name);
        return 0;
    }
    json_t *document = json_pack("{s:s,s:s}", "name", name, "result", "deleted");
    int result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

static const struct option *const location_options[] = {LOCATION_OPTIONS, NULL};

const struct command command_restore_get = {
    .group = "restore",
    .name = "get",
    .arguments = "[NAME]…",
    .most = ARGUMENTS_ANY,
    .summary = "List the restores that a location has records of",
    .details = "",
    .options = location_options,
    .run = run_get,
};

const struct command command_restore_describe = {
    .group = "restore",
    .name = "describe",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Show a restore and what became of each of its volumes",
    .details = "",
    .options = location_options,
    .run = run_describe,
};

const struct command command_restore_logs = {
    .group = "restore",
    .name = "logs",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Show the log of a restore",
    .details = "",
    .options = location_options,
    .run = run_logs,
};

const struct command command_restore_delete = {
    .group = "restore",
    .name = "delete",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Delete the record of a restore",
    .details = "What was restored stays.",
    .options = location_options,
    .run = run_delete,
};

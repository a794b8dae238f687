/* SPDX-License-Identifier: Apache-2.0 */
/* nacre plugin get. */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "plugins/load.h"

struct listing {
    struct table *table;
    json_t *items;
};

static int list_plugin(void *ctx, const struct plugin_info *info)
{
    struct listing *listing = ctx;
    const char *version = info->problem ? NULL : info->version;
    const char *description = info->problem ? NULL : info->description;
    const char *schemes = info->problem ? NULL : info->schemes;
    if (listing->items) {
        json_array_append_new(listing->items,
                              json_pack("{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "kind", info->kind, "name",
                                        output_text(info->name), "version", output_text(version), "abi",
                                        info->problem ? json_null() : output_number(info->abi), "schemes",
                                        output_text(schemes), "description", output_text(description), "path",
                                        output_text(info->path), "problem", output_text(info->problem)));
        return 0;
    }
    char abi[16];
    snprintf(abi, sizeof abi, "%u", info->abi);
    table_row(listing->table,
              (const char *const[]){info->kind, info->name, version, info->problem ? NULL : abi, schemes,
                                    info->path, info->problem ? info->problem : description});
    return 0;
}

static int run(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(table_free)
    struct table *table = table_new(
        (const char *const[]){"KIND", "NAME", "VERSION", "ABI", "SCHEMES", "PATH", "DESCRIPTION"}, 7);
    struct listing listing = {table, cli->format == CLI_TABLE ? NULL : json_array()};
    int result = plugin_each(list_plugin, &listing, e);
    json_t *document = json_pack("{s:o*}", "items", listing.items);
    if (!result && cli->format == CLI_TABLE)
        table_print(table);
    else if (!result)
        result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

const struct command command_plugin_get = {
    .group = "plugin",
    .name = "get",
    .arguments = "",
    .summary = "List the installed plugins, where they are, and what is wrong with those that cannot be used",
    .details = "",
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* nacre snapshot create, list, delete: snapshots of volumes, in their cluster. */
#include <inttypes.h>
#include <string.h>

#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/quantity.h"
#include "cli/volume.h"
#include "common/err.h"

static int run_create(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    if (!clusters)
        return err_no_memory(e, "the clusters");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_NEEDED, &ref, e) < 0 ||
        clusters_open_lifecycle(clusters, cli, &ref, &driver, e) < 0 ||
        driver->lifecycle->snapshot_create(driver, ref.path, ref.snap, e) < 0)
        return -1;
    return volume_done(cli, &ref, "created", e);
}

static int run_delete(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    if (!clusters)
        return err_no_memory(e, "the clusters");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_NEEDED, &ref, e) < 0 ||
        clusters_open_lifecycle(clusters, cli, &ref, &driver, e) < 0 ||
        driver->lifecycle->snapshot_remove(driver, ref.path, ref.snap, e) < 0)
        return -1;
    return volume_done(cli, &ref, "deleted", e);
}

struct listing {
    struct table *table;
    json_t *items;
};

static int list_entry(void *ctx, const struct nacre_snapshot_info *info)
{
    struct listing *listing = ctx;
    if (listing->items) {
        json_array_append_new(listing->items,
                              json_pack("{s:o,s:o,s:o,s:o}", "name", output_text(info->name), "id",
                                        output_number(info->id), "bytes", output_number(info->bytes),
                                        "created", output_time(info->created_ns)));
        return 0;
    }
    char id[24], size[QUANTITY_SIZE], created[QUANTITY_SIZE];
    snprintf(id, sizeof id, "%" PRIu64, info->id);
    size_format(info->bytes, size);
    time_format_local(info->created_ns, created);
    table_row(listing->table, (const char *const[]){info->name, id, size, created});
    return 0;
}

static int run_list(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    CLEANUP(table_free)
    struct table *table = table_new((const char *const[]){"NAME", "ID", "SIZE", "CREATED"}, 4);
    if (!clusters || !table)
        return err_no_memory(e, "the list");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_NONE, &ref, e) < 0 ||
        clusters_open_lifecycle(clusters, cli, &ref, &driver, e) < 0)
        return -1;
    struct listing listing = {table, cli->format == CLI_TABLE ? NULL : json_array()};
    int result = driver->lifecycle->snapshot_list(driver, ref.path, list_entry, &listing, e);
    json_t *document = json_pack("{s:s,s:o*}", "volume", cli_argument(cli, 0), "items", listing.items);
    if (!result && cli->format == CLI_TABLE)
        table_print(table);
    else if (!result)
        result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

const struct command command_snapshot_create = {
    .group = "snapshot",
    .name = "create",
    .arguments = "VOLUME@SNAP",
    .least = 1,
    .most = 1,
    .summary = "Take a snapshot of a volume",
    .details = "",
    .run = run_create,
};

const struct command command_snapshot_list = {
    .group = "snapshot",
    .name = "list",
    .arguments = "VOLUME",
    .least = 1,
    .most = 1,
    .summary = "List the snapshots of a volume, oldest first",
    .details = "",
    .run = run_list,
};

const struct command command_snapshot_delete = {
    .group = "snapshot",
    .name = "delete",
    .arguments = "VOLUME@SNAP",
    .least = 1,
    .most = 1,
    .summary = "Delete a snapshot of a volume",
    .details = "Also one that volumes were cloned from: they stay.",
    .run = run_delete,
};

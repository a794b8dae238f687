/* SPDX-License-Identifier: Apache-2.0 */
/* nacre volume list, describe. */
#include "cli/volume.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/quantity.h"
#include "common/err.h"
#include "restore/restore.h"

json_t *volume_document(const struct volume_ref *ref, const struct nacre_volume_info *info)
{
    struct volume_ref full = *ref;
    char name[VOLUME_REF_SIZE];
    snprintf(full.path, sizeof full.path, "%s", info->path);
    full.snap[0] = 0;
    volume_ref_format(&full, name);
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "volume", output_text(name), "id",
                     output_text(info->id), "bytes", output_number(info->bytes), "usedBytes",
                     output_number(info->used_bytes), "created", output_time(info->created_ns), "inUseBy",
                     output_text(info->in_use_by), "properties",
                     output_options(info->properties, info->property_count), "metadata",
                     output_options(info->metadata, info->metadata_count));
}

static void print_pairs(const char *title, const struct nacre_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_free) struct buf line = {0};
        buf_printf(&line, "%s=%s", options[i].key, options[i].value);
        if (line.data)
            output_field(i ? "" : title, (const char *)line.data);
    }
}

bool volume_unfinished(struct nacre_driver *driver, const char *path, char mark[static VOLUME_MARK_SIZE])
{
    struct nacre_err ignored;
    return driver->lifecycle && driver->lifecycle->get_metadata &&
           driver->lifecycle->get_metadata(driver, path, RESTORE_UNFINISHED_KEY, mark, VOLUME_MARK_SIZE,
                                           &ignored) >= 0;
}

static void print_info(const struct volume_ref *ref, const struct nacre_volume_info *info, const char *mark)
{
    char name[VOLUME_REF_SIZE];
    volume_ref_format(ref, name);
    output_field("Volume:", name);
    output_field("Id:", info->id);
    output_field_size("Size:", info->bytes);
    if (info->used_bytes != NACRE_UNKNOWN)
        output_field_size("Used:", info->used_bytes);
    output_field_time("Created:", info->created_ns);
    output_field("In use by:", info->in_use_by);
    if (mark) {
        char text[128];
        snprintf(text, sizeof text, "a restore of repository snapshot %.8s did not finish; run it again",
                 mark);
        output_field("Unfinished:", text);
    }
    print_pairs("Properties:", info->properties, info->property_count);
    print_pairs("Metadata:", info->metadata, info->metadata_count);
}

int volume_show(struct cli *cli, struct nacre_driver *driver, const struct volume_ref *ref,
                struct nacre_err *e)
{
    struct nacre_volume_info *info;
    if (driver->lifecycle->get(driver, ref->path, &info, e) < 0)
        return -1;
    int result = 0;
    char text[VOLUME_MARK_SIZE];
    const char *mark = volume_unfinished(driver, ref->path, text) ? text : NULL;
    if (cli->format == CLI_TABLE) {
        print_info(ref, info, mark);
    } else {
        json_t *document = volume_document(ref, info);
        json_object_set_new(document, "restoreUnfinished", output_text(mark));
        result = output_document(cli, document, e);
        json_decref(document);
    }
    driver->lifecycle->free_info(driver, info);
    return result;
}

static int run_describe(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    if (!clusters)
        return err_no_memory(e, "the clusters");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_NONE, &ref, e) < 0 ||
        clusters_open_lifecycle(clusters, cli, &ref, &driver, e) < 0)
        return -1;
    return volume_show(cli, driver, &ref, e);
}

struct listing {
    struct cli *cli;
    const struct volume_ref *ref;
    struct table *table;
    json_t *items;
};

static int list_entry(void *ctx, const struct nacre_volume_info *info)
{
    struct listing *listing = ctx;
    if (listing->items) {
        json_array_append_new(listing->items, volume_document(listing->ref, info));
        return 0;
    }
    struct volume_ref full = *listing->ref;
    char name[VOLUME_REF_SIZE], size[QUANTITY_SIZE], created[QUANTITY_SIZE];
    snprintf(full.path, sizeof full.path, "%s", info->path);
    volume_ref_format(&full, name);
    size_format(info->bytes, size);
    time_format_local(info->created_ns, created);
    table_row(listing->table, (const char *const[]){name, size, created});
    return 0;
}

/* DRIVER/CLUSTER[/PREFIX]: the prefix stays "" without one. */
static int parse_scope(const char *text, struct volume_ref *out, struct nacre_err *e)
{
    char padded[VOLUME_REF_SIZE];
    const char *slash = strchr(text, '/');
    size_t length = strlen(text);
    bool whole = slash && (!strchr(slash + 1, '/') || slash[1 + strcspn(slash + 1, "/") + 1] == 0);
    if (!whole || length + 3 > sizeof padded)
        return volume_argument(text, SNAPSHOT_NONE, out, e);
    snprintf(padded, sizeof padded, "%s%sx", text, text[length - 1] == '/' ? "" : "/");
    if (volume_ref_parse(padded, out, e) < 0)
        return err_set(e, NACRE_INVALID, "%.256s: expected DRIVER/CLUSTER[/PATH], such as rbd/east/pool",
                       text);
    out->path[0] = 0;
    return 0;
}

static int run_list(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    CLEANUP(table_free)
    struct table *table = table_new((const char *const[]){"VOLUME", "SIZE", "CREATED"}, 3);
    if (!clusters || !table)
        return err_no_memory(e, "the list");
    if (parse_scope(cli_argument(cli, 0), &ref, e) < 0 ||
        clusters_open_lifecycle(clusters, cli, &ref, &driver, e) < 0)
        return -1;
    table_align_right(table, 1);
    struct listing listing = {cli, &ref, table, cli->format == CLI_TABLE ? NULL : json_array()};
    int result = driver->lifecycle->list(driver, ref.path, list_entry, &listing, e);
    json_t *document = json_pack("{s:o*}", "items", listing.items);
    if (!result && cli->format == CLI_TABLE)
        table_print(table);
    else if (!result)
        result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

const struct command command_volume_list = {
    .group = "volume",
    .name = "list",
    .arguments = "DRIVER/CLUSTER[/PATH]",
    .least = 1,
    .most = 1,
    .summary = "List the volumes of a cluster",
    .details =
        "PATH is a pool, or a pool and a namespace, for rbd; hostpath lists all of its volumes without "
        "one.",
    .run = run_list,
};

const struct command command_volume_describe = {
    .group = "volume",
    .name = "describe",
    .arguments = "VOLUME",
    .least = 1,
    .most = 1,
    .summary = "Show a volume: its size, properties, metadata and who uses it",
    .details = "",
    .run = run_describe,
};

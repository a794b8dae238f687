/* SPDX-License-Identifier: Apache-2.0 */
/* nacre snapshot diff: what changed from one snapshot of a volume to a later one. By default in whole chunks,
 * as an incremental backup would read them; --exact shows the driver's own extents. */
#include <inttypes.h>
#include <string.h>

#include "backup/backup.h"
#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/quantity.h"
#include "common/err.h"

static const struct option option_exact = {
    .name = "exact", .help = "the driver's own extents instead of the 1 MiB chunks that they lie in"};

struct diff {
    struct cli *cli;
    struct table *table;
    json_t *items;
    uint64_t unit, volume_bytes;
    struct nacre_extent pending; /* length 0 = none: neighbours are joined before they are shown */
    uint64_t changed, discarded, count;
};

static void show(struct diff *diff)
{
    struct nacre_extent *x = &diff->pending;
    if (!x->length)
        return;
    diff->count++;
    *(x->data ? &diff->changed : &diff->discarded) += x->length;
    if (diff->items) {
        json_array_append_new(diff->items, json_pack("{s:o,s:o,s:b}", "offset", output_number(x->offset),
                                                     "length", output_number(x->length), "data", x->data));
    } else {
        char offset[24], length[24];
        snprintf(offset, sizeof offset, "%" PRIu64, x->offset);
        snprintf(length, sizeof length, "%" PRIu64, x->length);
        table_row(diff->table, (const char *const[]){offset, length, x->data ? "changed" : "discarded"});
    }
    x->length = 0;
}

/* Widens to whole units. Widened, a chunk in which something was discarded was changed. */
static int on_extent(void *ctx, const struct nacre_extent *extent)
{
    struct diff *diff = ctx;
    struct nacre_extent x = *extent, *pending = &diff->pending;
    uint64_t end = x.offset + x.length;
    if (diff->unit > 1) {
        x.offset -= x.offset % diff->unit;
        end = (end + diff->unit - 1) / diff->unit * diff->unit;
        end = end > diff->volume_bytes ? diff->volume_bytes : end;
        x.length = end - x.offset;
        x.data = true;
    }
    if (pending->length && pending->data == x.data && x.offset <= pending->offset + pending->length) {
        if (end > pending->offset + pending->length)
            pending->length = end - pending->offset;
        return 0;
    }
    show(diff);
    *pending = x;
    return 0;
}

static int print(struct diff *diff, struct nacre_err *e)
{
    show(diff);
    if (diff->cli->format == CLI_TABLE) {
        char extents[QUANTITY_SIZE], changed[QUANTITY_SIZE], discarded[QUANTITY_SIZE];
        table_print(diff->table);
        size_format(diff->changed, changed);
        size_format(diff->discarded, discarded);
        count_format(diff->count, "extent", extents);
        printf("%s: %s changed, %s discarded\n", extents, changed, discarded);
        return 0;
    }
    json_t *document = json_pack("{s:o,s:o,s:o,s:O}", "changedBytes", output_number(diff->changed),
                                 "discardedBytes", output_number(diff->discarded), "volumeBytes",
                                 output_number(diff->volume_bytes), "extents", diff->items);
    int result = output_document(diff->cli, document, e);
    json_decref(document);
    return result;
}

static int run(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    const char *later = cli_argument(cli, 1);
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    CLEANUP(table_free) struct table *table = table_new((const char *const[]){"OFFSET", "LENGTH", "WHAT"}, 3);
    if (!clusters || !table)
        return err_no_memory(e, "the difference");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_NEEDED, &ref, e) < 0)
        return -1;
    if (!volume_snapshot_name_valid(later))
        return err_set(e, NACRE_INVALID, "%.128s: expected the name of a later snapshot of the same volume",
                       later);
    table_align_right(table, 0);
    table_align_right(table, 1);
    struct nacre_block *block;
    if (clusters_open_block(clusters, cli, &ref, &driver, e) < 0 ||
        driver->block->open(driver, ref.path, later, NACRE_BLOCK_READ, &block, e) < 0)
        return -1;
    struct diff diff = {.cli = cli,
                        .table = table,
                        .items = cli->format == CLI_TABLE ? NULL : json_array(),
                        .unit = cli_flag(cli, &option_exact) ? 1 : BACKUP_CHUNK_DEFAULT,
                        .volume_bytes = driver->block->bytes(block)};
    int result = driver->block->extents(block, ref.snap, 0, diff.volume_bytes, on_extent, &diff, e);
    driver->block->close(block);
    if (!result)
        result = print(&diff, e);
    json_decref(diff.items);
    return result;
}

const struct command command_snapshot_diff = {
    .group = "snapshot",
    .name = "diff",
    .arguments = "VOLUME@SNAP LATER",
    .least = 2,
    .most = 2,
    .summary = "Show what changed from a snapshot to a later one of the same volume",
    .details = "LATER is the name of the later snapshot alone.",
    .options = (const struct option *const[]){&option_exact, NULL},
    .run = run,
};

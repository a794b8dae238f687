/* SPDX-License-Identifier: Apache-2.0 */
/* nacre repo check: is everything there, and is it what it should be? Faults are shown as they are found; the
 * exit code is 7 when there were any. */
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/quantity.h"
#include "common/err.h"
#include "common/log.h"
#include "repository/check.h"

static const struct option option_read_data = {.name = "read-data",
                                               .help = "read every pack and check every stored byte"};
static const struct option option_read_data_subset = {
    .name = "read-data-subset",
    .argument = "PART",
    .help = "read a part: N% of the packs at random, or n/m, the n-th of m parts, which together are all"};

#define SHOWN_MAX 10000 /* faults and notes in a document; all of them are counted */

struct checking {
    json_t *faults, *notes;
    _Atomic uint64_t done, total;
    const char *_Atomic what;
};

static void on_fault(void *ctx, const char *text)
{
    struct checking *checking = ctx;
    log_error("%s", text);
    if (json_array_size(checking->faults) < SHOWN_MAX)
        json_array_append_new(checking->faults, output_text(text));
}

static void on_note(void *ctx, const char *text)
{
    struct checking *checking = ctx;
    log_info("%s", text);
    if (json_array_size(checking->notes) < SHOWN_MAX)
        json_array_append_new(checking->notes, output_text(text));
}

static void on_progress(void *ctx, uint64_t done, uint64_t total, const char *what)
{
    struct checking *checking = ctx;
    atomic_store(&checking->what, what);
    atomic_store(&checking->done, done);
    atomic_store(&checking->total, total);
}

/* "5%", "2.5%" or "1/10". */
static int parse_subset(const char *text, struct check_options *options, struct nacre_err *e)
{
    char number[32];
    uint64_t part = 0, of = 0;
    size_t length = strlen(text), slash = strcspn(text, "/");
    if (length && length < sizeof number && text[length - 1] == '%') {
        char *end = number;
        memcpy(number, text, length - 1);
        number[length - 1] = 0;
        options->read_percent = strspn(number, "0123456789.") == length - 1 ? strtod(number, &end) : 0;
        if (options->read_percent > 0 && options->read_percent <= 100 && !*end)
            return 0;
    } else if (slash < length && slash < sizeof number) {
        memcpy(number, text, slash);
        number[slash] = 0;
        if (number_parse(number, &part) && number_parse(text + slash + 1, &of) && part >= 1 && part <= of &&
            of <= 1000000) {
            options->read_part = (unsigned)part;
            options->read_of = (unsigned)of;
            return 0;
        }
    }
    return err_set(e, NACRE_INVALID,
                   "--read-data-subset %.32s: expected a percentage such as 5%% or a part such as "
                   "1/10",
                   text);
}

static int read_options(const struct cli *cli, struct check_options *options, struct nacre_err *e)
{
    const char *subset = cli_value(cli, &option_read_data_subset);
    options->read_data = cli_flag(cli, &option_read_data) || subset;
    options->read_of = 1;
    options->read_part = 1;
    if (subset && cli_flag(cli, &option_read_data))
        return err_set(e, NACRE_INVALID, "--read-data and --read-data-subset exclude each other");
    return subset ? parse_subset(subset, options, e) : 0;
}

static int report(struct cli *cli, const struct checking *checking, const struct check_result *r,
                  struct nacre_err *e)
{
    if (cli->format != CLI_TABLE) {
        json_t *document = json_pack(
            "{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:O,s:O}", "faults", output_number(r->faults), "snapshots",
            output_number(r->snapshots), "trees", output_number(r->trees), "packs", output_number(r->packs),
            "blobs", output_number(r->blobs), "packsRead", output_number(r->packs_read), "bytesRead",
            output_number(r->bytes_read), "packsUnused", output_number(r->packs_unused), "faultList",
            checking->faults, "notes", checking->notes);
        int result = output_document(cli, document, e);
        json_decref(document);
        return result;
    }
    char read[QUANTITY_SIZE], snapshots[QUANTITY_SIZE], trees[QUANTITY_SIZE], blobs[QUANTITY_SIZE],
        packs[QUANTITY_SIZE], packs_read[QUANTITY_SIZE], faults[QUANTITY_SIZE];
    size_format(r->bytes_read, read);
    count_format(r->snapshots, "snapshot", snapshots);
    count_format(r->trees, "tree", trees);
    count_format(r->blobs, "blob", blobs);
    count_format(r->packs, "pack", packs);
    count_format(r->packs_read, "pack", packs_read);
    count_format(r->faults, "fault", faults);
    printf("%s, %s, %s in %s; %s read (%s); %" PRIu64 " unused\n", snapshots, trees, blobs, packs, packs_read,
           read, r->packs_unused);
    printf("%s\n", r->faults ? faults : "no faults");
    return 0;
}

static int check(struct cli *cli, const struct location *location, struct repo *repo,
                 struct check_options *options, struct checking *checking, struct nacre_err *e)
{
    CLEANUP(lock_release) struct lock *lock = NULL;
    struct check_result result = {0};
    options->fault = on_fault;
    options->note = on_note;
    options->progress = on_progress;
    options->ctx = checking;
    options->connections = location->connections;
    if (location_lock(cli, location, repo, false, &lock, e) < 0)
        return -1;
    progress_start(cli, &(struct progress_source){.done = &checking->done,
                                                  .total = &checking->total,
                                                  .what = "check",
                                                  .counted = &checking->what});
    int code = check_run(repo, options, &result, e);
    progress_stop();
    if (code < 0 || report(cli, checking, &result, e) < 0)
        return -1;
    if (result.faults)
        return err_set(e, NACRE_CORRUPT,
                       "repository %s: %" PRIu64
                       " faults; what they hurt is said above, everything else is whole",
                       repo_where(repo), result.faults);
    return 0;
}

static int run(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    struct check_options options = {0};
    if (read_options(cli, &options, e) < 0 || location_open(cli, LOCATION_CHECK, &location, e) < 0 ||
        location_open_repository(cli, location, &repo, e) < 0)
        return -1;
    struct checking checking = {.faults = json_array(), .notes = json_array(), .what = "beginning"};
    int result = check(cli, location, repo, &options, &checking, e);
    json_decref(checking.faults);
    json_decref(checking.notes);
    return result;
}

const struct command command_repo_check = {
    .group = "repo",
    .name = "check",
    .arguments = "",
    .summary = "Check a repository",
    .details =
        "Every index and snapshot is opened, every pack that is needed must be there and of the right size, "
        "and "
        "every blob that a snapshot needs must be indexed. With --read-data every stored byte is read and "
        "verified, too. Exit code 7 when there are faults.",
    .options = (const struct option *const[]){&option_read_data, &option_read_data_subset, LOCATION_OPTIONS,
                                              REPOSITORY_OPTIONS, NULL},
    .run = run,
};

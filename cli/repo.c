/* SPDX-License-Identifier: Apache-2.0 */
/* nacre repo init, info, unlock. */
#include <inttypes.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/quantity.h"
#include "common/err.h"
#include "repository/index.h"

static const struct option option_repository_version = {
    .name = "repository-version",
    .argument = "1|2",
    .help = "format of the repository: 2 compresses, 1 is for old programs (default: 2)"};

static int run_init(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    const char *version = cli_value(cli, &option_repository_version);
    if (location_open(cli, LOCATION_WRITE, &location, e) < 0 ||
        location_init_repository(cli, location, version ? (unsigned)(*version - '0') : 0, &repo, e) < 0)
        return -1;
    if (cli->format == CLI_TABLE) {
        printf("made repository %.12s at %s\n", repo_id(repo), repo_where(repo));
        return 0;
    }
    json_t *document = json_pack("{s:s,s:o,s:i}", "id", repo_id(repo), "where", output_text(repo_where(repo)),
                                 "version", (int)repo_version(repo));
    int result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

struct tally {
    uint64_t files, bytes;
};

static int count_file(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    struct tally *tally = ctx;
    (void)id;
    (void)modified_ns;
    tally->files++;
    tally->bytes += size;
    return 0;
}

static int run_info(struct cli *cli, struct nacre_err *e)
{
    static const struct {
        enum repo_file type;
        const char *key, *label;
    } types[] = {{REPO_SNAPSHOT, "snapshots", "Snapshots:"},
                 {REPO_PACK, "packs", "Packs:"},
                 {REPO_INDEX, "indexFiles", "Index files:"},
                 {REPO_KEY, "keys", "Keys:"},
                 {REPO_LOCK, "locks", "Locks:"}};
    enum { TYPES = sizeof types / sizeof *types };
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    struct tally tallies[TYPES] = {0};
    uint64_t bytes = 0;
    char polynomial[24], text[24];
    if (location_open(cli, LOCATION_READ, &location, e) < 0 ||
        location_open_repository(cli, location, &repo, e) < 0)
        return -1;
    for (size_t i = 0; i < TYPES; i++) {
        if (repo_file_list(repo, types[i].type, count_file, &tallies[i], e) < 0)
            return -1;
        bytes += tallies[i].bytes;
    }
    if (index_load(repo, &index, e) < 0)
        return -1;
    snprintf(polynomial, sizeof polynomial, "%" PRIx64, repo_polynomial(repo));
    if (cli->format != CLI_TABLE) {
        json_t *document = json_pack("{s:s,s:o,s:i,s:s,s:o,s:o}", "id", repo_id(repo), "where",
                                     output_text(repo_where(repo)), "version", (int)repo_version(repo),
                                     "chunkerPolynomial", polynomial, "bytes", output_number(bytes), "blobs",
                                     output_number(index_blob_count(index)));
        for (size_t i = 0; i < TYPES; i++)
            json_object_set_new(document, types[i].key, output_number(tallies[i].files));
        int result = output_document(cli, document, e);
        json_decref(document);
        return result;
    }
    output_field("Repository:", repo_id(repo));
    output_field("Where:", repo_where(repo));
    output_field("Format version:", repo_version(repo) == 1 ? "1" : "2");
    output_field("Polynomial:", polynomial);
    output_field_size("Stored:", bytes);
    snprintf(text, sizeof text, "%" PRIu64, index_blob_count(index));
    output_field("Blobs:", text);
    for (size_t i = 0; i < TYPES; i++) {
        snprintf(text, sizeof text, "%" PRIu64, tallies[i].files);
        output_field(types[i].label, text);
    }
    return 0;
}

static const struct option option_remove_all = {
    .name = "remove-all", .help = "remove every lock, also those of programs that may be running"};

static int run_unlock(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    size_t removed = 0;
    if (location_open(cli, LOCATION_WRITE, &location, e) < 0 ||
        location_open_repository(cli, location, &repo, e) < 0 ||
        lock_remove(repo, cli_flag(cli, &option_remove_all), &removed, e) < 0)
        return -1;
    if (cli->format == CLI_TABLE) {
        char count[QUANTITY_SIZE];
        count_format(removed, "lock", count);
        printf("%s removed\n", count);
        return 0;
    }
    json_t *document = json_pack("{s:o}", "locksRemoved", output_number(removed));
    int result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

const struct command command_repo_init = {
    .group = "repo",
    .name = "init",
    .arguments = "",
    .summary = "Make a repository in a location",
    .details =
        "It lies at restic/default below the location's prefix unless --repository or the configuration says "
        "otherwise. Keep the password: without it nothing in the repository can be read, by anybody.",
    .options = (const struct option *const[]){&option_repository_version, LOCATION_OPTIONS,
                                              &option_repository, &option_password_file,
                                              &option_password_command, &option_no_cache, NULL},
    .run = run_init,
};

const struct command command_repo_info = {
    .group = "repo",
    .name = "info",
    .arguments = "",
    .summary = "Show what a repository is and how much it holds",
    .details = "",
    .options = (const struct option *const[]){LOCATION_OPTIONS, REPOSITORY_OPTIONS, NULL},
    .run = run_info,
};

const struct command command_repo_unlock = {
    .group = "repo",
    .name = "unlock",
    .arguments = "",
    .summary = "Remove stale locks",
    .details =
        "A lock is stale when it was not refreshed for 30 minutes, or when its process on this machine is "
        "gone. Others are left alone without --remove-all.",
    .options = (const struct option *const[]){&option_remove_all, LOCATION_OPTIONS, &option_repository,
                                              &option_password_file, &option_password_command,
                                              &option_no_cache, NULL},
    .run = run_unlock,
};

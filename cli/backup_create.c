/* SPDX-License-Identifier: Apache-2.0 */
/* nacre backup create: volumes into the repository, then the catalogue entry, last of all. A backup that was
 * interrupted leaves no entry; one that failed leaves an entry that says so, whose name can be used again. */
#include <string.h>

#include "cli/background.h"
#include "cli/backup_document.h"
#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/job_log.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/quantity.h"
#include "cli/volume.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/timestamp.h"

static const struct option option_volume = {.name = "volume",
                                            .argument = "VOLUME",
                                            .help = "a volume to back up; with @SNAP that snapshot of it",
                                            .flags = OPTION_REPEAT};
static const struct option option_chunk_size = {
    .name = "chunk-size",
    .argument = "SIZE",
    .help =
        "size of the pieces that are compared and stored, 256KiB to 8MiB, a power of two (default: as the "
        "volume's previous backup, else 1MiB)"};
static const struct option option_compression = {
    .name = "compression", .argument = "off|auto|max", .help = "how hard to compress (default: auto)"};
static const struct option option_full = {
    .name = "full", .help = "read everything that is allocated, whatever earlier backups know"};
static const struct option option_read_concurrency = {
    .name = "read-concurrency", .argument = "N", .help = "chunks to read at once (default: 16)"};
static const struct option option_tag = {.name = "tag",
                                         .argument = "TAG",
                                         .help = "a further tag for the repository's snapshots",
                                         .flags = OPTION_REPEAT};
static const struct option option_ttl = {
    .name = "ttl", .argument = "DURATION", .help = "record that the backup may expire after this time"};

struct job {
    struct cli *cli;
    const char *name;
    struct location *location;
    struct repo *repo;
    struct clusters *clusters;
    struct backup_source *sources;
    size_t source_count;
    struct backup_options options;
    const char **tags;
    unsigned retry_seconds;
    uint64_t ttl_seconds;
    bool replace; /* a failed backup of the name is there */
    int64_t started_ns;
};

static void job_free(struct job *job)
{
    repo_free(job->repo);
    clusters_free(job->clusters);
    location_free(job->location);
    free(job->sources);
    free(job->tags);
}
static inline void job_free_at(struct job *job)
{
    job_free(job);
}

static int read_sources(struct job *job, struct nacre_err *e)
{
    size_t count = cli_count(job->cli, &option_volume);
    if (!count)
        return err_set(e, NACRE_INVALID, "--volume is missing: which volumes are to be backed up?");
    job->sources = calloc(count, sizeof *job->sources);
    if (!job->sources)
        return err_no_memory(e, "the volumes");
    for (size_t i = 0; i < count; i++) {
        struct volume_ref *ref = &job->sources[i].ref;
        if (volume_argument(cli_value_at(job->cli, &option_volume, i), SNAPSHOT_ALLOWED, ref, e) < 0)
            return -1;
        for (size_t j = 0; j < i; j++) {
            const struct volume_ref *other = &job->sources[j].ref;
            if (!strcmp(ref->driver, other->driver) && !strcmp(ref->cluster, other->cluster) &&
                !strcmp(ref->path, other->path))
                return err_set(e, NACRE_INVALID, "--volume %s/%s/%s was given twice", ref->driver,
                               ref->cluster, ref->path);
        }
    }
    job->source_count = count;
    return 0;
}

static int read_chunk_size(struct job *job, struct nacre_err *e)
{
    uint64_t size = 0;
    if (cli_size(job->cli, &option_chunk_size, &size, e) < 0)
        return -1;
    bool given = cli_value(job->cli, &option_chunk_size);
    if (given && (size < BACKUP_CHUNK_MIN || size > BACKUP_CHUNK_MAX || (size & (size - 1))))
        return err_set(e, NACRE_INVALID, "--chunk-size: expected a power of two from 256KiB to 8MiB");
    job->options.chunk_size = (uint32_t)size;
    return 0;
}

static int read_options(struct job *job, struct nacre_err *e)
{
    struct cli *cli = job->cli;
    const char *compression = cli_value(cli, &option_compression);
    uint64_t depth = 0;
    if (read_sources(job, e) < 0 || read_chunk_size(job, e) < 0 ||
        cli_number(cli, &option_read_concurrency, 1, 256, &depth, e) < 0 ||
        cli_duration(cli, &option_ttl, &job->ttl_seconds, e) < 0 ||
        location_retry_seconds(cli, &job->retry_seconds, e) < 0)
        return -1;
    if (job->ttl_seconds > 200ull * 365 * 86400)
        return err_set(e, NACRE_INVALID, "--ttl: longer than 200 years");
    job->options.name = job->name;
    job->options.level = !compression || !strcmp(compression, "auto") ? 3
                         : !strcmp(compression, "max")                ? 12
                                                                      : 0;
    job->options.read_depth = (unsigned)depth;
    job->options.full = cli_flag(cli, &option_full);
    job->options.writer.level = job->options.level;
    job->options.tag_count = cli_count(cli, &option_tag);
    job->tags = calloc(job->options.tag_count + 1, sizeof *job->tags);
    if (!job->tags)
        return err_no_memory(e, "the tags");
    for (size_t i = 0; i < job->options.tag_count; i++)
        job->tags[i] = cli_value_at(cli, &option_tag, i);
    job->options.tags = job->tags;
    return 0;
}

/* The name must be free, or be that of a backup that failed altogether. */
static int check_name(struct job *job, struct nacre_err *e)
{
    struct catalogue_backup *backup = NULL;
    if (catalogue_backup_read(job->location->store, job->name, &backup, e) < 0)
        return e->code == NACRE_ABSENT ? 0 : -1;
    job->replace = backup->phase == CATALOGUE_FAILED && !strcmp(backup->phase_text, "Failed");
    int result = job->replace
                     ? 0
                     : err_set(e, NACRE_EXISTS,
                               "there is a backup of this name in %s already (%s); choose another name, "
                               "or nacre backup delete %s",
                               job->location->name, backup->phase_text, job->name);
    catalogue_backup_free(backup);
    return result;
}

/* It can be wanted, so it is no error; but nobody should take the result for the volume. */
static void warn_of_unfinished(const struct backup_source *source)
{
    char mark[VOLUME_MARK_SIZE], name[VOLUME_REF_SIZE];
    if (source->ref.snap[0] || !volume_unfinished(source->driver, source->ref.path, mark))
        return;
    volume_ref_format(&source->ref, name);
    log_warning(
        "%s: a restore into it (of %.8s) did not finish, so that this is a backup of half a volume; run "
        "the restore again first",
        name, mark);
}

static int open_all(struct job *job, struct nacre_err *e)
{
    if (location_open(job->cli, LOCATION_WRITE, &job->location, e) < 0 || check_name(job, e) < 0 ||
        location_open_repository(job->cli, job->location, &job->repo, e) < 0)
        return -1;
    job->options.connections = job->location->connections;
    job->clusters = clusters_new();
    if (!job->clusters)
        return err_no_memory(e, "the clusters");
    for (size_t i = 0; i < job->source_count; i++) {
        struct backup_source *source = &job->sources[i];
        if (clusters_open_block(job->clusters, job->cli, &source->ref, &source->driver, e) < 0)
            return -1;
        warn_of_unfinished(source);
    }
    return 0;
}

static int write_entry(struct job *job, const struct backup_result *result, enum catalogue_phase phase,
                       struct job_log *log, struct nacre_err *e)
{
    json_t *details = backup_details(result, repo_id(job->repo), job->location->name);
    if (!details)
        return err_no_memory(e, "the catalogue entry");
    int64_t now = timestamp_now();
    const struct catalogue_entry entry = {
        .name = job->name,
        .phase = phase,
        .started_ns = job->started_ns,
        .completed_ns = now,
        .expires_ns = job->ttl_seconds ? now + (int64_t)job->ttl_seconds * 1000000000 : 0,
        .details = details,
        .log = log->text.data ? (const char *)log->text.data : "",
        .log_size = log->text.size,
        .errors = log->errors,
        .warnings = log->warnings,
        .location = job->location->name,
    };
    int written = 0;
    if (job->replace)
        written = catalogue_backup_remove(job->location->store, job->name, e);
    if (!written)
        written = catalogue_backup_write(job->location->store, &entry, e);
    json_decref(details);
    return written < 0
               ? err_wrap(e, "the volumes are in the repository, but the catalogue entry could not be "
                             "written")
               : 0;
}

static int report(struct job *job, bool full, struct nacre_err *e)
{
    struct catalogue_backup *backup = NULL;
    if (catalogue_backup_read(job->location->store, job->name, &backup, e) < 0)
        return -1;
    int result = 0;
    if (job->cli->format == CLI_TABLE) {
        backup_print(backup, full);
    } else {
        json_t *document = backup_document(backup, BACKUP_FULL);
        result = output_document(job->cli, document, e);
        json_decref(document);
    }
    catalogue_backup_free(backup);
    return result;
}

/* What failed goes into the log before the entry is written: the entry carries the log. The engine has logged
 * the error of each volume; here only what is no volume's is counted as one more. */
static void log_outcome(const struct backup_result *result, int code, const struct nacre_err *outcome)
{
    size_t failed = 0, told = 0;
    for (size_t i = 0; i < result->count; i++) {
        failed += result->volumes[i].phase != BACKUP_COMPLETED;
        told += result->volumes[i].error.code != NACRE_OK;
    }
    if (!code)
        log_info("completed");
    else if (told)
        log_info("%s: %zu of %zu %s", failed < result->count ? "partially failed" : "failed", failed,
                 result->count, result->count == 1 ? "volume" : "volumes");
    else
        log_error("failed: %s", outcome->message);
}

static bool any_started(const struct backup_result *result)
{
    for (size_t i = 0; i < result->count; i++)
        if (result->volumes[i].started_ns)
            return true;
    return false;
}

static int run_job(struct job *job, struct job_log *log, struct nacre_err *e)
{
    CLEANUP(backup_result_free) struct backup_result result = {0};
    struct backup_progress progress = {0};
    char what[300];
    snprintf(what, sizeof what, "backup %s", job->name);
    job->started_ns = timestamp_now();
    log_info("backup %s: %zu %s into %s", job->name, job->source_count,
             job->source_count == 1 ? "volume" : "volumes", repo_where(job->repo));
    progress_start(job->cli, &(struct progress_source){&progress.bytes_done, &progress.bytes_total, what});
    int code = backup_run(job->repo, job->sources, job->source_count, &job->options, job->retry_seconds,
                          &progress, &result, e);
    progress_stop();
    if (code < 0 && (e->code == NACRE_CANCELLED || cancel_requested()))
        return err_set(
            e, NACRE_CANCELLED,
            "interrupted; there is no backup of this name, what was uploaded is used by the next one");
    if (code < 0 && e->code == NACRE_LOCKED && !any_started(&result))
        return -1; /* nothing was tried: nothing to tell of */
    struct nacre_err outcome = *e, later;
    log_outcome(&result, code, &outcome);
    enum catalogue_phase phase = !code                           ? CATALOGUE_COMPLETED
                                 : outcome.code == NACRE_PARTIAL ? CATALOGUE_PARTIALLY_FAILED
                                                                 : CATALOGUE_FAILED;
    if (write_entry(job, &result, phase, log, &later) < 0 || report(job, false, &later) < 0) {
        if (code < 0)
            log_error("%s", later.message);
        else
            *e = later;
        return -1;
    }
    return code;
}

/* Puts the backup's name in front, unless the engine or the background process did already. */
static int name_failure(const struct job *job, struct nacre_err *e)
{
    char front[256];
    int length = snprintf(front, sizeof front, "backup \"%s\": ", job->name);
    return strncmp(e->message, front, (size_t)length) ? err_wrap(e, "backup \"%s\"", job->name) : -1;
}

static int check_free_of_meaning(const char *name, struct nacre_err *e)
{
    if (catalogue_name_check(name, e) < 0)
        return -1;
    return strcmp(name, "latest")
               ? 0
               : err_set(e, NACRE_INVALID,
                         "a backup cannot be called \"latest\": nacre restore and nacre dump "
                         "take that for the latest one; choose another name");
}

static int run(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(job_free) struct job job = {.cli = cli, .name = cli_argument(cli, 0)};
    struct background background;
    bool parent;
    if (check_free_of_meaning(job.name, e) < 0)
        return -1;
    if (read_options(&job, e) < 0 || background_start(cli, &background, &parent, e) < 0)
        return name_failure(&job, e);
    if (parent) {
        if (cli->format == CLI_TABLE) {
            printf("%s\n", job.name);
            return 0;
        }
        json_t *document = json_pack("{s:s,s:s}", "name", job.name, "phase", "InProgress");
        int result = output_document(cli, document, e);
        json_decref(document);
        return result;
    }
    CLEANUP(job_log_free) struct job_log log = {0};
    job_log_start(&log);
    if (open_all(&job, e) < 0) {
        name_failure(&job, e);
        if (background_failed(&background, e))
            exit(cli_exit_code(e->code));
        return -1;
    }
    background_ready(&background);
    return run_job(&job, &log, e) < 0 ? name_failure(&job, e) : 0;
}

const struct command command_backup_create = {
    .group = "backup",
    .name = "create",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Back volumes up",
    .details =
        "Takes a snapshot of all volumes together, reads what changed since the previous backup, and adds "
        "what "
        "is new to the location's repository. When the backup is complete it appears in the catalogue under "
        "NAME, which is a DNS name such as nightly-2026-01-02. A snapshot stays on each volume as the base "
        "of the "
        "next backup.",
    .options =
        (const struct option *const[]){&option_volume, LOCATION_OPTIONS, REPOSITORY_OPTIONS, &option_wait,
                                       &option_full, &option_chunk_size, &option_compression,
                                       &option_read_concurrency, &option_tag, &option_ttl, NULL},
    .run = run,
};

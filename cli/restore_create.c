/* SPDX-License-Identifier: Apache-2.0 */
/* nacre restore create: the volumes of a backup into volumes. A record in the catalogue says InProgress while
 * it runs and what became of it after; a killed restore leaves the record as InProgress and the volume marked
 * as unfinished, and running it again goes on. One volume that fails does not stop the others. */
#include <assert.h>
#include <string.h>

#include "cli/backup_document.h"
#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/job_log.h"
#include "cli/mapping.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/restore_record.h"
#include "cli/sources.h"
#include "cli/volume.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "restore/restore.h"

static const struct option option_from_backup = {
    .name = "from-backup",
    .argument = "BACKUP",
    .help = "the backup's name; or latest, or the id of a repository snapshot"};
static const struct option option_volume = {
    .name = "volume",
    .argument = "VOLUME",
    .help = "restore only this volume of the backup; the end of its path is "
            "enough when that means one (default: all)",
    .flags = OPTION_REPEAT};
static const struct option option_volume_mapping = {.name = "volume-mapping",
                                                    .argument = "SRC=DST",
                                                    .help =
                                                        "restore the volume SRC as DST; or all below SRC, "
                                                        "such as a pool, below DST (default: each to its own "
                                                        "place)",
                                                    .flags = OPTION_REPEAT};
static const struct option option_overwrite = {
    .name = "overwrite", .help = "write into volumes that exist; only what differs is written"};

struct job {
    struct cli *cli;
    const char *name;
    struct location *location;
    struct repo *repo;
    struct lock *lock;
    struct index *index;
    struct clusters *clusters;
    struct sources sources;
    struct volume_request request;
    struct restored *volumes; /* as many as sources */
    bool again;               /* there is a record of a run that did not complete */
};

static void job_free(struct job *job)
{
    index_free(job->index);
    lock_release(job->lock);
    sources_free(&job->sources);
    repo_free(job->repo);
    clusters_free(job->clusters);
    location_free(job->location);
    volume_request_free(&job->request);
    free(job->volumes);
}
static inline void job_free_at(struct job *job)
{
    job_free(job);
}

static int check_name(struct job *job, struct nacre_err *e)
{
    json_t *record = NULL;
    if (catalogue_restore_read(job->location->store, job->name, &record, e) < 0)
        return e->code == NACRE_ABSENT ? 0 : -1;
    bool completed = !strcmp(document_text(record, "phase"), "Completed");
    json_decref(record);
    job->again = !completed;
    if (!completed)
        return 0;
    return err_set(
        e, NACRE_EXISTS,
        "a restore of this name is completed already; choose another name, or nacre restore delete %s",
        job->name);
}

/* A snapshot that nacre did not make: the mapping's SRC is the path of a file in it. */
static int select_foreign(struct job *job, const struct mapping_rule *rules, size_t count,
                          struct nacre_err *e)
{
    if (job->sources.items[0].native || !count || !strcmp(rules[0].source, "*"))
        return 0;
    const char *path = rules[0].source;
    return sources_select(&job->sources, &path, count, e);
}

static int map_volumes(struct job *job, struct nacre_err *e)
{
    const struct cli *cli = job->cli;
    size_t rule_count = cli_count(cli, &option_volume_mapping), name_count = cli_count(cli, &option_volume);
    CLEANUP(mem_free) struct mapping_rule *rules = calloc(rule_count + 1, sizeof *rules);
    CLEANUP(mem_free) const char **names = calloc(name_count + 1, sizeof *names);
    if (!rules || !names)
        return err_no_memory(e, "the mapping");
    for (size_t i = 0; i < name_count; i++)
        names[i] = cli_value_at(cli, &option_volume, i);
    for (size_t i = 0; i < rule_count; i++)
        if (mapping_rule_parse(cli_value_at(cli, &option_volume_mapping, i), &rules[i], e) < 0)
            return -1;
    if (sources_select(&job->sources, names, name_count, e) < 0 ||
        select_foreign(job, rules, rule_count, e) < 0)
        return -1;
    size_t count = job->sources.count;
    CLEANUP(mem_free) const char **volumes = sources_volumes(&job->sources);
    CLEANUP(mem_free) bool *native = calloc(count, sizeof *native);
    CLEANUP(mem_free) struct volume_ref *targets = calloc(count, sizeof *targets);
    job->volumes = calloc(count, sizeof *job->volumes);
    if (!volumes || !native || !targets || !job->volumes)
        return err_no_memory(e, "the mapping");
    for (size_t i = 0; i < count; i++)
        native[i] = job->sources.items[i].native;
    if (mapping_apply(rules, rule_count, volumes, native, count, targets, e) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        job->volumes[i].source = job->sources.items[i].volume;
        job->volumes[i].snapshot = &job->sources.items[i].snapshot->id;
        job->volumes[i].target = targets[i];
    }
    return 0;
}

static int open_all(struct job *job, struct nacre_err *e)
{
    const char *backup = cli_value(job->cli, &option_from_backup);
    if (!backup)
        return err_set(e, NACRE_INVALID, "--from-backup is missing: which backup is to be restored?");
    job->clusters = clusters_new();
    if (!job->clusters)
        return err_no_memory(e, "the clusters");
    if (volume_request_read(job->cli, &job->request, e) < 0 ||
        location_open(job->cli, LOCATION_READ, &job->location, e) < 0 || check_name(job, e) < 0 ||
        location_open_repository(job->cli, job->location, &job->repo, e) < 0 ||
        location_lock(job->cli, job->location, job->repo, false, &job->lock, e) < 0 ||
        sources_find(job->location, job->repo, backup, &job->sources, e) < 0 || map_volumes(job, e) < 0)
        return -1;
    return index_load(job->repo, &job->index, e);
}

static int restore_one(struct job *job, size_t at, struct restore_progress *progress, struct nacre_err *e)
{
    struct restored *v = &job->volumes[at];
    const struct source *source = &job->sources.items[at];
    const struct restore_volume_options options = {
        .engine.connections = job->location->connections,
        .overwrite = cli_flag(job->cli, &option_overwrite),
        .again = job->again,
        .properties = job->request.properties,
        .property_count = job->request.spec.property_count,
    };
    struct nacre_driver *driver;
    char target[VOLUME_REF_SIZE];
    volume_ref_format(&v->target, target);
    if (cancel_check(e) < 0 || (job->lock && lock_check(job->lock, e) < 0) ||
        clusters_open_block(job->clusters, job->cli, &v->target, &driver, e) < 0)
        return -1;
    log_info("%s: to %s, from repository snapshot of %s", job->name, target, v->source);
    return restore_volume(job->repo, job->index, source->snapshot, source->image_path, driver, &v->target,
                          &options, progress, &v->stats, e);
}

/* All of them, one after the other. What the caller gets is the outcome of the whole. */
static int restore_all(struct job *job, struct nacre_err *e)
{
    struct restore_progress progress = {0};
    char what[300];
    size_t failed = 0;
    snprintf(what, sizeof what, "restore %s", job->name);
    progress_start(job->cli, &(struct progress_source){&progress.bytes_done, &progress.bytes_total, what});
    for (size_t i = 0; i < job->sources.count; i++) {
        struct restored *v = &job->volumes[i];
        v->started_ns = timestamp_now();
        v->failed = restore_one(job, i, &progress, &v->error) < 0;
        v->finished_ns = timestamp_now();
        if (!v->failed)
            continue;
        failed++;
        log_error("%s: %s", v->source, v->error.message);
        if (failed == 1)
            *e = v->error;
        else if (e->code != v->error.code && e->code != NACRE_CANCELLED)
            e->code = NACRE_FAILED;
    }
    progress_stop();
    if (!failed)
        return 0;
    if (failed == job->sources.count || cancel_requested())
        return job->sources.count == 1 || cancel_requested()
                   ? -1
                   : err_set(e, e->code, "none of %zu volumes was restored; the first: %s",
                             job->sources.count, e->message);
    return err_set(e, NACRE_PARTIAL, "%zu of %zu volumes were not restored; the first: %s", failed,
                   job->sources.count, e->message);
}

static int write_record(struct job *job, enum catalogue_phase phase, const struct restore_record *record,
                        struct job_log *log, struct nacre_err *e)
{
    bool final = phase != CATALOGUE_IN_PROGRESS;
    if (job->location->read_only)
        return 0;
    json_t *document = restore_document(record, phase, log);
    if (!document)
        return err_no_memory(e, "the restore's record");
    int result = catalogue_restore_write(job->location->store, job->name, document,
                                         !final           ? NULL
                                         : log->text.data ? (const char *)log->text.data
                                                          : "",
                                         log->text.size, e);
    json_decref(document);
    return result;
}

static int report(struct job *job, enum catalogue_phase phase, const struct restore_record *record,
                  struct job_log *log, struct nacre_err *e)
{
    json_t *document = restore_document(record, phase, log);
    int result = 0;
    if (!document)
        result = err_no_memory(e, "the result");
    else if (job->cli->format == CLI_TABLE)
        restore_print(document);
    else
        result = output_document(job->cli, document, e);
    json_decref(document);
    return result;
}

static int run_job(struct job *job, struct job_log *log, struct nacre_err *e)
{
    assert(job->location && job->repo); /* open_all did that */
    struct restore_record record = {.name = job->name,
                                    .backup = cli_value(job->cli, &option_from_backup),
                                    .location = job->location->name,
                                    .repository = repo_id(job->repo),
                                    .started_ns = timestamp_now(),
                                    .volumes = job->volumes,
                                    .volume_count = job->sources.count};
    if (job->location->read_only)
        log_warning("location \"%s\" is read-only: it keeps no record of this restore", job->location->name);
    if (write_record(job, CATALOGUE_IN_PROGRESS, &record, log, e) < 0)
        return -1;
    int code = restore_all(job, e);
    struct nacre_err outcome = *e, later;
    record.completed_ns = timestamp_now();
    enum catalogue_phase phase = !code                           ? CATALOGUE_COMPLETED
                                 : outcome.code == NACRE_PARTIAL ? CATALOGUE_PARTIALLY_FAILED
                                                                 : CATALOGUE_FAILED;
    if (write_record(job, phase, &record, log, &later) < 0 || report(job, phase, &record, log, &later) < 0) {
        if (!code) {
            *e = later;
            return err_wrap(e, "the volumes are restored, but this could not be recorded");
        }
        log_error("%s", later.message);
    }
    return code;
}

static int run(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(job_free) struct job job = {.cli = cli, .name = cli_argument(cli, 0)};
    CLEANUP(job_log_free) struct job_log log = {0};
    if (catalogue_name_check(job.name, e) < 0)
        return -1;
    job_log_start(&log);
    if (open_all(&job, e) < 0 || run_job(&job, &log, e) < 0)
        return err_wrap(e, "restore \"%s\"", job.name);
    return 0;
}

const struct command command_restore_create = {
    .group = "restore",
    .name = "create",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Restore volumes of a backup",
    .details = "Each volume is made anew with the size, properties and metadata that it had, in its own "
               "place or where a "
               "mapping sends it, in any cluster and through any driver. Until it is whole it carries the "
               "metadata key "
               "nacre.restore-unfinished; an interrupted restore goes on when it is run again. A mapping's "
               "SRC is a volume "
               "of the backup, the end of its path, or the beginning of several; for a snapshot that restic "
               "made it is the "
               "path of a file in it. The single volume of a backup can be called *.",
    .options = (const struct option *const[]){&option_from_backup, &option_volume, &option_volume_mapping,
                                              &option_overwrite, &option_property, LOCATION_OPTIONS,
                                              REPOSITORY_OPTIONS, NULL},
    .run = run,
};

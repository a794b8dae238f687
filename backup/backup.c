/* SPDX-License-Identifier: Apache-2.0 */
/* One backup: several volumes, snapshotted together, saved one after the other.
 *
 * What is where when the process dies:
 *   before a volume's repository snapshot is saved: the old base is on the source, beside a fresh snapshot
 * that nobody needs; the next run finds that its owner is gone and removes it, and compares with the old
 * base; after it: the fresh snapshot is the base; the old one is what the next run removes. So at every
 * moment the base of the newest saved backup is on the source, and a source collects nothing.
 *
 * All volumes share one writer. Its index in memory knows blobs of packs that no index file names yet, also
 * of a volume that failed half way; a snapshot may only refer to them once that same writer has written the
 * index. */
#include "backup/backup.h"

#include <stdio.h>
#include <string.h>

#include "backup/owners.h"
#include "backup/run.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "snapshot/history.h"
#include "snapshot/take.h"

/* Tags of the user's that a restore or the next backup would take for our own. */
static bool tag_is_ours(const char *tag)
{
    static const char *const ours[] = {"backup=",
                                       "volume=",
                                       "driver=",
                                       "volume-id=",
                                       "chunk-size=",
                                       "source-snapshot=",
                                       "source-snapshot-id=",
                                       "volume-bytes=",
                                       "property.",
                                       "metadata."};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strncmp(tag, ours[i], strlen(ours[i])))
            return true;
    return false;
}

static int check_options(const struct backup_source *sources, size_t count,
                         const struct backup_options *options, struct nacre_err *e)
{
    uint32_t size = options->chunk_size;
    if (!options->name || !*options->name)
        return err_set(e, NACRE_INVALID, "a backup needs a name");
    if (!count)
        return err_set(e, NACRE_INVALID, "backup \"%s\": there is no volume to back up", options->name);
    if (size && (size < BACKUP_CHUNK_MIN || size > BACKUP_CHUNK_MAX || size & (size - 1)))
        return err_set(e, NACRE_INVALID,
                       "backup \"%s\": a chunk size of %u bytes: it must be a power of two between %u and %u",
                       options->name, size, BACKUP_CHUNK_MIN, BACKUP_CHUNK_MAX);
    for (size_t i = 0; i < options->tag_count; i++)
        if (tag_is_ours(options->tags[i]))
            return err_set(e, NACRE_INVALID,
                           "backup \"%s\": the tag \"%s\" is of a form that nacre keeps for itself; choose "
                           "another key",
                           options->name, options->tags[i]);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (sources[i].driver == sources[k].driver && !strcmp(sources[i].ref.path, sources[k].ref.path))
                return err_set(e, NACRE_INVALID, "backup \"%s\": the volume %s/%s/%s is named twice",
                               options->name, sources[i].ref.driver, sources[i].ref.cluster,
                               sources[i].ref.path);
    return 0;
}

static bool going(const struct job *job)
{
    return job->volume->error.code == NACRE_OK;
}

static void job_fail(struct job *job, const struct nacre_err *e)
{
    struct nacre_err *error = &job->volume->error;
    *error = *e;
    if (error->code == NACRE_OK)
        error->code = NACRE_FAILED;
    if (!strstr(error->message, job->volume->volume)) /* drivers name the volume, stores cannot */
        err_wrap(error, "%s", job->volume->volume);
    if (error->code != NACRE_CANCELLED)
        log_error("%s", error->message);
}

/* The volume, its snapshots, and the earlier backup to build on. */
static int job_prepare(const struct run *run, const struct snapshot_list *backups, struct job *job,
                       struct nacre_err *e)
{
    const struct backup_source *source = job->source;
    struct nacre_driver *driver = source->driver;
    CLEANUP(history_free) struct history history = {0};
    if (!driver->lifecycle || !driver->block)
        return err_set(e, NACRE_UNSUPPORTED, "the driver %s has no block volumes", source->ref.driver);
    if (driver->lifecycle->get(driver, source->ref.path, &job->info, e)) {
        job->info = NULL;
        return -1;
    }
    if (history_load(driver, source->ref.path, &history, e))
        return -1;
    struct parent_query query = {.repository_id = repo_id(run->repo),
                                 .driver = source->ref.driver,
                                 .volume = job->volume->volume,
                                 .volume_id = job->info->id,
                                 .history = &history,
                                 .chunk_size = run->options->chunk_size,
                                 .chunk_size_default = BACKUP_CHUNK_DEFAULT,
                                 .full = run->options->full};
    job->snap = run->snap;
    if (source->ref.snap[0]) {
        const struct history_entry *given = history_find(&history, source->ref.snap);
        if (!given)
            return err_set(e, NACRE_ABSENT, "the volume has no snapshot %s", source->ref.snap);
        query.before = given;
        job->snap = source->ref.snap;
        job->snap_id = given->id;
    }
    memcpy(job->volume->source_snapshot, job->snap, strlen(job->snap) + 1);
    parent_choose(backups, &query, &job->parent);
    job->volume->volume_bytes = job->info->bytes;
    job->volume->chunk_size = job->parent.chunk_size;
    if (job->parent.snapshot) {
        job->volume->has_parent = true;
        job->volume->parent = job->parent.snapshot->id;
    }
    if (job->parent.warning[0]) {
        memcpy(job->volume->warning, job->parent.warning, sizeof job->volume->warning);
        log_warning("%s: %s", job->volume->volume, job->parent.warning);
    }
    return 0;
}

struct in_use {
    const struct run *run;
    const struct job *job;
};

static bool still_needed(void *ctx, const struct snapshot_owner *owner)
{
    const struct in_use *use = ctx;
    return !strcmp(owner->name, use->job->parent.base.name) || !strcmp(owner->name, use->job->snap) ||
           owner_alive(use->run->repo, owner);
}

static void remove_leftovers(const struct run *run, const struct job *job)
{
    struct in_use use = {run, job};
    snapshot_remove_leftovers(job->source->driver, job->source->ref.path, repo_id(run->repo),
                              job->parent.keep, still_needed, &use);
}

/* Snapshots of all volumes that need one, in one go. */
static int take_snapshots(const struct run *run, struct job *jobs, size_t count, struct nacre_err *e)
{
    CLEANUP(mem_free) struct snapshot_source *sources = calloc(count + 1, sizeof *sources);
    CLEANUP(mem_free) struct nacre_err *results = calloc(count + 1, sizeof *results);
    CLEANUP(mem_free) size_t *members = calloc(count + 1, sizeof *members);
    CLEANUP(mem_free) bool *grouped = calloc(count + 1, sizeof *grouped);
    size_t wanted = 0;
    if (!sources || !results || !members || !grouped)
        return err_no_memory(e, "taking snapshots");
    for (size_t i = 0; i < count; i++)
        if (going(&jobs[i]) && !jobs[i].source->ref.snap[0]) {
            sources[wanted] = (struct snapshot_source){jobs[i].source->driver, jobs[i].source->ref.path};
            members[wanted++] = i;
        }
    if (snapshot_take(sources, wanted, run->snap, results, grouped, e))
        return -1;
    for (size_t i = 0; i < wanted; i++) {
        struct job *job = &jobs[members[i]];
        job->took_snap = results[i].code == NACRE_OK;
        job->volume->grouped = grouped[i];
        if (!job->took_snap)
            job_fail(job, &results[i]);
    }
    return 0;
}

static void remove_from_source(const struct job *job, const char *snap)
{
    struct nacre_driver *driver = job->source->driver;
    struct nacre_err e;
    if (driver->lifecycle->snapshot_remove(driver, job->source->ref.path, snap, &e) && e.code != NACRE_ABSENT)
        log_warning("%s: cannot remove the snapshot %s from the volume: %s; the next backup will try again",
                    job->volume->volume, snap, e.message);
}

/* The number of the snapshot that was taken: by it the next backup knows it again. */
static int find_taken(struct job *job, struct nacre_err *e)
{
    CLEANUP(history_free) struct history history = {0};
    if (history_load(job->source->driver, job->source->ref.path, &history, e))
        return -1;
    const struct history_entry *taken = history_find(&history, job->snap);
    if (!taken)
        return err_set(e, NACRE_ABSENT, "the snapshot %s is gone again", job->snap);
    job->snap_id = taken->id;
    return 0;
}

static void replace_base(const struct run *run, struct job *job)
{
    const char *keep = job->parent.keep, *base = job->parent.base.name;
    job->took_snap = false; /* it stays */
    if (keep[0])
        remove_from_source(job, keep);
    if (base[0] && strcmp(base, keep) != 0 && snapshot_name_parse(base, repo_id(run->repo), NULL))
        remove_from_source(job, base);
}

static int job_run(const struct run *run, struct job *job, struct nacre_err *e)
{
    struct backup_volume *volume = job->volume;
    struct writer_stats before, after;
    writer_get_stats(run->writer, &before);
    int rc = job->took_snap ? find_taken(job, e) : 0;
    rc = rc || block_backup(run, job, e) || writer_finish(run->writer, e) || lock_verify(run->lock, e) ||
         cancel_check(e) || save_snapshot(run, job, &volume->snapshot, e);
    writer_get_stats(run->writer, &after);
    volume->bytes_uploaded = after.bytes_uploaded - before.bytes_uploaded;
    if (rc)
        return -1;
    volume->phase = BACKUP_COMPLETED;
    if (job->took_snap)
        replace_base(run, job);
    return 0;
}

static void run_jobs(const struct run *run, struct job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct backup_volume *volume = jobs[i].volume;
        struct nacre_err e = {0};
        if (!going(&jobs[i]))
            continue;
        volume->started_ns = timestamp_now();
        log_info("%s: backing up the snapshot %s", volume->volume, jobs[i].snap);
        if (cancel_check(&e) || job_run(run, &jobs[i], &e))
            job_fail(&jobs[i], &e);
        else
            log_info("%s: done: %llu bytes in %llu chunks; %llu read, %llu new, %llu unchanged, %llu holes; "
                     "%llu bytes uploaded",
                     volume->volume, (unsigned long long)volume->volume_bytes,
                     (unsigned long long)volume->chunks_total, (unsigned long long)volume->chunks_read,
                     (unsigned long long)volume->chunks_new, (unsigned long long)volume->chunks_unchanged,
                     (unsigned long long)volume->chunks_hole, (unsigned long long)volume->bytes_uploaded);
        volume->finished_ns = timestamp_now();
        if (jobs[i].took_snap)
            remove_from_source(&jobs[i], run->snap);
        jobs[i].took_snap = false;
    }
}

/* What was read of a volume that failed: indexed, the next run need not upload it again. */
static void keep_what_was_read(const struct run *run, const struct job *jobs, size_t count)
{
    bool failed = false;
    struct nacre_err e;
    for (size_t i = 0; i < count; i++)
        failed = failed || !going(&jobs[i]);
    if (failed && !cancel_requested() && !lock_check(run->lock, &e) && writer_finish(run->writer, &e))
        log_debug("the rest of what was read is dropped: %s", e.message);
}

/* With the lock held, the index loaded. */
static int run_all(struct run *run, const struct snapshot_list *backups, struct job *jobs, size_t count,
                   struct nacre_err *e)
{
    for (size_t i = 0; i < count; i++) {
        struct nacre_err why = {0};
        if (cancel_check(e))
            return -1;
        if (job_prepare(run, backups, &jobs[i], &why))
            job_fail(&jobs[i], &why);
        else if (!jobs[i].source->ref.snap[0])
            remove_leftovers(run, &jobs[i]);
    }
    run->time_ns = timestamp_now();
    if (take_snapshots(run, jobs, count, e))
        return -1;
    run_jobs(run, jobs, count);
    keep_what_was_read(run, jobs, count);
    return 0;
}

/* An index file is written under the lock only: see struct writer_options. */
static int still_locked(void *ctx, struct nacre_err *e)
{
    struct lock *const *lock = ctx;
    return lock_check(*lock, e);
}

static int run_locked(struct repo *repo, const struct backup_options *options, unsigned retry_seconds,
                      struct backup_progress *progress, struct job *jobs, size_t count, struct nacre_err *e)
{
    CLEANUP(lock_release) struct lock *lock = NULL;
    CLEANUP(snapshot_list_free) struct snapshot_list backups = {0};
    CLEANUP(index_free) struct index *index = NULL;
    CLEANUP(writer_free) struct writer *writer = NULL;
    struct writer_options writing = options->writer;
    writing.level = options->level;
    if (options->connections)
        writing.uploads = options->connections;
    writing.check = still_locked;
    writing.ctx = &lock;
    if (lock_acquire(repo, false, retry_seconds, &lock, e) ||
        snapshot_list_load(repo, &backups, e) || /* before the index: what it names is then indexed */
        index_load(repo, &index, e) || writer_new(repo, index, &writing, &writer, e))
        return -1;
    struct owner_run owner = {.repository_id = repo_id(repo)};
    snapshot_name_make(owner.repository_id, owner.snap);
    struct run run = {.repo = repo,
                      .index = index,
                      .writer = writer,
                      .lock = lock,
                      .options = options,
                      .progress = progress,
                      .snap = owner.snap};
    owner_enter(&owner);
    int rc = run_all(&run, &backups, jobs, count, e);
    owner_leave(&owner);
    return rc;
}

/* What all volumes together came to. */
static int outcome(const struct backup_options *options, const struct backup_result *result,
                   struct nacre_err *e)
{
    const struct backup_volume *first = NULL;
    size_t failed = 0;
    bool cancelled = false;
    for (size_t i = 0; i < result->count; i++) {
        const struct backup_volume *volume = &result->volumes[i];
        if (volume->phase == BACKUP_COMPLETED)
            continue;
        first = first ? first : volume;
        cancelled = cancelled || volume->error.code == NACRE_CANCELLED;
        failed++;
    }
    if (!failed)
        return 0;
    if (cancelled)
        return err_set(e, NACRE_CANCELLED, "backup \"%s\": interrupted; %zu of %zu volumes were saved",
                       options->name, result->count - failed, result->count);
    if (failed == result->count && failed == 1)
        return err_set(e, first->error.code, "backup \"%s\": %s", options->name, first->error.message);
    return err_set(e, failed < result->count ? NACRE_PARTIAL : first->error.code,
                   "backup \"%s\": %zu of %zu volumes failed; the first: %s", options->name, failed,
                   result->count, first->error.message);
}

static int result_init(struct backup_result *result, const struct backup_source *sources, size_t count,
                       struct nacre_err *e)
{
    *result = (struct backup_result){0};
    result->volumes = calloc(count ? count : 1, sizeof *result->volumes);
    if (!result->volumes)
        return err_no_memory(e, "the result of a backup");
    result->count = count;
    for (size_t i = 0; i < count; i++) {
        struct volume_ref ref = sources[i].ref;
        ref.snap[0] = 0;
        volume_ref_format(&ref, result->volumes[i].volume);
    }
    return 0;
}

int backup_run(struct repo *repo, const struct backup_source *sources, size_t count,
               const struct backup_options *options, unsigned retry_seconds, struct backup_progress *progress,
               struct backup_result *result, struct nacre_err *e)
{
    if (result_init(result, sources, count, e))
        return -1;
    CLEANUP(mem_free) struct job *jobs = calloc(count + 1, sizeof *jobs);
    if (!jobs)
        return err_no_memory(e, "the volumes of a backup");
    for (size_t i = 0; i < count; i++) {
        jobs[i].source = &sources[i];
        jobs[i].volume = &result->volumes[i];
    }
    int rc = check_options(sources, count, options, e);
    if (!rc)
        rc = run_locked(repo, options, retry_seconds, progress, jobs, count, e);
    for (size_t i = 0; i < count; i++) {
        if (jobs[i].info)
            sources[i].driver->lifecycle->free_info(sources[i].driver, jobs[i].info);
        if (rc && result->volumes[i].error.code == NACRE_OK && result->volumes[i].phase == BACKUP_FAILED)
            result->volumes[i].error = *e;
    }
    return rc ? -1 : outcome(options, result, e);
}

void backup_result_free(struct backup_result *result)
{
    free(result->volumes);
    *result = (struct backup_result){0};
}

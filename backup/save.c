/* SPDX-License-Identifier: Apache-2.0 */
/* The repository snapshot of a block volume: what it is, whence it comes, and all that a restore needs to
 * make such a volume again. The tags are the only record of it; docs/format.md lists them. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "backup/run.h"
#include "common/err.h"
#include "repository/snapshot.h"

static int add_tag(struct snapshot *snapshot, const char *prefix, const char *key, const char *value,
                   struct nacre_err *e)
{
    CLEANUP(mem_free) char *tag = NULL;
    if (asprintf(&tag, "%s%s=%s", prefix, key, value) < 0) {
        tag = NULL;
        return err_no_memory(e, "a snapshot's tags");
    }
    return snapshot_add_tag(snapshot, tag, e);
}

static int add_number(struct snapshot *snapshot, const char *key, uint64_t value, struct nacre_err *e)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return add_tag(snapshot, "", key, text, e);
}

static int add_options(struct snapshot *snapshot, const char *prefix, const struct nacre_option *options,
                       size_t count, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf key = {0};
    for (size_t i = 0; i < count; i++) {
        buf_clear(&key);
        buf_string(&key, ""); /* an empty key is a string, too */
        snapshot_tag_key_append(&key, options[i].key);
        if (buf_failed(&key) || !key.data)
            return err_no_memory(e, "a snapshot's tags");
        if (add_tag(snapshot, prefix, (const char *)key.data, options[i].value, e))
            return -1;
    }
    return 0;
}

static int add_tags(const struct run *run, const struct job *job, struct snapshot *snapshot,
                    struct nacre_err *e)
{
    const struct backup_volume *volume = job->volume;
    const struct nacre_volume_info *info = job->info;
    if (add_tag(snapshot, "", "backup", run->options->name, e) ||
        add_tag(snapshot, "", "volume", volume->volume, e) ||
        add_tag(snapshot, "", "driver", job->source->ref.driver, e) ||
        add_tag(snapshot, "", "volume-id", info->id, e) ||
        add_number(snapshot, "chunk-size", volume->chunk_size, e) ||
        add_tag(snapshot, "", "source-snapshot", job->snap, e) ||
        add_number(snapshot, "source-snapshot-id", job->snap_id, e) ||
        add_number(snapshot, "volume-bytes", volume->volume_bytes, e) ||
        add_options(snapshot, "property.", info->properties, info->property_count, e) ||
        add_options(snapshot, "metadata.", info->metadata, info->metadata_count, e))
        return -1;
    for (size_t i = 0; i < run->options->tag_count; i++)
        if (snapshot_add_tag(snapshot, run->options->tags[i], e))
            return -1;
    return 0;
}

/* As restic does: the effective user, and the host's own name. */
static int add_origin(struct snapshot *snapshot, struct nacre_err *e)
{
    char host[256] = "", buffer[4096];
    struct passwd entry, *found = NULL;
    gethostname(host, sizeof host - 1);
    getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found);
    free(snapshot->hostname);
    free(snapshot->username);
    free(snapshot->program_version);
    snapshot->hostname = strdup(host);
    snapshot->username = strdup(found ? found->pw_name : "");
    snapshot->program_version = strdup("nacre " NACRE_VERSION);
    snapshot->uid = geteuid();
    snapshot->gid = getegid();
    return snapshot->hostname && snapshot->username && snapshot->program_version
               ? 0
               : err_no_memory(e, "a snapshot");
}

int save_snapshot(const struct run *run, const struct job *job, struct id *out, struct nacre_err *e)
{
    const struct backup_volume *volume = job->volume;
    char path[VOLUME_REF_SIZE + 1];
    CLEANUP(snapshot_free) struct snapshot *snapshot = snapshot_new();
    if (!snapshot)
        return err_no_memory(e, "a snapshot");
    snprintf(path, sizeof path, "/%s", volume->volume);
    snapshot->time_ns = run->time_ns;
    snapshot->tree = volume->tree;
    snapshot->has_parent = volume->has_parent;
    snapshot->parent = volume->parent;
    if (snapshot_add_path(snapshot, path, e) || add_origin(snapshot, e) || add_tags(run, job, snapshot, e) ||
        snapshot_save(run->repo, snapshot, e))
        return -1;
    *out = snapshot->id;
    return 0;
}

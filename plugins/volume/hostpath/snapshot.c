/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, alone and in groups: all volumes are frozen, all are copied, all are thawed, then each snapshot
 * is renamed into place.
 *
 * A group's renames cannot be one step. So every member's sidecar first notes the snapshot's name under
 * "pending", with a value that stands for the whole group, and forgets it when all are in place: a snapshot
 * that is pending does not exist for anybody, and the next snapshot of that name replaces what a killed
 * process left; but when every member has it in place and some have forgotten, only the rest was still to
 * forget. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/timestamp.h"
#include "hostpath.h"

/* One volume of which a snapshot is being taken. */
struct member {
    struct volume v;
    json_t *sidecar;
    json_int_t id;
    int snapshots; /* its directory */
    int frozen;
    char aside[ASIDE_NAME_SIZE];
    bool there, ours, foreign; /* found: the snapshot, pending for our group, for another */
    bool noted, in_place;
};

struct group {
    struct member *members; /* by name */
    size_t count;
    const char *snap;
    char value[17]; /* stands for the group in "pending" */
};

int volume_freeze(struct volume *v, struct nacre_err *e)
{
    if (lock_wait(v->lock, LOCK_GATE, F_WRLCK, e) == 0 &&
        lock_poll(v->lock, LOCK_WRITES, F_WRLCK, v->host->cancelled, e) == 0)
        return 0;
    volume_thaw(v);
    return err_wrap(e, "hostpath/%s/%s: cannot pause its writers", v->host->cluster, v->name);
}

void volume_thaw(struct volume *v)
{
    lock_try(v->lock, LOCK_WRITES, F_UNLCK);
    lock_try(v->lock, LOCK_GATE, F_UNLCK);
}

static bool pending(json_t *sidecar, const char *snap)
{
    return json_object_get(json_object_get(sidecar, "pending"), snap) != NULL;
}

static int open_snapshots(const struct volume *v, int *out, struct nacre_err *e)
{
    *out = openat(v->dir, "snapshots", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*out >= 0)
        return 0;
    return err_errno(e, errno, "hostpath/%s/%s: cannot open its snapshots", v->host->cluster, v->name);
}

static int absent(const struct volume *v, const char *snap, struct nacre_err *e)
{
    return err_set(e, NACRE_ABSENT, "hostpath/%s/%s has no snapshot \"%.128s\"", v->host->cluster, v->name,
                   snap);
}

/* snapshots/<snap>: its data file and its facts. */
static int open_one(const struct volume *v, int snapshots, const char *snap, int *out,
                    struct nacre_snapshot_info *info, struct nacre_err *e)
{
    CLEANUP(fd_close) int dir = openat(snapshots, snap, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? absent(v, snap, e)
                   : err_errno(e, errno, "hostpath/%s/%s@%s: cannot open it", v->host->cluster, v->name,
                               snap);
    CLEANUP(json_free) json_t *json = NULL;
    CLEANUP(fd_close) int data = openat(dir, "data", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (data < 0 || fstat(data, &status) < 0 || !S_ISREG(status.st_mode))
        return err_set(e, NACRE_CORRUPT, "hostpath/%s/%s@%s: its data file is missing", v->host->cluster,
                       v->name, snap);
    if (sidecar_load(dir, "snapshot.json", &json, e) < 0)
        return err_wrap(e, "hostpath/%s/%s@%s", v->host->cluster, v->name, snap);
    json_t *id = json_object_get(json, "id"), *created = json_object_get(json, "created-ns");
    if (json_integer_value(id) < 1 || !json_is_integer(created))
        return err_set(e, NACRE_CORRUPT, "hostpath/%s/%s@%s: snapshot.json is damaged", v->host->cluster,
                       v->name, snap);
    if (info)
        *info = (struct nacre_snapshot_info){snap, (uint64_t)json_integer_value(id), (uint64_t)status.st_size,
                                             json_integer_value(created)};
    *out = data;
    data = -1;
    return 0;
}

int snapshot_open(const struct volume *v, const char *snap, int *out, struct nacre_snapshot_info *info,
                  struct nacre_err *e)
{
    CLEANUP(fd_close) int snapshots = -1;
    CLEANUP(json_free) json_t *sidecar = NULL;
    if (hostpath_check_snapshot_name(snap, e) < 0 || open_snapshots(v, &snapshots, e) < 0 ||
        volume_sidecar_load(v, &sidecar, e) < 0)
        return -1;
    if (pending(sidecar, snap))
        return absent(v, snap, e);
    return open_one(v, snapshots, snap, out, info, e);
}

static int by_id(const void *a, const void *b)
{
    const struct nacre_snapshot_info *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static int select_snapshot(const struct dirent *entry)
{
    return hostpath_name_valid(entry->d_name);
}

int hostpath_snapshot_list(struct nacre_driver *driver, const char *path, nacre_snapshot_entry *entry,
                           void *ctx, struct nacre_err *e)
{
    CLEANUP(volume_close) struct volume v = VOLUME_NONE;
    CLEANUP(json_free) json_t *sidecar = NULL;
    CLEANUP(fd_close) int snapshots = -1;
    if (volume_open(hostpath_of(driver), path, &v, e) < 0 || volume_sidecar_load(&v, &sidecar, e) < 0 ||
        open_snapshots(&v, &snapshots, e) < 0)
        return -1;
    struct dirent **found = NULL;
    int count = scandirat(snapshots, ".", &found, select_snapshot, alphasort);
    if (count < 0)
        return err_errno(e, errno, "hostpath/%s/%s: cannot read its snapshots", v.host->cluster, path);
    CLEANUP(mem_free) struct nacre_snapshot_info *infos = calloc((size_t)count + 1, sizeof *infos);
    int result = infos ? 0 : err_no_memory(e, "a list of snapshots");
    size_t known = 0;
    for (int i = 0; result == 0 && i < count; i++) {
        CLEANUP(fd_close) int data = -1;
        if (pending(sidecar, found[i]->d_name))
            continue;
        if (open_one(&v, snapshots, found[i]->d_name, &data, &infos[known], e) == 0)
            known++;
        else if (e->code != NACRE_ABSENT)
            result = -1;
    }
    if (result == 0 && infos) {
        qsort(infos, known, sizeof *infos, by_id);
        for (size_t i = 0; i < known && entry(ctx, &infos[i]) == 0; i++)
            ;
    }
    for (int i = 0; i < count; i++)
        free(found[i]);
    free(found);
    return result;
}

/* With LOCK_STATE held. */
static int remove_one(int snapshots, const char *snap, struct nacre_err *e)
{
    char aside[ASIDE_NAME_SIZE];
    if (aside_name("+gone-", aside, e) < 0)
        return -1;
    if (renameat(snapshots, snap, snapshots, aside) < 0 || fsync(snapshots) < 0)
        return err_errno(e, errno, "cannot remove the snapshot \"%s\"", snap);
    return remove_tree(snapshots, aside, e);
}

int hostpath_snapshot_remove(struct nacre_driver *driver, const char *path, const char *snap,
                             struct nacre_err *e)
{
    CLEANUP(volume_close) struct volume v = VOLUME_NONE;
    CLEANUP(json_free) json_t *sidecar = NULL;
    CLEANUP(fd_close) int snapshots = -1;
    if (hostpath_check_snapshot_name(snap, e) < 0 ||
        volume_open_locked(hostpath_of(driver), path, &v, e) < 0 ||
        volume_sidecar_load(&v, &sidecar, e) < 0 || open_snapshots(&v, &snapshots, e) < 0)
        return -1;
    if (pending(sidecar, snap) || faccessat(snapshots, snap, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return absent(&v, snap, e);
    if (remove_one(snapshots, snap, e) < 0)
        return err_wrap(e, "hostpath/%s/%s", v.host->cluster, v.name);
    return 0;
}

/* Opens and locks a member, and looks what lies there under the snapshot's name. */
static int member_open(const struct hostpath *host, const char *path, const struct group *group,
                       struct member *m, struct nacre_err *e)
{
    struct stat status;
    if (volume_open_locked(host, path, &m->v, e) < 0 || volume_sidecar_load(&m->v, &m->sidecar, e) < 0 ||
        open_snapshots(&m->v, &m->snapshots, e) < 0)
        return -1;
    sweep(m->snapshots);
    const char *value =
        json_string_value(json_object_get(json_object_get(m->sidecar, "pending"), group->snap));
    m->there = fstatat(m->snapshots, group->snap, &status, AT_SYMLINK_NOFOLLOW) == 0;
    m->ours = value && !strcmp(value, group->value);
    m->foreign = value && !m->ours;
    m->id = json_integer_value(json_object_get(m->sidecar, "next-snapshot"));
    return 0;
}

static int exists(const struct group *group, const struct member *m, struct nacre_err *e)
{
    return err_set(e, NACRE_EXISTS, "hostpath/%s/%s has a snapshot \"%s\" already", m->v.host->cluster,
                   m->v.name, group->snap);
}

/* All have the snapshot, and some have forgotten that it was pending: the group was complete. */
static bool was_complete(const struct group *group)
{
    size_t ours = 0;
    for (size_t i = 0; i < group->count; i++) {
        if (!group->members[i].there || group->members[i].foreign)
            return false;
        ours += group->members[i].ours;
    }
    return ours > 0 && ours < group->count;
}

/* Notes in the sidecar that the id is used, and whether the snapshot is pending. */
static int member_note(struct member *m, const struct group *group, bool is_pending, struct nacre_err *e)
{
    json_t *all = json_object_get(m->sidecar, "pending");
    if (is_pending)
        json_object_set_new(all, group->snap, json_string(group->value));
    else
        json_object_del(all, group->snap);
    if (json_object_set_new(m->sidecar, "next-snapshot", json_integer(m->id + 1)) < 0)
        return err_no_memory(e, "volume.json");
    return volume_sidecar_store(&m->v, m->sidecar, e);
}

/* Makes sure that the snapshot's name is free everywhere, removing what does not count. */
static int group_clear(struct group *group, struct nacre_err *e)
{
    bool complete = was_complete(group);
    for (size_t i = 0; !complete && i < group->count; i++) {
        struct member *m = &group->members[i];
        if (m->there && !m->ours && !m->foreign)
            return exists(group, m, e);
    }
    for (size_t i = 0; i < group->count; i++) {
        struct member *m = &group->members[i];
        if (m->there && !complete && remove_one(m->snapshots, group->snap, e) < 0)
            return err_wrap(e, "hostpath/%s/%s", m->v.host->cluster, m->v.name);
        if ((m->ours || m->foreign) && member_note(m, group, false, e) < 0)
            return -1;
    }
    return complete ? exists(group, &group->members[0], e) : 0;
}

static int member_copy(struct member *m, struct nacre_err *e)
{
    CLEANUP(fd_close) int from = openat(m->v.dir, "data", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (from < 0 || fstat(from, &status) < 0 || mkdirat(m->snapshots, m->aside, 0700) < 0)
        return err_errno(e, errno, "cannot begin the snapshot");
    CLEANUP(fd_close) int dir = openat(m->snapshots, m->aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd_close) int to = dir < 0 ? -1 : openat(dir, "data", O_RDWR | O_CREAT | O_CLOEXEC, 0400);
    if (to < 0)
        return err_errno(e, errno, "cannot make the snapshot's data file");
    if (copy_file(from, to, (uint64_t)status.st_size, m->v.host->cancelled, e) < 0)
        return -1;
    CLEANUP(json_free)
    json_t *json = json_pack("{s:I,s:I}", "id", m->id, "created-ns", (json_int_t)timestamp_now());
    return json ? sidecar_store(dir, "snapshot.json", json, e) : err_no_memory(e, "snapshot.json");
}

static int group_copy(struct group *group, struct nacre_err *e)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < group->count; i++) {
        result = volume_freeze(&group->members[i].v, e);
        group->members[i].frozen = result == 0;
    }
    for (size_t i = 0; result == 0 && i < group->count; i++) {
        struct member *m = &group->members[i];
        result = member_copy(m, e);
        if (result < 0)
            err_wrap(e, "hostpath/%s/%s@%s", m->v.host->cluster, m->v.name, group->snap);
    }
    for (size_t i = 0; i < group->count; i++)
        if (group->members[i].frozen)
            volume_thaw(&group->members[i].v);
    return result;
}

static int group_place(struct group *group, struct nacre_err *e)
{
    for (size_t i = 0; i < group->count; i++) {
        struct member *m = &group->members[i];
        m->in_place = renameat2(m->snapshots, m->aside, m->snapshots, group->snap, RENAME_NOREPLACE) == 0;
        if (!m->in_place || fsync(m->snapshots) < 0)
            return err_errno(e, errno, "hostpath/%s/%s@%s: cannot put the snapshot in place",
                             m->v.host->cluster, m->v.name, group->snap);
    }
    for (size_t i = 0; group->count > 1 && i < group->count; i++)
        if (member_note(&group->members[i], group, false, e) < 0)
            return -1;
    return 0;
}

static void group_undo(struct group *group)
{
    struct nacre_err ignored; /* what stays is pending or aside, and cleared by the next snapshot */
    for (size_t i = 0; i < group->count; i++) {
        struct member *m = &group->members[i];
        if (m->snapshots < 0)
            continue;
        if (*m->aside)
            remove_tree(m->snapshots, m->aside, &ignored);
        if ((!m->in_place || remove_one(m->snapshots, group->snap, &ignored) == 0) && m->noted &&
            group->count > 1)
            member_note(m, group, false, &ignored);
    }
}

static int group_take(const struct hostpath *host, const char *const *paths, struct group *group,
                      struct nacre_err *e)
{
    for (size_t i = 0; i < group->count; i++)
        if (member_open(host, paths[i], group, &group->members[i], e) < 0)
            return -1;
    if (group_clear(group, e) < 0)
        return -1;
    for (size_t i = 0; i < group->count; i++)
        if (aside_name("+new-", group->members[i].aside, e) < 0)
            return -1;
    for (size_t i = 0; i < group->count; i++) {
        if (member_note(&group->members[i], group, group->count > 1, e) < 0)
            return -1;
        group->members[i].noted = true;
    }
    if (group_copy(group, e) < 0)
        return -1;
    return group_place(group, e);
}

/* FNV-1a over all paths: enough to tell groups apart that share a snapshot's name. */
static void name_group(const char *const *paths, struct group *group)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < group->count; i++)
        for (const char *at = paths[i];; at++) {
            hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
            if (!*at)
                break;
        }
    snprintf(group->value, sizeof group->value, "%016llx", (unsigned long long)hash);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int hostpath_group_snapshot_create(struct nacre_driver *driver, const char *const *paths, size_t count,
                                   const char *snap, struct nacre_err *e)
{
    if (hostpath_check_snapshot_name(snap, e) < 0)
        return -1;
    if (!count)
        return err_set(e, NACRE_INVALID, "a group snapshot \"%s\" of no volume", snap);
    CLEANUP(mem_free) const char **sorted = calloc(count, sizeof *sorted);
    CLEANUP(mem_free) struct member *members = calloc(count, sizeof *members);
    if (!sorted || !members)
        return err_no_memory(e, "a group snapshot");
    memcpy(sorted, paths, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_path);
    for (size_t i = 0; i < count; i++) {
        if (i && !strcmp(sorted[i - 1], sorted[i]))
            return err_set(e, NACRE_INVALID, "the volume %s is twice in one group snapshot", sorted[i]);
        members[i] = (struct member){.v = VOLUME_NONE, .snapshots = -1};
    }
    struct group group = {.members = members, .count = count, .snap = snap};
    name_group(sorted, &group);
    int result = group_take(hostpath_of(driver), sorted, &group, e);
    if (result < 0)
        group_undo(&group);
    for (size_t i = 0; i < count; i++) {
        if (members[i].snapshots >= 0)
            close(members[i].snapshots);
        json_decref(members[i].sidecar);
        volume_close(&members[i].v);
    }
    return result;
}

int hostpath_snapshot_create(struct nacre_driver *driver, const char *path, const char *snap,
                             struct nacre_err *e)
{
    return hostpath_group_snapshot_create(driver, &path, 1, snap, e);
}

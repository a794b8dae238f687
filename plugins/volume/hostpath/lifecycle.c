/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes: made aside and renamed into place, renamed aside and removed. A process that is killed leaves at
 * most a `+…` entry, which the next create, clone or remove sweeps. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/log.h"
#include "hostpath.h"

struct info {
    struct nacre_volume_info info;
    json_t *sidecar; /* its strings are those of the info */
    char path[HOSTPATH_NAME_MAX + 1];
    char in_use_by[160];
    struct nacre_option options[];
};

/* What the new volume is made of. */
struct origin {
    int data; /* -1 = zeros */
    uint64_t bytes;
};

static int fill(int dir, const struct hostpath *host, const struct nacre_volume_spec *spec,
                const struct origin *origin, uint64_t bytes, struct nacre_err *e)
{
    CLEANUP(json_free) json_t *sidecar = NULL;
    CLEANUP(fd_close) int lock = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CLEANUP(fd_close) int data = openat(dir, "data", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || data < 0 || mkdirat(dir, "snapshots", 0700) < 0)
        return err_errno(e, errno, "cannot make its files");
    if (origin->data >= 0 && copy_file(origin->data, data, origin->bytes, host->cancelled, e) < 0)
        return -1;
    if (ftruncate(data, (off_t)bytes) < 0 || fsync(data) < 0)
        return err_errno(e, errno, "cannot make a file of %" PRIu64 " bytes", bytes);
    if (volume_sidecar_new(spec, &sidecar, e) < 0)
        return -1;
    return sidecar_store(dir, "volume.json", sidecar, e);
}

static int check_spec(const struct hostpath *host, const char *path, const struct nacre_volume_spec *spec,
                      struct nacre_err *e)
{
    if (!hostpath_name_valid(path))
        return err_set(e, NACRE_INVALID,
                       "\"%.140s\" cannot be a hostpath volume: 1 to %d of A-Z a-z 0-9 . _ - are allowed",
                       path, HOSTPATH_NAME_MAX);
    if (spec && spec->property_count)
        return err_set(e, NACRE_INVALID, "hostpath/%s/%s: unknown property \"%s\": hostpath has none",
                       host->cluster, path, spec->properties[0].key);
    if (spec && spec->bytes > INT64_MAX)
        return err_set(e, NACRE_INVALID, "hostpath/%s/%s: %" PRIu64 " bytes are more than a file can have",
                       host->cluster, path, spec->bytes);
    return 0;
}

/* With the root's lock held. */
static int make(const struct hostpath *host, const char *path, const struct nacre_volume_spec *spec,
                const struct origin *origin, uint64_t bytes, struct nacre_err *e)
{
    struct stat status;
    if (fstatat(host->root, path, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(e, NACRE_EXISTS, "hostpath/%s/%s exists already in %s", host->cluster, path,
                       host->root_path);
    char aside[ASIDE_NAME_SIZE];
    if (aside_name("+new-", aside, e) < 0)
        return -1;
    if (mkdirat(host->root, aside, 0700) < 0)
        return err_errno(e, errno, "hostpath/%s/%s: cannot make a directory in %s", host->cluster, path,
                         host->root_path);
    CLEANUP(fd_close) int dir = openat(host->root, aside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int result =
        dir < 0 ? err_errno(e, errno, "cannot open its directory") : fill(dir, host, spec, origin, bytes, e);
    if (result < 0) {
        err_wrap(e, "hostpath/%s/%s", host->cluster, path);
    } else if (renameat2(host->root, aside, host->root, path, RENAME_NOREPLACE) < 0) {
        result = errno == EEXIST || errno == ENOTEMPTY
                     ? err_set(e, NACRE_EXISTS, "hostpath/%s/%s exists already in %s", host->cluster, path,
                               host->root_path)
                     : err_errno(e, errno, "hostpath/%s/%s: cannot put it in place", host->cluster, path);
    } else if (fsync(host->root) < 0) {
        return err_errno(e, errno, "hostpath/%s/%s: cannot make it durable", host->cluster, path);
    }
    struct nacre_err ignored;
    if (result < 0)
        remove_tree(host->root, aside, &ignored);
    return result;
}

static int create(struct nacre_driver *driver, const char *path, const struct nacre_volume_spec *spec,
                  struct nacre_err *e)
{
    const struct hostpath *host = hostpath_of(driver);
    CLEANUP(fd_close) int begun = -1;
    if (check_spec(host, path, spec, e) < 0 || hostpath_begin(host, &begun, e) < 0)
        return -1;
    return make(host, path, spec, &(struct origin){.data = -1}, spec->bytes, e);
}

static int clone_from(const struct hostpath *host, const struct origin *origin, const char *path,
                      const struct nacre_volume_spec *spec, struct nacre_err *e)
{
    uint64_t bytes = spec && spec->bytes ? spec->bytes : origin->bytes;
    if (bytes < origin->bytes)
        return err_set(e, NACRE_INVALID,
                       "hostpath/%s/%s: a clone of %" PRIu64 " bytes cannot hold its source of %" PRIu64,
                       host->cluster, path, bytes, origin->bytes);
    return make(host, path, spec, origin, bytes, e);
}

static int clone_volume(struct nacre_driver *driver, const char *source, const char *snap, const char *path,
                        const struct nacre_volume_spec *spec, struct nacre_err *e)
{
    const struct hostpath *host = hostpath_of(driver);
    CLEANUP(fd_close) int begun = -1;
    CLEANUP(fd_close) int data = -1;
    CLEANUP(volume_close) struct volume v = VOLUME_NONE;
    if (check_spec(host, path, spec, e) < 0 || hostpath_begin(host, &begun, e) < 0)
        return -1;
    if (snap) {
        struct nacre_snapshot_info info;
        if (volume_open(host, source, &v, e) < 0 || snapshot_open(&v, snap, &data, &info, e) < 0)
            return -1;
        return clone_from(host, &(struct origin){data, info.bytes}, path, spec, e);
    }
    if (volume_open_locked(host, source, &v, e) < 0)
        return -1;
    data = openat(v.dir, "data", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (data < 0 || fstat(data, &status) < 0)
        return err_errno(e, errno, "hostpath/%s/%s: cannot open its data", host->cluster, source);
    if (volume_freeze(&v, e) < 0)
        return -1;
    int result = clone_from(host, &(struct origin){data, (uint64_t)status.st_size}, path, spec, e);
    volume_thaw(&v);
    return result;
}

static int expand(struct nacre_driver *driver, const char *path, uint64_t bytes, struct nacre_err *e)
{
    const struct hostpath *host = hostpath_of(driver);
    CLEANUP(volume_close) struct volume v = VOLUME_NONE;
    if (volume_open_locked(host, path, &v, e) < 0)
        return -1;
    CLEANUP(fd_close) int data = openat(v.dir, "data", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (data < 0 || fstat(data, &status) < 0)
        return err_errno(e, errno, "hostpath/%s/%s: cannot open its data", host->cluster, path);
    if (bytes < (uint64_t)status.st_size || bytes > INT64_MAX)
        return err_set(e, NACRE_INVALID,
                       "hostpath/%s/%s has %lld bytes and can only grow: %" PRIu64 " is no size for it",
                       host->cluster, path, (long long)status.st_size, bytes);
    if (ftruncate(data, (off_t)bytes) < 0 || fsync(data) < 0)
        return err_errno(e, errno, "hostpath/%s/%s: cannot grow to %" PRIu64 " bytes", host->cluster, path,
                         bytes);
    return 0;
}

static int remove_volume(struct nacre_driver *driver, const char *path, struct nacre_err *e)
{
    const struct hostpath *host = hostpath_of(driver);
    CLEANUP(fd_close) int begun = -1;
    CLEANUP(volume_close) struct volume v = VOLUME_NONE;
    if (hostpath_begin(host, &begun, e) < 0 || volume_open_locked(host, path, &v, e) < 0)
        return -1;
    char writer[160], aside[ASIDE_NAME_SIZE];
    if (volume_writer(&v, writer, sizeof writer))
        return err_set(e, NACRE_BUSY, "hostpath/%s/%s is open for writing by %s", host->cluster, path,
                       writer);
    if (aside_name("+gone-", aside, e) < 0)
        return -1;
    if (renameat(host->root, path, host->root, aside) < 0 || fsync(host->root) < 0)
        return err_errno(e, errno, "hostpath/%s/%s: cannot remove it", host->cluster, path);
    struct nacre_err left;
    if (remove_tree(host->root, aside, &left) < 0)
        log_warning("hostpath/%s/%s is removed, but some of its space is not yet free: %s", host->cluster,
                    path, left.message);
    return 0;
}

static void free_info(struct nacre_driver *driver, struct nacre_volume_info *info)
{
    (void)driver;
    if (info)
        json_decref(((struct info *)info)->sidecar);
    free(info);
}

static void fill_options(struct info *info)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(info->sidecar, "metadata"), key, value)
    {
        if (strncmp(key, "nacre.", 6) != 0)
            info->options[info->info.metadata_count++] = (struct nacre_option){key, json_string_value(value)};
    }
    info->info.metadata = info->options;
}

static int get(struct nacre_driver *driver, const char *path, struct nacre_volume_info **out,
               struct nacre_err *e)
{
    const struct hostpath *host = hostpath_of(driver);
    CLEANUP(volume_close) struct volume v = VOLUME_NONE;
    CLEANUP(json_free) json_t *sidecar = NULL;
    if (volume_open(host, path, &v, e) < 0 || volume_sidecar_load(&v, &sidecar, e) < 0)
        return -1;
    struct stat status;
    if (fstatat(v.dir, "data", &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(status.st_mode))
        return err_set(e, NACRE_CORRUPT, "hostpath/%s/%s: its data file is missing", host->cluster, path);
    size_t count = json_object_size(json_object_get(sidecar, "metadata"));
    struct info *info = calloc(1, sizeof *info + count * sizeof info->options[0]);
    if (!info)
        return err_no_memory(e, "a volume's description");
    info->sidecar = MOVE(sidecar);
    memcpy(info->path, v.name, sizeof v.name);
    info->info.path = info->path;
    info->info.id = json_string_value(json_object_get(info->sidecar, "id"));
    info->info.bytes = (uint64_t)status.st_size;
    info->info.used_bytes = (uint64_t)status.st_blocks * 512;
    info->info.created_ns = json_integer_value(json_object_get(info->sidecar, "created-ns"));
    if (volume_writer(&v, info->in_use_by, sizeof info->in_use_by))
        info->info.in_use_by = info->in_use_by;
    fill_options(info);
    *out = &info->info;
    return 0;
}

static int select_volume(const struct dirent *entry)
{
    return hostpath_name_valid(entry->d_name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int list(struct nacre_driver *driver, const char *prefix, nacre_volume_entry *entry, void *ctx,
                struct nacre_err *e)
{
    const struct hostpath *host = hostpath_of(driver);
    if (*prefix)
        return err_set(e, NACRE_INVALID, "hostpath/%s/%s: volumes have no folders; list hostpath/%s",
                       host->cluster, prefix, host->cluster);
    struct dirent **found = NULL;
    int count = scandirat(host->root, ".", &found, select_volume, by_name);
    if (count < 0)
        return err_errno(e, errno, "hostpath/%s: cannot read %s", host->cluster, host->root_path);
    bool stopped = false;
    for (int i = 0; i < count; i++) {
        struct nacre_volume_info *info = NULL;
        struct nacre_err problem;
        if (!stopped && get(driver, found[i]->d_name, &info, &problem) == 0)
            stopped = entry(ctx, info) != 0;
        else if (!stopped && problem.code != NACRE_ABSENT)
            log_warning("not listed: %s", problem.message);
        free_info(driver, info);
        free(found[i]);
    }
    free(found);
    return 0;
}

static int capacity(struct nacre_driver *driver, const char *prefix, struct nacre_capacity *out,
                    struct nacre_err *e)
{
    const struct hostpath *host = hostpath_of(driver);
    struct statvfs status;
    (void)prefix;
    if (fstatvfs(host->root, &status) < 0)
        return err_errno(e, errno, "hostpath/%s: cannot tell the space in %s", host->cluster,
                         host->root_path);
    out->total_bytes = (uint64_t)status.f_blocks * status.f_frsize;
    out->used_bytes = (uint64_t)(status.f_blocks - status.f_bfree) * status.f_frsize;
    out->available_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    return 0;
}

static int set_metadata(struct nacre_driver *driver, const char *path, const char *key, const char *value,
                        struct nacre_err *e)
{
    CLEANUP(volume_close) struct volume v = VOLUME_NONE;
    CLEANUP(json_free) json_t *sidecar = NULL;
    if (volume_open_locked(hostpath_of(driver), path, &v, e) < 0 || volume_sidecar_load(&v, &sidecar, e) < 0)
        return -1;
    if (volume_sidecar_set(sidecar, key, value, e) < 0)
        return err_wrap(e, "hostpath/%s/%s", v.host->cluster, path);
    return volume_sidecar_store(&v, sidecar, e);
}

static int get_metadata(struct nacre_driver *driver, const char *path, const char *key, char *buf,
                        size_t buf_size, struct nacre_err *e)
{
    CLEANUP(volume_close) struct volume v = VOLUME_NONE;
    CLEANUP(json_free) json_t *sidecar = NULL;
    if (volume_open(hostpath_of(driver), path, &v, e) < 0 || volume_sidecar_load(&v, &sidecar, e) < 0)
        return -1;
    json_t *value = json_object_get(json_object_get(sidecar, "metadata"), key);
    if (!value)
        return err_set(e, NACRE_ABSENT, "hostpath/%s/%s has no metadata \"%.100s\"", v.host->cluster, path,
                       key);
    size_t size = json_string_length(value) + 1;
    if (size > buf_size)
        return err_set(e, NACRE_INVALID, "hostpath/%s/%s: metadata \"%.100s\" has %zu bytes, more than %zu",
                       v.host->cluster, path, key, size, buf_size);
    memcpy(buf, json_string_value(value), size);
    return 0;
}

const struct nacre_lifecycle_ops hostpath_lifecycle = {
    .size = sizeof(struct nacre_lifecycle_ops),
    .create = create,
    .clone = clone_volume,
    .expand = expand,
    .remove = remove_volume,
    .get = get,
    .free_info = free_info,
    .list = list,
    .capacity = capacity,
    .set_metadata = set_metadata,
    .get_metadata = get_metadata,
    .snapshot_create = hostpath_snapshot_create,
    .snapshot_list = hostpath_snapshot_list,
    .snapshot_remove = hostpath_snapshot_remove,
    .group_snapshot_create = hostpath_group_snapshot_create,
};

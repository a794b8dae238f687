/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of the local index: `<cache_dir>/<repository id>/index`.
 *
 * Any number of processes may use it. A file is written beside it under an exclusive flock of `index.lock`
 * and renamed, so that a reader's mapping is never altered; a crash leaves a half-written `index.new`, which
 * the next writer truncates. The cache is opened before the repository's index files are listed: it can then
 * not cover a file that the list lacks, unless that was removed. It holds ids of blobs and packs, no content
 * and no keys, and is readable by its owner only. */
#include "repository/index_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "repository/index_build.h"

struct file_list {
    struct buf ids; /* of struct id */
    const struct id *items;
    uint32_t count;
};

static int on_file(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    (void)size;
    (void)modified_ns;
    buf_append(ctx, id, sizeof *id);
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    return id_compare(a, b);
}

static int list_files(struct repo *repo, struct file_list *list, struct nacre_err *e)
{
    buf_clear(&list->ids);
    if (repo_file_list(repo, REPO_INDEX, on_file, &list->ids, e) < 0)
        return err_wrap(e, "listing the index files of %s", repo_where(repo));
    if (buf_failed(&list->ids) || list->ids.size / sizeof(struct id) > UINT32_MAX)
        return err_no_memory(e, "the list of index files");
    if (list->ids.size)
        qsort(list->ids.data, list->ids.size / sizeof(struct id), sizeof(struct id), compare_ids);
    list->items = (const void *)list->ids.data;
    list->count = (uint32_t)(list->ids.size / sizeof(struct id));
    return 0;
}

/* How a local file stands to the list: the same, a part of it, or neither. */
enum fit { FITS, BEHIND, USELESS };

static enum fit compare_files(const struct index_file *file, const struct file_list *list)
{
    uint32_t k = 0;
    if (!file->map)
        return USELESS;
    for (uint32_t i = 0; i < file->file_count; i++, k++) {
        while (k < list->count && id_compare(&list->items[k], &file->files[i]) < 0)
            k++;
        if (k == list->count || !id_equal(&list->items[k], &file->files[i]))
            return USELESS;
    }
    return file->file_count == list->count ? FITS : BEHIND;
}

/* A file without a name: on disk where that is possible, else in memory. */
static int anonymous_file(struct nacre_err *e)
{
    const char *temporary = getenv("TMPDIR");
    int fd = open(temporary && *temporary ? temporary : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("nacre-index", MFD_CLOEXEC);
    return fd < 0 ? err_errno(e, errno, "making a temporary file for the index") : fd;
}

static int build_anonymous(struct index_build *build, struct index_file *out, struct nacre_err *e)
{
    CLEANUP(fd_close) int scratch = anonymous_file(e);
    if (scratch < 0)
        return -1;
    int fd = anonymous_file(e);
    if (fd < 0)
        return -1;
    build->scratch = scratch;
    build->out = fd;
    if (index_build_run(build, e) < 0) {
        close(fd);
        return -1;
    }
    return index_file_open(fd, repo_id(build->repo), out, e);
}

/* The cache directory of the repository, opened; made when it is not there. */
static int open_directory(struct repo *repo, struct nacre_err *e)
{
    char path[PATH_MAX];
    const char *base = repo_cache_dir(repo);
    if (snprintf(path, sizeof path, "%s/%s", base, repo_id(repo)) >= (int)sizeof path)
        return err_set(e, NACRE_INVALID, "the path of the cache directory is too long: %s", base);
    for (char *at = path + 1;; at++) {
        bool last = !*at;
        if (*at != '/' && !last)
            continue;
        *at = 0;
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return err_errno(e, errno, "making the cache directory %s", path);
        if (last)
            break;
        *at = '/';
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_errno(e, errno, "opening the cache directory %s", path) : fd;
}

/* *out stays zeroed when there is no file that can be used. */
static void open_cached(int directory, const char *id, struct index_file *out)
{
    struct nacre_err why;
    *out = (struct index_file){0};
    int fd = openat(directory, "index", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && index_file_open(fd, id, out, &why) < 0)
        log_info("making the local index anew: %s", why.message);
}

static int lock_directory(int directory, struct nacre_err *e)
{
    int fd = openat(directory, "index.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(e, errno, "index.lock");
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            err_errno(e, errno, "locking index.lock");
        else if (cancel_sleep(20, NULL, e) == 0)
            continue;
        close(fd);
        return -1;
    }
    return fd;
}

static int scratch_file(int directory, struct nacre_err *e)
{
    int fd = openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? anonymous_file(e) : fd;
}

static void keep_failed(int error_number)
{
    struct nacre_err e;
    err_errno(&e, error_number, "the local index cannot be kept");
    log_warning("%s", e.message);
}

/* Under the lock: makes index.new and puts it in place. */
static int build_cached(struct index_build *build, int directory, struct index_file *out, struct nacre_err *e)
{
    CLEANUP(fd_close) int scratch = scratch_file(directory, e);
    if (scratch < 0)
        return -1;
    int fd = openat(directory, "index.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        build->local_failed = true;
        return err_errno(e, errno, "index.new");
    }
    build->scratch = scratch;
    build->out = fd;
    if (index_build_run(build, e) < 0) {
        close(fd);
        unlinkat(directory, "index.new", 0);
        return -1;
    }
    if (index_file_open(fd, repo_id(build->repo), out, e) < 0) {
        build->local_failed = true;
        return -1;
    }
    if (renameat(directory, "index.new", directory, "index") < 0) {
        keep_failed(errno);
        unlinkat(directory, "index.new", 0); /* it is mapped: nobody may truncate it */
    }
    return 0;
}

/* Uses what `old` has; `directory` < 0: nowhere to keep the result. */
static int build_from(struct repo *repo, int directory, const struct index_file *old,
                      const struct file_list *list, struct index_file *out, struct nacre_err *e)
{
    struct index_build build = {
        .repo = repo, .old = old->map ? old : NULL, .files = list->items, .file_count = list->count};
    if (directory < 0)
        return build_anonymous(&build, out, e);
    if (build_cached(&build, directory, out, e) == 0)
        return 0;
    if (!build.local_failed)
        return -1;
    log_warning("the local index cannot be kept in %s: %s", repo_cache_dir(repo), e->message);
    build.local_failed = false;
    return build_anonymous(&build, out, e);
}

/* Opens the cache, looks at it, and makes it anew under the lock when it does not fit. */
static int open_or_build(struct repo *repo, int directory, struct file_list *list, struct index_file *out,
                         struct nacre_err *e)
{
    open_cached(directory, repo_id(repo), out);
    if (list_files(repo, list, e) < 0)
        return -1;
    if (compare_files(out, list) == FITS)
        return 0;
    index_file_close(out);

    CLEANUP(fd_close) int lock = lock_directory(directory, e);
    if (lock < 0 && e->code == NACRE_CANCELLED)
        return -1;
    struct index_file old = {0};
    open_cached(directory, repo_id(repo), &old); /* another process may have made it meanwhile */
    int result = list_files(repo, list, e);
    enum fit fit = result < 0 ? USELESS : compare_files(&old, list);
    if (fit == FITS) {
        *out = old;
        return 0;
    }
    if (fit == USELESS)
        index_file_close(&old);
    if (!result)
        result = build_from(repo, lock < 0 ? -1 : directory, &old, list, out, e);
    index_file_close(&old);
    return result;
}

int index_cache_open(struct repo *repo, struct index_file *out, struct nacre_err *e)
{
    struct file_list list = {0};
    CLEANUP(fd_close) int directory = -1;
    int result;
    *out = (struct index_file){0};
    if (repo_cache_dir(repo)) {
        directory = open_directory(repo, e);
        if (directory < 0)
            log_warning("no local index is kept: %s", e->message);
    }
    if (directory >= 0) {
        result = open_or_build(repo, directory, &list, out, e);
    } else {
        result = list_files(repo, &list, e);
        if (!result)
            result = build_from(repo, -1, &(struct index_file){0}, &list, out, e);
    }
    buf_free(&list.ids);
    if (result < 0)
        index_file_close(out);
    return result;
}

int index_cache_rebuild(struct repo *repo, void (*damaged)(void *ctx, const struct id *file, const char *why),
                        void *ctx, struct index_file *out, struct nacre_err *e)
{
    struct file_list list = {0};
    *out = (struct index_file){0};
    int result = list_files(repo, &list, e);
    if (!result) {
        struct index_build build = {
            .repo = repo, .files = list.items, .file_count = list.count, .damaged = damaged, .ctx = ctx};
        result = build_anonymous(&build, out, e);
    }
    buf_free(&list.ids);
    return result;
}

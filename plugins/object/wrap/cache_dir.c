/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a cache, and how it is kept within its bounds.
 *
 * One flat directory of files that are named by the hash of their object, and are written under a temporary
 * name and renamed. There is no lock and no list of what there is: nothing that a killed process could leave
 * wrong. The time of a file is when it was last read. Each process counts what it adds, and looks at the
 * whole directory when it knows of too much, or has itself added a sixteenth of the room since it last
 * looked; P processes together so never keep more than max_bytes and P sixteenths of it. What another process
 * removes meanwhile is gone, which is what both wanted; who has it open reads on. A temporary file of a
 * killed process is a file like any other: it counts, and goes when its time comes. */
#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/log.h"

struct file {
    char name[NAME_MAX + 1];
    uint64_t size;
    struct timespec read;
};

void cache_dir_failed(struct cache_dir *dir, int error_number, const char *what)
{
    struct nacre_err why;
    if (atomic_exchange(&dir->full, true))
        return;
    err_errno(&why, error_number, "cache directory %s: cannot %s", dir->path, what);
    log_warning("%s; going on, and keeping nothing more in it", why.message);
}

static int open_directory(struct cache_dir *dir, const char *directory, const char *id)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return -1;
    CLEANUP(fd_close) int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || (mkdirat(parent, id, 0700) < 0 && errno != EEXIST))
        return -1;
    dir->fd = openat(parent, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return dir->fd;
}

int cache_dir_open(struct cache_dir *dir, const char *directory, const char *id, uint64_t max_bytes,
                   struct nacre_err *e)
{
    *dir = (struct cache_dir){.fd = -1, .max_bytes = max_bytes, .mutex = PTHREAD_MUTEX_INITIALIZER};
    if (asprintf(&dir->path, "%s/%s", directory, id) < 0) {
        dir->path = NULL;
        return err_no_memory(e, "the cache");
    }
    if (open_directory(dir, directory, id) < 0)
        cache_dir_failed(dir, errno, "open or make it");
    return 0;
}

void cache_dir_close(struct cache_dir *dir)
{
    if (dir->fd >= 0)
        close(dir->fd);
    pthread_mutex_destroy(&dir->mutex);
    free(dir->path);
}

bool cache_dir_takes(const struct cache_dir *dir, uint64_t size)
{
    return dir->fd >= 0 && !atomic_load(&dir->full) && size <= dir->max_bytes / 4;
}

/* What a file takes: whole blocks, and at least what it says it has. */
static uint64_t room_of(uint64_t size)
{
    return (size + 4095) / 4096 * 4096;
}

/* Appends every file to `files`; a directory, or what went meanwhile, is none. -1 with errno set. */
static int gather(const struct cache_dir *dir, struct buf *files)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(list))) {
        struct stat st;
        struct file file;
        if (fstatat(dir->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
            continue;
        snprintf(file.name, sizeof file.name, "%s", entry->d_name);
        file.size = room_of((uint64_t)st.st_size);
        file.read = st.st_mtim;
        buf_append(files, &file, sizeof file);
    }
    int error = errno;
    closedir(list);
    errno = buf_failed(files) ? ENOMEM : error;
    return errno ? -1 : 0;
}

static int older_first(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    if (x->read.tv_sec != y->read.tv_sec)
        return x->read.tv_sec < y->read.tv_sec ? -1 : 1;
    return (x->read.tv_nsec > y->read.tv_nsec) - (x->read.tv_nsec < y->read.tv_nsec);
}

/* Looks at all there is and removes what is too much; with the mutex held. -1 with errno set. */
static int trim(struct cache_dir *dir)
{
    CLEANUP(buf_free) struct buf gathered = {0};
    if (gather(dir, &gathered) < 0)
        return -1;
    struct file *files = (void *)gathered.data;
    size_t count = gathered.size / sizeof *files;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += files[i].size;
    if (bytes > dir->max_bytes) {
        qsort(files, count, sizeof *files, older_first);
        for (size_t i = 0; i < count && bytes > dir->max_bytes - dir->max_bytes / 8; i++) {
            if (unlinkat(dir->fd, files[i].name, 0) < 0 && errno != ENOENT)
                return -1;
            bytes -= files[i].size;
        }
    }
    dir->bytes = bytes;
    dir->added = 0;
    dir->looked = true;
    return 0;
}

void cache_dir_added(struct cache_dir *dir, uint64_t size)
{
    pthread_mutex_lock(&dir->mutex);
    dir->bytes += room_of(size);
    dir->added += room_of(size);
    bool look = !dir->looked || dir->bytes > dir->max_bytes || dir->added > dir->max_bytes / 16;
    int error = look && trim(dir) < 0 ? errno : 0;
    pthread_mutex_unlock(&dir->mutex);
    if (error)
        cache_dir_failed(dir, error, "make room in it");
}

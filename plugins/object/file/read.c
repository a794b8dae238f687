/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, looking at and removing objects. Only regular files are objects. A reader holds the file open: it
 * reads the object that it opened to its end, also when it is replaced or removed meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/err.h"
#include "file.h"

#define READ_BUFFER ((size_t)1 << 20)

/* *out is the caller's to close, also on failure. */
static int open_object(struct file_store *store, const char *name, int *out, uint64_t *size,
                       struct nacre_err *e)
{
    CLEANUP(fd_close) int directory = -1;
    const char *last;
    if (file_parent(store, name, false, &directory, &last, e) < 0)
        return -1;
    /* O_NONBLOCK: a FIFO of that name must not make us wait; it means nothing for a regular file. */
    *out = openat(directory, last, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (*out < 0 || fstat(*out, &st) < 0)
        return file_errno(store, e, errno == ENXIO ? ENOENT : errno, "open", name);
    if (!S_ISREG(st.st_mode))
        return file_errno(store, e, ENOENT, "open", name);
    *size = (uint64_t)st.st_size;
    return 0;
}

static int err_range(struct nacre_err *e, const char *name, uint64_t offset, uint64_t length, uint64_t size)
{
    return err_set(e, NACRE_INVALID,
                   "object %s has %" PRIu64 " bytes, too few for %" PRIu64 " bytes from offset %" PRIu64,
                   name, size, length, offset);
}

int file_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
             nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct file_store *store = (struct file_store *)base;
    CLEANUP(fd_close) int fd = -1;
    uint64_t size = 0;
    if (open_object(store, name, &fd, &size, e) < 0)
        return -1;
    if (offset > size || (length != NACRE_TO_END && length > size - offset))
        return err_range(e, name, offset, length == NACRE_TO_END ? 0 : length, size);
    uint64_t left = length == NACRE_TO_END ? size - offset : length;
    if (left > READ_BUFFER)
        posix_fadvise(fd, (off_t)offset, (off_t)left, POSIX_FADV_SEQUENTIAL);
    CLEANUP(mem_free) uint8_t *buffer = left ? malloc(left < READ_BUFFER ? left : READ_BUFFER) : NULL;
    if (left && !buffer)
        return err_no_memory(e, "a read buffer");
    while (left) {
        ssize_t got = pread(fd, buffer, left < READ_BUFFER ? left : READ_BUFFER, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return file_errno(store, e, errno, "read", name);
        if (!got)
            return err_range(e, name, offset, left, offset);
        if (sink(ctx, buffer, (size_t)got, e) < 0)
            return -1;
        offset += (uint64_t)got;
        left -= (uint64_t)got;
    }
    return 0;
}

static int stat_object(struct file_store *store, int directory, const char *name, const char *last,
                       struct stat *st, struct nacre_err *e)
{
    if (fstatat(directory, last, st, AT_SYMLINK_NOFOLLOW) < 0)
        return file_errno(store, e, errno, "look at", name);
    return S_ISREG(st->st_mode) ? 0 : file_errno(store, e, ENOENT, "look at", name);
}

int file_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
              struct nacre_err *e)
{
    struct file_store *store = (struct file_store *)base;
    CLEANUP(fd_close) int directory = -1;
    const char *last;
    struct stat st;
    if (file_parent(store, name, false, &directory, &last, e) < 0 ||
        stat_object(store, directory, name, last, &st, e) < 0)
        return -1;
    *out = (struct nacre_object_info){
        .size = (uint64_t)st.st_size,
        .modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
    };
    return 0;
}

int file_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct file_store *store = (struct file_store *)base;
    CLEANUP(fd_close) int directory = -1;
    const char *last;
    struct stat st;
    if (file_parent(store, name, false, &directory, &last, e) < 0 ||
        stat_object(store, directory, name, last, &st, e) < 0)
        return -1;
    if (unlinkat(directory, last, 0) < 0 || file_sync_directory(directory) < 0)
        return file_errno(store, e, errno, "remove", name);
    return 0;
}

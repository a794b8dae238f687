/* SPDX-License-Identifier: Apache-2.0 */
/* Replacing the configuration file. The lock is on the file itself: whoever waited for it looks whether the
 * name still means what is locked, because the one before may have put a new file there. A crash leaves the
 * old file and at most one FILE.XXXXXX beside it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cli/settings_edit.h"
#include "common/err.h"

/* Opens and locks it; *fd stays -1 when there is none. */
static int lock_file(const char *path, int *fd, struct nacre_err *e)
{
    for (;;) {
        struct stat locked, named;
        int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (file < 0)
            return errno == ENOENT ? 0 : err_errno(e, errno, "configuration %s", path);
        if (flock(file, LOCK_EX) < 0 || fstat(file, &locked) < 0) {
            err_errno(e, errno, "configuration %s", path);
            close(file);
            return -1;
        }
        if (stat(path, &named) == 0 && named.st_ino == locked.st_ino && named.st_dev == locked.st_dev) {
            *fd = file;
            return S_ISREG(locked.st_mode)
                       ? 0
                       : err_set(e, NACRE_INVALID, "configuration %s is not a regular file", path);
        }
        close(file);
    }
}

/* Its directories, for this user alone. */
static int make_parents(const char *path, struct nacre_err *e)
{
    CLEANUP(mem_free) char *copy = strdup(path);
    if (!copy)
        return err_no_memory(e, "the configuration's name");
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            return err_errno(e, errno, "configuration %s: directory %s", path, copy);
        *slash = '/';
    }
    return 0;
}

static int write_all(int fd, const struct buf *text)
{
    size_t done = 0;
    while (done < text->size) {
        ssize_t n = write(fd, text->data + done, text->size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return fsync(fd);
}

static int keep_owner(int old, int fd)
{
    struct stat st;
    if (old < 0)
        return fchmod(fd, 0600);
    if (fstat(old, &st) < 0)
        return -1;
    /* Only root can give a file away; an editor who is not its owner makes it his own. */
    if ((st.st_uid != geteuid() || st.st_gid != getegid()) && fchown(fd, st.st_uid, st.st_gid) < 0 &&
        errno != EPERM)
        return -1;
    return fchmod(fd, st.st_mode & 07777);
}

static int sync_directory(const char *path)
{
    CLEANUP(mem_free) char *directory = strdup(path);
    if (!directory)
        return -1;
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory] = 0;
    CLEANUP(fd_close) int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* cppcheck-suppress memleak ; it does not know CLEANUP here */
    return fd < 0 ? -1 : fsync(fd);
}

/* A first file takes a free name only, else one that another program made meanwhile would be lost. */
static int take_name(const char *temporary, const char *path, bool first)
{
    if (!first)
        return rename(temporary, path);
    return link(temporary, path) < 0 ? -1 : unlink(temporary);
}

/* NACRE_EXISTS: there was no file (old < 0), and now there is one. */
static int replace(const char *path, int old, const struct buf *text, struct nacre_err *e)
{
    CLEANUP(mem_free) char *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        return err_no_memory(e, "the configuration's name");
    CLEANUP(fd_close) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "configuration %s: a new file beside it", path);
    if (keep_owner(old, fd) < 0 || write_all(fd, text) < 0 || take_name(temporary, path, old < 0) < 0) {
        err_errno(e, errno, "configuration %s: writing it anew as %s", path, temporary);
        unlink(temporary);
        return -1;
    }
    return sync_directory(path) < 0 ? err_errno(e, errno, "configuration %s: making it durable", path) : 0;
}

static int edit_once(const char *path, const struct settings_edit *edits, size_t count, struct nacre_err *e)
{
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(buf_free) struct buf text = {0};
    if (lock_file(path, &fd, e) < 0 || (fd >= 0 && settings_read(fd, path, &text, e) < 0))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (settings_edit_text(&text, path, &edits[i], e) < 0)
            return -1;
    if (fd < 0 && make_parents(path, e) < 0)
        return -1;
    return replace(path, fd, &text, e);
}

int settings_edit_file(const char *path, const struct settings_edit *edits, size_t count, struct nacre_err *e)
{
    bool there;
    int result;
    do {
        there = access(path, F_OK) == 0;
        result = edit_once(path, edits, count, e);
    } while (result < 0 && e->code == NACRE_EXISTS && !there && access(path, F_OK) == 0);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Finding, locking and sweeping: everything that knows where things lie below the root.
 *
 * Whoever makes or removes an entry of the root holds `+lock` shared; who can have it exclusively knows that
 * every `+…` entry was left by a process that is gone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/cancel.h"
#include "common/log.h"
#include "hostpath.h"

#define ROOT_LOCK "+lock"
#define DEPTH_MAX 8

static bool name_valid(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return length > 0 && length <= HOSTPATH_NAME_MAX && !name[length] && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

bool hostpath_name_valid(const char *name)
{
    return name_valid(name);
}

int hostpath_check_snapshot_name(const char *snap, struct nacre_err *e)
{
    if (name_valid(snap))
        return 0;
    return err_set(e, NACRE_INVALID,
                   "\"%.140s\" cannot be a snapshot's name: 1 to %d of A-Z a-z 0-9 . _ - are allowed", snap,
                   NACRE_SNAPSHOT_NAME_MAX);
}

int volume_open(const struct hostpath *host, const char *name, struct volume *out, struct nacre_err *e)
{
    *out = VOLUME_NONE;
    if (!name_valid(name))
        return err_set(e, NACRE_INVALID,
                       "\"%.140s\" cannot be a hostpath volume: 1 to %d of A-Z a-z 0-9 . _ - are allowed",
                       name, HOSTPATH_NAME_MAX);
    int dir = openat(host->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0 && faccessat(dir, "volume.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        out->host = host;
        out->dir = dir;
        memcpy(out->name, name, strlen(name) + 1);
        return 0;
    }
    int error = errno;
    if (dir >= 0)
        close(dir);
    if (error == ENOENT || error == ENOTDIR || error == ELOOP)
        return err_set(e, NACRE_ABSENT, "hostpath/%s/%s: no such volume in %s", host->cluster, name,
                       host->root_path);
    return err_errno(e, error, "hostpath/%s/%s: cannot open it", host->cluster, name);
}

void volume_close(struct volume *v)
{
    if (v->lock >= 0)
        close(v->lock);
    if (v->dir >= 0)
        close(v->dir);
    *v = VOLUME_NONE;
}

int volume_open_lock_file(const struct volume *v, int *out, struct nacre_err *e)
{
    *out = openat(v->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*out >= 0)
        return 0;
    return err_errno(e, errno, "hostpath/%s/%s: cannot open its lock file", v->host->cluster, v->name);
}

/* Whether the directory that is open is still the one that bears the name. */
static bool still_there(const struct volume *v)
{
    struct stat open_one, named;
    return fstat(v->dir, &open_one) == 0 &&
           fstatat(v->host->root, v->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

int volume_open_locked(const struct hostpath *host, const char *name, struct volume *out, struct nacre_err *e)
{
    for (;;) {
        if (volume_open(host, name, out, e) < 0)
            return -1;
        if (volume_open_lock_file(out, &out->lock, e) < 0 ||
            lock_poll(out->lock, LOCK_STATE, F_WRLCK, host->cancelled, e) < 0) {
            volume_close(out);
            return err_wrap(e, "hostpath/%s/%s", host->cluster, name);
        }
        if (still_there(out))
            return 0;
        volume_close(out); /* removed, and perhaps made anew, while we waited */
    }
}

int lock_try(int fd, enum lock_byte byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 1;
    return errno == EAGAIN || errno == EACCES ? 0 : -1;
}

int lock_wait(int fd, enum lock_byte byte, short type, struct nacre_err *e)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    while (fcntl(fd, F_OFD_SETLKW, &lock) < 0)
        if (errno != EINTR)
            return err_errno(e, errno, "cannot lock");
    return 0;
}

int lock_poll(int fd, enum lock_byte byte, short type, bool (*cancelled)(void), struct nacre_err *e)
{
    for (;;) {
        int taken = lock_try(fd, byte, type);
        if (taken > 0)
            return 0;
        if (taken < 0)
            return err_errno(e, errno, "cannot lock");
        if (cancel_sleep(2, cancelled, e) < 0)
            return -1;
    }
}

bool volume_writer(const struct volume *v, char *out, size_t size)
{
    CLEANUP(fd_close) int fd = openat(v->dir, "lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_WRITER, .l_len = 1};
    if (fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return false;
    ssize_t got = pread(fd, out, size - 1, 0);
    out[got > 0 ? got : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (!*out)
        snprintf(out, size, "another process");
    return true;
}

static int remove_tree_below(int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 || depth > DEPTH_MAX ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = remove_tree_below(fd, entry->d_name, depth + 1);
    int error = errno;
    closedir(dir);
    errno = error;
    if (result == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return -1;
    return result;
}

int remove_tree(int parent, const char *name, struct nacre_err *e)
{
    if (remove_tree_below(parent, name, 0) == 0)
        return 0;
    return err_errno(e, errno, "cannot remove %s", name);
}

void sweep(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(entries));) {
        struct nacre_err e;
        if (entry->d_name[0] == '+' && strcmp(entry->d_name, ROOT_LOCK) != 0 &&
            remove_tree(dir, entry->d_name, &e) < 0)
            log_warning("hostpath: what a killed process left cannot be removed: %s", e.message);
    }
    closedir(entries);
}

int hostpath_begin(const struct hostpath *host, int *out, struct nacre_err *e)
{
    CLEANUP(fd_close)
    int fd = openat(host->root, ROOT_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, errno, "hostpath/%s: cannot open %s/" ROOT_LOCK, host->cluster, host->root_path);
    if (lock_try(fd, LOCK_STATE, F_WRLCK) > 0)
        sweep(host->root);
    /* Turns the exclusive lock into a shared one, or waits for who sweeps. */
    if (lock_wait(fd, LOCK_STATE, F_RDLCK, e) < 0)
        return err_wrap(e, "hostpath/%s", host->cluster);
    *out = fd;
    fd = -1;
    return 0;
}

int aside_name(const char *prefix, char out[ASIDE_NAME_SIZE], struct nacre_err *e)
{
    uint8_t random[8];
    char hex[2 * sizeof random + 1];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(e, errno, "no random numbers");
    hex_encode(random, sizeof random, hex);
    snprintf(out, ASIDE_NAME_SIZE, "%s%s", prefix, hex);
    return 0;
}

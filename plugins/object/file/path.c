/* SPDX-License-Identifier: Apache-2.0 */
/* From the root to an object's directory, segment by segment with openat, so that no symbolic link is
 * followed.
 *
 * Durability of directories. A file that was synced in a directory whose own entry is not on disk is lost
 * with it; and the entry may be another process's, made a moment ago. So the first write of a handle into a
 * directory syncs every directory above it up to the root, once: a directory that is clean costs next to
 * nothing to sync, and later writes find it in `durable`. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"

/* Beyond that many, directories are synced again at each write instead of being remembered. */
#define DURABLE_MAX 4096

int file_errno(const struct file_store *store, struct nacre_err *e, int error_number, const char *verb,
               const char *name)
{
    const char *slash = strcmp(store->root, "/") != 0 && *name ? "/" : "";
    if (error_number == ELOOP)
        return err_set(e, NACRE_DENIED,
                       "cannot %s %s%s%s: there is a symbolic link below %s, and none is followed there; "
                       "mount the other directory in its place (mount --bind)",
                       verb, store->root, slash, name, store->root);
    err_errno(e, error_number, "cannot %s %s%s%s", verb, store->root, slash, name);
    if (e->code == NACRE_NO_SPACE)
        err_set(e, NACRE_NO_SPACE, "%s; what was stored before is untouched: make room there and run again",
                e->message);
    return -1;
}

int file_directory(int at, const char *segment)
{
    int fd = openat(at, segment, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == ENOTDIR)
        errno = fstatat(at, segment, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
    return fd;
}

int file_sync_directory(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result < 0 && errno == EINTR);
    return result < 0 && (errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS) ? 0 : result;
}

static int sync_parent_of(char *path)
{
    char *slash = strrchr(path, '/');
    char kept = slash[1];
    slash[1] = 0; /* "/a/b" -> "/a/" */
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    slash[1] = kept;
    if (fd < 0)
        return errno == EACCES ? 0 : -1; /* a directory that may be passed through, but not read */
    return file_sync_directory(fd);
}

/* mkdir -p, durable. -1 with errno set. */
static int make_root(const char *root)
{
    CLEANUP(mem_free) char *path = strdup(root);
    if (!path)
        return -1;
    for (char *at = path + 1;; at++) {
        at += strcspn(at, "/");
        char kept = *at;
        *at = 0;
        struct stat st;
        if (stat(path, &st) < 0 && ((mkdir(path, 0700) < 0 && errno != EEXIST) || sync_parent_of(path) < 0))
            return -1;
        *at = kept;
        if (!kept)
            return 0;
    }
}

int file_root(struct file_store *store, bool create, int *out, struct nacre_err *e)
{
    *out = store->root_fd;
    if (*out >= 0)
        return 0;
    pthread_mutex_lock(&store->mutex);
    int error_number = 0;
    if (store->root_fd < 0) {
        int fd = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && create && make_root(store->root) == 0)
            fd = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        error_number = fd < 0 ? errno : 0;
        store->root_fd = fd;
    }
    *out = store->root_fd;
    pthread_mutex_unlock(&store->mutex);
    return *out < 0 ? file_errno(store, e, error_number, create ? "make" : "open", "") : 0;
}

static bool is_durable(struct file_store *store, const char *name, size_t size)
{
    bool found = false;
    pthread_mutex_lock(&store->mutex);
    for (size_t i = 0; i < store->durable_count && !found; i++)
        found = !strncmp(store->durable[i], name, size) && !store->durable[i][size];
    pthread_mutex_unlock(&store->mutex);
    return found;
}

/* Failing to remember costs a sync the next time, nothing else. */
static void remember_durable(struct file_store *store, const char *name, size_t size)
{
    char *copy = strndup(name, size);
    pthread_mutex_lock(&store->mutex);
    if (copy && store->durable_count < DURABLE_MAX) {
        char **durable = realloc(store->durable, (store->durable_count + 1) * sizeof *durable);
        if (durable) {
            store->durable = durable;
            store->durable[store->durable_count++] = MOVE(copy);
        }
    }
    pthread_mutex_unlock(&store->mutex);
    free(copy);
}

/* One segment down for writing. sync: the entry in `at` may not be on disk yet. -1 with errno set. */
static int step_for_writing(int at, const char *segment, bool sync)
{
    int fd = file_directory(at, segment);
    if (fd < 0 && errno == ENOENT) {
        if (mkdirat(at, segment, 0700) < 0 && errno != EEXIST)
            return -1;
        sync = true;
        fd = file_directory(at, segment);
    }
    if (fd >= 0 && sync && file_sync_directory(at) < 0) {
        int error_number = errno;
        close(fd);
        errno = error_number;
        return -1;
    }
    return fd;
}

int file_parent(struct file_store *store, const char *name, bool create, int *out, const char **last,
                struct nacre_err *e)
{
    *out = -1;
    if (!nacre_object_name_valid(name))
        return err_set(e, NACRE_INVALID, "\"%.100s\" cannot be an object's name", name);
    int root;
    if (file_root(store, create, &root, e) < 0)
        return -1;
    *out = fcntl(root, F_DUPFD_CLOEXEC, 0);
    if (*out < 0)
        return file_errno(store, e, errno, "open", name);
    const char *slash = strrchr(name, '/');
    *last = slash ? slash + 1 : name;
    size_t directory = slash ? (size_t)(slash - name) : 0;
    bool sync = create && directory && !is_durable(store, name, directory);
    for (const char *at = name; at < *last;) {
        char segment[NACRE_OBJECT_NAME_MAX + 1];
        size_t size = strcspn(at, "/");
        memcpy(segment, at, size);
        segment[size] = 0;
        int next = create ? step_for_writing(*out, segment, sync) : file_directory(*out, segment);
        if (next < 0 && !create && errno == ENOTDIR)
            errno = ENOENT; /* an object lies where the directory would be: so this one is absent */
        if (next < 0)
            return file_errno(store, e, errno, create ? "make the directory of" : "open", name);
        close(*out);
        *out = next;
        at += size + 1;
    }
    if (sync)
        remember_durable(store, name, directory);
    return 0;
}

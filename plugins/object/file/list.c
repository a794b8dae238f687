/* SPDX-License-Identifier: Apache-2.0 */
/* Listing in the order of the full names, in bounded memory.
 *
 * Names are sorted within a directory, where a directory counts as its name with the '/' that follows, so
 * that walking it in its place gives the order of the full names. A directory of any size is read in windows:
 * each pass over it keeps the WINDOW smallest names beyond those already reported.
 *
 * Temporary files of writers that died are removed here, where they are met anyway. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "common/err.h"
#include "file.h"

#define WINDOW ((size_t)16384)
#define STALE_SECONDS ((time_t)24 * 3600)

struct listing {
    struct file_store *store;
    const char *prefix;
    nacre_list_entry *entry;
    void *ctx;
    bool stopped;
};

/* The smallest names of a directory beyond `after`: "name", or "name/" for a directory. */
struct window {
    char **names;
    size_t count;
    bool cut; /* there are more beyond the last */
};

static void window_clear(struct window *window)
{
    for (size_t i = 0; i < window->count; i++)
        free(window->names[i]);
    window->count = 0;
    window->cut = false;
}

static void window_free_at(struct window *window)
{
    window_clear(window);
    free(window->names);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts, and keeps the WINDOW smallest. */
static void window_trim(struct window *window)
{
    if (window->count)
        qsort(window->names, window->count, sizeof *window->names, by_bytes);
    while (window->count > WINDOW) {
        free(window->names[--window->count]);
        window->cut = true;
    }
}

static void remove_stale(int directory, const char *name)
{
    CLEANUP(fd_close) int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && time(NULL) - st.st_mtime > STALE_SECONDS &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(directory, name, 0);
}

static bool is_directory(int directory, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* True when the full name `path` + key can begin with the prefix, or lead to one that does. */
static bool within(const char *path, const char *key, const char *prefix)
{
    size_t path_size = strlen(path), key_size = strlen(key);
    if (path_size + key_size > NACRE_OBJECT_NAME_MAX)
        return false;
    size_t given = strlen(prefix);
    if (given <= path_size)
        return true; /* path begins with it: it was walked into */
    size_t compare = given - path_size;
    if (compare > key_size) /* only a directory leads further */
        return key[key_size - 1] == '/' && !strncmp(key, prefix + path_size, key_size);
    return !strncmp(key, prefix + path_size, compare);
}

static int window_add(struct window *window, const char *key, struct nacre_err *e)
{
    if (!window->names)
        window->names = malloc(2 * WINDOW * sizeof *window->names);
    if (!window->names || !(window->names[window->count] = strdup(key)))
        return err_no_memory(e, "a listing");
    if (++window->count == 2 * WINDOW)
        window_trim(window);
    return 0;
}

/* One pass over the directory. */
static int window_fill(const struct listing *listing, int directory, const char *path, const char *after,
                       struct window *window, struct nacre_err *e)
{
    window_clear(window);
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (!stream) {
        int error_number = errno;
        if (fd >= 0)
            close(fd);
        return error_number == ENOENT ? 0 : file_errno(listing->store, e, error_number, "list", path);
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (errno = 0, entry = readdir(stream))) {
        char key[sizeof entry->d_name + 1];
        if (!strncmp(entry->d_name, FILE_TEMPORARY, sizeof FILE_TEMPORARY - 1))
            remove_stale(directory, entry->d_name);
        if (!nacre_object_name_valid(entry->d_name))
            continue;
        snprintf(key, sizeof key, "%s%s", entry->d_name, is_directory(directory, entry) ? "/" : "");
        if ((!after || strcmp(key, after) > 0) && within(path, key, listing->prefix))
            result = window_add(window, key, e);
    }
    if (result == 0 && errno)
        result = file_errno(listing->store, e, errno, "list", path);
    closedir(stream);
    window_trim(window);
    return result;
}

static int walk(struct listing *listing, int directory, const char *path, struct nacre_err *e);

static int visit(struct listing *listing, int directory, const char *path, const char *key,
                 struct nacre_err *e)
{
    char full[NACRE_OBJECT_NAME_MAX + 1];
    size_t size = (size_t)snprintf(full, sizeof full, "%s%s", path, key);
    if (size >= sizeof full)
        return 0;
    if (full[size - 1] == '/') {
        char segment[NACRE_OBJECT_NAME_MAX + 1];
        snprintf(segment, sizeof segment, "%.*s", (int)strlen(key) - 1, key);
        CLEANUP(fd_close) int fd = file_directory(directory, segment);
        if (fd >= 0)
            return walk(listing, fd, full, e);
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? 0
                   : file_errno(listing->store, e, errno, "list", full);
    }
    struct stat st;
    if (fstatat(directory, key, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : file_errno(listing->store, e, errno, "look at", full);
    if (!S_ISREG(st.st_mode))
        return 0;
    const struct nacre_object_info info = {
        .name = full,
        .size = (uint64_t)st.st_size,
        .modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
    };
    listing->stopped = listing->entry(listing->ctx, &info) != 0;
    return 0;
}

/* path: "" or with a '/' at its end. */
static int walk(struct listing *listing, int directory, const char *path, struct nacre_err *e)
{
    CLEANUP(window_free) struct window window = {0};
    CLEANUP(mem_free) char *after = NULL;
    do {
        if (window_fill(listing, directory, path, after, &window, e) < 0)
            return -1;
        for (size_t i = 0; i < window.count && !listing->stopped; i++)
            if (visit(listing, directory, path, window.names[i], e) < 0)
                return -1;
        if (window.cut) {
            free(after);
            after = MOVE(window.names[window.count - 1]);
            window.count--;
        }
    } while (window.cut && !listing->stopped);
    return 0;
}

int file_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
              struct nacre_err *e)
{
    struct listing listing = {(struct file_store *)base, prefix, entry, ctx, false};
    int root;
    if (file_root(listing.store, false, &root, e) < 0)
        return e->code == NACRE_ABSENT ? 0 : -1;
    return walk(&listing, root, "", e);
}

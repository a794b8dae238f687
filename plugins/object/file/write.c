/* SPDX-License-Identifier: Apache-2.0 */
/* Writing an object: whole and on disk before it has its name.
 *
 * The bytes go into a file without a name (O_TMPFILE), are synced, and only then get the name by linkat,
 * which fails when it is taken: that is put_if_absent. To replace an object the file gets a temporary name
 * first, and is renamed over the old one. Then the directory is synced. A writer that is killed leaves
 * nothing, or in the moment between link and rename a file whose name no object can have.
 *
 * File systems without nameless files (NFS, FUSE, overlays) or systems without /proc get a file with such a
 * name from the start, locked with flock while its writer lives; a listing that meets one that nobody
 * holds and that is a day old removes it (list.c). Those without hard links (FAT) get renameat2. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/err.h"
#include "file.h"

#define WRITE_BUFFER ((size_t)1 << 20)

/* A file being written. */
struct draft {
    int fd;
    int directory;
    char name[sizeof FILE_TEMPORARY + 32]; /* "" = it has none */
};

static void draft_discard(struct draft *draft)
{
    if (*draft->name)
        unlinkat(draft->directory, draft->name, 0);
    if (draft->fd >= 0)
        close(draft->fd);
}
static inline void draft_discard_at(struct draft *draft)
{
    draft_discard(draft);
}

static void temporary_name(struct draft *draft)
{
    uint64_t random[2] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        random[0] = (uint64_t)getpid();
    snprintf(draft->name, sizeof draft->name, FILE_TEMPORARY "%08" PRIx32 "%016" PRIx64, (uint32_t)random[0],
             random[1]);
}

/* -1 with errno set. */
static int draft_open_named(struct draft *draft)
{
    for (int tries = 0; tries < 100; tries++) {
        temporary_name(draft);
        draft->fd =
            openat(draft->directory, draft->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (draft->fd >= 0) {
            (void)flock(draft->fd, LOCK_EX | LOCK_NB); /* where it does not work, the age alone decides */
            return 0;
        }
        if (errno != EEXIST)
            break;
    }
    *draft->name = 0;
    return -1;
}

static int draft_open(struct file_store *store, struct draft *draft)
{
    if (!store->no_tmpfile) {
        draft->fd = openat(draft->directory, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
        if (draft->fd >= 0)
            return 0;
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
            return -1;
        store->no_tmpfile = true;
    }
    return draft_open_named(draft);
}

/* -1 with errno set. */
static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

static int write_input(struct file_store *store, int fd, const char *name, const struct nacre_input *input,
                       struct nacre_err *e)
{
    if (!input->read) {
        if (write_all(fd, input->data, input->size) < 0)
            return file_errno(store, e, errno, "write", name);
        return 0;
    }
    CLEANUP(mem_free) uint8_t *buffer = malloc(WRITE_BUFFER);
    if (!buffer)
        return err_no_memory(e, "a write buffer");
    for (uint64_t offset = 0; offset < input->size;) {
        uint64_t left = input->size - offset;
        size_t part = left < WRITE_BUFFER ? (size_t)left : WRITE_BUFFER;
        if (input->read(input->ctx, offset, buffer, part, e) < 0)
            return -1;
        if (write_all(fd, buffer, part) < 0)
            return file_errno(store, e, errno, "write", name);
        offset += part;
    }
    return 0;
}

static int sync_file(int fd)
{
    int result;
    do
        result = fsync(fd);
    while (result < 0 && errno == EINTR);
    return result;
}

/* Gives the file the name `to`; -1 with errno set, EEXIST when it is taken. */
static int draft_link(const struct draft *draft, const char *to)
{
    if (*draft->name) {
        if (linkat(draft->directory, draft->name, draft->directory, to, 0) == 0)
            return 0;
        if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
            return -1;
        return renameat2(draft->directory, draft->name, draft->directory, to, RENAME_NOREPLACE);
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", draft->fd);
    return linkat(AT_FDCWD, path, draft->directory, to, AT_SYMLINK_FOLLOW);
}

/* As above, taking the place of what has that name. */
static int draft_replace(struct draft *draft, const char *to)
{
    if (!*draft->name) {
        if (draft_link(draft, to) == 0)
            return 0;
        if (errno != EEXIST)
            return -1;
        struct draft named = *draft;
        temporary_name(&named);
        if (draft_link(draft, named.name) < 0)
            return -1;
        memcpy(draft->name, named.name, sizeof named.name);
    }
    return renameat(draft->directory, draft->name, draft->directory, to);
}

/* Writes the draft and names it. *no_proc: the nameless file could not be named, for want of /proc. */
static int publish(struct file_store *store, struct draft *draft, const char *name, const char *last,
                   const struct nacre_input *input, bool replace, bool *no_proc, struct nacre_err *e)
{
    *no_proc = false;
    if (draft_open(store, draft) < 0)
        return file_errno(store, e, errno, "write", name);
    if (write_input(store, draft->fd, name, input, e) < 0)
        return -1;
    if (sync_file(draft->fd) < 0)
        return file_errno(store, e, errno, "write", name);
    if ((replace ? draft_replace(draft, last) : draft_link(draft, last)) < 0) {
        *no_proc = errno == ENOENT && !*draft->name;
        return file_errno(store, e, errno, "name", name);
    }
    if (replace)
        *draft->name = 0; /* renamed; of a link the temporary name is still to go */
    if (file_sync_directory(draft->directory) < 0) {
        int error_number = errno;
        if (!replace)
            unlinkat(draft->directory, last, 0);
        return file_errno(store, e, error_number, "write", name);
    }
    return 0;
}

static int write_object(struct file_store *store, const char *name, const struct nacre_input *input,
                        bool replace, struct nacre_err *e)
{
    CLEANUP(fd_close) int directory = -1;
    const char *last;
    bool no_proc;
    if (file_parent(store, name, true, &directory, &last, e) < 0)
        return -1;
    struct stat st;
    if (!replace && fstatat(directory, last, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return file_errno(store, e, EEXIST, "write", name); /* before its bytes are written for nothing */
    {
        CLEANUP(draft_discard) struct draft draft = {.fd = -1, .directory = directory};
        if (publish(store, &draft, name, last, input, replace, &no_proc, e) == 0)
            return 0;
    }
    if (!no_proc)
        return -1;
    store->no_tmpfile = true;
    CLEANUP(draft_discard) struct draft draft = {.fd = -1, .directory = directory};
    return publish(store, &draft, name, last, input, replace, &no_proc, e);
}

int file_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
             struct nacre_err *e)
{
    return write_object((struct file_store *)store, name, input, true, e);
}

int file_put_if_absent(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                       struct nacre_err *e)
{
    return write_object((struct file_store *)store, name, input, false, e);
}

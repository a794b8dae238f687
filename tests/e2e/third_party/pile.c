/* SPDX-License-Identifier: Apache-2.0 */
/* An object store as somebody else would write it: pile:///FILE keeps all objects in one file. It is built
 * outside the tree, from the installed headers alone (run.sh), and then holds a repository.
 *
 * The file is a sequence of records: a header, the name, the content, a closing mark; a record of kind 'd'
 * says that the name is gone. The last record of a name counts. A record without its mark is one whose writer
 * died: it does not exist, and the next writer cuts it off. Writers exclude each other with flock, readers
 * take it shared while they look for new records; content, once written, never moves. Space is never given
 * back.
 *
 * The table of names in memory is sorted; records that other handles or processes have appended are read
 * before every operation. */
#define _GNU_SOURCE
#include <nacre/object_store.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x31656c6970u /* "pile1" */
#define PART ((size_t)1 << 20)

struct header {
    uint64_t magic;
    uint64_t size;
    int64_t time_ns;
    uint32_t name_size;
    uint32_t kind; /* 'o' or 'd' */
};

struct object {
    uint64_t offset;
    uint64_t size;
    int64_t time_ns;
    char name[NACRE_OBJECT_NAME_MAX + 1];
};

struct pile {
    struct nacre_object_store base;
    char *path;
    pthread_mutex_t mutex; /* all below, and the file lock, which belongs to the descriptor */
    int fd;                /* -1 until there is a file */
    uint64_t end;          /* of the records that are known */
    struct object **objects;
    size_t count;
    size_t capacity;
};

__attribute__((format(printf, 3, 4))) static int fail(struct nacre_err *e, enum nacre_code code,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    e->code = code;
    e->retry_after_ms = 0;
    return -1;
}

static int fail_errno(struct nacre_err *e, const char *what, const char *path)
{
    enum nacre_code code = errno == ENOSPC || errno == EFBIG || errno == EDQUOT  ? NACRE_NO_SPACE
                           : errno == EACCES || errno == EPERM || errno == EROFS ? NACRE_DENIED
                                                                                 : NACRE_FAILED;
    return fail(e, code, "cannot %s %s: %s", what, path, strerror(errno));
}

static size_t position(const struct pile *pile, const char *name, int *found)
{
    size_t low = 0, high = pile->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(pile->objects[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < pile->count && !strcmp(pile->objects[low]->name, name);
    return low;
}

/* Takes one whole record into the table. */
static int learn(struct pile *pile, const struct header *header, const char *name, uint64_t offset)
{
    int found;
    size_t at = position(pile, name, &found);
    if (header->kind == 'd') {
        if (found) {
            free(pile->objects[at]);
            memmove(pile->objects + at, pile->objects + at + 1, (--pile->count - at) * sizeof *pile->objects);
        }
        return 0;
    }
    if (!found) {
        if (pile->count == pile->capacity) {
            size_t capacity = pile->capacity ? 2 * pile->capacity : 64;
            struct object **objects = realloc(pile->objects, capacity * sizeof *objects);
            if (!objects)
                return -1;
            pile->objects = objects;
            pile->capacity = capacity;
        }
        struct object *object = calloc(1, sizeof *object);
        if (!object)
            return -1;
        strcpy(object->name, name);
        memmove(pile->objects + at + 1, pile->objects + at, (pile->count++ - at) * sizeof *pile->objects);
        pile->objects[at] = object;
    }
    pile->objects[at]->offset = offset;
    pile->objects[at]->size = header->size;
    pile->objects[at]->time_ns = header->time_ns;
    return 0;
}

/* Reads the records that were appended since; the lock is held. Stops at one that is not whole. */
static int catch_up(struct pile *pile, struct nacre_err *e)
{
    for (;;) {
        struct header header;
        char name[NACRE_OBJECT_NAME_MAX + 1];
        uint64_t mark;
        uint64_t name_at = pile->end + sizeof header, at;
        if (pread(pile->fd, &header, sizeof header, (off_t)pile->end) != (ssize_t)sizeof header ||
            header.magic != MAGIC || !header.name_size || header.name_size > NACRE_OBJECT_NAME_MAX ||
            header.size > INT64_MAX / 2 || (header.kind != 'o' && header.kind != 'd') ||
            pread(pile->fd, name, header.name_size, (off_t)name_at) != (ssize_t)header.name_size)
            return 0;
        name[header.name_size] = 0;
        at = name_at + header.name_size;
        if (!nacre_object_name_valid(name) ||
            pread(pile->fd, &mark, sizeof mark, (off_t)(at + header.size)) != (ssize_t)sizeof mark ||
            mark != (MAGIC ^ at))
            return 0;
        if (learn(pile, &header, name, at) < 0)
            return fail(e, NACRE_FAILED, "out of memory for the objects of %s", pile->path);
        pile->end = at + header.size + sizeof mark;
    }
}

/* Enters with the mutex and the file lock held and the table up to date. NACRE_ABSENT when there is no file
 * yet. */
static int enter(struct pile *pile, int writing, struct nacre_err *e)
{
    pthread_mutex_lock(&pile->mutex);
    if (pile->fd < 0)
        pile->fd = open(pile->path, O_RDWR | O_CLOEXEC | (writing ? O_CREAT : 0), 0600);
    int result = 0;
    if (pile->fd < 0)
        result = errno == ENOENT ? fail(e, NACRE_ABSENT, "there is no %s", pile->path)
                                 : fail_errno(e, "open", pile->path);
    while (result == 0 && flock(pile->fd, writing ? LOCK_EX : LOCK_SH) < 0)
        if (errno != EINTR)
            result = fail_errno(e, "lock", pile->path);
    if (result == 0 && (result = catch_up(pile, e)) < 0)
        flock(pile->fd, LOCK_UN);
    if (result < 0)
        pthread_mutex_unlock(&pile->mutex);
    return result;
}

static void leave(struct pile *pile)
{
    flock(pile->fd, LOCK_UN);
    pthread_mutex_unlock(&pile->mutex);
}

static int write_at(struct pile *pile, const void *data, size_t size, uint64_t *at, struct nacre_err *e)
{
    for (const char *from = data; size;) {
        ssize_t written = pwrite(pile->fd, from, size, (off_t)*at);
        if (written < 0 && errno != EINTR)
            return fail_errno(e, "write", pile->path);
        if (written > 0) {
            from += written;
            *at += (uint64_t)written;
            size -= (size_t)written;
        }
    }
    return 0;
}

static int write_content(struct pile *pile, const struct nacre_input *input, uint64_t *at,
                         struct nacre_err *e)
{
    if (!input->read)
        return write_at(pile, input->data, (size_t)input->size, at, e);
    char *part = malloc(PART);
    int result = part ? 0 : fail(e, NACRE_FAILED, "out of memory");
    for (uint64_t done = 0; result == 0 && done < input->size;) {
        size_t size = input->size - done < PART ? (size_t)(input->size - done) : PART;
        result = input->read(input->ctx, done, part, size, e);
        if (result == 0)
            result = write_at(pile, part, size, at, e);
        done += size;
    }
    free(part);
    return result;
}

/* Appends a record; its mark is written when all else is on disk. What fails is cut off again. */
static int append(struct pile *pile, uint32_t kind, const char *name, const struct nacre_input *input,
                  struct nacre_err *e)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const struct header header = {MAGIC, input->size, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
                                  (uint32_t)strlen(name), kind};
    uint64_t start = pile->end, at = start, mark;
    int result = ftruncate(pile->fd, (off_t)start) < 0 ? fail_errno(e, "write", pile->path) : 0;
    if (result == 0)
        result = write_at(pile, &header, sizeof header, &at, e);
    if (result == 0)
        result = write_at(pile, name, header.name_size, &at, e);
    mark = MAGIC ^ at;
    if (result == 0)
        result = write_content(pile, input, &at, e);
    if (result == 0 && fdatasync(pile->fd) < 0)
        result = fail_errno(e, "write", pile->path);
    if (result == 0)
        result = write_at(pile, &mark, sizeof mark, &at, e);
    if (result == 0 && fdatasync(pile->fd) < 0)
        result = fail_errno(e, "write", pile->path);
    if (result < 0) {
        if (ftruncate(pile->fd, (off_t)start) < 0)
            return result; /* the record has no mark, and is cut off by the next writer */
        return result;
    }
    return catch_up(pile, e);
}

static int pile_write(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                      int replace, struct nacre_err *e)
{
    struct pile *pile = (struct pile *)base;
    if (!nacre_object_name_valid(name))
        return fail(e, NACRE_INVALID, "\"%.100s\" cannot be an object's name", name);
    if (enter(pile, 1, e) < 0)
        return -1;
    int found;
    position(pile, name, &found);
    int result = found && !replace ? fail(e, NACRE_EXISTS, "object %s exists", name)
                                   : append(pile, 'o', name, input, e);
    leave(pile);
    return result;
}

static int pile_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                    struct nacre_err *e)
{
    return pile_write(store, name, input, 1, e);
}

static int pile_put_if_absent(struct nacre_object_store *store, const char *name,
                              const struct nacre_input *input, struct nacre_err *e)
{
    return pile_write(store, name, input, 0, e);
}

static int find(struct pile *pile, const char *name, struct object *out, struct nacre_err *e)
{
    if (!nacre_object_name_valid(name))
        return fail(e, NACRE_INVALID, "\"%.100s\" cannot be an object's name", name);
    if (enter(pile, 0, e) < 0)
        return -1;
    int found;
    size_t at = position(pile, name, &found);
    if (found)
        *out = *pile->objects[at];
    leave(pile);
    return found ? 0 : fail(e, NACRE_ABSENT, "there is no object %s", name);
}

static int pile_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                    nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct pile *pile = (struct pile *)base;
    struct object object;
    if (find(pile, name, &object, e) < 0)
        return -1;
    if (offset > object.size || (length != NACRE_TO_END && length > object.size - offset))
        return fail(e, NACRE_INVALID, "object %s ends before the range that was asked for", name);
    uint64_t left = length == NACRE_TO_END ? object.size - offset : length;
    char *part = malloc(PART);
    int result = part ? 0 : fail(e, NACRE_FAILED, "out of memory");
    while (result == 0 && left) {
        size_t size = left < PART ? (size_t)left : PART;
        ssize_t got = pread(pile->fd, part, size, (off_t)(object.offset + offset));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            result = got < 0 ? fail_errno(e, "read", pile->path)
                             : fail(e, NACRE_CORRUPT, "%s has been cut short", pile->path);
            break;
        }
        result = sink(ctx, part, (size_t)got, e);
        offset += (uint64_t)got;
        left -= (uint64_t)got;
    }
    free(part);
    return result;
}

static int pile_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
                     struct nacre_err *e)
{
    struct object object;
    if (find((struct pile *)base, name, &object, e) < 0)
        return -1;
    *out = (struct nacre_object_info){.size = object.size, .modified_ns = object.time_ns};
    return 0;
}

static int pile_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
                     struct nacre_err *e)
{
    struct pile *pile = (struct pile *)base;
    char last[NACRE_OBJECT_NAME_MAX + 1] = "";
    for (int first = 1;; first = 0) {
        if (enter(pile, 0, e) < 0)
            return e->code == NACRE_ABSENT ? 0 : -1;
        int found;
        size_t at = position(pile, first ? prefix : last, &found);
        at += !first && found;
        struct object object = {0};
        int more = at < pile->count && !strncmp(pile->objects[at]->name, prefix, strlen(prefix));
        if (more)
            object = *pile->objects[at];
        leave(pile);
        if (!more)
            return 0;
        strcpy(last, object.name);
        const struct nacre_object_info info = {object.name, object.size, object.time_ns};
        if (entry(ctx, &info) != 0)
            return 0;
    }
}

static int pile_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct pile *pile = (struct pile *)base;
    struct object object;
    const struct nacre_input nothing = {.data = ""};
    if (find(pile, name, &object, e) < 0 || enter(pile, 1, e) < 0)
        return -1;
    int found;
    position(pile, name, &found); /* another may have been faster */
    int result =
        found ? append(pile, 'd', name, &nothing, e) : fail(e, NACRE_ABSENT, "there is no object %s", name);
    leave(pile);
    return result;
}

static void pile_close(struct nacre_object_store *base)
{
    struct pile *pile = (struct pile *)base;
    if (pile->fd >= 0)
        close(pile->fd);
    for (size_t i = 0; i < pile->count; i++)
        free(pile->objects[i]);
    free(pile->objects);
    pthread_mutex_destroy(&pile->mutex);
    free(pile->path);
    free(pile);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = pile_close,
    .put = pile_put,
    .put_if_absent = pile_put_if_absent,
    .get = pile_get,
    .stat = pile_stat,
    .list = pile_list,
    .remove = pile_remove,
};

static int pile_open(const char *url, const struct nacre_config *config, struct nacre_object_store **out,
                     struct nacre_err *e)
{
    static const char scheme[] = "pile://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0 || url[sizeof scheme - 1] != '/')
        return fail(e, NACRE_INVALID, "\"%.300s\" is not pile:///FILE", url);
    struct pile *pile = calloc(1, sizeof *pile);
    char *path = strdup(url + sizeof scheme - 1);
    if (!pile || !path) {
        free(pile);
        free(path);
        return fail(e, NACRE_FAILED, "out of memory for a store");
    }
    pile->base.ops = &ops;
    pile->path = path;
    pile->fd = -1;
    pthread_mutex_init(&pile->mutex, NULL);
    config->log(NACRE_LOG_DEBUG, "the pile is open");
    *out = &pile->base;
    return 0;
}

static const char *const schemes[] = {"pile", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "pile",
    .version = "0.1-third-party",
    .description = "all objects in one file",
    .schemes = schemes,
    .open = pile_open,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The object store `memory`: memory://NAME keeps objects in this process, for tests, and as the example for
 * authors of plugins (docs/plugin-howto.md walks through it).
 *
 * It includes nothing but the installed headers and the C library, as a plugin outside the tree would.
 *
 * All handles of one NAME in a process share their objects, so that closing a store and opening it again
 * finds them, as with any other store; they live until the process ends.
 *
 * Threads. One mutex per space guards the sorted array of objects. An object never changes once it is in the
 * array: put makes a new one and swaps it in. A reader counts itself in and reads without the mutex, so a
 * slow sink delays nobody, and sinks and listings may call back into the store. */
#include <nacre/object_store.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct object {
    size_t references; /* under the space's mutex: one of the array, one per reader */
    int64_t modified_ns;
    uint64_t size;
    uint8_t *data;
    char name[NACRE_OBJECT_NAME_MAX + 1];
};

struct space {
    struct space *next;
    pthread_mutex_t mutex;
    struct object **objects; /* by name, in byte order */
    size_t count;
    size_t capacity;
    char *name;
};

/* The handle: the ABI's part comes first, so that a pointer to one is a pointer to the other. */
struct memory_store {
    struct nacre_object_store base;
    struct space *space;
};

static pthread_mutex_t spaces_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct space *spaces;

/* Sets the error and returns -1, so that a function can `return fail(…)`. */
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

static struct space *space_of(struct nacre_object_store *store)
{
    return ((struct memory_store *)store)->space;
}

static void release_locked(struct object *object)
{
    if (--object->references == 0) {
        free(object->data);
        free(object);
    }
}

static void release(struct space *space, struct object *object)
{
    pthread_mutex_lock(&space->mutex);
    release_locked(object);
    pthread_mutex_unlock(&space->mutex);
}

/* The index of the first object whose name is not below `name`; *found when it is that name. */
static size_t position(const struct space *space, const char *name, bool *found)
{
    size_t low = 0, high = space->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(space->objects[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < space->count && !strcmp(space->objects[low]->name, name);
    return low;
}

/* A copy of the input as an object of its own. NULL with *e set. */
static struct object *object_new(const char *name, const struct nacre_input *input, struct nacre_err *e)
{
    struct object *object = calloc(1, sizeof *object);
    if (object && input->size < SIZE_MAX)
        object->data = malloc(input->size ? (size_t)input->size : 1);
    if (!object || !object->data) {
        free(object);
        fail(e, NACRE_NO_SPACE, "out of memory for object %s of %llu bytes", name,
             (unsigned long long)input->size);
        return NULL;
    }
    object->references = 1;
    object->size = input->size;
    snprintf(object->name, sizeof object->name, "%s", name);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    object->modified_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (input->size && nacre_input_send(input, 0, object->data, (size_t)input->size, e) < 0) {
        free(object->data);
        free(object);
        return NULL;
    }
    return object;
}

/* Room for one more; the mutex is held. */
static int make_room(struct space *space, struct nacre_err *e)
{
    if (space->count < space->capacity)
        return 0;
    size_t capacity = space->capacity ? 2 * space->capacity : 64;
    struct object **objects = realloc(space->objects, capacity * sizeof(struct object *));
    if (!objects)
        return fail(e, NACRE_NO_SPACE, "out of memory for %zu objects", capacity);
    space->objects = objects;
    space->capacity = capacity;
    return 0;
}

static int insert(struct space *space, struct object *object, bool replace, struct nacre_err *e)
{
    bool found;
    pthread_mutex_lock(&space->mutex);
    size_t at = position(space, object->name, &found);
    int result = 0;
    if (found && !replace) {
        result = fail(e, NACRE_EXISTS, "object %s exists", object->name);
    } else if (found) {
        release_locked(space->objects[at]);
        space->objects[at] = object;
    } else if ((result = make_room(space, e)) == 0) {
        memmove(space->objects + at + 1, space->objects + at, (space->count - at) * sizeof(struct object *));
        space->objects[at] = object;
        space->count++;
    }
    if (result < 0)
        release_locked(object);
    pthread_mutex_unlock(&space->mutex);
    return result;
}

static int check_name(const char *name, struct nacre_err *e)
{
    return nacre_object_name_valid(name)
               ? 0
               : fail(e, NACRE_INVALID, "\"%.100s\" cannot be an object's name", name);
}

static int write_object(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                        bool replace, struct nacre_err *e)
{
    if (check_name(name, e) < 0)
        return -1;
    struct object *object = object_new(name, input, e);
    return object ? insert(space_of(store), object, replace, e) : -1;
}

static int memory_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                      struct nacre_err *e)
{
    return write_object(store, name, input, true, e);
}

static int memory_put_if_absent(struct nacre_object_store *store, const char *name,
                                const struct nacre_input *input, struct nacre_err *e)
{
    return write_object(store, name, input, false, e);
}

/* The object, counted: the caller releases it. NULL with *e set. */
static struct object *acquire(struct space *space, const char *name, struct nacre_err *e)
{
    if (check_name(name, e) < 0)
        return NULL;
    bool found;
    pthread_mutex_lock(&space->mutex);
    size_t at = position(space, name, &found);
    struct object *object = found ? space->objects[at] : NULL;
    if (object)
        object->references++;
    pthread_mutex_unlock(&space->mutex);
    if (!object)
        fail(e, NACRE_ABSENT, "there is no object %s", name);
    return object;
}

static int memory_get(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
                      nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct object *object = acquire(space_of(store), name, e);
    if (!object)
        return -1;
    int result = 0;
    if (offset > object->size || (length != NACRE_TO_END && length > object->size - offset)) {
        result = fail(e, NACRE_INVALID, "object %s ends at %llu, before the range that was asked for", name,
                      (unsigned long long)object->size);
    } else {
        if (length == NACRE_TO_END)
            length = object->size - offset;
        if (length)
            result = sink(ctx, object->data + offset, (size_t)length, e);
    }
    release(space_of(store), object);
    return result;
}

static int memory_stat(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
                       struct nacre_err *e)
{
    struct object *object = acquire(space_of(store), name, e);
    if (!object)
        return -1;
    *out = (struct nacre_object_info){.size = object->size, .modified_ns = object->modified_ns};
    release(space_of(store), object);
    return 0;
}

/* Finds its place anew for each entry, so that nothing is held while the caller's function runs. */
static int memory_list(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry,
                       void *ctx, struct nacre_err *e)
{
    (void)e;
    struct space *space = space_of(store);
    size_t prefix_size = strlen(prefix);
    char name[NACRE_OBJECT_NAME_MAX + 1] = "";
    for (bool first = true;; first = false) {
        bool found;
        pthread_mutex_lock(&space->mutex);
        size_t at = position(space, first ? prefix : name, &found);
        if (!first && found)
            at++;
        struct object *object = at < space->count ? space->objects[at] : NULL;
        if (!object || strncmp(object->name, prefix, prefix_size) != 0) {
            pthread_mutex_unlock(&space->mutex);
            return 0;
        }
        memcpy(name, object->name, sizeof name);
        const struct nacre_object_info info = {name, object->size, object->modified_ns};
        pthread_mutex_unlock(&space->mutex);
        if (entry(ctx, &info) != 0)
            return 0;
    }
}

static int memory_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e)
{
    if (check_name(name, e) < 0)
        return -1;
    struct space *space = space_of(store);
    bool found;
    pthread_mutex_lock(&space->mutex);
    size_t at = position(space, name, &found);
    if (found) {
        release_locked(space->objects[at]);
        space->count--;
        memmove(space->objects + at, space->objects + at + 1, (space->count - at) * sizeof(struct object *));
    }
    pthread_mutex_unlock(&space->mutex);
    return found ? 0 : fail(e, NACRE_ABSENT, "there is no object %s", name);
}

static void memory_close(struct nacre_object_store *store)
{
    free(store);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = memory_close,
    .put = memory_put,
    .put_if_absent = memory_put_if_absent,
    .get = memory_get,
    .stat = memory_stat,
    .list = memory_list,
    .remove = memory_remove,
};

/* The space of that name, made when it is not there; NULL when out of memory. */
static struct space *space_named(const char *name)
{
    pthread_mutex_lock(&spaces_mutex);
    struct space *space = spaces;
    while (space && strcmp(space->name, name) != 0)
        space = space->next;
    if (!space && (space = calloc(1, sizeof *space))) {
        space->name = strdup(name);
        if (space->name) {
            pthread_mutex_init(&space->mutex, NULL);
            space->next = spaces;
            spaces = space;
        } else {
            free(space);
            space = NULL;
        }
    }
    pthread_mutex_unlock(&spaces_mutex);
    return space;
}

static int memory_open(const char *url, const struct nacre_config *config, struct nacre_object_store **out,
                       struct nacre_err *e)
{
    (void)config; /* no options; the host has refused any that were given */
    static const char scheme[] = "memory://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0 || !url[sizeof scheme - 1])
        return fail(e, NACRE_INVALID, "\"%.300s\" is not memory://NAME", url);
    struct memory_store *store = calloc(1, sizeof *store);
    struct space *space = store ? space_named(url + sizeof scheme - 1) : NULL;
    if (!space) {
        free(store);
        return fail(e, NACRE_FAILED, "out of memory for a store");
    }
    store->base.ops = &ops;
    store->space = space;
    *out = &store->base;
    return 0;
}

static const char *const schemes[] = {"memory", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "memory",
    .version = "1",
    .description = "objects in the memory of this process: for tests, and the example to copy",
    .schemes = schemes,
    .open = memory_open,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The object-store ABI: what a plugin offers so that nacre can keep a repository in it.
 *
 * A plugin is a shared module NAME.so in libexec/nacre/plugins/object/ that exports one symbol,
 * `nacre_object_store_plugin`, of type struct nacre_object_store_plugin. It is either a store (it has
 * `open` and URL schemes) or a wrapper around another store (it has `wrap`).
 *
 * Objects. Names are relative to the URL's prefix: one or more segments joined by '/', each of
 * [A-Za-z0-9._-] (never empty, "." or "..") and at most 255 bytes, at most 512 bytes in all. An object is
 * whole or absent to every reader, at every moment, whatever happens to the writer.
 *
 * Threads. Every function of a handle may be called from many threads at once, except close, which
 * is called once, when no other call is running. Calls block. A plugin starts no thread that outlives
 * its handle, and installs no signal handler.
 *
 * Consistency. Once put has returned, every later get, stat and list, by anyone, sees the object.
 */
#ifndef NACRE_OBJECT_STORE_H
#define NACRE_OBJECT_STORE_H

#include <nacre/plugin.h>

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_OBJECT_NAME_MAX 512
#define NACRE_OBJECT_SEGMENT_MAX 255
#define NACRE_TO_END UINT64_MAX

/* True for what can be an object's name. Every function that takes a name refuses others with NACRE_INVALID;
 * a prefix of list is no name: one that none begins with matches nothing. */
static inline bool nacre_object_name_valid(const char *name)
{
    size_t size = 0, segment = 0; /* of the name, of the segment that c is in */
    for (;; size++) {
        char c = name[size];
        if (c == '/' || !c) {
            const char *start = name + size - segment;
            if (!segment || segment > NACRE_OBJECT_SEGMENT_MAX ||
                (segment <= 2 && start[0] == '.' && start[segment - 1] == '.'))
                return false;
            if (!c)
                return true;
            segment = 0;
            continue;
        }
        if (size >= NACRE_OBJECT_NAME_MAX || !((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                                               (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
            return false;
        segment++;
    }
}

struct nacre_object_store;

/* The bytes of an object to be written: readable at any offset and more than once, so that a store may
 * send parts in parallel and a retry may begin again. There is data, or read, or both: then what is sent is
 * read, which may take its time on purpose, and data is for all else, such as a checksum. */
struct nacre_input {
    uint64_t size;
    const void *data; /* the whole object in memory, or NULL */
    /* Fills buf with exactly len bytes from offset; thread-safe; 0, or -1 with *e set. NULL when there is
     * only data. */
    int (*read)(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e);
    void *ctx;
};

/* The bytes that are sent. */
static inline int nacre_input_send(const struct nacre_input *input, uint64_t offset, void *buf, size_t len,
                                   struct nacre_err *e)
{
    if (input->read)
        return input->read(input->ctx, offset, buf, len, e);
    if (len)
        memcpy(buf, (const unsigned char *)input->data + offset, len);
    return 0;
}

/* Receives the bytes of an object in order; 0, or -1 with *e set, which ends the get with that error. */
typedef int nacre_sink(void *ctx, const void *data, size_t len, struct nacre_err *e);

struct nacre_object_info {
    const char *name; /* borrowed during the callback; not set by stat */
    uint64_t size;
    int64_t modified_ns; /* Unix time; 0 where the store does not know */
};

/* 0 to go on; anything else ends the listing, which then returns 0: the caller knows that it stopped. */
typedef int nacre_list_entry(void *ctx, const struct nacre_object_info *info);

struct nacre_object_store_ops {
    uint32_t size; /* sizeof(struct nacre_object_store_ops) as the plugin was built */

    /* Frees the handle. A wrapper closes the store it wraps. NULL handle: never. */
    void (*close)(struct nacre_object_store *store);

    /* Writes a whole object, replacing one of the same name. Durable when it returns 0: it survives the
     * loss of power of this machine. On failure the old object, if any, is still whole. */
    int (*put)(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
               struct nacre_err *e);

    /* As put, but NACRE_EXISTS when the name is taken. Of any number of racing writers, on any number of
     * machines, exactly one succeeds. */
    int (*put_if_absent)(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                         struct nacre_err *e);

    /* Sends the bytes [offset, offset + length) to sink, in order; length NACRE_TO_END = up to the end.
     * NACRE_ABSENT when there is no such object; NACRE_INVALID when the object ends before the range
     * does (offset == size with NACRE_TO_END is an empty range, and no error). An error may come after
     * bytes were delivered. */
    int (*get)(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
               nacre_sink *sink, void *ctx, struct nacre_err *e);

    /* Size and time of an object; NACRE_ABSENT when there is none. */
    int (*stat)(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
                struct nacre_err *e);

    /* Calls entry for every object whose name begins with prefix ("" = all), in ascending byte order of
     * the names, each once. Objects written or removed meanwhile may or may not be seen. A prefix that
     * matches nothing is an empty listing, not an error. entry may call the other functions. */
    int (*list)(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry, void *ctx,
                struct nacre_err *e);

    /* Removes an object, durably; NACRE_ABSENT when there is none. */
    int (*remove)(struct nacre_object_store *store, const char *name, struct nacre_err *e);

    /* The rest is optional: NULL, or beyond `size`, and put and get are called instead. As those, of an
     * object that never changes and will be read again and again: a cache keeps it. */
    int (*put_kept)(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                    struct nacre_err *e);
    int (*get_kept)(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
                    nacre_sink *sink, void *ctx, struct nacre_err *e);
};

/* A plugin's own handle begins with this. */
struct nacre_object_store {
    const struct nacre_object_store_ops *ops;
};

struct nacre_object_store_plugin {
    uint32_t abi;  /* NACRE_PLUGIN_ABI */
    uint32_t size; /* sizeof(struct nacre_object_store_plugin) as the plugin was built */
    const char *name;
    const char *version;
    const char *description;    /* one line */
    const char *const *schemes; /* URL schemes such as "file", NULL-terminated; NULL for a wrapper */
    const char *const *options; /* keys of nacre_config that it knows, NULL-terminated; may be NULL */

    /* Opens the store at url, `scheme://…`, whose last part is the prefix of all names. Makes no
     * bucket or container; may make directories on the first put. *out belongs to the caller. */
    int (*open)(const char *url, const struct nacre_config *config, struct nacre_object_store **out,
                struct nacre_err *e);

    /* Puts a wrapper around inner. On success *out owns inner; on failure the caller still does. */
    int (*wrap)(struct nacre_object_store *inner, const struct nacre_config *config,
                struct nacre_object_store **out, struct nacre_err *e);
};

#define NACRE_OBJECT_STORE_SYMBOL "nacre_object_store_plugin"

#ifdef __cplusplus
}
#endif
#endif

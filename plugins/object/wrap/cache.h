/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the wrapper `cache`: its directory, and the files in it, one an object. */
#ifndef OBJECT_WRAP_CACHE_H
#define OBJECT_WRAP_CACHE_H

#include <nacre/object_store.h>

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/buf.h"
#include "common/cleanup.h"

#define CACHE_HEX_SIZE 65 /* an object's SHA-256 as text: the name of its file */
#define CACHE_BLOCK ((size_t)65536)

struct cache_dir {
    int fd; /* -1 = there is none: nothing is found and nothing is kept */
    char *path;
    uint64_t max_bytes;
    atomic_bool full; /* something could not be written, and the warning is out: nothing more is kept */
    pthread_mutex_t mutex;
    uint64_t bytes; /* what there is, as far as this process knows */
    uint64_t added; /* of them, since it last looked */
    bool looked;
};

/* Opens (and makes) directory/id. When that does not work, a warning is logged and `fd` is -1. -1 only when
 * there is no memory. */
int cache_dir_open(struct cache_dir *dir, const char *directory, const char *id, uint64_t max_bytes,
                   struct nacre_err *e);
void cache_dir_close(struct cache_dir *dir);

/* Whether an object of that size may be kept: no single one takes more than a quarter of the room. */
bool cache_dir_takes(const struct cache_dir *dir, uint64_t size);

/* A file of that size was added: removes those that were not read for the longest time, down to seven eighths
 * of max_bytes, when there is more than that. */
void cache_dir_added(struct cache_dir *dir, uint64_t size);

/* What the cache cannot do is said once; from then on nothing is kept. */
void cache_dir_failed(struct cache_dir *dir, int error_number, const char *what);

/* An object that is read from the cache. */
struct cache_entry {
    int fd;
    uint64_t size; /* of the object */
    char name[CACHE_HEX_SIZE];
    uint8_t *digests; /* of its blocks */
};

/* False when the cache does not have it, or had it damaged, in which case the file is gone now. */
bool cache_entry_open(const struct cache_dir *dir, const char *name, struct cache_entry *out);
/* The same of an open file, which belongs to *out when this is true. */
bool cache_entry_open_file(int fd, const char *name, struct cache_entry *out);
void cache_entry_close(struct cache_entry *entry);

/* Sends bytes [offset, offset + length), which lie within the object, to the sink; each block is proven right
 * before any of it is sent. *sent says how many were. 0 when all were, or fewer because the rest is damaged;
 * -1 with the sink's error. */
int cache_entry_send(const struct cache_entry *entry, uint64_t offset, uint64_t length, nacre_sink *sink,
                     void *ctx, uint64_t *sent, struct nacre_err *e);

void cache_entry_remove(const struct cache_dir *dir, const char *name);

/* An object that is written to the cache, in order. Failures are not the caller's matter: it goes on, and
 * nothing is kept. */
struct cache_draft {
    struct cache_dir *dir;
    int fd; /* -1 = given up */
    char name[CACHE_HEX_SIZE];
    char temporary[32];
    uint64_t size;
    EVP_MD_CTX *whole, *block;
    struct buf digests;
};

void cache_draft_begin(struct cache_draft *draft, struct cache_dir *dir, const char *name);
void cache_draft_add(struct cache_draft *draft, const void *data, size_t size);
/* Keeps it, provided that its SHA-256 is its name. */
void cache_draft_finish(struct cache_draft *draft);
/* Gives up what is not finished, and frees. */
void cache_draft_end(struct cache_draft *draft);
static inline void cache_draft_end_at(struct cache_draft *draft)
{
    cache_draft_end(draft);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the cache: the object, then a digest of each block of it, then a trailer with the object's size
 * and a digest of all this. A part can so be proven right without reading the whole. The digests are of the
 * object's name, too: a file under another's name is damaged.
 *
 * They are there against accidents (a disk that forgets, a machine that lost its power in the middle: nothing
 * is synced) and not against enemies: what lies in a repository is sealed, and who can write to the
 * cache can at most make an object fail to open. */
#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/err.h"

#define DIGEST 16 /* bytes of a SHA-256 that are kept */
#define MAGIC "nacre c1"

struct trailer {
    uint8_t magic[8];
    uint64_t size; /* of the object; this machine's byte order */
    uint8_t digest[DIGEST];
};

static uint64_t block_count(uint64_t size)
{
    return (size + CACHE_BLOCK - 1) / CACHE_BLOCK;
}

/* Begins the digest of block `number`, or, with UINT64_MAX, of the trailer. */
static bool digest_begin(EVP_MD_CTX *digest, const char *name, uint64_t number)
{
    return EVP_DigestInit_ex(digest, EVP_sha256(), NULL) &&
           EVP_DigestUpdate(digest, name, CACHE_HEX_SIZE - 1) &&
           EVP_DigestUpdate(digest, &number, sizeof number);
}

static bool digest_end(EVP_MD_CTX *digest, uint8_t out[DIGEST])
{
    uint8_t all[EVP_MAX_MD_SIZE];
    if (!EVP_DigestFinal_ex(digest, all, NULL))
        return false;
    memcpy(out, all, DIGEST);
    return true;
}

static bool digest_of(const char *name, uint64_t number, const void *data, size_t size, uint8_t out[DIGEST])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool good = digest && digest_begin(digest, name, number) && EVP_DigestUpdate(digest, data, size) &&
                digest_end(digest, out);
    EVP_MD_CTX_free(digest);
    return good;
}

/* The digest of the trailer, over the digests of the blocks and the size. */
static bool seal_trailer(const char *name, const void *digests, struct trailer *trailer)
{
    CLEANUP(buf_free) struct buf all = {0};
    buf_append(&all, &trailer->size, sizeof trailer->size);
    buf_append(&all, digests, block_count(trailer->size) * DIGEST);
    return !buf_failed(&all) && digest_of(name, UINT64_MAX, all.data, all.size, trailer->digest);
}

/* --- reading --- */

static bool read_exactly(int fd, void *out, size_t size, uint64_t offset)
{
    for (uint8_t *at = out; size;) {
        ssize_t got = pread(fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

/* Reads and checks what stands behind the object. */
static bool read_digests(struct cache_entry *entry)
{
    struct stat st;
    struct trailer trailer, expected;
    if (fstat(entry->fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < sizeof trailer ||
        !read_exactly(entry->fd, &trailer, sizeof trailer, (uint64_t)st.st_size - sizeof trailer) ||
        memcmp(trailer.magic, MAGIC, sizeof trailer.magic) != 0)
        return false;
    uint64_t before = (uint64_t)st.st_size - sizeof trailer, size = trailer.size;
    if (size > before || before - size != block_count(size) * DIGEST)
        return false;
    entry->size = size;
    entry->digests = malloc(before - size + 1);
    expected.size = size;
    return entry->digests && read_exactly(entry->fd, entry->digests, before - size, size) &&
           seal_trailer(entry->name, entry->digests, &expected) &&
           !memcmp(expected.digest, trailer.digest, DIGEST);
}

bool cache_entry_open_file(int fd, const char *name, struct cache_entry *out)
{
    *out = (struct cache_entry){.fd = fd};
    memcpy(out->name, name, CACHE_HEX_SIZE - 1);
    if (read_digests(out))
        return true;
    free(out->digests);
    out->digests = NULL;
    return false;
}

bool cache_entry_open(const struct cache_dir *dir, const char *name, struct cache_entry *out)
{
    if (dir->fd < 0)
        return false;
    int fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (cache_entry_open_file(fd, name, out)) {
        (void)futimens(fd, NULL); /* it was read: see cache_dir.c */
        return true;
    }
    close(fd);
    cache_entry_remove(dir, name);
    return false;
}

void cache_entry_close(struct cache_entry *entry)
{
    close(entry->fd);
    free(entry->digests);
}

/* Reads block `number` and proves it; its length, or 0 when it is damaged. */
static size_t read_block(const struct cache_entry *entry, uint64_t number, uint8_t *block)
{
    uint64_t start = number * CACHE_BLOCK, left = entry->size - start;
    size_t length = left < CACHE_BLOCK ? (size_t)left : CACHE_BLOCK;
    uint8_t digest[DIGEST];
    if (!read_exactly(entry->fd, block, length, start) ||
        !digest_of(entry->name, number, block, length, digest) ||
        memcmp(digest, entry->digests + number * DIGEST, DIGEST) != 0)
        return 0;
    return length;
}

int cache_entry_send(const struct cache_entry *entry, uint64_t offset, uint64_t length, nacre_sink *sink,
                     void *ctx, uint64_t *sent, struct nacre_err *e)
{
    CLEANUP(mem_free) uint8_t *block = malloc(CACHE_BLOCK);
    *sent = 0;
    while (block && *sent < length) {
        uint64_t at = offset + *sent, left = length - *sent;
        size_t within = (size_t)(at % CACHE_BLOCK), have = read_block(entry, at / CACHE_BLOCK, block);
        if (!have)
            return 0;
        size_t part = have - within < left ? have - within : (size_t)left;
        if (sink(ctx, block + within, part, e) < 0)
            return -1;
        *sent += part;
    }
    return 0;
}

void cache_entry_remove(const struct cache_dir *dir, const char *name)
{
    char file[CACHE_HEX_SIZE];
    snprintf(file, sizeof file, "%s", name);
    if (dir->fd >= 0)
        (void)unlinkat(dir->fd, file, 0);
}

/* --- writing --- */

static void give_up(struct cache_draft *draft)
{
    if (draft->fd < 0)
        return;
    close(draft->fd);
    draft->fd = -1;
    (void)unlinkat(draft->dir->fd, draft->temporary, 0);
}

/* -1 when the draft was given up. */
static int write_all(struct cache_draft *draft, const void *data, size_t size)
{
    for (const uint8_t *at = data; size;) {
        ssize_t written = write(draft->fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            cache_dir_failed(draft->dir, errno, "write to it");
            give_up(draft);
            return -1;
        }
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

void cache_draft_begin(struct cache_draft *draft, struct cache_dir *dir, const char *name)
{
    uint64_t random = 0;
    *draft = (struct cache_draft){.dir = dir, .fd = -1, .whole = EVP_MD_CTX_new(), .block = EVP_MD_CTX_new()};
    memcpy(draft->name, name, CACHE_HEX_SIZE - 1);
    if (!cache_dir_takes(dir, 0) || !draft->whole || !draft->block ||
        !EVP_DigestInit_ex(draft->whole, EVP_sha256(), NULL) ||
        getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return;
    snprintf(draft->temporary, sizeof draft->temporary, "new-%016" PRIx64, random);
    draft->fd = openat(dir->fd, draft->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (draft->fd < 0)
        cache_dir_failed(dir, errno, "write to it");
}

/* Takes what of data belongs to the current block into the digests; how much that was, 0 on failure. */
static size_t add_to_block(struct cache_draft *draft, const uint8_t *data, size_t size)
{
    size_t filled = (size_t)(draft->size % CACHE_BLOCK), room = CACHE_BLOCK - filled;
    size_t part = size < room ? size : room;
    uint8_t digest[DIGEST];
    if (!filled && !digest_begin(draft->block, draft->name, draft->size / CACHE_BLOCK))
        return 0;
    if (!EVP_DigestUpdate(draft->block, data, part) || !EVP_DigestUpdate(draft->whole, data, part))
        return 0;
    draft->size += part;
    if (part < room)
        return part;
    if (!digest_end(draft->block, digest))
        return 0;
    buf_append(&draft->digests, digest, sizeof digest);
    return part;
}

void cache_draft_add(struct cache_draft *draft, const void *data, size_t size)
{
    if (draft->fd < 0)
        return;
    if (!cache_dir_takes(draft->dir, draft->size + size)) {
        give_up(draft);
        return;
    }
    if (write_all(draft, data, size) < 0)
        return;
    for (const uint8_t *at = data; size;) {
        size_t used = add_to_block(draft, at, size);
        if (!used) {
            give_up(draft);
            return;
        }
        at += used;
        size -= used;
    }
}

/* Whether the object's SHA-256 is its name. */
static bool name_fits(struct cache_draft *draft)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    if (!EVP_DigestFinal_ex(draft->whole, hash, NULL))
        return false;
    hex_encode(hash, 32, hex);
    return !strcmp(hex, draft->name);
}

void cache_draft_finish(struct cache_draft *draft)
{
    struct trailer trailer = {.magic = MAGIC, .size = draft->size};
    uint8_t digest[DIGEST];
    if (draft->fd < 0 || !name_fits(draft))
        return;
    if (draft->size % CACHE_BLOCK) {
        if (!digest_end(draft->block, digest))
            return;
        buf_append(&draft->digests, digest, sizeof digest);
    }
    if (buf_failed(&draft->digests) || !seal_trailer(draft->name, draft->digests.data, &trailer) ||
        write_all(draft, draft->digests.data, draft->digests.size) < 0 ||
        write_all(draft, &trailer, sizeof trailer) < 0)
        return;
    /* Absent when another process made room and this was in its way: then it is not kept. */
    if (renameat(draft->dir->fd, draft->temporary, draft->dir->fd, draft->name) < 0) {
        if (errno != ENOENT)
            cache_dir_failed(draft->dir, errno, "write to it");
        give_up(draft);
        return;
    }
    uint64_t size = draft->size + draft->digests.size + sizeof trailer;
    close(draft->fd);
    draft->fd = -1;
    cache_dir_added(draft->dir, size);
}

void cache_draft_end(struct cache_draft *draft)
{
    give_up(draft);
    EVP_MD_CTX_free(draft->whole);
    EVP_MD_CTX_free(draft->block);
    buf_free(&draft->digests);
}

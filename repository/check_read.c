/* SPDX-License-Identifier: Apache-2.0 */
/* Reading packs whole. A pack passes through as a stream: its SHA-256 must be its name, its header must say
 * what the index says, and every blob must open and hash to its id. Memory is one blob a thread, not one
 * pack. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "repository/check_internal.h"

#define READERS_DEFAULT 8
#define READERS_MAX 64

struct reading {
    struct check *c;
    atomic_uint next, done;
    uint32_t total;
    atomic_bool stop;
    struct nacre_err error; /* under the check's mutex */
    bool failed;
};

/* One pack on its way through a reader. */
struct stream {
    struct check *c;
    EVP_MD_CTX *hash;
    struct id pack;
    char hex[ID_HEX_SIZE];
    const struct pack_blob *blobs; /* by offset */
    size_t count, current;
    uint64_t position;
    struct buf sealed, plain;
    bool own_failure; /* the get ended because of us, not of the store */
};

static int mark_bad(struct check *c, const struct id *blob, const struct id *pack, struct nacre_err *e)
{
    bool added;
    struct id place = check_place(blob, pack);
    pthread_mutex_lock(&c->mutex);
    int result = id_set_add(&c->bad, &place, &added, e);
    pthread_mutex_unlock(&c->mutex);
    return result;
}

static int finish_blob(struct stream *s, const struct pack_blob *blob, struct nacre_err *e)
{
    struct nacre_err why;
    buf_clear(&s->plain);
    void *plain = buf_reserve(&s->plain, blob->plain_length);
    if (!plain)
        return err_no_memory(e, "a blob");
    if (blob_unseal(s->c->repo, blob, s->sealed.data, plain, &why) < 0) {
        check_fault(s->c, "pack %s, at offset %" PRIu32 ": %s", s->hex, blob->offset, why.message);
        return mark_bad(s->c, &blob->id, &s->pack, e);
    }
    return 0;
}

/* Takes what of data belongs to the current blob; *used says how much was looked at. */
static int feed_blob(struct stream *s, const uint8_t *data, size_t size, size_t *used, struct nacre_err *e)
{
    const struct pack_blob *blob = s->current < s->count ? &s->blobs[s->current] : NULL;
    *used = size;
    if (!blob)
        return 0; /* the header */
    if (blob->offset > s->position && !s->sealed.size) {
        uint64_t gap = blob->offset - s->position;
        *used = gap < size ? (size_t)gap : size;
        return 0;
    }
    size_t missing = blob->length - s->sealed.size;
    *used = missing < size ? missing : size;
    buf_append(&s->sealed, data, *used);
    if (buf_failed(&s->sealed))
        return err_no_memory(e, "a blob");
    if (s->sealed.size < blob->length)
        return 0;
    int result = finish_blob(s, blob, e);
    buf_clear(&s->sealed);
    s->current++;
    return result;
}

static int consume(struct stream *s, const uint8_t *data, size_t size, struct nacre_err *e)
{
    if (cancel_check(e) < 0)
        return -1;
    if (!EVP_DigestUpdate(s->hash, data, size))
        return err_set(e, NACRE_FAILED, "SHA-256 failed");
    while (size) {
        size_t used;
        if (feed_blob(s, data, size, &used, e) < 0)
            return -1;
        s->position += used;
        data += used;
        size -= used;
    }
    return 0;
}

static int on_bytes(void *ctx, const void *data, size_t size, struct nacre_err *e)
{
    struct stream *s = ctx;
    int result = consume(s, data, size, e);
    s->own_failure = result < 0;
    return result;
}

/* --- where the blobs of a pack are --- */

static int compare_offsets(const void *a, const void *b)
{
    const struct pack_blob *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

struct collect {
    uint32_t pack_number;
    struct buf blobs;
};

static int collect_entry(void *ctx, const struct index_entry *entry)
{
    struct collect *collect = ctx;
    if (entry->pack_number == collect->pack_number)
        buf_append(&collect->blobs, &entry->blob, sizeof entry->blob);
    return 0;
}

/* What the index says of a pack whose own header cannot be read; blobs that overlap are left out. */
static int blobs_of_index(struct check *c, uint32_t number, struct pack_blob **blobs, size_t *count,
                          struct nacre_err *e)
{
    struct collect collect = {.pack_number = number};
    if (index_each(c->index, collect_entry, &collect) < 0 || buf_failed(&collect.blobs)) {
        buf_free(&collect.blobs);
        return err_no_memory(e, "the blobs of a pack");
    }
    struct pack_blob *all = (void *)collect.blobs.data;
    size_t total = collect.blobs.size / sizeof *all;
    uint64_t end = 0;
    *count = 0;
    if (total)
        qsort(all, total, sizeof *all, compare_offsets);
    for (size_t i = 0; i < total; i++) {
        if (all[i].offset < end)
            continue;
        end = (uint64_t)all[i].offset + all[i].length;
        all[(*count)++] = all[i];
    }
    *blobs = all;
    return 0;
}

static bool index_agrees(struct check *c, uint32_t number, const struct pack_blob *blob)
{
    struct index_entry entry;
    for (unsigned nth = 0; index_find_nth(c->index, blob->type, &blob->id, nth, &entry); nth++)
        if (entry.pack_number == number && entry.blob.offset == blob->offset &&
            entry.blob.length == blob->length && entry.blob.plain_length == blob->plain_length &&
            entry.blob.compressed == blob->compressed)
            return true;
    return false;
}

static void compare_header(struct stream *s, uint32_t number)
{
    size_t strangers = 0;
    for (size_t i = 0; i < s->count; i++)
        strangers += !index_agrees(s->c, number, &s->blobs[i]);
    if (strangers || s->count != s->c->packs[number].blobs)
        check_fault(s->c,
                    "pack %s: its header has %zu blobs, the index %" PRIu32 ", and %zu are not where the "
                    "index says",
                    s->hex, s->count, s->c->packs[number].blobs, strangers);
}

/* --- one pack --- */

static int get_pack(struct stream *s, struct nacre_err *e)
{
    char name[REPO_NAME_SIZE];
    struct nacre_object_store *store = repo_store(s->c->repo);
    struct id actual;
    repo_name(s->c->repo, REPO_PACK, &s->pack, name);
    if (!EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL))
        return err_set(e, NACRE_FAILED, "SHA-256 failed");
    if (store->ops->get(store, name, 0, NACRE_TO_END, on_bytes, s, e) < 0) {
        if (s->own_failure || e->code == NACRE_CANCELLED || cancel_requested())
            return -1;
        check_fault(s->c, "pack %s cannot be read: %s", s->hex, e->message);
    } else if (!EVP_DigestFinal_ex(s->hash, actual.bytes, NULL)) {
        return err_set(e, NACRE_FAILED, "SHA-256 failed");
    } else if (!id_equal(&actual, &s->pack)) {
        check_fault(s->c, "pack %s is damaged: its bytes do not hash to its name", s->hex);
    }
    for (; s->current < s->count; s->current++) /* it ended before they did */
        if (mark_bad(s->c, &s->blobs[s->current].id, &s->pack, e) < 0)
            return -1;
    return 0;
}

/* Finds the blobs by the pack's header, or else by the index. *blobs: free(). */
static int find_blobs(struct stream *s, uint32_t number, struct pack_blob **blobs, struct nacre_err *e)
{
    struct check *c = s->c;
    if (pack_header_read(c->repo, &s->pack, c->packs[number].actual, blobs, &s->count, e) == 0) {
        s->blobs = *blobs;
        compare_header(s, number);
        return 0;
    }
    if (e->code == NACRE_CANCELLED || cancel_requested())
        return -1;
    check_fault(c, "pack %s: its header cannot be read: %s", s->hex, e->message);
    int result = blobs_of_index(c, number, blobs, &s->count, e);
    s->blobs = *blobs;
    return result;
}

static int read_pack(struct check *c, uint32_t number, struct nacre_err *e)
{
    struct stream s = {.c = c, .hash = EVP_MD_CTX_new()};
    CLEANUP(mem_free) struct pack_blob *blobs = NULL;
    int result = s.hash ? 0 : err_no_memory(e, "the check");
    index_pack_id(c->index, number, &s.pack);
    id_format(&s.pack, s.hex);
    if (!result)
        result = find_blobs(&s, number, &blobs, e);
    if (!result)
        result = get_pack(&s, e);
    pthread_mutex_lock(&c->mutex);
    c->result->packs_read++;
    c->result->bytes_read += s.position;
    pthread_mutex_unlock(&c->mutex);
    EVP_MD_CTX_free(s.hash);
    buf_free(&s.sealed);
    buf_free(&s.plain);
    return result;
}

static int read_selected(struct reading *r, struct nacre_err *e)
{
    struct check *c = r->c;
    while (!atomic_load(&r->stop)) {
        uint32_t number = atomic_fetch_add(&r->next, 1);
        if (number >= c->pack_count)
            return 0;
        if (!c->packs[number].selected)
            continue;
        if (cancel_check(e) < 0 || read_pack(c, number, e) < 0)
            return -1;
        check_progress(c, atomic_fetch_add(&r->done, 1) + 1, r->total, "reading packs");
    }
    return 0;
}

static void *reader_main(void *ctx)
{
    struct reading *r = ctx;
    struct nacre_err error;
    if (read_selected(r, &error) < 0) {
        pthread_mutex_lock(&r->c->mutex);
        if (!r->failed)
            r->error = error;
        r->failed = true;
        pthread_mutex_unlock(&r->c->mutex);
        atomic_store(&r->stop, true);
    }
    return NULL;
}

int check_read_packs(struct check *c, struct nacre_err *e)
{
    struct reading r = {.c = c};
    pthread_t threads[READERS_MAX];
    unsigned started = 0, wanted = c->options->connections ? c->options->connections : READERS_DEFAULT;
    if (wanted > READERS_MAX)
        wanted = READERS_MAX;
    for (uint32_t i = 0; i < c->pack_count; i++)
        r.total += c->packs[i].selected;
    check_progress(c, 0, r.total, "reading packs");
    while (started < wanted && !pthread_create(&threads[started], NULL, reader_main, &r))
        started++;
    if (!started)
        reader_main(&r);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (r.failed) {
        *e = r.error;
        return -1;
    }
    return 0;
}

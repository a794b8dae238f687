/* SPDX-License-Identifier: Apache-2.0 */
/* Adding blobs.
 *
 * A save marks its id as in flight, so that two threads that meet the same blob store it once; compresses and
 * seals in its own thread, outside of all locks; and copies the sealed bytes into the open pack of its type
 * under the mutex: the one copy on the way. A full pack goes to the upload threads. Packs are of a fixed
 * number (one open a type, one an upload thread) and are used again: whoever needs one waits for an upload to
 * end, which bounds the memory. The more uploads, the smaller the packs: a pack is stored under its hash, so
 * no byte of it can leave before the last one is there, and eight uploads of 16 MiB would take 160 MiB. Of
 * 8.5 MiB they take 96, and a delay of 50 ms a request is 2 % of the time that one takes at 3 MB/s.
 *
 * Order, for crashes: a pack is whole in the store before the index in memory names it; an index file names
 * only such packs. An id leaves the set in flight after the index has it, so that it is in one of them
 * always.
 *
 * The first error sticks: every later call gives it, and what is queued is dropped. */
#include "repository/writer.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "common/err.h"
#include "common/queue.h"
#include "common/timestamp.h"
#include "plugins/store.h"
#include "repository/id_set.h"

#define DEFAULT_UPLOADS 8
#define MAX_UPLOADS 64
#define DEFAULT_PACK_SIZE (16u << 20)
#define LEAST_PACK_SIZE (4u << 20)
#define MAX_PACK_SIZE (128u << 20)
#define PACK_BLOBS_MAX ((size_t)20000) /* keeps the header far below its limit of 16 MiB */
#define INDEX_BLOBS_MAX ((size_t)50000)
#define INDEX_INTERVAL_NS (INT64_C(600) * 1000000000)

/* A pack on its way. */
struct parcel {
    struct parcel *next; /* in the list of free ones */
    struct buf bytes;
    struct buf blobs; /* of struct pack_blob */
};

/* A pack that is stored and not yet in an index file. */
struct stored {
    struct stored *next;
    struct id pack;
    struct buf blobs;
};

/* Memory that one save seals into; kept, because fresh pages cost more than the sealing. */
struct scratch {
    struct scratch *next;
    struct buf sealed;
};

struct writer {
    struct repo *repo;
    struct index *index;
    int level;
    uint32_t pack_size;
    int (*check)(void *ctx, struct nacre_err *e);
    void *check_ctx;

    pthread_mutex_t mutex;      /* guards what follows */
    pthread_cond_t parcel_free; /* or one was opened, or an error came */
    pthread_cond_t idle;        /* busy became 0 */
    struct parcel *open[2];     /* by blob type; NULL = none */
    struct parcel *free_parcels;
    struct scratch *free_scratches;
    unsigned parcels, parcel_limit;
    unsigned busy; /* parcels queued or uploading */
    struct id_set in_flight[2];
    struct stored *stored;
    size_t stored_blobs;
    int64_t stored_since;
    struct writer_stats stats;
    bool failed;
    struct nacre_err error;

    struct queue *queue; /* holds all parcels that there can be: a push never waits */
    unsigned threads;
    pthread_t thread[MAX_UPLOADS];
};

static void parcel_free(struct parcel *parcel)
{
    if (!parcel)
        return;
    buf_free(&parcel->bytes);
    buf_free(&parcel->blobs);
    free(parcel);
}

static void stored_list_free(struct stored *list)
{
    while (list) {
        struct stored *next = list->next;
        buf_free(&list->blobs);
        free(list);
        list = next;
    }
}
CLEANUP_DEFINE(struct stored *, stored_list_free)

/* With the mutex held. */
static void fail(struct writer *w, const struct nacre_err *error)
{
    if (!w->failed)
        w->error = *error;
    w->failed = true;
    pthread_cond_broadcast(&w->parcel_free);
}

static int failure(const struct writer *w, struct nacre_err *e)
{
    if (!w->failed)
        return 0;
    *e = w->error;
    return -1;
}

/* --- index files --- */

static int save_index(struct writer *w, const struct stored *list, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    struct id id;
    buf_string(&json, "{\"packs\":[");
    for (const struct stored *s = list; s; s = s->next) {
        index_json_pack(&json, &s->pack, (const void *)s->blobs.data,
                        s->blobs.size / sizeof(struct pack_blob));
        if (s->next)
            buf_char(&json, ',');
    }
    buf_string(&json, "]}");
    if (buf_failed(&json))
        return err_no_memory(e, "an index file");
    if (w->check && w->check(w->check_ctx, e) < 0)
        return -1;
    if (repo_file_save(w->repo, REPO_INDEX, json.data, json.size, &id, e) < 0)
        return err_wrap(e, "writing an index file");
    char name[REPO_NAME_SIZE];
    struct nacre_object_info info = {0};
    struct nacre_err ignored; /* the size is for the statistics only */
    repo_name(w->repo, REPO_INDEX, &id, name);
    if (store_stat(repo_store(w->repo), name, &info, &ignored) == 0) {
        pthread_mutex_lock(&w->mutex);
        w->stats.bytes_uploaded += info.size;
        pthread_mutex_unlock(&w->mutex);
    }
    return 0;
}

static struct stored *take_stored(struct writer *w)
{
    struct stored *list = w->stored;
    w->stored = NULL;
    w->stored_blobs = 0;
    return list;
}

/* Adds a stored pack to those that the next index file names. *full is what has to be written first, NULL
 * when there is room. With the mutex held. */
static void add_stored(struct writer *w, struct stored *stored, struct stored **full)
{
    size_t count = stored->blobs.size / sizeof(struct pack_blob);
    *full = NULL;
    if (w->stored && (w->stored_blobs + count > INDEX_BLOBS_MAX ||
                      timestamp_elapsed() - w->stored_since > INDEX_INTERVAL_NS))
        *full = take_stored(w);
    if (!w->stored)
        w->stored_since = timestamp_elapsed();
    stored->next = w->stored;
    w->stored = stored;
    w->stored_blobs += count;
}

/* --- uploading --- */

static int put_pack(struct writer *w, struct parcel *parcel, struct stored *stored, struct nacre_err *e)
{
    const struct pack_blob *blobs = (const void *)parcel->blobs.data;
    size_t count = parcel->blobs.size / sizeof *blobs;
    if (pack_finish(w->repo, blobs, count, &parcel->bytes, e) < 0)
        return -1;
    char name[REPO_NAME_SIZE];
    id_hash(&stored->pack, parcel->bytes.data, parcel->bytes.size);
    repo_name(w->repo, REPO_PACK, &stored->pack, name);
    /* Trees are what the next backup compares with: read again, unlike data. */
    int put = (blobs[0].type == BLOB_TREE ? store_put_kept : store_put)(
        repo_store(w->repo), name, parcel->bytes.data, parcel->bytes.size, e);
    if (put < 0 || index_add_pack(w->index, &stored->pack, blobs, count, e) < 0)
        return err_wrap(e, "uploading a pack");
    return 0;
}

static void note_stored(struct writer *w, const struct parcel *parcel)
{
    const struct pack_blob *blobs = (const void *)parcel->blobs.data;
    for (size_t i = 0; i < parcel->blobs.size / sizeof *blobs; i++)
        id_set_remove(&w->in_flight[blobs[i].type], &blobs[i].id);
    w->stats.packs++;
    w->stats.bytes_uploaded += parcel->bytes.size;
}

static int upload(struct writer *w, struct parcel *parcel, struct nacre_err *e)
{
    struct stored *stored = calloc(1, sizeof *stored);
    if (!stored)
        return err_no_memory(e, "a pack");
    if (put_pack(w, parcel, stored, e) < 0) {
        free(stored);
        return -1;
    }
    CLEANUP(stored_list_free) struct stored *full = NULL;
    pthread_mutex_lock(&w->mutex);
    note_stored(w, parcel);
    stored->blobs = parcel->blobs;
    parcel->blobs = (struct buf){0};
    add_stored(w, stored, &full);
    pthread_mutex_unlock(&w->mutex);
    return full ? save_index(w, full, e) : 0;
}

/* Empty again; memory that one uncommonly large blob took is given back. */
static void reset_parcel(const struct writer *w, struct parcel *parcel)
{
    buf_clear(&parcel->bytes);
    buf_clear(&parcel->blobs);
    if (parcel->bytes.capacity / 4 > w->pack_size)
        buf_free(&parcel->bytes);
}

static void *upload_main(void *ctx)
{
    struct writer *w = ctx;
    for (struct parcel *parcel; (parcel = queue_pop(w->queue));) {
        struct nacre_err error;
        pthread_mutex_lock(&w->mutex);
        bool drop = w->failed;
        pthread_mutex_unlock(&w->mutex);
        int result = drop ? 0 : upload(w, parcel, &error);
        reset_parcel(w, parcel);
        pthread_mutex_lock(&w->mutex);
        if (result < 0)
            fail(w, &error);
        parcel->next = w->free_parcels;
        w->free_parcels = parcel;
        pthread_cond_broadcast(&w->parcel_free);
        if (!--w->busy)
            pthread_cond_broadcast(&w->idle);
        pthread_mutex_unlock(&w->mutex);
    }
    return NULL;
}

/* --- saving; down to give_scratch with the mutex held --- */

/* Hands the open pack of a type to the upload threads. */
static void close_pack(struct writer *w, enum blob_type type)
{
    struct parcel *parcel = w->open[type];
    if (!parcel)
        return;
    w->open[type] = NULL;
    w->busy++;
    queue_push(w->queue, parcel);
}

/* Waits for a pack to put blobs of a type into. Another thread may open it meanwhile. */
static struct parcel *open_pack(struct writer *w, enum blob_type type, struct nacre_err *e)
{
    while (!w->failed && !w->open[type]) {
        if (!w->free_parcels && w->parcels == w->parcel_limit) {
            pthread_cond_wait(&w->parcel_free, &w->mutex);
            continue;
        }
        struct parcel *parcel = w->free_parcels;
        if (parcel) {
            w->free_parcels = parcel->next;
        } else if ((parcel = calloc(1, sizeof *parcel))) {
            w->parcels++;
        } else {
            err_no_memory(e, "a pack");
            return NULL;
        }
        /* Room for it all at once, so that it is not moved as it grows. */
        buf_reserve(&parcel->bytes, (size_t)w->pack_size + w->pack_size / 8);
        w->open[type] = parcel;
        pthread_cond_broadcast(&w->parcel_free); /* the others that wait for this type need none any more */
    }
    return failure(w, e) < 0 ? NULL : w->open[type];
}

static int append(struct writer *w, struct pack_blob *blob, const struct buf *sealed, struct nacre_err *e)
{
    struct parcel *parcel = open_pack(w, blob->type, e);
    if (!parcel)
        return -1;
    blob->offset = (uint32_t)parcel->bytes.size;
    void *at = buf_reserve(&parcel->bytes, sealed->size);
    if (at)
        buf_append(&parcel->blobs, blob, sizeof *blob);
    if (!at || buf_failed(&parcel->blobs)) {
        err_no_memory(e, "a pack");
        fail(w, e);
        return -1;
    }
    memcpy(at, sealed->data, sealed->size);
    buf_commit(&parcel->bytes, sealed->size);
    w->stats.blobs_new++;
    w->stats.plain_bytes_new += blob->plain_length;
    if (parcel->bytes.size >= w->pack_size || parcel->blobs.size / sizeof *blob >= PACK_BLOBS_MAX)
        close_pack(w, blob->type);
    return 0;
}

static struct scratch *take_scratch(struct writer *w)
{
    struct scratch *scratch = w->free_scratches;
    if (!scratch)
        return calloc(1, sizeof *scratch);
    w->free_scratches = scratch->next;
    buf_clear(&scratch->sealed);
    return scratch;
}

static void give_scratch(struct writer *w, struct scratch *scratch)
{
    scratch->next = w->free_scratches;
    w->free_scratches = scratch;
}

/* Claims the id for this thread; *known when there is nothing to do. */
static int claim(struct writer *w, enum blob_type type, const struct id *id, bool *known, struct nacre_err *e)
{
    struct index_entry entry;
    bool claimed = false;
    *known = index_find(w->index, type, id, &entry);
    pthread_mutex_lock(&w->mutex);
    int result = failure(w, e);
    if (!result && !*known)
        result = id_set_add(&w->in_flight[type], id, &claimed, e);
    /* It may have been stored since the first look: it left the set only after the index had it. */
    if (claimed && index_find(w->index, type, id, &entry)) {
        id_set_remove(&w->in_flight[type], id);
        claimed = false;
    }
    *known = !claimed;
    if (!result && *known)
        w->stats.blobs_known++;
    pthread_mutex_unlock(&w->mutex);
    return result;
}

static int seal_into(struct writer *w, enum blob_type type, const struct id *id, const void *plain,
                     size_t size, struct scratch *scratch, struct nacre_err *e)
{
    struct pack_blob blob;
    if (blob_seal(w->repo, id, type, plain, size, w->level, &scratch->sealed, &blob, e) < 0)
        return -1;
    pthread_mutex_lock(&w->mutex);
    int result = append(w, &blob, &scratch->sealed, e);
    pthread_mutex_unlock(&w->mutex);
    return result;
}

static int seal_and_append(struct writer *w, enum blob_type type, const struct id *id, const void *plain,
                           size_t size, struct nacre_err *e)
{
    pthread_mutex_lock(&w->mutex);
    struct scratch *scratch = take_scratch(w);
    pthread_mutex_unlock(&w->mutex);
    int result = scratch ? seal_into(w, type, id, plain, size, scratch, e) : err_no_memory(e, "a blob");
    pthread_mutex_lock(&w->mutex);
    if (result < 0) { /* who met the blob meanwhile was told that it is taken care of */
        fail(w, e);
        id_set_remove(&w->in_flight[type], id);
    }
    if (scratch)
        give_scratch(w, scratch);
    pthread_mutex_unlock(&w->mutex);
    return result;
}

int writer_save(struct writer *writer, enum blob_type type, const struct id *id, const void *plain,
                size_t size, bool *added, struct nacre_err *e)
{
    bool known;
    *added = false;
    if (size > BLOB_PLAIN_MAX)
        return err_set(e, NACRE_INVALID, "a blob of %zu bytes is larger than any reader accepts", size);
    if (claim(writer, type, id, &known, e) < 0)
        return -1;
    if (known)
        return 0;
    if (seal_and_append(writer, type, id, plain, size, e) < 0)
        return -1;
    *added = true;
    return 0;
}

int writer_finish(struct writer *writer, struct nacre_err *e)
{
    struct writer *w = writer;
    pthread_mutex_lock(&w->mutex);
    close_pack(w, BLOB_DATA);
    close_pack(w, BLOB_TREE);
    while (w->busy)
        pthread_cond_wait(&w->idle, &w->mutex);
    int result = failure(w, e);
    CLEANUP(stored_list_free) struct stored *list = result ? NULL : take_stored(w);
    pthread_mutex_unlock(&w->mutex);
    if (!list || save_index(w, list, e) == 0)
        return result;
    pthread_mutex_lock(&w->mutex);
    fail(w, e);
    pthread_mutex_unlock(&w->mutex);
    return -1;
}

void writer_get_stats(struct writer *writer, struct writer_stats *out)
{
    pthread_mutex_lock(&writer->mutex);
    *out = writer->stats;
    pthread_mutex_unlock(&writer->mutex);
}

static uint32_t pack_size(const struct writer_options *options, unsigned parcels)
{
    if (options->pack_size)
        return options->pack_size < MAX_PACK_SIZE ? options->pack_size : MAX_PACK_SIZE;
    uint32_t size = WRITER_MEMORY / parcels / 9 * 8; /* the last blob may reach beyond it: see open_pack */
    if (size > DEFAULT_PACK_SIZE)
        return DEFAULT_PACK_SIZE;
    return size > LEAST_PACK_SIZE ? size : LEAST_PACK_SIZE;
}

int writer_new(struct repo *repo, struct index *index, const struct writer_options *options,
               struct writer **out, struct nacre_err *e)
{
    CLEANUP(writer_free) struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_no_memory(e, "a writer");
    unsigned uploads = options->uploads ? options->uploads : DEFAULT_UPLOADS;
    uploads = uploads < MAX_UPLOADS ? uploads : MAX_UPLOADS;
    w->repo = repo;
    w->index = index;
    w->level = options->level;
    w->parcel_limit = uploads + 2;
    w->pack_size = pack_size(options, w->parcel_limit);
    w->check = options->check;
    w->check_ctx = options->ctx;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->parcel_free, NULL);
    pthread_cond_init(&w->idle, NULL);
    w->queue = queue_new(w->parcel_limit);
    if (!w->queue)
        return err_no_memory(e, "a writer");
    for (; w->threads < uploads; w->threads++) {
        int failed = pthread_create(&w->thread[w->threads], NULL, upload_main, w);
        if (failed && !w->threads)
            return err_errno(e, failed, "starting an upload thread");
        if (failed)
            break;
    }
    *out = MOVE(w);
    return 0;
}

void writer_free(struct writer *writer)
{
    struct writer *w = writer;
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    fail(w, &(struct nacre_err){.code = NACRE_CANCELLED, .message = "the writer was given up"});
    pthread_mutex_unlock(&w->mutex);
    if (w->queue)
        queue_close(w->queue);
    for (unsigned i = 0; i < w->threads; i++)
        pthread_join(w->thread[i], NULL);
    queue_free(w->queue);
    parcel_free(w->open[BLOB_DATA]);
    parcel_free(w->open[BLOB_TREE]);
    while (w->free_parcels) {
        struct parcel *next = w->free_parcels->next;
        parcel_free(w->free_parcels);
        w->free_parcels = next;
    }
    while (w->free_scratches) {
        struct scratch *next = w->free_scratches->next;
        buf_free(&w->free_scratches->sealed);
        free(w->free_scratches);
        w->free_scratches = next;
    }
    stored_list_free(w->stored);
    id_set_free(&w->in_flight[BLOB_DATA]);
    id_set_free(&w->in_flight[BLOB_TREE]);
    pthread_cond_destroy(&w->parcel_free);
    pthread_cond_destroy(&w->idle);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

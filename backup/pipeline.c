/* SPDX-License-Identifier: Apache-2.0 */
/* Reads in flight, workers behind them, and the arena that bounds both.
 *
 * The arena is cut into slots of one chunk. A read of small chunks takes neighbouring slots, up to READ_BYTES
 * of them; each of its chunks is then a piece of work of its own. Its slots are given back together, when the
 * last piece is done, so that reads do not crumble. With as many bytes in flight, reads of 4 MiB from rbd are
 * no faster than those of 1 MiB (1.5 GiB: 6.7 against 6.0 s), and start the workers later. The queue between
 * the two has room for every slot: a driver's callback never waits.
 *
 * Threads. The feeder owns `used` → true; workers give back under the mutex. The first error of anyone wins;
 * all later pieces are dropped unsaved, and the feeder hears of it at its next call. */
#include "backup/pipeline.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "common/err.h"
#include "common/queue.h"

#define READ_BYTES (1u << 20)
#define READ_DEPTH_DEFAULT 16
#define READ_DEPTH_MAX 1024
#define WORKERS_MAX 64

/* One chunk's buffer and what is to become of it. The fields below `count` are those of a read, and belong to
 * its first slot, the head. */
struct slot {
    struct pipeline *pipeline;
    uint8_t *data;
    struct slot *head;
    struct id *id; /* where the id goes */
    uint64_t chunk;
    bool used;
    uint32_t count; /* slots of the read */
    atomic_uint pieces_left;
    struct nacre_block_op op;
};

struct pipeline {
    struct pipeline_options options;
    uint8_t *arena;
    size_t arena_bytes;
    struct slot *slots;
    uint32_t slot_count, slots_per_read;
    struct queue *pieces;
    pthread_t threads[WORKERS_MAX];
    unsigned thread_count;
    pthread_mutex_t mutex; /* for the following, and slot.used */
    pthread_cond_t freed;
    uint32_t slots_used;
    struct nacre_err first_error;
    atomic_bool failed;
    atomic_uint_fast64_t chunks_read, chunks_zero, chunks_known, chunks_new, bytes_read, bytes_new;
};

static void fail(struct pipeline *p, const struct nacre_err *e)
{
    pthread_mutex_lock(&p->mutex);
    if (!atomic_load(&p->failed))
        p->first_error = *e;
    atomic_store(&p->failed, true);
    pthread_mutex_unlock(&p->mutex);
}

static int failure(struct pipeline *p, struct nacre_err *e)
{
    pthread_mutex_lock(&p->mutex);
    *e = p->first_error;
    pthread_mutex_unlock(&p->mutex);
    return -1;
}

static void give_back(struct slot *head)
{
    struct pipeline *p = head->pipeline;
    pthread_mutex_lock(&p->mutex);
    p->slots_used -= head->count;
    for (uint32_t i = 0; i < head->count; i++)
        head[i].used = false;
    pthread_cond_signal(&p->freed);
    pthread_mutex_unlock(&p->mutex);
}

/* Waits for `count` free slots in a row. Only the feeder takes any, so it always gets them in the end. */
static struct slot *take_slots(struct pipeline *p, uint32_t count)
{
    struct slot *found = NULL;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        uint32_t row = 0;
        for (uint32_t i = 0; i < p->slot_count && row < count; i++) {
            row = p->slots[i].used ? 0 : row + 1;
            found = &p->slots[i + 1 - row];
        }
        if (row == count)
            break;
        pthread_cond_wait(&p->freed, &p->mutex);
    }
    for (uint32_t i = 0; i < count; i++)
        found[i].used = true;
    p->slots_used += count;
    pthread_mutex_unlock(&p->mutex);
    return found;
}

static int save_chunk(struct pipeline *p, struct slot *slot, struct nacre_err *e)
{
    uint32_t length = zeros_chunk_length(p->options.zeros, slot->chunk);
    atomic_fetch_add(&p->chunks_read, 1);
    if (zeros_only(slot->data, length)) {
        *slot->id = *zeros_id(p->options.zeros, slot->chunk);
        atomic_fetch_add(&p->chunks_zero, 1);
    } else {
        bool added = false;
        id_hash(slot->id, slot->data, length);
        if (writer_save(p->options.writer, BLOB_DATA, slot->id, slot->data, length, &added, e))
            return -1;
        atomic_fetch_add(added ? &p->chunks_new : &p->chunks_known, 1);
        if (added)
            atomic_fetch_add(&p->bytes_new, length);
    }
    if (p->options.bytes_done)
        atomic_fetch_add_explicit(p->options.bytes_done, length, memory_order_relaxed);
    return 0;
}

static void *work(void *arg)
{
    struct pipeline *p = arg;
    struct nacre_err e = {0};
    struct slot *slot;
    while ((slot = queue_pop(p->pieces))) {
        if (!atomic_load(&p->failed) && save_chunk(p, slot, &e))
            fail(p, &e);
        struct slot *head = slot->head;
        if (atomic_fetch_sub(&head->pieces_left, 1) == 1)
            give_back(head);
    }
    return NULL;
}

/* In a thread of the driver. */
static void on_read(struct nacre_block_op *op, enum nacre_code result, const char *message)
{
    struct slot *head = op->ctx;
    struct pipeline *p = head->pipeline;
    if (result != NACRE_OK) {
        struct nacre_err e;
        err_set(&e, result, "reading %s at byte %llu: %s", p->options.volume, (unsigned long long)op->offset,
                message ? message : err_code_name(result));
        fail(p, &e);
        give_back(head);
        return;
    }
    atomic_fetch_add(&p->bytes_read, op->length);
    uint32_t count = head->count; /* the head may be given back before the loop ends */
    for (uint32_t i = 0; i < count; i++)
        queue_push(p->pieces, &head[i]);
}

/* One read of `count` chunks. */
static int start_read(struct pipeline *p, uint64_t first, uint32_t count, struct id *ids, struct nacre_err *e)
{
    const struct zeros *zeros = p->options.zeros;
    struct slot *head = take_slots(p, count);
    uint64_t length =
        (uint64_t)(count - 1) * zeros->chunk_size + zeros_chunk_length(zeros, first + count - 1);
    head->count = count;
    atomic_store(&head->pieces_left, count);
    for (uint32_t i = 0; i < count; i++) {
        head[i].head = head;
        head[i].chunk = first + i;
        head[i].id = &ids[i];
    }
    head->op = (struct nacre_block_op){.kind = NACRE_BLOCK_OP_READ,
                                       .offset = first * zeros->chunk_size,
                                       .length = length,
                                       .buffer = head->data,
                                       .done = on_read,
                                       .ctx = head};
    if (!p->options.driver->block->submit(p->options.block, &head->op, e))
        return 0;
    give_back(head);
    err_wrap(e, "reading %s at byte %llu", p->options.volume, (unsigned long long)first * zeros->chunk_size);
    fail(p, e);
    return -1;
}

int pipeline_read(struct pipeline *p, uint64_t first, uint64_t count, struct id *ids, struct nacre_err *e)
{
    while (count) {
        if (atomic_load(&p->failed))
            return failure(p, e);
        if (p->options.check && p->options.check(p->options.ctx, e))
            return -1;
        /* Aligned to the size of a read, so that one read is one object of the backend. */
        uint32_t take = p->slots_per_read - (uint32_t)(first % p->slots_per_read);
        if (take > count)
            take = (uint32_t)count;
        if (start_read(p, first, take, ids, e))
            return -1;
        first += take;
        ids += take;
        count -= take;
    }
    return 0;
}

static void wait_until_idle(struct pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    while (p->slots_used)
        pthread_cond_wait(&p->freed, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}

int pipeline_drain(struct pipeline *p, struct nacre_err *e)
{
    wait_until_idle(p);
    return atomic_load(&p->failed) ? failure(p, e) : 0;
}

void pipeline_get_stats(const struct pipeline *p, struct pipeline_stats *out)
{
    *out = (struct pipeline_stats){.chunks_read = atomic_load(&p->chunks_read),
                                   .chunks_zero = atomic_load(&p->chunks_zero),
                                   .chunks_known = atomic_load(&p->chunks_known),
                                   .chunks_new = atomic_load(&p->chunks_new),
                                   .bytes_read = atomic_load(&p->bytes_read),
                                   .bytes_new = atomic_load(&p->bytes_new)};
}

static int allocate(struct pipeline *p, unsigned workers, struct nacre_err *e)
{
    uint32_t chunk_size = p->options.zeros->chunk_size;
    unsigned depth = p->options.read_depth ? p->options.read_depth : READ_DEPTH_DEFAULT;
    p->slots_per_read = chunk_size < READ_BYTES ? READ_BYTES / chunk_size : 1;
    if (depth > READ_DEPTH_MAX)
        depth = READ_DEPTH_MAX;
    if (p->slots_per_read > depth)
        p->slots_per_read = depth;
    p->slot_count = depth + workers + p->slots_per_read; /* what is in flight, and what is being worked on */
    p->arena_bytes = (size_t)p->slot_count * chunk_size;
    p->slots = calloc(p->slot_count, sizeof *p->slots);
    p->pieces = queue_new(p->slot_count);
    p->arena = mmap(NULL, p->arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->arena == MAP_FAILED)
        p->arena = NULL;
    if (!p->slots || !p->pieces || !p->arena)
        return err_no_memory(e, "reading a volume");
    for (uint32_t i = 0; i < p->slot_count; i++) {
        p->slots[i].pipeline = p;
        p->slots[i].data = p->arena + (size_t)i * chunk_size;
    }
    return 0;
}

int pipeline_new(const struct pipeline_options *options, struct pipeline **out, struct nacre_err *e)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned workers = options->workers ? options->workers : cores > 0 ? (unsigned)cores : 1;
    if (workers > WORKERS_MAX)
        workers = WORKERS_MAX;
    struct pipeline *p = calloc(1, sizeof *p);
    if (!p)
        return err_no_memory(e, "reading a volume");
    p->options = *options;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->freed, NULL);
    int rc = allocate(p, workers, e);
    while (!rc && p->thread_count < workers) {
        int error = pthread_create(&p->threads[p->thread_count], NULL, work, p);
        if (error)
            rc = err_errno(e, error, "starting a thread that hashes and compresses");
        else
            p->thread_count++;
    }
    if (rc) {
        pipeline_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    wait_until_idle(p);
    if (p->pieces)
        queue_close(p->pieces);
    for (unsigned i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    queue_free(p->pieces);
    if (p->arena)
        munmap(p->arena, p->arena_bytes);
    free(p->slots);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->freed);
    free(p);
}

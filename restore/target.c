/* SPDX-License-Identifier: Apache-2.0 */
/* What targets that can be written anywhere have in common: the memory on its way is bounded, one blob's
 * bytes are shared by all writes of them, and zeros are not written.
 *
 * A blob's memory begins with a header that counts who still needs it: the deliverer, and each operation
 * under way. It is used again and again: megabytes that one thread allocates and another frees would leave
 * the heaps of both in tatters. On a target that is known to be zero only the pieces of a blob that are not
 * are written, so that a volume comes back about as thin as it was, whatever its chunks. */
#include "restore/target.h"

#include <string.h>

#include "common/err.h"

#define BYTES_MAX (32u << 20)
#define OPERATIONS_MAX 64
#define PIECE (64u << 10)

struct plain {
    struct plain *next; /* of the spare ones */
    uint64_t capacity;
    atomic_uint users;
    uint8_t data[];
};

static struct plain *plain_of(void *data)
{
    return (struct plain *)((uint8_t *)data - offsetof(struct plain, data));
}

/* Powers of two, so that what one blob used fits the next. */
static uint64_t capacity_for(uint64_t size)
{
    uint64_t capacity = PIECE;
    while (capacity < size)
        capacity *= 2;
    return capacity;
}

/* With the mutex held: a spare one of that capacity, or NULL when one must be allocated, for which there is
 * room then. */
static struct plain *take_spare(struct random_target *target, uint64_t capacity)
{
    struct plain **at = &target->spare, *plain;
    while ((plain = *at) && plain->capacity != capacity)
        at = &plain->next;
    if (plain)
        *at = plain->next;
    while (!plain && target->spare && target->bytes + target->spare_bytes + capacity > BYTES_MAX) {
        struct plain *other = target->spare;
        target->spare = other->next;
        target->spare_bytes -= other->capacity;
        free(other);
    }
    if (plain)
        target->spare_bytes -= capacity;
    return plain;
}

static void *place(struct target *base, struct plan *plan, const struct plan_entry *entry,
                   struct nacre_err *e)
{
    (void)plan;
    struct random_target *target = (struct random_target *)base;
    uint64_t capacity = capacity_for(entry->blob.plain_length);
    pthread_mutex_lock(&target->mutex);
    while (target->bytes && target->bytes + capacity > BYTES_MAX)
        pthread_cond_wait(&target->done, &target->mutex);
    struct plain *plain = take_spare(target, capacity);
    target->bytes += capacity;
    pthread_mutex_unlock(&target->mutex);
    if (!plain && (plain = malloc(sizeof *plain + capacity)))
        plain->capacity = capacity;
    if (plain) {
        atomic_init(&plain->users, 1);
        return plain->data;
    }
    pthread_mutex_lock(&target->mutex);
    target->bytes -= capacity;
    pthread_cond_broadcast(&target->done);
    pthread_mutex_unlock(&target->mutex);
    err_no_memory(e, "a blob");
    return NULL;
}

static void release(struct random_target *target, void *data)
{
    struct plain *plain = plain_of(data);
    if (atomic_fetch_sub(&plain->users, 1) != 1)
        return;
    pthread_mutex_lock(&target->mutex);
    target->bytes -= plain->capacity;
    if (target->bytes + target->spare_bytes + plain->capacity <= BYTES_MAX) {
        plain->next = target->spare;
        target->spare = plain;
        target->spare_bytes += plain->capacity;
        plain = NULL;
    }
    pthread_cond_broadcast(&target->done);
    pthread_mutex_unlock(&target->mutex);
    free(plain);
}

static void drop(struct target *base, void *data)
{
    release((struct random_target *)base, data);
}

void random_begin(struct random_target *target, void *plain)
{
    if (plain)
        atomic_fetch_add(&plain_of(plain)->users, 1);
    pthread_mutex_lock(&target->mutex);
    while (target->operations == OPERATIONS_MAX)
        pthread_cond_wait(&target->done, &target->mutex);
    target->operations++;
    pthread_mutex_unlock(&target->mutex);
}

void random_end(struct random_target *target, void *plain)
{
    if (plain)
        release(target, plain);
    pthread_mutex_lock(&target->mutex);
    target->operations--;
    pthread_cond_broadcast(&target->done);
    pthread_mutex_unlock(&target->mutex);
}

void random_drain(struct random_target *target)
{
    pthread_mutex_lock(&target->mutex);
    while (target->operations)
        pthread_cond_wait(&target->done, &target->mutex);
    pthread_mutex_unlock(&target->mutex);
}

bool random_all_zero(const uint8_t *data, uint64_t size)
{
    return !size || (!data[0] && !memcmp(data, data + 1, size - 1));
}

/* The pieces (aligned in the image) of a blob that are not zeros, neighbours in one write. */
static int write_pieces(struct random_target *target, uint8_t *plain, uint64_t size, uint64_t dest,
                        struct nacre_err *e)
{
    struct run *run = target->target.run;
    for (uint64_t at = 0, from = 0; from < size; from = at) {
        bool zero = false;
        for (at = from; at < size;) {
            uint64_t end = at + PIECE - (dest + at) % PIECE;
            if (end > size)
                end = size;
            bool piece_zero = random_all_zero(plain + at, end - at);
            if (at == from)
                zero = piece_zero;
            else if (zero != piece_zero)
                break;
            at = end;
        }
        if (!zero && target->ops->write(target, plain, plain + from, dest + from, at - from, e) < 0)
            return -1;
        run_count(run, zero ? &run->hole : &run->written, at - from);
    }
    return 0;
}

static int deliver_one(struct random_target *target, const struct plan_entry *entry, uint8_t *plain,
                       bool zero, struct nacre_err *e)
{
    struct run *run = target->target.run;
    uint64_t size = entry->blob.plain_length;
    if (target->is_zero)
        return write_pieces(target, plain, size, entry->dest, e);
    if (zero ? target->ops->zero(target, entry->dest, size, e)
             : target->ops->write(target, plain, plain, entry->dest, size, e))
        return -1;
    run_count(run, zero ? &run->hole : &run->written, size);
    return 0;
}

static int deliver(struct target *base, struct plan *plan, const struct plan_entry *entries, size_t count,
                   void *plain, struct nacre_err *e)
{
    (void)plan;
    struct random_target *target = (struct random_target *)base;
    bool zero = !target->is_zero && random_all_zero(plain, entries->blob.plain_length);
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++)
        result = deliver_one(target, &entries[i], plain, zero, e);
    release(target, plain);
    return result;
}

void random_init(struct random_target *target, struct run *run, const struct random_target_ops *ops,
                 bool is_zero)
{
    *target = (struct random_target){.target = {.run = run, .place = place, .drop = drop, .deliver = deliver},
                                     .ops = ops,
                                     .is_zero = is_zero};
    pthread_mutex_init(&target->mutex, NULL);
    pthread_cond_init(&target->done, NULL);
}

void random_destroy(struct random_target *target)
{
    for (struct plain *next; target->spare; target->spare = next) {
        next = target->spare->next;
        free(target->spare);
    }
    pthread_cond_destroy(&target->done);
    pthread_mutex_destroy(&target->mutex);
}

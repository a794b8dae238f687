/* SPDX-License-Identifier: Apache-2.0 */
/* A block volume as a target: writes and zeros are on their way while more is fetched; an operation that
 * failed ends the restore. */
#include "restore/target.h"

#include <inttypes.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"

#define ZERO_STEP (64u << 20)
#define LOOK_STEP (1u << 20)

struct operation {
    struct nacre_block_op op; /* first */
    struct block_target *target;
    void *plain; /* NULL for a zero */
};

static const char *const doing[] = {
    [NACRE_BLOCK_OP_READ] = "reading",
    [NACRE_BLOCK_OP_WRITE] = "writing",
    [NACRE_BLOCK_OP_ZERO] = "zeroing",
};

static int op_error(struct nacre_err *e, const struct nacre_block_op *op, enum nacre_code code,
                    const char *message)
{
    return err_set(e, code, "%s %" PRIu64 " bytes at %" PRIu64 " of the target: %s", doing[op->kind],
                   op->length, op->offset, message ? message : err_code_name(code));
}

static void operation_done(struct nacre_block_op *op, enum nacre_code result, const char *message)
{
    struct operation *operation = (struct operation *)op;
    struct random_target *target = &operation->target->random;
    if (result != NACRE_OK) {
        struct nacre_err e;
        op_error(&e, op, result, message);
        run_fail(target->target.run, &e);
    }
    void *plain = operation->plain;
    free(operation);
    random_end(target, plain);
}

static int start(struct block_target *target, enum nacre_block_op_kind kind, void *plain, const uint8_t *data,
                 uint64_t offset, uint64_t length, struct nacre_err *e)
{
    struct operation *operation = malloc(sizeof *operation);
    if (!operation)
        return err_no_memory(e, "a write");
    *operation = (struct operation){
        .op = {.kind = kind,
               .offset = offset,
               .length = length,
               .buffer = (void *)data,
               .done = operation_done},
        .target = target,
        .plain = plain,
    };
    random_begin(&target->random, plain);
    if (target->driver->block->submit(target->block, &operation->op, e) == 0)
        return 0; /* cppcheck-suppress memleak; operation_done frees it */
    free(operation);
    random_end(&target->random, plain);
    return err_wrap(e, "%s %" PRIu64 " bytes at %" PRIu64 " of the target", doing[kind], length, offset);
}

static int block_write(struct random_target *base, void *plain, const uint8_t *data, uint64_t offset,
                       uint64_t length, struct nacre_err *e)
{
    return start((struct block_target *)base, NACRE_BLOCK_OP_WRITE, plain, data, offset, length, e);
}

static int block_zero(struct random_target *base, uint64_t offset, uint64_t length, struct nacre_err *e)
{
    for (uint64_t step; length; offset += step, length -= step) {
        step = length < ZERO_STEP ? length : ZERO_STEP;
        if (run_failed(base->target.run))
            return 0; /* its error is known */
        if (start((struct block_target *)base, NACRE_BLOCK_OP_ZERO, NULL, NULL, offset, step, e) < 0)
            return -1;
    }
    return 0;
}

/* A read that its caller waits for. */
struct waited {
    struct nacre_block_op op; /* first */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
    int result;
    struct nacre_err *e;
};

static void waited_done(struct nacre_block_op *op, enum nacre_code result, const char *message)
{
    struct waited *waited = (struct waited *)op;
    if (result != NACRE_OK)
        waited->result = op_error(waited->e, op, result, message);
    pthread_mutex_lock(&waited->mutex);
    waited->done = true;
    pthread_cond_signal(&waited->cond);
    pthread_mutex_unlock(&waited->mutex);
}

static int block_read(struct random_target *base, uint64_t offset, uint64_t length, void *data,
                      struct nacre_err *e)
{
    struct block_target *target = (struct block_target *)base;
    struct waited waited = {
        .op = {.kind = NACRE_BLOCK_OP_READ,
               .offset = offset,
               .length = length,
               .buffer = data,
               .done = waited_done},
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .cond = PTHREAD_COND_INITIALIZER,
        .e = e,
    };
    if (target->driver->block->submit(target->block, &waited.op, e) < 0)
        return err_wrap(e, "reading %" PRIu64 " bytes at %" PRIu64 " of the target", length, offset);
    pthread_mutex_lock(&waited.mutex);
    while (!waited.done)
        pthread_cond_wait(&waited.cond, &waited.mutex);
    pthread_mutex_unlock(&waited.mutex);
    return waited.result;
}

static int block_extents(struct random_target *base, uint64_t offset, uint64_t length,
                         nacre_extent_entry *entry, void *ctx, struct nacre_err *e)
{
    struct block_target *target = (struct block_target *)base;
    return target->driver->block->extents(target->block, NULL, offset, length, entry, ctx, e);
}

static const struct random_target_ops block_ops = {
    .write = block_write, .zero = block_zero, .read = block_read, .extents = block_extents};

void block_target_init(struct block_target *target, struct run *run, struct nacre_driver *driver,
                       struct nacre_block *block)
{
    random_init(&target->random, run, &block_ops, run->options->target_is_zero);
    target->driver = driver;
    target->block = block;
    target->random.tail = driver->block->bytes(block) - image_bytes(run->image);
}

static int block_look_for_data(struct random_target *base, uint64_t offset, uint64_t length,
                               struct nacre_err *e)
{
    struct run *run = base->target.run;
    CLEANUP(mem_free) uint8_t *data = malloc(LOOK_STEP);
    if (!data)
        return err_no_memory(e, "comparing");
    for (uint64_t step; length && !atomic_load(&run->differs); offset += step, length -= step) {
        step = length < LOOK_STEP ? length : LOOK_STEP;
        if (cancel_check(e) < 0 || block_read(base, offset, step, data, e) < 0)
            return -1;
        if (!random_all_zero(data, step))
            atomic_store(&run->differs, true);
    }
    return 0;
}

static const struct random_target_ops compare_ops = {
    .zero = block_look_for_data, .read = block_read, .extents = block_extents};

void block_target_init_compare(struct block_target *target, struct run *run, struct nacre_driver *driver,
                               struct nacre_block *block)
{
    block_target_init(target, run, driver, block);
    target->random.ops = &compare_ops;
    target->random.is_zero = false;
    target->random.compare_only = true;
}

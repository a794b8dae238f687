/* SPDX-License-Identifier: Apache-2.0 */
/* Block handles: librbd's own asynchronous operations, counted, so that close can wait for them.
 *
 * A handle for writing holds the image's exclusive lock by hand, which no other client is given while we
 * live; images without that feature are only protected by the look at who has them open. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define TRANSFER_MAX (UINT64_C(1) << 30)
#define CLOSE_TIMEOUT 2 /* seconds */

struct nacre_block {
    struct place place;
    rbd_image_t image;
    uint64_t bytes;
    bool writable;
    pthread_mutex_t mutex;
    pthread_cond_t none_left;
    uint64_t in_flight; /* under mutex */
    atomic_bool unanswered;
};

struct flight {
    struct nacre_block *block;
    struct nacre_block_op *op;
};

static void landed(struct nacre_block *block)
{
    pthread_mutex_lock(&block->mutex);
    if (--block->in_flight == 0)
        pthread_cond_broadcast(&block->none_left);
    pthread_mutex_unlock(&block->mutex);
}

/* In a thread of librbd. */
static void complete(rbd_completion_t completion, void *arg)
{
    struct flight *flight = arg;
    struct nacre_block *block = flight->block;
    struct nacre_block_op *op = flight->op;
    ssize_t result = rbd_aio_get_return_value(completion);
    rbd_aio_release(completion);
    free(flight);
    if (result < 0) {
        if (result == -ETIMEDOUT)
            block->unanswered = true;
        struct nacre_err e;
        char what[96];
        snprintf(what, sizeof what, "cannot %s %" PRIu64 " bytes at %" PRIu64,
                 op->kind == NACRE_BLOCK_OP_READ ? "read" : "write", op->length, op->offset);
        place_fail(&block->place, (int)result, &e, what);
        op->done(op, e.code, e.message);
    } else {
        if (op->kind == NACRE_BLOCK_OP_READ && (uint64_t)result < op->length)
            memset((char *)op->buffer + result, 0, op->length - (uint64_t)result);
        op->done(op, NACRE_OK, "");
    }
    landed(block);
}

static int check_op(const struct nacre_block *block, const struct nacre_block_op *op, struct nacre_err *e)
{
    if (op->offset > block->bytes || op->length > block->bytes - op->offset)
        return err_set(e, NACRE_INVALID,
                       PLACE_FORMAT ": %" PRIu64 " bytes at %" PRIu64 " are beyond its end at %" PRIu64,
                       PLACE_ARGS(&block->place), op->length, op->offset, block->bytes);
    if (op->kind != NACRE_BLOCK_OP_READ && !block->writable)
        return err_set(e, NACRE_INVALID, PLACE_FORMAT " is open for reading only", PLACE_ARGS(&block->place));
    if (op->kind != NACRE_BLOCK_OP_ZERO && op->length > TRANSFER_MAX)
        return err_set(e, NACRE_INVALID, PLACE_FORMAT ": %" PRIu64 " bytes are too many for one operation",
                       PLACE_ARGS(&block->place), op->length);
    return 0;
}

static int submit(struct nacre_block *block, struct nacre_block_op *op, struct nacre_err *e)
{
    if (check_op(block, op, e) < 0)
        return -1;
    if (!op->length) {
        op->done(op, NACRE_OK, "");
        return 0;
    }
    struct flight *flight = malloc(sizeof *flight);
    if (!flight)
        return err_no_memory(e, "a block operation");
    *flight = (struct flight){block, op};
    rbd_completion_t completion;
    int error = rbd_aio_create_completion(flight, complete, &completion);
    if (error < 0) {
        free(flight);
        return place_fail(&block->place, error, e, "cannot begin an operation");
    }
    pthread_mutex_lock(&block->mutex);
    block->in_flight++;
    pthread_mutex_unlock(&block->mutex);
    if (op->kind == NACRE_BLOCK_OP_READ)
        error = rbd_aio_read(block->image, op->offset, op->length, op->buffer, completion);
    else if (op->kind == NACRE_BLOCK_OP_WRITE)
        error = rbd_aio_write(block->image, op->offset, op->length, op->buffer, completion);
    else
        error = rbd_aio_write_zeroes(block->image, op->offset, op->length, completion, 0, 0);
    if (error >= 0)
        return 0;
    rbd_aio_release(completion);
    free(flight);
    landed(block);
    return place_fail(&block->place, error, e, "cannot begin an operation");
}

static void close_block(struct nacre_block *block)
{
    pthread_mutex_lock(&block->mutex);
    while (block->in_flight)
        pthread_cond_wait(&block->none_left, &block->mutex);
    pthread_mutex_unlock(&block->mutex);
    if (block->unanswered) /* giving the lock back would wait for the cluster again, several times over */
        driver_set_timeout(block->place.driver, CLOSE_TIMEOUT);
    if (block->image)
        rbd_close(block->image);
    if (block->unanswered)
        driver_set_timeout(block->place.driver, block->place.driver->timeout);
    place_close(&block->place);
    pthread_cond_destroy(&block->none_left);
    pthread_mutex_destroy(&block->mutex);
    free(block);
}

static int become_writer(struct nacre_block *block, struct nacre_err *e)
{
    {
        CLEANUP(image_close) rbd_image_t look = NULL;
        if (image_open(&block->place, NULL, false, &look, e) < 0 ||
            image_check_unused(&block->place, look, e) < 0)
            return -1;
    }
    uint64_t features;
    if (image_open(&block->place, NULL, true, &block->image, e) < 0)
        return -1;
    int error = rbd_get_features(block->image, &features);
    if (error >= 0 && (features & RBD_FEATURE_EXCLUSIVE_LOCK))
        error = rbd_lock_acquire(block->image, RBD_LOCK_MODE_EXCLUSIVE);
    if (error == -EBUSY || error == -EROFS)
        return err_set(e, NACRE_BUSY, PLACE_FORMAT " is in use: another client took its lock just now",
                       PLACE_ARGS(&block->place));
    return error < 0 ? place_fail(&block->place, error, e, "cannot take its lock") : 0;
}

static int open_image(struct nacre_block *block, struct rbd_driver *driver, const char *path,
                      const char *snap, struct nacre_err *e)
{
    if (place_open(driver, path, true, &block->place, e) < 0)
        return -1;
    if (block->writable && snap)
        return err_set(e, NACRE_INVALID, PLACE_FORMAT "@%.128s: a snapshot cannot be written",
                       PLACE_ARGS(&block->place), snap);
    if ((snap && snapshot_check_name(snap, e) < 0) ||
        (block->writable ? become_writer(block, e)
                         : image_open(&block->place, snap, false, &block->image, e)) < 0)
        return -1;
    int error = rbd_get_size(block->image, &block->bytes);
    return error < 0 ? place_fail(&block->place, error, e, "cannot tell its size") : 0;
}

static int open_block(struct nacre_driver *driver, const char *path, const char *snap,
                      enum nacre_block_mode mode, struct nacre_block **out, struct nacre_err *e)
{
    struct nacre_block *block = calloc(1, sizeof *block);
    if (!block)
        return err_no_memory(e, "a block handle");
    pthread_mutex_init(&block->mutex, NULL);
    pthread_cond_init(&block->none_left, NULL);
    block->writable = mode == NACRE_BLOCK_WRITE;
    if (open_image(block, rbd_driver_of(driver), path, snap, e) < 0) {
        close_block(block);
        return -1;
    }
    *out = block;
    return 0;
}

static uint64_t bytes(struct nacre_block *block)
{
    return block->bytes;
}

static int extents(struct nacre_block *block, const char *base, uint64_t offset, uint64_t length,
                   nacre_extent_entry *entry, void *ctx, struct nacre_err *e)
{
    if (base && snapshot_check_name(base, e) < 0)
        return -1;
    return image_extents(&block->place, block->image, block->bytes, base, offset, length, entry, ctx, e);
}

static int flush(struct nacre_block *block, struct nacre_err *e)
{
    int error = block->writable ? rbd_flush(block->image) : 0;
    return error < 0 ? place_fail(&block->place, error, e, "cannot make its data durable") : 0;
}

const struct nacre_block_ops rbd_block = {
    .size = sizeof(struct nacre_block_ops),
    .open = open_block,
    .close = close_block,
    .bytes = bytes,
    .extents = extents,
    .submit = submit,
    .flush = flush,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of pointers between threads: what joins the stages of a pipeline and bounds its memory. */
#ifndef COMMON_QUEUE_H
#define COMMON_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"

struct queue;

/* NULL when out of memory. capacity ≥ 1. */
struct queue *queue_new(size_t capacity);
/* The items still in it are the caller's to free before. */
void queue_free(struct queue *q);

/* Waits for room; false when the queue is closed: the item is still the caller's. */
bool queue_push(struct queue *q, void *item);
/* Waits for an item; NULL when the queue is closed and empty. */
void *queue_pop(struct queue *q);
/* NULL when there is none at the moment. */
void *queue_try_pop(struct queue *q);
/* No more pushes; pops go on until it is empty. Idempotent. */
void queue_close(struct queue *q);

CLEANUP_DEFINE(struct queue *, queue_free)

#endif

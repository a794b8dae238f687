/* SPDX-License-Identifier: Apache-2.0 */
/* A ring, a mutex, two conditions. */
#include "common/queue.h"

#include <pthread.h>

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_full;
    pthread_cond_t not_empty;
    size_t capacity;
    size_t first;
    size_t count;
    bool closed;
    void *items[];
};

struct queue *queue_new(size_t capacity)
{
    struct queue *q = calloc(1, sizeof *q + capacity * sizeof *q->items);
    if (!q)
        return NULL;
    q->capacity = capacity;
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->not_full, NULL);
    pthread_cond_init(&q->not_empty, NULL);
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->not_empty);
    pthread_cond_destroy(&q->not_full);
    pthread_mutex_destroy(&q->mutex);
    free(q);
}

bool queue_push(struct queue *q, void *item)
{
    pthread_mutex_lock(&q->mutex);
    while (q->count == q->capacity && !q->closed)
        pthread_cond_wait(&q->not_full, &q->mutex);
    bool pushed = !q->closed;
    if (pushed) {
        q->items[(q->first + q->count++) % q->capacity] = item;
        pthread_cond_signal(&q->not_empty);
    }
    pthread_mutex_unlock(&q->mutex);
    return pushed;
}

static void *take(struct queue *q)
{
    if (!q->count)
        return NULL;
    void *item = q->items[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->count--;
    pthread_cond_signal(&q->not_full);
    return item;
}

void *queue_pop(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    while (!q->count && !q->closed)
        pthread_cond_wait(&q->not_empty, &q->mutex);
    void *item = take(q);
    pthread_mutex_unlock(&q->mutex);
    return item;
}

void *queue_try_pop(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    void *item = take(q);
    pthread_mutex_unlock(&q->mutex);
    return item;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->closed = true;
    pthread_cond_broadcast(&q->not_full);
    pthread_cond_broadcast(&q->not_empty);
    pthread_mutex_unlock(&q->mutex);
}

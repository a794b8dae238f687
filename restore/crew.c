/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a restore. */
#include "restore/crew.h"

#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/queue.h"

#define CONNECTIONS_DEFAULT 8
#define WORKERS_MAX 64

struct crew {
    struct run *run;
    struct queue *queue;
    size_t count;
    pthread_t threads[WORKERS_MAX];
    struct worker workers[WORKERS_MAX];
};

/* What a thread begins with. */
struct start {
    struct crew *crew;
    struct worker *worker;
};

void batch_init(struct batch *batch)
{
    batch->pending = 0;
    pthread_mutex_init(&batch->mutex, NULL);
    pthread_cond_init(&batch->cond, NULL);
}

void batch_destroy(struct batch *batch)
{
    pthread_cond_destroy(&batch->cond);
    pthread_mutex_destroy(&batch->mutex);
}

static void batch_add(struct batch *batch, int count)
{
    pthread_mutex_lock(&batch->mutex);
    batch->pending += (size_t)count;
    if (!batch->pending)
        pthread_cond_broadcast(&batch->cond);
    pthread_mutex_unlock(&batch->mutex);
}

void batch_wait(struct batch *batch)
{
    pthread_mutex_lock(&batch->mutex);
    while (batch->pending)
        pthread_cond_wait(&batch->cond, &batch->mutex);
    pthread_mutex_unlock(&batch->mutex);
}

static void *work(void *ctx)
{
    struct start start = *(struct start *)ctx;
    struct run *run = start.crew->run;
    struct job *job;
    free(ctx);
    while ((job = queue_pop(start.crew->queue))) {
        struct nacre_err e;
        if (!run_failed(run) && (cancel_check(&e) < 0 || job->work(start.worker, job, &e) < 0))
            run_fail(run, &e);
        batch_add(job->batch, -1);
        free(job);
    }
    return NULL;
}

/* A thread has one request under way, and opens the blobs of it as they arrive. */
static unsigned worker_count(const struct restore_options *options)
{
    unsigned count = options->workers       ? options->workers
                     : options->connections ? options->connections
                                            : CONNECTIONS_DEFAULT;
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static int start_worker(struct crew *crew, struct target *target, struct nacre_err *e)
{
    struct worker *worker = &crew->workers[crew->count];
    *worker = (struct worker){.run = crew->run, .target = target};
    struct start *start = malloc(sizeof *start);
    if (!start)
        return err_no_memory(e, "a thread");
    *start = (struct start){crew, worker};
    int status = pthread_create(&crew->threads[crew->count], NULL, work, start);
    if (status) {
        free(start);
        return err_errno(e, status, "starting a thread");
    }
    crew->count++;
    return 0;
}

int crew_new(struct run *run, struct target *target, struct crew **out, struct nacre_err *e)
{
    unsigned count = worker_count(run->options);
    CLEANUP(crew_free) struct crew *crew = calloc(1, sizeof *crew);
    if (!crew || !(crew->queue = queue_new((size_t)2 * count)))
        return err_no_memory(e, "the threads of a restore");
    crew->run = run;
    for (unsigned i = 0; i < count; i++)
        if (start_worker(crew, target, e) < 0)
            return -1;
    *out = MOVE(crew);
    return 0;
}

void crew_free(struct crew *crew)
{
    if (!crew)
        return;
    if (crew->queue)
        queue_close(crew->queue);
    for (size_t i = 0; i < crew->count; i++) {
        pthread_join(crew->threads[i], NULL);
        buf_free(&crew->workers[i].buffer);
    }
    queue_free(crew->queue);
    free(crew);
}

unsigned crew_size(const struct crew *crew)
{
    return (unsigned)crew->count;
}

int crew_give(struct crew *crew, const struct job *job, struct nacre_err *e)
{
    struct job *copy = malloc(sizeof *copy);
    if (!copy)
        return err_no_memory(e, "a restore's next step");
    *copy = *job;
    batch_add(job->batch, 1);
    queue_push(crew->queue, copy); /* closed only by crew_free */
    return 0;
}

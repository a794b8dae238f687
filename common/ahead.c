/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ahead.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/err.h"

#define WINDOW (2 * (size_t)AHEAD_THREADS)

struct slot {
    bool done;
    int status;
    void *result;
    struct nacre_err error;
};

struct run {
    const struct ahead *job;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t next;  /* item to begin */
    size_t taken; /* items before this one */
    bool stop;
    struct slot slots[WINDOW]; /* of item i: i % WINDOW */
};

static void do_item(struct run *run, size_t i)
{
    struct slot *slot = &run->slots[i % WINDOW];
    slot->result = NULL;
    slot->error = (struct nacre_err){0};
    slot->status = run->job->work(run->job->ctx, i, &slot->result, &slot->error);
}

static void *worker(void *ctx)
{
    struct run *run = ctx;
    pthread_mutex_lock(&run->mutex);
    while (!run->stop && run->next < run->job->count) {
        if (run->next >= run->taken + WINDOW) {
            pthread_cond_wait(&run->changed, &run->mutex);
            continue;
        }
        size_t i = run->next++;
        pthread_mutex_unlock(&run->mutex);
        do_item(run, i);
        pthread_mutex_lock(&run->mutex);
        run->slots[i % WINDOW].done = true;
        pthread_cond_broadcast(&run->changed);
    }
    pthread_mutex_unlock(&run->mutex);
    return NULL;
}

/* Signals are the main thread's business. */
static unsigned start(struct run *run, pthread_t *threads)
{
    sigset_t all, before;
    unsigned count = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (count < AHEAD_THREADS && count < run->job->count &&
           pthread_create(&threads[count], NULL, worker, run) == 0)
        count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return count;
}

static void wait_for(struct run *run, size_t i)
{
    pthread_mutex_lock(&run->mutex);
    while (!run->slots[i % WINDOW].done)
        pthread_cond_wait(&run->changed, &run->mutex);
    pthread_mutex_unlock(&run->mutex);
}

static int take_all(struct run *run, bool alone)
{
    const struct ahead *job = run->job;
    for (size_t i = 0; i < job->count; i++) {
        struct slot *slot = &run->slots[i % WINDOW];
        if (alone)
            do_item(run, i);
        else
            wait_for(run, i);
        void *result = slot->result;
        slot->result = NULL;
        int stop = job->take(job->ctx, i, slot->status < 0 ? NULL : result, &slot->error);
        pthread_mutex_lock(&run->mutex);
        slot->done = false;
        run->taken = i + 1;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->mutex);
        if (stop)
            return stop;
    }
    return 0;
}

int ahead_run(const struct ahead *job, struct nacre_err *e)
{
    pthread_t threads[AHEAD_THREADS];
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return err_no_memory(e, "what is read ahead");
    run->job = job;
    pthread_mutex_init(&run->mutex, NULL);
    pthread_cond_init(&run->changed, NULL);
    unsigned started = job->count > 1 ? start(run, threads) : 0;
    int result = take_all(run, started == 0);
    pthread_mutex_lock(&run->mutex);
    run->stop = true;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mutex);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < WINDOW; i++)
        if (run->slots[i].result)
            job->drop(run->slots[i].result);
    pthread_cond_destroy(&run->changed);
    pthread_mutex_destroy(&run->mutex);
    free(run);
    return result;
}

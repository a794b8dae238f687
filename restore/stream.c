/* SPDX-License-Identifier: Apache-2.0 */
/* Restoring in order, to something that cannot seek. Two windows of the image take turns: while one is
 * written, the crew fetches the blobs of the other straight into their places. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/cancel.h"
#include "common/err.h"
#include "restore/crew.h"

#define WINDOW_BYTES (32u << 20) /* two of them: 64 MiB keep eight connections of 50 ms busy */
#define WINDOW_ENTRIES (16u << 10)
#define WRITE_STEP (256u << 10)

struct window {
    struct plan plan; /* first */
    struct batch batch;
    uint8_t *data;
    size_t capacity;
};

static void *place(struct target *target, struct plan *plan, const struct plan_entry *entry,
                   struct nacre_err *e)
{
    (void)target;
    (void)e;
    const struct window *window = (const struct window *)plan;
    return window->data + (entry->dest - plan->start);
}

static void drop(struct target *target, void *plain)
{
    (void)target;
    (void)plain;
}

static int deliver(struct target *target, struct plan *plan, const struct plan_entry *entries, size_t count,
                   void *plain, struct nacre_err *e)
{
    for (size_t i = 1; i < count; i++)
        memcpy(place(target, plan, &entries[i], e), plain, entries[i].blob.plain_length);
    return 0;
}

/* Plans what comes next and sets the crew on it; *end at the end of the image. */
static int begin(struct crew *crew, struct run *run, struct plan_cursor *cursor, struct window *window,
                 bool *end, struct nacre_err *e)
{
    struct plan *plan = &window->plan;
    if (plan_next(cursor, WINDOW_ENTRIES, WINDOW_BYTES, plan, e) < 0)
        return -1;
    size_t bytes = plan->end - plan->start;
    *end = !bytes;
    if (bytes > window->capacity) {
        free(window->data);
        window->capacity = bytes > WINDOW_BYTES ? bytes : WINDOW_BYTES;
        window->data = malloc(window->capacity);
        if (!window->data) {
            window->capacity = 0;
            return err_no_memory(e, "a window of the stream");
        }
    }
    for (size_t i = 0; i < plan->hole_count; i++)
        memset(window->data + (plan->holes[i].offset - plan->start), 0, plan->holes[i].length);
    plan_sort(plan);
    for (size_t i = 0; i < plan->count; i++)
        run->packs += i == 0 || plan->entries[i].pack != plan->entries[i - 1].pack;
    return fetch_plan(crew, plan, &window->batch, e);
}

static int write_all(int fd, const uint8_t *data, size_t size, struct nacre_err *e)
{
    while (size) {
        ssize_t written = write(fd, data, size < WRITE_STEP ? size : WRITE_STEP);
        if (cancel_check(e) < 0)
            return -1;
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EPIPE)
            return err_set(e, NACRE_FAILED, "who reads the output closed it before its end");
        if (written < 0)
            return err_errno(e, errno, "writing to the output");
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

static int stream(struct crew *crew, struct run *run, struct window windows[2], int fd, struct nacre_err *e)
{
    struct plan_cursor cursor = {.image = run->image, .index = run->index};
    bool end = false;
    for (unsigned turn = 0; !end; turn++) {
        if (begin(crew, run, &cursor, &windows[turn & 1], &end, e) < 0)
            return -1;
        if (!turn)
            continue;
        struct window *ready = &windows[(turn & 1) ^ 1];
        batch_wait(&ready->batch);
        if (run_failed(run))
            return 0;
        size_t bytes = ready->plan.end - ready->plan.start;
        if (write_all(fd, ready->data, bytes, e) < 0)
            return -1;
        run_count(run, &run->written, bytes);
    }
    return 0;
}

/* SIGPIPE is kept from this thread, so that a closed pipe is an error like any other. */
static void restore_stream(struct run *run, int fd)
{
    struct nacre_err e;
    struct target target = {.run = run, .place = place, .drop = drop, .deliver = deliver};
    struct window windows[2] = {0};
    CLEANUP(crew_free) struct crew *crew = NULL;
    sigset_t pipe, pending, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    for (int i = 0; i < 2; i++)
        batch_init(&windows[i].batch);
    if (crew_new(run, &target, &crew, &e) < 0 || stream(crew, run, windows, fd, &e) < 0)
        run_fail(run, &e);
    crew_free(MOVE(crew));
    for (int i = 0; i < 2; i++) {
        batch_destroy(&windows[i].batch);
        plan_free(&windows[i].plan);
        free(windows[i].data);
    }
    if (!sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR) {
        }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int restore_to_stream(struct repo *repo, struct index *index, struct image *image, int fd,
                      const struct restore_options *options, struct restore_progress *progress,
                      struct restore_stats *stats, struct nacre_err *e)
{
    struct run run;
    run_begin(&run, repo, index, image, options, progress);
    restore_stream(&run, fd);
    return run_end(&run, stats, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that looks at two counters. Its mutex covers the bar on the screen; the log takes it, through
 * log_set_screen, to put a line where the bar stands. The thread never logs, so the two cannot lock each
 * other out. */
#include "cli/progress.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "cli/quantity.h"
#include "common/log.h"
#include "common/timestamp.h"

#define BAR_WIDTH 24
#define LINE_SECONDS 10
#define REDRAW_MS 200
#define RATE_SECONDS 5.0 /* over which the rate is smoothed */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stop, terminal, drawn;
    struct progress_source source;
    int64_t started, looked;
    uint64_t looked_done;
    double rate;
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void count_line(const struct progress_view *v, char out[PROGRESS_LINE_SIZE])
{
    if (v->total)
        snprintf(out, PROGRESS_LINE_SIZE, "%.100s: %.100s, %llu of %llu", v->what, v->counted,
                 (unsigned long long)v->done, (unsigned long long)v->total);
    else
        snprintf(out, PROGRESS_LINE_SIZE, "%.100s: %.100s", v->what, v->counted);
}

static void byte_line(const struct progress_view *v, char out[PROGRESS_LINE_SIZE])
{
    char done[QUANTITY_SIZE], total[QUANTITY_SIZE], rate[QUANTITY_SIZE], left[QUANTITY_SIZE] = "";
    char bar[BAR_WIDTH + 4] = "", percent[8] = "";
    size_format(v->done, done);
    size_format(v->total, total);
    size_format(v->rate > 0 ? (uint64_t)v->rate : 0, rate);
    if (v->total) {
        double part = v->done < v->total ? (double)v->done / (double)v->total : 1;
        int filled = (int)(part * BAR_WIDTH);
        snprintf(percent, sizeof percent, "%3d%% ", (int)(part * 100));
        snprintf(bar, sizeof bar, "[%.*s%*s] ", filled, "########################", BAR_WIDTH - filled, "");
        if (v->rate > 1 && v->done < v->total)
            duration_format((uint64_t)((double)(v->total - v->done) / v->rate), left);
    }
    bool narrow = v->columns && v->columns < 100;
    snprintf(out, PROGRESS_LINE_SIZE, "%.100s: %s%s%s of %s, %s/s%s%s", v->what, narrow ? "" : bar, percent,
             done, total, rate, *left ? ", left " : "", left);
}

void progress_line(const struct progress_view *v, char out[PROGRESS_LINE_SIZE])
{
    if (v->counted)
        count_line(v, out);
    else
        byte_line(v, out);
    if (v->columns && v->columns <= strlen(out))
        out[v->columns - 1] = 0;
}

static unsigned terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

/* Called with the mutex held. */
static void erase(void)
{
    if (state.drawn)
        fputs("\r\033[K", stderr);
    state.drawn = false;
}

static void draw(void)
{
    int64_t now = timestamp_elapsed();
    uint64_t done = atomic_load(state.source.done);
    double since = (double)(now - state.looked) / 1e9;
    if (since >= 0.1) {
        double current = done > state.looked_done ? (double)(done - state.looked_done) / since : 0;
        double weight = 1 - exp(-since / RATE_SECONDS);
        state.rate = state.looked == state.started ? current : state.rate + weight * (current - state.rate);
        state.looked = now;
        state.looked_done = done;
    }
    struct progress_view view = {.what = state.source.what,
                                 .counted = state.source.counted ? atomic_load(state.source.counted) : NULL,
                                 .done = done,
                                 .total = atomic_load(state.source.total),
                                 .seconds = (double)(now - state.started) / 1e9,
                                 .rate = state.rate,
                                 .columns = state.terminal ? terminal_columns() : 0};
    char line[PROGRESS_LINE_SIZE];
    progress_line(&view, line);
    fprintf(stderr, state.terminal ? "\r%s\033[K" : "%s\n", line);
    fflush(stderr);
    state.drawn = state.terminal;
}

static void screen_clear(void)
{
    pthread_mutex_lock(&state.mutex);
    erase();
    pthread_mutex_unlock(&state.mutex);
}

static void screen_redraw(void)
{
    pthread_mutex_lock(&state.mutex);
    if (state.running && !state.stop && state.terminal)
        draw();
    pthread_mutex_unlock(&state.mutex);
}

static void *run(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&state.mutex);
    while (!state.stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        uint64_t ms = state.terminal ? REDRAW_MS : LINE_SECONDS * 1000;
        until.tv_nsec += (long)(ms % 1000) * 1000000;
        until.tv_sec += (time_t)(ms / 1000) + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_cond_timedwait(&state.wake, &state.mutex, &until) != 0 && !state.stop)
            draw();
    }
    erase();
    pthread_mutex_unlock(&state.mutex);
    return NULL;
}

void progress_start(const struct cli *cli, const struct progress_source *source)
{
    if (cli->quiet || state.running)
        return;
    state.source = *source;
    state.stop = state.drawn = false;
    state.terminal = isatty(STDERR_FILENO);
    state.started = state.looked = timestamp_elapsed();
    state.looked_done = 0;
    state.rate = 0;
    if (pthread_create(&state.thread, NULL, run, NULL) != 0)
        return; /* no bar: nothing is lost */
    state.running = true;
    log_set_screen(screen_clear, screen_redraw);
}

void progress_stop(void)
{
    if (!state.running)
        return;
    log_set_screen(NULL, NULL);
    pthread_mutex_lock(&state.mutex);
    state.stop = true;
    pthread_cond_signal(&state.wake);
    pthread_mutex_unlock(&state.mutex);
    pthread_join(state.thread, NULL);
    state.running = false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The log: one mutex, so that lines do not mix and a receiver needs none of its own. */
#include "common/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static enum nacre_log_level shown = NACRE_LOG_WARNING;
static void (*screen_clear)(void);
static void (*screen_redraw)(void);
static log_receiver *receiver_call;
static void *receiver_ctx;
static void (*forward)(enum nacre_log_level, const char *);

static void show(enum nacre_log_level level, const char *message)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", "debug: "};
    if (screen_clear)
        screen_clear();
    fprintf(stderr, "%s%s\n", prefix[level], message);
    if (screen_redraw)
        screen_redraw();
}

void log_message(enum nacre_log_level level, const char *message)
{
    pthread_mutex_lock(&mutex);
    if (forward) {
        forward(level, message);
    } else {
        if (level <= shown)
            show(level, message);
        if (receiver_call && level <= NACRE_LOG_INFO)
            receiver_call(receiver_ctx, level, message);
    }
    pthread_mutex_unlock(&mutex);
}

static void log_format(enum nacre_log_level level, const char *format, va_list args)
{
    char message[NACRE_MESSAGE_SIZE + 512];
    vsnprintf(message, sizeof message, format, args);
    log_message(level, message);
}

#define LOG_FUNCTION(name, level)                                                                            \
    void name(const char *format, ...)                                                                       \
    {                                                                                                        \
        va_list args;                                                                                        \
        va_start(args, format);                                                                              \
        log_format(level, format, args);                                                                     \
        va_end(args);                                                                                        \
    }

LOG_FUNCTION(log_error, NACRE_LOG_ERROR)
LOG_FUNCTION(log_warning, NACRE_LOG_WARNING)
LOG_FUNCTION(log_info, NACRE_LOG_INFO)
LOG_FUNCTION(log_debug, NACRE_LOG_DEBUG)

void log_set_level(enum nacre_log_level level)
{
    pthread_mutex_lock(&mutex);
    shown = level;
    pthread_mutex_unlock(&mutex);
}

void log_set_screen(void (*clear)(void), void (*redraw)(void))
{
    pthread_mutex_lock(&mutex);
    screen_clear = clear;
    screen_redraw = redraw;
    pthread_mutex_unlock(&mutex);
}

void log_set_receiver(log_receiver *receiver, void *ctx)
{
    pthread_mutex_lock(&mutex);
    receiver_call = receiver;
    receiver_ctx = ctx;
    pthread_mutex_unlock(&mutex);
}

void log_forward(void (*log)(enum nacre_log_level, const char *))
{
    pthread_mutex_lock(&mutex);
    forward = log;
    pthread_mutex_unlock(&mutex);
}

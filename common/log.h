/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to people: one line each, to standard error and to at most one further receiver (a job's log).
 * Thread-safe. Never pass secrets. A plugin is linked with a copy of its own, which log_forward points at
 * the host's. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <nacre/plugin.h>

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line of a level, as it is: what a plugin's nacre_config.log calls in the host. */
void log_message(enum nacre_log_level level, const char *message);

/* What standard error shows: up to this level. NACRE_LOG_WARNING at first. */
void log_set_level(enum nacre_log_level level);

/* Called around each line on standard error, so that a progress bar can step aside. NULL = none. */
void log_set_screen(void (*clear)(void), void (*redraw)(void));

typedef void log_receiver(void *ctx, enum nacre_log_level level, const char *message);

/* Gets every message up to NACRE_LOG_INFO as well, under the log's mutex. NULL = none. */
void log_set_receiver(log_receiver *receiver, void *ctx);

/* In a plugin: all messages go to config->log from now on. */
void log_forward(void (*log)(enum nacre_log_level level, const char *message));

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The job's log is a receiver of the program's: what people saw on the terminal is what the catalogue keeps.
 */
#include "cli/job_log.h"

#include <string.h>

#include "cli/output.h"
#include "common/log.h"
#include "common/timestamp.h"

static void receive(void *ctx, enum nacre_log_level level, const char *message)
{
    static const char *const prefix[] = {"error: ", "warning: ", "", ""};
    struct job_log *log = ctx;
    if (level <= NACRE_LOG_WARNING) {
        json_t *list = level == NACRE_LOG_ERROR ? log->errors : log->warnings;
        size_t *count = level == NACRE_LOG_ERROR ? &log->error_count : &log->warning_count;
        if ((*count)++ < JOB_LOG_LINES_MAX)
            json_array_append_new(list, output_text(message));
    }
    if (log->text.size > JOB_LOG_BYTES_MAX) {
        if (!log->cut)
            buf_string(&log->text, "(the log is cut here: it grew too long)\n");
        log->cut = true;
        return;
    }
    char now[TIMESTAMP_SIZE];
    timestamp_format_seconds(timestamp_now(), now);
    buf_printf(&log->text, "%s %s%s\n", now, prefix[level], message);
}

void job_log_start(struct job_log *log)
{
    *log = (struct job_log){.errors = json_array(), .warnings = json_array()};
    log_set_receiver(receive, log);
}

void job_log_stop(struct job_log *log)
{
    (void)log;
    log_set_receiver(NULL, NULL);
}

void job_log_free(struct job_log *log)
{
    job_log_stop(log);
    json_decref(log->errors);
    json_decref(log->warnings);
    buf_free(&log->text);
    log->errors = log->warnings = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The log of one backup or restore, gathered while it runs, for its catalogue entry. */
#ifndef CLI_JOB_LOG_H
#define CLI_JOB_LOG_H

#include <jansson.h>

#include "common/buf.h"

/* What is kept at most; what comes after it is counted, and the log says so. */
#define JOB_LOG_BYTES_MAX (16u << 20)
#define JOB_LOG_LINES_MAX 1000u /* errors, and warnings */

struct job_log {
    struct buf text;           /* "2026-01-02T03:04:05Z warning: …" a line */
    json_t *errors, *warnings; /* arrays of strings */
    size_t error_count, warning_count;
    bool cut;
};

/* Receives all messages of the program from now on, until job_log_stop. One at a time. */
void job_log_start(struct job_log *log);
void job_log_stop(struct job_log *log);
void job_log_free(struct job_log *log); /* stops, too */
static inline void job_log_free_at(struct job_log *log)
{
    job_log_free(log);
}

#endif

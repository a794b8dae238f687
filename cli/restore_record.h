/* SPDX-License-Identifier: Apache-2.0 */
/* A restore as a document: the record in the catalogue, and what describe shows. */
#ifndef CLI_RESTORE_RECORD_H
#define CLI_RESTORE_RECORD_H

#include <jansson.h>

#include "cli/job_log.h"
#include "kubernetes/catalogue.h"
#include "restore/restore.h"

struct restored {
    const char *source;        /* borrowed */
    const struct id *snapshot; /* borrowed */
    struct volume_ref target;
    bool failed;
    struct nacre_err error;
    struct restore_stats stats;
    int64_t started_ns, finished_ns; /* 0 = not yet */
};

struct restore_record {
    const char *name, *backup, *location, *repository;
    int64_t started_ns, completed_ns;
    const struct restored *volumes;
    size_t volume_count;
};

json_t *restore_document(const struct restore_record *record, enum catalogue_phase phase,
                         const struct job_log *log);

/* For people; a document from the catalogue may hold anything. */
void restore_print(const json_t *document);

#endif

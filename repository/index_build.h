/* SPDX-License-Identifier: Apache-2.0 */
/* Making the local index file out of the repository's index files, in bounded memory: sorted runs in a
 * scratch file, merged with what an older local file has. */
#ifndef REPOSITORY_INDEX_BUILD_H
#define REPOSITORY_INDEX_BUILD_H

#include "repository/index_file.h"

struct index_build {
    struct repo *repo;
    const struct index_file *old; /* its index files are among `files` and are not read again; NULL = none */
    const struct id *files;       /* all of them, ascending */
    uint32_t file_count;
    int scratch; /* file descriptors, empty files */
    int out;
    /* Called, by one thread at a time, for an index file that is damaged; the rest is used. NULL: a damaged
     * one is an error. */
    void (*damaged)(void *ctx, const struct id *file, const char *why);
    void *ctx;
    _Atomic bool local_failed; /* set when it was a local file that could not be written */
};

int index_build_run(struct index_build *build, struct nacre_err *e);

#endif

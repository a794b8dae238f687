/* SPDX-License-Identifier: Apache-2.0 */
/* Where the local index file comes from: the cache directory when it fits the repository, else it is made. */
#ifndef REPOSITORY_INDEX_CACHE_H
#define REPOSITORY_INDEX_CACHE_H

#include "repository/index_file.h"

/* The local index file of the repository as it is now. Without a cache directory, or with one that cannot be
 * written (a warning), it is a file without a name. */
int index_cache_open(struct repo *repo, struct index_file *out, struct nacre_err *e);

/* Made of every index file that is not damaged, in a file without a name. */
int index_cache_rebuild(struct repo *repo, void (*damaged)(void *ctx, const struct id *file, const char *why),
                        void *ctx, struct index_file *out, struct nacre_err *e);

#endif

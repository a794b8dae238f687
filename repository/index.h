/* SPDX-License-Identifier: Apache-2.0 */
/* Where every blob is. The index files of the repository are gathered into one local cache file,
 * memory-mapped and sorted by id, at most 64 bytes a blob; the cache is rebuilt whenever it is missing,
 * damaged or does not match the repository's index files. Blobs written in this run are kept beside it in
 * memory.
 *
 * Lookups and additions may come from many threads. */
#ifndef REPOSITORY_INDEX_H
#define REPOSITORY_INDEX_H

#include "repository/pack.h"

struct index;

struct index_entry {
    struct pack_blob blob;
    struct id pack;
    uint32_t pack_number; /* small and dense: for grouping by pack */
};

/* Reads all of the index: from the local cache, and what of it is newer from the repository. NACRE_CORRUPT
 * names an index file that is damaged. */
int index_load(struct repo *repo, struct index **out, struct nacre_err *e);

/* Reads every index file from the repository, whatever the cache says; calls `damaged` for each that is not
 * what it should be (one thread at a time) and goes on without it. For check and repair. */
int index_load_damaged(struct repo *repo, void (*damaged)(void *ctx, const struct id *file, const char *why),
                       void *ctx, struct index **out, struct nacre_err *e);
void index_free(struct index *index);
CLEANUP_DEFINE(struct index *, index_free)

/* False when the repository does not have the blob. */
bool index_find(struct index *index, enum blob_type type, const struct id *id, struct index_entry *out);

/* The same for the nth place (from 0) where the blob lies: several packs may hold it. False when there are
 * not that many. */
bool index_find_nth(struct index *index, enum blob_type type, const struct id *id, unsigned nth,
                    struct index_entry *out);

/* Entries (a blob that lies in two packs counts twice), and packs, known to it. */
uint64_t index_blob_count(const struct index *index);
uint32_t index_pack_count(const struct index *index);
void index_pack_id(const struct index *index, uint32_t pack_number, struct id *out);
bool index_find_pack(const struct index *index, const struct id *pack, uint32_t *pack_number);

/* Every entry, in order of id; with every duplicate, too. Nonzero stops and is returned; -1 also when memory
 * ran out, before the first call. No pack may be added from within `entry`. */
int index_each(struct index *index, int (*entry)(void *ctx, const struct index_entry *entry), void *ctx);

/* A pack was written: its blobs can be found from now on. Does not write the index file. */
int index_add_pack(struct index *index, const struct id *pack, const struct pack_blob *blobs, size_t count,
                   struct nacre_err *e);

/* Appends `{"id":…,"blobs":[…]}` of a pack to the JSON of an index file. */
void index_json_pack(struct buf *out, const struct id *pack, const struct pack_blob *blobs, size_t count);

/* Parses an index file's JSON as a stream: for index_load, check and the fuzz target. blobs are borrowed. */
typedef int index_pack_entry(void *ctx, const struct id *pack, const struct pack_blob *blobs, size_t count,
                             struct nacre_err *e);
int index_parse(const void *json, size_t size, index_pack_entry *entry, void *ctx, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* An open repository: a store, a place in it, a master key; and its small files (everything but packs).
 *
 * A handle is immutable after it was opened and may be used from many threads. It borrows the store. */
#ifndef REPOSITORY_REPO_H
#define REPOSITORY_REPO_H

#include <nacre/object_store.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "repository/crypto.h"
#include "repository/id.h"

struct repo;

enum repo_file { REPO_KEY, REPO_LOCK, REPO_INDEX, REPO_SNAPSHOT, REPO_PACK };

struct repo_options {
    const char *path; /* where it lies below the store's prefix, such as "restic/default"; "" = the prefix */
    const char *cache_dir; /* directory for the index cache; NULL = no cache on disk (a temporary one) */
    const char *where;     /* how to call it in messages, such as the URL */
};

/* Makes a repository of format version 1 or 2 (0 = 2) with a new master key and one key file for
 * password, and opens it. NACRE_EXISTS when there is a config already: nothing was changed then. */
int repo_init(struct nacre_object_store *store, const struct repo_options *options, const char *password,
              unsigned version, struct repo **out, struct nacre_err *e);

/* NACRE_ABSENT: no repository there. NACRE_WRONG_PASSWORD: no key file opens. NACRE_UNSUPPORTED: a future
 * version. NACRE_CORRUPT: a key file or the config is damaged (a damaged key file does not matter while
 * another one opens). */
int repo_open(struct nacre_object_store *store, const struct repo_options *options, const char *password,
              struct repo **out, struct nacre_err *e);
void repo_free(struct repo *repo); /* wipes the keys */
CLEANUP_DEFINE(struct repo *, repo_free)

const char *repo_id(const struct repo *repo); /* 64 hex digits */
unsigned repo_version(const struct repo *repo);
uint64_t repo_polynomial(const struct repo *repo); /* of the file chunker */
const char *repo_where(const struct repo *repo);
const char *repo_cache_dir(const struct repo *repo); /* NULL = none */
const struct seal_key *repo_seal_key(const struct repo *repo);
const struct id *repo_key_file(const struct repo *repo); /* the key file that the password opened */
struct nacre_object_store *repo_store(const struct repo *repo);

/* The object name of a file, `<path>/data/ab/ab…` or `<path>/index/…`. */
#define REPO_NAME_SIZE (NACRE_OBJECT_NAME_MAX + 1)
void repo_name(const struct repo *repo, enum repo_file type, const struct id *id, char out[REPO_NAME_SIZE]);

/* Every file of a type; names that are not ids are passed over. size and time as the store says. Callback:
 * nonzero stops. */
typedef int repo_file_entry(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns);
int repo_file_list(struct repo *repo, enum repo_file type, repo_file_entry *entry, void *ctx,
                   struct nacre_err *e);

/* Reads an index, snapshot or lock: checks the name against the bytes, unseals, decompresses, appends the
 * JSON to out. NACRE_CORRUPT names the file and what is wrong with it. Keys are appended as they are. */
int repo_file_load(struct repo *repo, enum repo_file type, const struct id *id, struct buf *out,
                   struct nacre_err *e);

/* Compresses (version 2), seals and writes JSON; *id is its name. */
int repo_file_save(struct repo *repo, enum repo_file type, const void *json, size_t size, struct id *id,
                   struct nacre_err *e);
int repo_file_remove(struct repo *repo, enum repo_file type, const struct id *id, struct nacre_err *e);

/* The one whose id begins with the hex digits `prefix` (all 64 are one, too). NACRE_ABSENT; NACRE_INVALID
 * when several do. */
int repo_file_find(struct repo *repo, enum repo_file type, const char *prefix, struct id *out,
                   struct nacre_err *e);

/* The config as JSON, for `repo cat config`. */
int repo_config_json(struct repo *repo, struct buf *out, struct nacre_err *e);

#endif

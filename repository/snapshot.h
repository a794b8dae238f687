/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of the repository: the roots of what is kept. (Snapshots of volumes are the driver's.) */
#ifndef REPOSITORY_SNAPSHOT_H
#define REPOSITORY_SNAPSHOT_H

#include "repository/repo.h"

struct snapshot {
    struct id id; /* its file's name; not in the JSON */
    int64_t time_ns;
    bool has_parent;
    struct id parent;
    struct id tree;
    char **paths;
    size_t path_count;
    char *hostname, *username;
    uint32_t uid, gid;
    char **excludes;
    size_t exclude_count;
    char **tags;
    size_t tag_count;
    bool has_original;
    struct id original;
    char *program_version; /* NULL = none */
    char *summary_json;    /* the summary object as it is, NULL = none */
};

struct snapshot *snapshot_new(void); /* NULL when out of memory */
void snapshot_free(struct snapshot *snapshot);
CLEANUP_DEFINE(struct snapshot *, snapshot_free)

/* Appends to a list of strings of the snapshot (copies the text). */
int snapshot_add_path(struct snapshot *snapshot, const char *path, struct nacre_err *e);
int snapshot_add_tag(struct snapshot *snapshot, const char *tag, struct nacre_err *e);

/* Tags of the form `key=value`: the value, borrowed; NULL when there is none. */
const char *snapshot_tag_value(const struct snapshot *snapshot, const char *key);

/* A key with any bytes as it stands before the '=' of a tag: '=' and '%' become %3D and %25. */
void snapshot_tag_key_append(struct buf *out, const char *key);
/* The reverse, in place. What is no such escape stays as it is. */
void snapshot_tag_key_decode(char *key);

/* Writes it; sets snapshot->id. */
int snapshot_save(struct repo *repo, struct snapshot *snapshot, struct nacre_err *e);
int snapshot_load(struct repo *repo, const struct id *id, struct snapshot **out, struct nacre_err *e);
int snapshot_parse(const void *json, size_t size, struct snapshot **out, struct nacre_err *e);
int snapshot_remove(struct repo *repo, const struct id *id, struct nacre_err *e);

/* All of them, oldest first. A damaged one is a warning in the log and is left out, unless there is nothing
 * else to return. *out: snapshot_list_free. */
struct snapshot_list {
    struct snapshot **items;
    size_t count;
};
int snapshot_list_load(struct repo *repo, struct snapshot_list *out, struct nacre_err *e);
void snapshot_list_free(struct snapshot_list *list);
static inline void snapshot_list_free_at(struct snapshot_list *list)
{
    snapshot_list_free(list);
}

/* "latest", or the first digits of an id. */
int snapshot_find(struct repo *repo, const char *what, struct snapshot **out, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a repository handle: for repo*.c, keys.c and lock.c only. */
#ifndef REPOSITORY_REPO_INTERNAL_H
#define REPOSITORY_REPO_INTERNAL_H

#include "repository/config.h"
#include "repository/repo.h"

struct repo {
    struct nacre_object_store *store; /* borrowed */
    char *path, *where, *cache_dir;
    struct config config;
    struct seal_key key;
    struct id key_file;
};

/* A handle without config and key yet; NULL with *e set. */
struct repo *repo_new(struct nacre_object_store *store, const struct repo_options *options,
                      struct nacre_err *e);

/* The object name of the config. */
void repo_config_name(const struct repo *repo, char out[REPO_NAME_SIZE]);

/* `<path>/index/` and so on, where the files of a type are. */
void repo_directory(const struct repo *repo, enum repo_file type, char out[REPO_NAME_SIZE]);
const char *repo_file_word(enum repo_file type); /* "index file" and so on, for messages */

/* Every file of a type at once, newest first: for work that takes longer than a listing should stay open. */
struct file_list {
    struct file_entry {
        struct id id;
        uint64_t size;
        int64_t modified_ns;
    } * items;
    size_t count, capacity;
    bool failed; /* out of memory: the listing is not whole */
};
int repo_file_gather(struct repo *repo, enum repo_file type, struct file_list *out, struct nacre_err *e);
void file_list_free(struct file_list *list);
static inline void file_list_free_at(struct file_list *list)
{
    file_list_free(list);
}

/* Reads a key file as it is and sees whether its bytes fit its name, which does not fail it: a key file
 * whose seal opens is good for opening, whatever happened to the text around it. */
int repo_key_load(struct repo *repo, const struct id *id, struct buf *out, bool *name_fits,
                  struct nacre_err *e);

#endif

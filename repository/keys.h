/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: the master key sealed under a password with scrypt. A repository may have several. */
#ifndef REPOSITORY_KEYS_H
#define REPOSITORY_KEYS_H

#include "repository/repo.h"

struct key_info {
    struct id id;
    const char *username, *hostname; /* borrowed during the callback */
    int64_t created_ns;
    bool current; /* the one this repository was opened with */
};

int key_each(struct repo *repo, int (*entry)(void *ctx, const struct key_info *info), void *ctx,
             struct nacre_err *e);

/* Adds a key file for another password. */
int key_add(struct repo *repo, const char *password, struct id *out, struct nacre_err *e);

/* NACRE_INVALID for the current key: it would lock the caller out. */
int key_remove(struct repo *repo, const struct id *id, struct nacre_err *e);

/* Adds a key for the new password, proves that it opens the repository, and removes the current one. */
int key_change_password(struct repo *repo, const char *password, struct id *out, struct nacre_err *e);

/* Derives the key and opens a key file's JSON: for repo_open and the fuzz target. NACRE_WRONG_PASSWORD,
 * NACRE_CORRUPT, NACRE_INVALID (scrypt parameters beyond the cap). */
int key_open(const void *json, size_t size, const char *password, struct seal_key *master,
             struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What a key file says, and what it takes to open it. Apart from key_open so that the parsers can be fuzzed
 * without paying for scrypt. */
#ifndef REPOSITORY_KEY_FILE_H
#define REPOSITORY_KEY_FILE_H

#include <nacre/plugin.h>

#include "common/buf.h"
#include "repository/crypto.h"

#define KEY_FILE_SIZE_MAX 65536
#define KEY_SALT_SIZE 64

struct key_file {
    char hostname[256], username[256]; /* cut when longer */
    int64_t created_ns;                /* 0 = not said in a way that is understood */
    uint64_t n, r, p;                  /* scrypt's, within the caps */
    uint8_t salt[KEY_SALT_SIZE];
    struct buf data; /* the sealed master key */
};

/* NACRE_CORRUPT; NACRE_INVALID for scrypt parameters beyond the caps. */
int key_file_parse(const void *json, size_t size, struct key_file *out, struct nacre_err *e);
void key_file_free(struct key_file *file);
static inline void key_file_free_at(struct key_file *file)
{
    key_file_free(file);
}

/* NACRE_WRONG_PASSWORD, NACRE_CORRUPT. */
int key_file_open(const struct key_file *file, const char *password, struct seal_key *master,
                  struct nacre_err *e);

/* A new key file's JSON; NACRE_INVALID for an empty password. */
int key_file_make(const char *password, const struct seal_key *master, struct buf *json, struct nacre_err *e);

/* The JSON inside the seal, `{"mac":{"k":…,"r":…},"encrypt":…}`; leaves no copy of it behind. */
int key_master_parse(const void *json, size_t size, struct seal_key *master, struct nacre_err *e);

#endif

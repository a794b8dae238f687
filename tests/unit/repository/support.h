/* SPDX-License-Identifier: Apache-2.0 */
/* What the repository's tests share: a place on disk with a store in it, and the real restic beside it. */
#ifndef TESTS_REPOSITORY_SUPPORT_H
#define TESTS_REPOSITORY_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "repository/repo.h"

#define PASSWORD "correct horse"

/* Fails the test with the message of the error. */
#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        if ((call) < 0)                                                                                      \
            fail_msg("%s: %s", #call, e.message);                                                            \
    } while (0)

/* Expects failure with that code, and text in the message. */
#define assert_fails(call, expected, text)                                                                   \
    do {                                                                                                     \
        assert_int_equal((call), -1);                                                                        \
        if (e.code != (expected) || !strstr(e.message, text))                                                \
            fail_msg("%s: code %d instead of %d, or no \"%s\" in: %s", #call, e.code, expected, text,        \
                     e.message);                                                                             \
    } while (0)

struct place {
    char dir[64];      /* a temporary directory of its own */
    char repo_dir[80]; /* <dir>/repo: the store, and the repository in it */
    struct nacre_object_store *store;
    struct repo_options options;
};

/* Setup and teardown of a cmocka test: *state is the place. */
int place_setup(void **state);
int place_teardown(void **state);

/* The first object of the directory "keys", "locks" and so on; the file's path. Fails when it is empty. */
void place_file(const struct place *place, const char *directory, char out[512]);
size_t place_count(const struct place *place, const char *directory);

/* Changes one byte of a file. */
void flip_byte(const char *path, long offset);
void read_whole(const char *path, struct buf *out);
void write_whole(const char *path, const void *data, size_t size);

/* Runs `restic -r <repo_dir> …` with PASSWORD; its exit code, and all it printed in out (may be NULL).
 * restic is $RESTIC, else the one in the path. */
int restic(const struct place *place, struct buf *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int shell(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

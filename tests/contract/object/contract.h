/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the object-store suite share: the store under test, content that can be made again at any
 * offset, threads whose failures are counted, and child processes. */
#ifndef CONTRACT_H
#define CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/err.h"
#include "plugins/load.h"
#include "plugins/store.h"

#define WRAPS_MAX 4
#define OPTIONS_MAX 16

struct layer {
    char *name;
    struct nacre_option options[OPTIONS_MAX];
    size_t option_count;
};

struct contract {
    char *url;
    struct layer store; /* its options; name unused */
    struct layer wraps[WRAPS_MAX];
    size_t wrap_count;
    bool processes; /* other processes see the same objects */
    bool faults;    /* calls fail and are repeated: a get may be put together from two reads, and a remove may
                     * find    its object gone */
    uint64_t big_bytes;
    int argc; /* as given, for child processes */
    char **argv;
};

extern struct contract contract;

/* Opens URL/space with all wrappers, as the test named `space` sees it; aborts the process when it cannot. */
struct nacre_object_store *open_space(const char *space);

/* The bytes at [offset, offset + len) of the content `seed`. */
void content(uint64_t seed, uint64_t offset, void *out, size_t len);

/* An input of that content, in memory (freed by the caller via .data) or read piece by piece. */
struct nacre_input content_in_memory(uint64_t seed, size_t size);
struct nacre_input content_streamed(const uint64_t *seed, uint64_t size);

/* A sink that compares with content; good while it holds. */
struct checker {
    uint64_t seed;
    uint64_t offset;
    bool different;
};
int check_content(void *ctx, const void *data, size_t len, struct nacre_err *e);

/* Asserts success, showing the error's message. */
#define assert_ok(call, e)                                                                                   \
    do {                                                                                                     \
        if ((call) != 0)                                                                                     \
            fail_msg("%s: %s (%s)", #call, (e).message, err_code_name((e).code));                            \
    } while (0)

/* Asserts failure with a code and a message. */
#define assert_code(call, e, expected)                                                                       \
    do {                                                                                                     \
        (e) = (struct nacre_err){0};                                                                         \
        assert_int_equal(call, -1);                                                                          \
        if ((e).code != (expected))                                                                          \
            fail_msg("%s: expected %s, got %s: %s", #call, err_code_name(expected), err_code_name((e).code), \
                     (e).message);                                                                           \
        assert_true(*(e).message);                                                                           \
    } while (0)

/* Asserts that the object is the content `seed` of `size` bytes. */
void assert_content(struct nacre_object_store *store, const char *name, uint64_t seed, uint64_t size);

/* Asserts that removing what is not there says so. */
void assert_remove_absent(struct nacre_object_store *store, const char *name);

/* Puts content; asserts success. */
void put_content(struct nacre_object_store *store, const char *name, uint64_t seed, size_t size);

/* Runs `count` threads of body(arg, index) and returns how many of them returned something but 0. */
int run_threads(int count, int (*body)(void *arg, int index), void *arg);

/* Starts this program again as `role` with two words, on the same store. It has a pipe on descriptor 3 to
 * report on; *report reads from it. */
pid_t start_role(const char *role, const char *a, const char *b, int *report);

/* Ends with exit code 0..255, or -1 when it was killed. */
int wait_role(pid_t pid);

/* Runs a role in the child; the exit code. */
int role_put_if_absent(const char *space, const char *number);
int role_slow_put(const char *space, const char *name);
int role_keep_putting(const char *space, const char *name);

extern const struct CMUnitTest basic_tests[];
extern const size_t basic_test_count;
extern const struct CMUnitTest hashed_tests[];
extern const size_t hashed_test_count;
extern const struct CMUnitTest list_tests[];
extern const size_t list_test_count;
extern const struct CMUnitTest race_tests[];
extern const size_t race_test_count;
extern const struct CMUnitTest crash_tests[];
extern const size_t crash_test_count;

#endif

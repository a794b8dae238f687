/* SPDX-License-Identifier: Apache-2.0 */
/* The contract suite of volume drivers: what its files share.
 *
 *   volume DRIVER PREFIX [KEY=VALUE…]           runs the suite on volumes PREFIX…
 *   volume --expect CODE DRIVER PATH [KEY=VALUE…]   passes when `get` of PATH ends with that code
 *   volume --child ACTION DRIVER ARGUMENT… -- [KEY=VALUE…]   what the suite starts to have it killed
 *
 * The driver is loaded as the program does it, from $NACRE_PLUGIN_PATH. */
#ifndef SUITE_H
#define SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above */
#include <cmocka.h>
#include <nacre/volume.h>
#include <sys/types.h>

#define MIB (UINT64_C(1) << 20)
#define PATH_ROOM 300

struct suite {
    const char *driver_name, *prefix;
    struct nacre_option options[16];
    size_t option_count;
    struct nacre_driver *driver;
    const struct nacre_lifecycle_ops *ops;
    const struct nacre_block_ops *block;
    struct nacre_err e;
};
extern struct suite suite;

/* PREFIX + name + a suffix of this run. Up to 16 results are valid at a time. */
const char *path_of(const char *name);

/* The call succeeded, or its message is printed and the test fails. */
#define must(call)                                                                                           \
    do {                                                                                                     \
        if ((call) < 0)                                                                                      \
            fail_msg("%s:%d: %s: %s", __FILE__, __LINE__, #call, suite.e.message);                           \
    } while (0)

/* The call failed with this code and a message. */
#define must_fail(wanted, call)                                                                              \
    do {                                                                                                     \
        suite.e = (struct nacre_err){0};                                                                     \
        if ((call) == 0)                                                                                     \
            fail_msg("%s:%d: %s: succeeded", __FILE__, __LINE__, #call);                                     \
        if (suite.e.code != (wanted) || !suite.e.message[0])                                                 \
            fail_msg("%s:%d: %s: code %d, not %d: %s", __FILE__, __LINE__, #call, (int)suite.e.code,         \
                     (int)(wanted), suite.e.message);                                                        \
    } while (0)

void make_volume(const char *path, uint64_t bytes);
/* Removes it when it is there. */
void unmake_volume(const char *path);
bool volume_exists(const char *path);

struct nacre_block *open_block(const char *path, const char *snap, enum nacre_block_mode mode);
/* One operation, waited for; the code it ended with. */
enum nacre_code transfer(struct nacre_block *block, enum nacre_block_op_kind kind, uint64_t offset,
                         uint64_t length, void *buffer);
void write_at(const char *path, uint64_t offset, const void *data, uint64_t length);
/* The whole content must be `data`, of `bytes` bytes. */
void check_content(const char *path, const char *snap, const uint8_t *data, uint64_t bytes);

/* Reproducible. */
uint32_t roll(uint32_t below);
void fill_random(void *buffer, size_t size);

size_t count_snapshots(const char *path);
/* NACRE_UNKNOWN when there is no such snapshot. */
uint64_t snapshot_id(const char *path, const char *snap);

/* Starts `volume --child ACTION …` with up to four arguments (NULL-terminated); waits until it says that it
 * begins. */
pid_t start_child(const char *action, const char *const *arguments);
pid_t start_program(const char *const *argv);
/* 0 = still running is not possible: waits. The exit status, or -1 when a signal ended it. */
int wait_child(pid_t pid);
void kill_child(pid_t pid);
int run_child(int argc, char **argv);

/* The tests. */
void test_refusals(void **state);
void test_lifecycle(void **state);
void test_metadata(void **state);
void test_properties(void **state);
void test_capacity(void **state);
void test_block(void **state);
void test_zero(void **state);
void test_busy(void **state);
void test_busy_elsewhere(void **state);
void test_snapshots(void **state);
void test_clones(void **state);
void test_deletion_order(void **state);
void test_extents(void **state);
void test_extents_of_clone(void **state);
void test_without_map(void **state);
void test_group(void **state);
void test_group_as_base(void **state);
void test_group_consistency(void **state);
void test_killed_create(void **state);
void test_killed_clone(void **state);
void test_killed_snapshot(void **state);
void test_killed_group(void **state);
void test_killed_remove(void **state);
void test_threads(void **state);

#endif

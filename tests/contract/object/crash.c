/* SPDX-License-Identifier: Apache-2.0 */
/* Writers that are killed: the object is what it was before, or whole; nothing else is to be seen, and the
 * next writer is not hindered. Only where other processes see the same objects. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "contract.h"

/* Reports once a part has been read, then waits to be killed. */
static int read_and_hang(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    (void)e;
    content(*(const uint64_t *)ctx, offset, buf, len);
    if (offset + len > (5 << 20)) {
        if (write(3, "h", 1) == 1)
            pause();
    }
    return 0;
}

int role_slow_put(const char *space, const char *name)
{
    CLEANUP(store_close) struct nacre_object_store *store = open_space(space);
    struct nacre_err e = {0};
    uint64_t seed = 77;
    const struct nacre_input input = {.size = 64 << 20, .read = read_and_hang, .ctx = &seed};
    return store->ops->put(store, name, &input, &e) < 0;
}

static int count_entry(void *ctx, const struct nacre_object_info *info)
{
    (void)info;
    ++*(int *)ctx;
    return 0;
}

static void kill_in_the_middle(const char *name)
{
    int report;
    char byte = 0;
    pid_t pid = start_role("slow-put", "killed", name, &report);
    assert_int_equal(read(report, &byte, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(wait_role(pid), -1);
    close(report);
}

static void test_killed_in_the_middle(void **state)
{
    (void)state;
    if (!contract.processes)
        skip();
    CLEANUP(store_close) struct nacre_object_store *store = open_space("killed");
    struct nacre_err e = {0};
    struct nacre_object_info info;
    put_content(store, "data/old", 5, 100000);
    kill_in_the_middle("data/new");
    kill_in_the_middle("data/old");
    assert_code(store->ops->stat(store, "data/new", &info, &e), e, NACRE_ABSENT);
    assert_content(store, "data/old", 5, 100000);
    int count = 0;
    assert_ok(store->ops->list(store, "", count_entry, &count, &e), e);
    assert_int_equal(count, 1);
    assert_ok(store_put_if_absent(store, "data/new", "x", 1, &e), e);
    put_content(store, "data/old", 6, 7);
    assert_content(store, "data/old", 6, 7);
}

static size_t version_size(uint64_t version)
{
    return 20000 + (version * 7919) % 200000;
}

/* Replaces an object without end; every version's number is its first eight bytes. */
int role_keep_putting(const char *space, const char *name)
{
    CLEANUP(store_close) struct nacre_object_store *store = open_space(space);
    struct nacre_err e = {0};
    static uint8_t data[220000];
    for (uint64_t version = 0;; version++) {
        content(version, 0, data, version_size(version));
        memcpy(data, &version, sizeof version);
        if (store_put(store, name, data, version_size(version), &e) < 0 ||
            (version < 1 && write(3, "r", 1) != 1))
            return 1;
    }
}

static void assert_whole_version(struct nacre_object_store *store, const char *name)
{
    struct nacre_err e = {0};
    static uint8_t expected[220000];
    uint64_t version;
    CLEANUP(buf_free) struct buf got = {0};
    assert_ok(store_get(store, name, 1 << 20, &got, &e), e);
    assert_true(got.size > sizeof version);
    memcpy(&version, got.data, sizeof version);
    assert_int_equal(got.size, version_size(version));
    content(version, 0, expected, got.size);
    assert_memory_equal(got.data + sizeof version, expected + sizeof version, got.size - sizeof version);
}

static void test_killed_at_any_moment(void **state)
{
    (void)state;
    if (!contract.processes)
        skip();
    CLEANUP(store_close) struct nacre_object_store *store = open_space("any");
    struct nacre_err e = {0};
    for (int i = 0; i < 15; i++) {
        int report;
        char byte;
        pid_t pid = start_role("keep-putting", "any", "data/x", &report);
        assert_int_equal(read(report, &byte, 1), 1);
        usleep((useconds_t)(i * 1777 % 20000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(wait_role(pid), -1);
        close(report);
        assert_whole_version(store, "data/x");
        int count = 0;
        assert_ok(store->ops->list(store, "", count_entry, &count, &e), e);
        assert_int_equal(count, 1);
    }
}

const struct CMUnitTest crash_tests[] = {
    cmocka_unit_test(test_killed_in_the_middle),
    cmocka_unit_test(test_killed_at_any_moment),
};
const size_t crash_test_count = sizeof crash_tests / sizeof *crash_tests;

/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: a call that was killed half way leaves what a repeat of it mends. Each is killed at a random
 * moment, many times; what can be seen after is all of it or nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

/* Starts the action, and kills it within the time that it takes, or a little later. */
static void start_and_kill(const char *action, const char *const *arguments, uint32_t microseconds)
{
    pid_t pid = start_child(action, arguments);
    usleep(roll(microseconds));
    kill_child(pid);
    usleep(300000); /* what it had sent already still arrives */
}

static unsigned times(void)
{
    const char *text = getenv("NACRE_TEST_KILLS");
    return text ? (unsigned)strtoul(text, NULL, 10) : 8;
}

static uint32_t span(void)
{
    return strcmp(suite.driver_name, "hostpath") ? 150000 : 4000;
}

/* Whoever sees the volume sees its metadata. */
static void check_made(const char *path)
{
    char value[16];
    must(suite.ops->get_metadata(suite.driver, path, "made-by", value, sizeof value, &suite.e));
    assert_string_equal(value, "child");
}

void test_killed_create(void **state)
{
    (void)state;
    const char *path = path_of("killed-create");
    for (unsigned i = 0; i < times(); i++) {
        start_and_kill("create", (const char *const[]){path, NULL}, span());
        if (volume_exists(path))
            check_made(path);
        int status = wait_child(start_child("create", (const char *const[]){path, NULL}));
        assert_true(status == 0 || volume_exists(path));
        check_made(path);
        write_at(path, 16 * MIB - 1, "x", 1);
        must(suite.ops->remove(suite.driver, path, &suite.e));
        assert_false(volume_exists(path));
    }
}

void test_killed_clone(void **state)
{
    (void)state;
    const char *source = path_of("killed-source"), *path = path_of("killed-clone");
    const uint64_t bytes = 6 * MIB;
    uint8_t *data = malloc(bytes);
    fill_random(data, bytes);
    make_volume(source, bytes);
    write_at(source, 0, data, bytes);
    must(suite.ops->snapshot_create(suite.driver, source, "s", &suite.e));
    for (unsigned i = 0; i < times(); i++) {
        const char *const arguments[] = {source, i % 2 ? "s" : "", path, NULL};
        start_and_kill("clone", arguments, 2 * span());
        if (volume_exists(path)) {
            check_made(path);
            check_content(path, NULL, data, bytes);
        }
        int status = wait_child(start_child("clone", arguments));
        assert_true(status == 0 || volume_exists(path));
        check_made(path);
        check_content(path, NULL, data, bytes);
        assert_int_equal(count_snapshots(source), 1);
        must(suite.ops->remove(suite.driver, path, &suite.e));
    }
    check_content(source, NULL, data, bytes);
    must(suite.ops->remove(suite.driver, source, &suite.e));
    free(data);
}

void test_killed_snapshot(void **state)
{
    (void)state;
    const char *path = path_of("killed-snap");
    const uint64_t bytes = 8 * MIB;
    uint8_t *data = malloc(bytes);
    fill_random(data, bytes);
    make_volume(path, bytes);
    write_at(path, 0, data, bytes);
    for (unsigned i = 0; i < times(); i++) {
        const char *const arguments[] = {path, "s", NULL};
        start_and_kill("snapshot", arguments, span());
        if (snapshot_id(path, "s") != NACRE_UNKNOWN)
            check_content(path, "s", data, bytes);
        int status = wait_child(start_child("snapshot", arguments));
        assert_true(status == 0 || snapshot_id(path, "s") != NACRE_UNKNOWN);
        check_content(path, "s", data, bytes);
        start_and_kill("unsnapshot", arguments, span());
        if (snapshot_id(path, "s") != NACRE_UNKNOWN)
            check_content(path, "s", data, bytes);
        wait_child(start_child("unsnapshot", arguments));
        assert_int_equal(count_snapshots(path), 0);
    }
    must(suite.ops->remove(suite.driver, path, &suite.e));
    free(data);
}

/* All or none can be seen once the call was repeated, whatever it left. */
void test_killed_group(void **state)
{
    (void)state;
    char paths[3][PATH_ROOM], name[16];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "killed-g%d", i);
        snprintf(paths[i], sizeof paths[i], "%s", path_of(name));
        make_volume(paths[i], 2 * MIB);
        write_at(paths[i], MIB, name, sizeof name);
    }
    for (unsigned i = 0; i < times(); i++) {
        const char *const arguments[] = {"g", paths[0], paths[1], paths[2], NULL};
        start_and_kill("group", arguments, 3 * span());
        int status = wait_child(start_child("group", arguments));
        size_t seen = 0;
        for (int k = 0; k < 3; k++)
            seen += snapshot_id(paths[k], "g") != NACRE_UNKNOWN;
        assert_int_equal(seen, 3);
        assert_true(status == 0 || seen == 3);
        for (int k = 0; k < 3; k++)
            must(suite.ops->snapshot_remove(suite.driver, paths[k], "g", &suite.e));
    }
    for (int i = 0; i < 3; i++)
        must(suite.ops->remove(suite.driver, paths[i], &suite.e));
}

void test_killed_remove(void **state)
{
    (void)state;
    const char *path = path_of("killed-remove");
    const uint64_t bytes = 8 * MIB;
    uint8_t *data = malloc(bytes);
    fill_random(data, bytes);
    for (unsigned i = 0; i < times(); i++) {
        make_volume(path, bytes);
        write_at(path, 0, data, bytes);
        must(suite.ops->snapshot_create(suite.driver, path, "s", &suite.e));
        start_and_kill("remove", (const char *const[]){path, NULL}, 2 * span());
        if (volume_exists(path)) {
            check_content(path, NULL, data, bytes);
            must(suite.ops->remove(suite.driver, path, &suite.e));
        } else {
            must_fail(NACRE_ABSENT, suite.ops->remove(suite.driver, path, &suite.e));
        }
        assert_false(volume_exists(path));
    }
    free(data);
}

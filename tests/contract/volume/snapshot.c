/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: snapshots, groups, clones, and deleting in any order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/timestamp.h"
#include "suite.h"

struct order {
    const char *const *names;
    uint64_t last_id;
    size_t count;
    uint64_t bytes;
};

static int in_order(void *ctx, const struct nacre_snapshot_info *info)
{
    struct order *o = ctx;
    assert_string_equal(info->name, o->names[o->count++]);
    assert_true(info->id > o->last_id);
    o->last_id = info->id;
    assert_int_equal(info->bytes, o->bytes);
    assert_true(info->created_ns > timestamp_now() - 60000000000);
    return 0;
}

static int stop_at_once(void *ctx, const struct nacre_snapshot_info *info)
{
    (void)info;
    return ++*(int *)ctx;
}

void test_snapshots(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver;
    const char *path = path_of("snapshots"), *const names[] = {"zeta", "alpha", ".dot", "-x", "7"};
    const uint64_t bytes = 3 * MIB;
    uint8_t *data = malloc(bytes), *later = malloc(bytes);
    fill_random(data, bytes);
    fill_random(later, bytes);
    make_volume(path, bytes);
    write_at(path, 0, data, bytes);
    for (size_t i = 0; i < 5; i++)
        must(suite.ops->snapshot_create(d, path, names[i], &suite.e));
    must_fail(NACRE_EXISTS, suite.ops->snapshot_create(d, path, "zeta", &suite.e));
    struct order order = {names, 0, 0, bytes};
    must(suite.ops->snapshot_list(d, path, in_order, &order, &suite.e));
    assert_int_equal(order.count, 5);
    int stopped = 0;
    must(suite.ops->snapshot_list(d, path, stop_at_once, &stopped, &suite.e));
    assert_int_equal(stopped, 1);

    /* With a writer at work, and a volume that grew. */
    struct nacre_block *block = open_block(path, NULL, NACRE_BLOCK_WRITE);
    assert_int_equal(transfer(block, NACRE_BLOCK_OP_WRITE, 0, bytes, later), NACRE_OK);
    must(suite.ops->snapshot_create(d, path, "later", &suite.e));
    assert_int_equal(transfer(block, NACRE_BLOCK_OP_ZERO, 0, bytes, NULL), NACRE_OK);
    suite.block->close(block);
    must(suite.ops->expand(d, path, 2 * bytes, &suite.e));
    check_content(path, "zeta", data, bytes);
    check_content(path, "7", data, bytes);
    check_content(path, "later", later, bytes);

    uint64_t id = snapshot_id(path, "later");
    must(suite.ops->snapshot_remove(d, path, "later", &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->snapshot_remove(d, path, "later", &suite.e));
    must(suite.ops->snapshot_create(d, path, "later", &suite.e));
    assert_true(snapshot_id(path, "later") > id);
    for (size_t i = 0; i < 5; i++)
        must(suite.ops->snapshot_remove(d, path, names[i], &suite.e));
    assert_int_equal(count_snapshots(path), 1);
    unmake_volume(path);
    free(data);
    free(later);
}

void test_clones(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver;
    const char *source = path_of("source"), *of_snap = path_of("of-snap"), *of_now = path_of("of-now"),
               *second = path_of("second");
    const uint64_t bytes = 9 * MIB;
    const struct nacre_option metadata[] = {{"kind", "clone"}};
    const struct nacre_volume_spec plain = {.metadata = metadata, .metadata_count = 1};
    const struct nacre_volume_spec larger = {.bytes = 12 * MIB}, smaller = {.bytes = 8 * MIB};
    uint8_t *old = malloc(bytes), *now = calloc(1, 12 * MIB);
    char value[16];
    fill_random(old, bytes);
    make_volume(source, bytes);
    write_at(source, 0, old, bytes);
    must(suite.ops->set_metadata(d, source, "kind", "source", &suite.e));
    must(suite.ops->snapshot_create(d, source, "s", &suite.e));
    memcpy(now, old, bytes);
    fill_random(now + 5 * MIB, 1000);
    write_at(source, 5 * MIB, now + 5 * MIB, 1000);

    must_fail(NACRE_INVALID, suite.ops->clone(d, source, "s", of_snap, &smaller, &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->clone(d, source, "none", of_snap, &plain, &suite.e));
    assert_false(volume_exists(of_snap));
    must(suite.ops->clone(d, source, "s", of_snap, &plain, &suite.e));
    must_fail(NACRE_EXISTS, suite.ops->clone(d, source, "s", of_snap, &plain, &suite.e));
    must(suite.ops->clone(d, source, NULL, of_now, &larger, &suite.e));
    assert_int_equal(count_snapshots(source), 1);
    must(suite.ops->get_metadata(d, of_snap, "kind", value, sizeof value, &suite.e));
    assert_string_equal(value, "clone");
    must_fail(NACRE_ABSENT, suite.ops->get_metadata(d, of_now, "kind", value, sizeof value, &suite.e));
    check_content(of_snap, NULL, old, bytes);
    check_content(of_now, NULL, now, 12 * MIB);

    /* Writes on either side stay there; the source can go first. */
    fill_random(old + MIB, MIB);
    write_at(of_snap, MIB, old + MIB, MIB);
    must(suite.ops->snapshot_remove(d, source, "s", &suite.e));
    must(suite.ops->snapshot_create(d, of_now, "c", &suite.e));
    must(suite.ops->clone(d, of_now, "c", second, &plain, &suite.e));
    must(suite.ops->remove(d, source, &suite.e));
    assert_false(volume_exists(source));
    check_content(of_snap, NULL, old, bytes);
    check_content(of_now, NULL, now, 12 * MIB);
    make_volume(source, MIB); /* the name is free */
    must(suite.ops->remove(d, of_now, &suite.e));
    check_content(second, NULL, now, 12 * MIB);
    must(suite.ops->remove(d, second, &suite.e));
    must(suite.ops->remove(d, of_snap, &suite.e));
    must(suite.ops->remove(d, source, &suite.e));
    free(old);
    free(now);
}

/* A volume goes at once, with its snapshots, and with clones of them in a chain. */
void test_deletion_order(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver;
    const struct nacre_volume_spec plain = {0};
    const uint64_t bytes = 64 * MIB;
    uint8_t *data = malloc(bytes);
    char chain[4][PATH_ROOM], name[16];
    fill_random(data, bytes);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "chain%d", i);
        snprintf(chain[i], sizeof chain[i], "%s", path_of(name));
        if (i)
            must(suite.ops->clone(d, chain[i - 1], "s1", chain[i], &plain, &suite.e));
        else
            make_volume(chain[0], bytes);
        uint64_t at = (uint64_t)i * 7 * MIB;
        write_at(chain[i], at, data + at, i ? MIB : bytes);
        must(suite.ops->snapshot_create(d, chain[i], "s1", &suite.e));
        must(suite.ops->snapshot_create(d, chain[i], "s2", &suite.e));
    }
    for (int i = 0; i < 4; i++) {
        int64_t began = timestamp_elapsed();
        must(suite.ops->remove(d, chain[i], &suite.e));
        assert_true(timestamp_elapsed() - began < 10000000000);
        assert_false(volume_exists(chain[i]));
        if (i < 3)
            check_content(chain[3], "s2", data, bytes);
    }
    free(data);
}

static int group(const char *snap, size_t count, const char *const *paths)
{
    return suite.ops->group_snapshot_create(suite.driver, paths, count, snap, &suite.e);
}

void test_group(void **state)
{
    (void)state;
    char paths[3][PATH_ROOM], name[16];
    const char *const all[] = {paths[2], paths[0], paths[1]}, *const twice[] = {paths[0], paths[0]};
    const char *const one_absent[] = {paths[0], path_of("nobody"), paths[1]};
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "group%d", i);
        snprintf(paths[i], sizeof paths[i], "%s", path_of(name));
        make_volume(paths[i], 2 * MIB);
    }
    must(group("g1", 3, all));
    must_fail(NACRE_EXISTS, group("g1", 3, all));
    must(suite.ops->snapshot_create(suite.driver, paths[1], "g2", &suite.e));
    must_fail(NACRE_EXISTS, group("g2", 3, all));
    must_fail(NACRE_INVALID, group("g3", 2, twice));
    must_fail(NACRE_INVALID, group("g3", 0, all));
    must_fail(NACRE_INVALID, group("g 3", 3, all));
    must_fail(NACRE_ABSENT, group("g3", 3, one_absent));
    assert_int_equal(count_snapshots(paths[0]), 1);
    assert_int_equal(count_snapshots(paths[1]), 2);
    assert_int_equal(count_snapshots(paths[2]), 1);
    must(group("g3", 1, all));
    for (int i = 0; i < 3; i++) {
        struct nacre_volume_info *info;
        must(suite.ops->get(suite.driver, paths[i], &info, &suite.e));
        assert_int_equal(info->metadata_count, 0);
        suite.ops->free_info(suite.driver, info);
        must(suite.ops->snapshot_remove(suite.driver, paths[i], "g1", &suite.e));
        unmake_volume(paths[i]);
    }
}

static uint64_t number_in(const char *path, const char *snap)
{
    uint64_t n = 0;
    struct nacre_block *block = open_block(path, snap, NACRE_BLOCK_READ);
    assert_int_equal(transfer(block, NACRE_BLOCK_OP_READ, 0, sizeof n, &n), NACRE_OK);
    suite.block->close(block);
    return n;
}

/* Another process writes n to one volume, then n to the other, and so on; it never writes n + 1 to the first
 * before n is in the second. Snapshots of one moment can therefore differ by one at most, in one direction.
 */
void test_group_consistency(void **state)
{
    (void)state;
    const char *first = path_of("seq-a"), *second = path_of("seq-b");
    const char *const paths[] = {second, first};
    /* A program that writes as other users of such volumes do; the driver's own writers else. */
    const char *writer = getenv("NACRE_TEST_WRITER");
    char name[16];
    uint64_t last = 0;
    make_volume(first, MIB);
    make_volume(second, MIB);
    pid_t pid = writer ? start_program((const char *const[]){writer, first, second, NULL})
                       : start_child("sequence", (const char *const[]){first, second, NULL});
    for (int i = 0; i < 25 || (last <= 25 && i < 200); i++) {
        snprintf(name, sizeof name, "seq%d", i);
        usleep(20000 + roll(30000));
        must(group(name, 2, paths));
        uint64_t a = number_in(first, name), b = number_in(second, name);
        if (a != b && a != b + 1)
            fail_msg("%s: %llu in the first, %llu in the second", name, (unsigned long long)a,
                     (unsigned long long)b);
        assert_true(b >= last);
        last = b;
        must(suite.ops->snapshot_remove(suite.driver, first, name, &suite.e));
    }
    print_message("%llu writes seen\n", (unsigned long long)last);
    assert_true(last > 25);                           /* it did write meanwhile */
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* no write of it failed */
    kill_child(pid);
    unmake_volume(first);
    unmake_volume(second);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Many callers at once, in threads and in processes. */
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "contract.h"

enum { WRITERS = 8, ROUNDS = 25, PROCESS_ROUNDS = 8 };

struct race {
    struct nacre_object_store *store;
    int round;
    atomic_int waiting;
    atomic_int wins;
    atomic_int winner;
};

static size_t race_size(int writer)
{
    return 1000 + (size_t)writer * 20011;
}

static int race_once(void *arg, int index)
{
    struct race *race = arg;
    struct nacre_err e = {0};
    char name[64];
    snprintf(name, sizeof name, "locks/%d", race->round);
    uint8_t data[1000 + WRITERS * 20011];
    content((uint64_t)index, 0, data, race_size(index));
    atomic_fetch_add(&race->waiting, 1);
    while (race->waiting < WRITERS) /* all at the same moment */
        usleep(10);
    if (store_put_if_absent(race->store, name, data, race_size(index), &e) == 0) {
        race->winner = index;
        atomic_fetch_add(&race->wins, 1);
        return 0;
    }
    if (e.code == NACRE_EXISTS)
        return 0;
    print_error("%s\n", e.message);
    return -1;
}

static void test_racing_threads(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("race");
    for (int round = 0; round < ROUNDS; round++) {
        struct race race = {.store = store, .round = round};
        assert_int_equal(run_threads(WRITERS, race_once, &race), 0);
        assert_int_equal(race.wins, 1);
        char name[64];
        snprintf(name, sizeof name, "locks/%d", round);
        assert_content(store, name, (uint64_t)race.winner, race_size(race.winner));
    }
}

/* Reports that it is ready, then tries each round when told to by the appearance of an object. Exit codes do
 * not suffice for many rounds: the outcome is a letter per round on the pipe. */
int role_put_if_absent(const char *space, const char *number)
{
    CLEANUP(store_close) struct nacre_object_store *store = open_space(space);
    struct nacre_err e = {0};
    struct nacre_object_info info;
    int writer = (int)strtol(number, NULL, 10);
    uint8_t data[1000 + WRITERS * 20011];
    content((uint64_t)writer, 0, data, race_size(writer));
    for (int round = 0; round < PROCESS_ROUNDS; round++) {
        char name[64];
        snprintf(name, sizeof name, "go/%d", round);
        for (int wait = 0; store->ops->stat(store, name, &info, &e) < 0; wait++) {
            if (e.code != NACRE_ABSENT || wait > 60000)
                return 1;
            usleep(1000);
        }
        snprintf(name, sizeof name, "locks/%d", round);
        char outcome = 'w';
        if (store_put_if_absent(store, name, data, race_size(writer), &e) < 0)
            outcome = e.code == NACRE_EXISTS ? 'x' : '!';
        if (write(3, &outcome, 1) != 1 || outcome == '!')
            return 2;
    }
    return 0;
}

static void test_racing_processes(void **state)
{
    (void)state;
    if (!contract.processes)
        skip();
    CLEANUP(store_close) struct nacre_object_store *store = open_space("processes");
    struct nacre_err e = {0};
    pid_t pids[WRITERS];
    int reports[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        char number[8];
        snprintf(number, sizeof number, "%d", i);
        pids[i] = start_role("put-if-absent", "processes", number, &reports[i]);
    }
    for (int round = 0; round < PROCESS_ROUNDS; round++) {
        char name[64];
        snprintf(name, sizeof name, "go/%d", round);
        assert_ok(store_put(store, name, "", 0, &e), e);
        int wins = 0, winner = 0;
        for (int i = 0; i < WRITERS; i++) {
            char outcome = 0;
            assert_int_equal(read(reports[i], &outcome, 1), 1);
            assert_true(outcome == 'w' || outcome == 'x');
            if (outcome == 'w') {
                winner = i;
                wins++;
            }
        }
        assert_int_equal(wins, 1);
        snprintf(name, sizeof name, "locks/%d", round);
        assert_content(store, name, (uint64_t)winner, race_size(winner));
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(wait_role(pids[i]), 0);
        close(reports[i]);
    }
}

/* One object, replaced and removed without end by one thread, read by others: each reader gets nothing, or
 * one of the versions from its first byte to its last. */
struct changing {
    struct nacre_object_store *store;
    atomic_bool done;
    atomic_int whole;
};

enum { VERSIONS = 60 };

static size_t version_size(uint64_t version)
{
    return version % 2 ? 300000 + (size_t)version : (2 << 20) + (size_t)version;
}

static int change(struct changing *changing)
{
    struct nacre_err e = {0};
    int result = 0;
    uint8_t *data = malloc((2 << 20) + VERSIONS);
    for (uint64_t version = 0; data && version < VERSIONS && result == 0; version++) {
        content(version, 0, data, version_size(version));
        memcpy(data, &version, sizeof version);
        result = store_put(changing->store, "data/changing", data, version_size(version), &e);
        if (result == 0 && version % 5 == 4)
            result = store_remove(changing->store, "data/changing", &e);
    }
    if (!data || result < 0)
        print_error("%s\n", e.message);
    free(data);
    changing->done = true;
    return data ? result : -1;
}

static int observe(struct changing *changing)
{
    CLEANUP(buf_free) struct buf got = {0};
    uint8_t *expected = malloc((2 << 20) + VERSIONS);
    int result = expected ? 0 : -1;
    while (result == 0 && !changing->done) {
        struct nacre_err e = {0};
        uint64_t version;
        buf_clear(&got);
        if (store_get(changing->store, "data/changing", 4 << 20, &got, &e) < 0) {
            result = e.code == NACRE_ABSENT ? 0 : -1;
            if (result)
                print_error("%s\n", e.message);
            continue;
        }
        result = -1;
        if (got.size < sizeof version)
            break;
        memcpy(&version, got.data, sizeof version);
        if (version >= VERSIONS || got.size != version_size(version))
            break;
        content(version, 0, expected, got.size);
        if (memcmp(got.data + sizeof version, expected + sizeof version, got.size - sizeof version) != 0)
            break;
        atomic_fetch_add(&changing->whole, 1);
        result = 0;
    }
    free(expected);
    return result;
}

static int observe_list(struct changing *changing);

static int change_or_observe(void *arg, int index)
{
    if (index == 0)
        return change(arg);
    return index == 1 ? observe_list(arg) : observe(arg);
}

static int check_listed(void *ctx, const struct nacre_object_info *info)
{
    int *wrong = ctx;
    uint64_t size = info->size; /* tells the versions apart */
    *wrong +=
        strcmp(info->name, "data/changing") != 0 ||
        !((size >= 300000 && size < 300000 + VERSIONS) || (size >= (2 << 20) && size < (2 << 20) + VERSIONS));
    return 0;
}

/* A listing never shows a part, nor a temporary name. */
static int observe_list(struct changing *changing)
{
    int wrong = 0;
    while (!wrong && !changing->done) {
        struct nacre_err e = {0};
        struct nacre_object_info info;
        if (changing->store->ops->list(changing->store, "", check_listed, &wrong, &e) < 0)
            return -1;
        if (changing->store->ops->stat(changing->store, "data/changing", &info, &e) == 0) {
            info.name = "data/changing";
            check_listed(&wrong, &info);
        } else if (e.code != NACRE_ABSENT) {
            return -1;
        }
    }
    return wrong;
}

static void test_readers_see_whole_objects(void **state)
{
    (void)state;
    if (contract.faults)
        skip();
    CLEANUP(store_close) struct nacre_object_store *store = open_space("changing");
    struct changing changing = {.store = store};
    assert_int_equal(run_threads(5, change_or_observe, &changing), 0);
    assert_true(changing.whole > 0);
}

/* Each thread has names of its own and knows what must be there; all list all. */
static int work(void *arg, int index)
{
    struct nacre_object_store *store = arg;
    struct nacre_err e = {0};
    size_t sizes[8] = {0}; /* 0 = absent */
    uint64_t random = (uint64_t)index * 7919 + 1;
    for (int step = 0; step < 120; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int slot = (int)(random >> 33) % 8;
        char name[64];
        snprintf(name, sizeof name, "work/%d/%d", index, slot);
        size_t size = 1 + (random >> 40) % 70000;
        uint8_t data[70001];
        struct checker checker = {.seed = (uint64_t)index * 8 + (uint64_t)slot};
        content(checker.seed, 0, data, size);
        int result = 0;
        switch ((random >> 60) % 4) {
        case 0:
            result = store_put(store, name, data, size, &e);
            sizes[slot] = size;
            break;
        case 1:
            result = store_put_if_absent(store, name, data, size, &e);
            if (sizes[slot])
                result = result < 0 && e.code == NACRE_EXISTS ? 0 : -2;
            else
                sizes[slot] = size;
            break;
        case 2:
            result = store_remove(store, name, &e);
            if (!sizes[slot])
                result = (result < 0 && e.code == NACRE_ABSENT) || (result == 0 && contract.faults) ? 0 : -2;
            sizes[slot] = 0;
            break;
        default:
            result = store->ops->get(store, name, 0, NACRE_TO_END, check_content, &checker, &e);
            if (!sizes[slot])
                result = result < 0 && e.code == NACRE_ABSENT ? 0 : -2;
            else if (result == 0)
                result = checker.different || checker.offset != sizes[slot] ? -2 : 0;
        }
        if (result) {
            print_error("%s step %d: %s\n", name, step, e.message);
            return -1;
        }
    }
    return 0;
}

static void test_concurrent_use(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("work");
    assert_int_equal(run_threads(8, work, store), 0);
}

const struct CMUnitTest race_tests[] = {
    cmocka_unit_test(test_racing_threads),
    cmocka_unit_test(test_racing_processes),
    cmocka_unit_test(test_readers_see_whole_objects),
    cmocka_unit_test(test_concurrent_use),
};
const size_t race_test_count = sizeof race_tests / sizeof *race_tests;

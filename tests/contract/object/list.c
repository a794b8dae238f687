/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: order, prefixes, depth, many objects, callbacks that stop or call back. */
#include <stdatomic.h>
#include <stdio.h>

#include "contract.h"

enum { MANY = 2300 }; /* more than two pages of any service */

/* In ascending byte order of the whole names, '-' < '.' < '/' < '0' < 'A' < '_' < 'a'. */
static const char *const names[] = {
    "A/b",      "_x",         "a",          "a-b",         "a-b2/c",     "a.b",       "a0",
    "ab",       "b/c",        "b/c-d",      "b/c.d/e",     "b/c0/x/y/z", "b/c0/x0",   "b0",
    "config",   "data/00/aa", "data/00/ab", "data/01/aa",  "data/0a",    "data/ff/a", "index/1",
    "keys/k-1", "keys/k.1",   "locks/l",    "snapshots/s",
};
static const size_t name_count = sizeof names / sizeof *names;

struct seen {
    char names[64][64];
    uint64_t sizes[64];
    size_t count;
    size_t stop_after;
};

static int remember(void *ctx, const struct nacre_object_info *info)
{
    struct seen *seen = ctx;
    if (seen->count == 64 || strlen(info->name) > 63)
        return 1;
    strcpy(seen->names[seen->count], info->name);
    seen->sizes[seen->count++] = info->size;
    return seen->stop_after && seen->count == seen->stop_after;
}

static struct nacre_object_store *filled(const char *space)
{
    struct nacre_object_store *store = open_space(space);
    for (size_t i = 0; i < name_count; i++) { /* written in another order than listed */
        size_t k = i * 7 % name_count;
        put_content(store, names[k], k, 10 + k);
    }
    return store;
}

/* Names of the table that begin with the prefix, in order, are what the listing gives. */
static void expect(struct nacre_object_store *store, const char *prefix)
{
    struct nacre_err e = {0};
    struct seen seen = {0};
    assert_ok(store->ops->list(store, prefix, remember, &seen, &e), e);
    size_t at = 0;
    for (size_t i = 0; i < name_count; i++) {
        if (strncmp(names[i], prefix, strlen(prefix)) != 0)
            continue;
        assert_true(at < seen.count);
        assert_string_equal(seen.names[at], names[i]);
        assert_int_equal(seen.sizes[at], 10 + i);
        at++;
    }
    assert_int_equal(at, seen.count);
}

static void test_order_and_prefixes(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = filled("order");
    static const char *const prefixes[] = {
        "",         "a",          "a-",          "a/",         "b",           "b/",     "b/c",    "b/c.",
        "b/c0",     "b/c0/",      "b/c0/x",      "b/c0/x/y/z", "data",        "data/",  "data/0", "data/00",
        "data/00/", "data/00/ab", "data/00/abc", "z",          "b/c0/x/y/z/", "config", "//",     "../",
        "data//",   " ",          "keys/k",      "keys/k.",    "config/",
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        expect(store, prefixes[i]);
    char longer[2 * NACRE_OBJECT_NAME_MAX];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    expect(store, longer);
}

static void test_empty(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("empty");
    struct nacre_err e = {0};
    struct seen seen = {0};
    assert_ok(store->ops->list(store, "", remember, &seen, &e), e);
    assert_ok(store->ops->list(store, "data/", remember, &seen, &e), e);
    assert_int_equal(seen.count, 0);
    put_content(store, "data/x", 1, 1);
    assert_ok(store_remove(store, "data/x", &e), e);
    assert_ok(store->ops->list(store, "", remember, &seen, &e), e);
    assert_int_equal(seen.count, 0);
}

static void test_stop(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = filled("stop");
    for (size_t stop = 1; stop < name_count; stop += 5) {
        struct nacre_err e = {0};
        struct seen seen = {.stop_after = stop};
        assert_ok(store->ops->list(store, "", remember, &seen, &e), e);
        assert_int_equal(seen.count, stop);
        assert_string_equal(seen.names[stop - 1], names[stop - 1]);
    }
}

struct removing {
    struct nacre_object_store *store;
    size_t count;
    int failed;
};

static int remove_each(void *ctx, const struct nacre_object_info *info)
{
    struct removing *removing = ctx;
    struct nacre_err e = {0};
    struct nacre_object_info again;
    char name[NACRE_OBJECT_NAME_MAX + 1];
    snprintf(name, sizeof name, "%s", info->name);
    removing->failed |= removing->store->ops->stat(removing->store, name, &again, &e) < 0 ||
                        again.size != info->size ||
                        removing->store->ops->remove(removing->store, name, &e) < 0;
    removing->count++;
    return 0;
}

static void test_callback_may_call_back(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = filled("callback");
    struct nacre_err e = {0};
    struct removing removing = {.store = store};
    assert_ok(store->ops->list(store, "", remove_each, &removing, &e), e);
    assert_int_equal(removing.count, name_count);
    assert_int_equal(removing.failed, 0);
    struct seen seen = {0};
    assert_ok(store->ops->list(store, "", remember, &seen, &e), e);
    assert_int_equal(seen.count, 0);
}

static void many_name(int i, char *out, size_t size)
{
    snprintf(out, size, "many/%02x/%05d", i % 7, i);
}

static int put_many(void *arg, int index)
{
    struct nacre_object_store *store = arg;
    struct nacre_err e = {0};
    for (int i = index; i < MANY; i += 16) {
        char name[64];
        many_name(i, name, sizeof name);
        if (store_put(store, name, name, strlen(name), &e) < 0) {
            print_error("%s\n", e.message);
            return -1;
        }
    }
    return 0;
}

struct ordered {
    char last[64];
    int count;
    int wrong;
};

static int check_order(void *ctx, const struct nacre_object_info *info)
{
    struct ordered *ordered = ctx;
    ordered->wrong += strcmp(info->name, ordered->last) <= 0 || info->size != strlen(info->name);
    snprintf(ordered->last, sizeof ordered->last, "%s", info->name);
    ordered->count++;
    return 0;
}

static void test_many(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("many");
    struct nacre_err e = {0};
    assert_int_equal(run_threads(16, put_many, store), 0);
    struct ordered all = {0}, some = {0};
    assert_ok(store->ops->list(store, "many/", check_order, &all, &e), e);
    assert_int_equal(all.count, MANY);
    assert_int_equal(all.wrong, 0);
    assert_ok(store->ops->list(store, "many/03/", check_order, &some, &e), e);
    int expected = 0;
    for (int i = 0; i < MANY; i++)
        expected += i % 7 == 3;
    assert_int_equal(some.count, expected);
    assert_int_equal(some.wrong, 0);
}

const struct CMUnitTest list_tests[] = {
    cmocka_unit_test(test_order_and_prefixes),     cmocka_unit_test(test_empty), cmocka_unit_test(test_stop),
    cmocka_unit_test(test_callback_may_call_back), cmocka_unit_test(test_many),
};
const size_t list_test_count = sizeof list_tests / sizeof *list_tests;

/* SPDX-License-Identifier: Apache-2.0 */
/* One caller at a time: every function and every error of the ABI header. */
#include <stdio.h>
#include <time.h>

#include "contract.h"

static void test_put_and_get(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 4095, 4096, 65537, (1 << 20) - 1, (1 << 20) + 3, (5 << 20) + 1};
    CLEANUP(store_close) struct nacre_object_store *store = open_space("put");
    struct nacre_err e = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[64];
        snprintf(name, sizeof name, "data/%zu", i);
        put_content(store, name, i, sizes[i]);
        assert_content(store, name, i, sizes[i]);
        struct nacre_object_info info;
        assert_ok(store->ops->stat(store, name, &info, &e), e);
        assert_int_equal(info.size, sizes[i]);
        int64_t off = info.modified_ns / 1000000000 - time(NULL);
        assert_true(info.modified_ns == 0 || (off > -3600 && off < 3600));
    }
}

static void test_streamed_input(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("streamed");
    struct nacre_err e = {0};
    const uint64_t seed = 99, other = 100;
    struct nacre_input input = content_streamed(&seed, contract.big_bytes + 5);
    assert_ok(store->ops->put(store, "big/one", &input, &e), e);
    assert_content(store, "big/one", seed, contract.big_bytes + 5);
    struct nacre_input second = content_streamed(&other, (3 << 20) + 1);
    assert_ok(store->ops->put_if_absent(store, "big/two", &second, &e), e);
    assert_content(store, "big/two", other, (3 << 20) + 1);
    struct nacre_input none = content_streamed(&seed, 0);
    assert_ok(store->ops->put(store, "big/none", &none, &e), e);
    assert_content(store, "big/none", seed, 0);
}

static void test_put_replaces(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("replace");
    put_content(store, "config", 1, 100000);
    put_content(store, "config", 2, 10);
    assert_content(store, "config", 2, 10);
    put_content(store, "config", 3, 200000);
    assert_content(store, "config", 3, 200000);
    put_content(store, "config", 4, 0);
    assert_content(store, "config", 4, 0);
}

static void test_put_if_absent(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("absent");
    struct nacre_err e = {0};
    assert_ok(store_put_if_absent(store, "keys/one", "first", 5, &e), e);
    assert_code(store_put_if_absent(store, "keys/one", "second", 6, &e), e, NACRE_EXISTS);
    assert_code(store_put_if_absent(store, "keys/one", "", 0, &e), e, NACRE_EXISTS);
    CLEANUP(buf_free) struct buf got = {0};
    assert_ok(store_get(store, "keys/one", 100, &got, &e), e);
    assert_string_equal((const char *)got.data, "first");
    assert_ok(store_remove(store, "keys/one", &e), e);
    assert_ok(store_put_if_absent(store, "keys/one", "third", 5, &e), e);
    buf_clear(&got);
    assert_ok(store_get(store, "keys/one", 100, &got, &e), e);
    assert_string_equal((const char *)got.data, "third");
}

static void test_ranges(void **state)
{
    (void)state;
    enum { SIZE = (3 << 20) + 17 };
    CLEANUP(store_close) struct nacre_object_store *store = open_space("ranges");
    struct nacre_err e = {0};
    put_content(store, "data/x", 5, SIZE);
    static const struct {
        uint64_t offset, length;
    } good[] = {{0, 0},
                {0, 1},
                {0, SIZE},
                {1, SIZE - 1},
                {SIZE - 1, 1},
                {SIZE, 0},
                {4095, 2},
                {1 << 20, 1 << 20},
                {12345, 2345678},
                {SIZE, NACRE_TO_END},
                {SIZE - 3, NACRE_TO_END},
                {0, NACRE_TO_END}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct checker checker = {.seed = 5, .offset = good[i].offset};
        assert_ok(
            store->ops->get(store, "data/x", good[i].offset, good[i].length, check_content, &checker, &e), e);
        assert_false(checker.different);
        uint64_t end = good[i].length == NACRE_TO_END ? SIZE : good[i].offset + good[i].length;
        assert_int_equal(checker.offset, end);
    }
    static const struct {
        uint64_t offset, length;
    } bad[] = {{0, SIZE + 1}, {SIZE, 1},           {SIZE + 1, 0},       {SIZE + 1, NACRE_TO_END},
               {1, SIZE},     {UINT64_MAX - 1, 1}, {1, UINT64_MAX - 1}, {UINT64_MAX, NACRE_TO_END}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct checker checker = {.seed = 5, .offset = bad[i].offset};
        assert_code(
            store->ops->get(store, "data/x", bad[i].offset, bad[i].length, check_content, &checker, &e), e,
            NACRE_INVALID);
        assert_false(checker.different);
    }
}

static void test_absent(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("nothing");
    struct nacre_err e = {0};
    struct nacre_object_info info;
    struct checker checker = {0};
    static const char *const names[] = {"config", "data/00/none", "config/below-an-object", "data"};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = pass; i < sizeof names / sizeof *names; i++) {
            assert_code(store->ops->get(store, names[i], 0, NACRE_TO_END, check_content, &checker, &e), e,
                        NACRE_ABSENT);
            assert_code(store->ops->get(store, names[i], 3, 4, check_content, &checker, &e), e, NACRE_ABSENT);
            assert_code(store->ops->stat(store, names[i], &info, &e), e, NACRE_ABSENT);
            assert_remove_absent(store, names[i]);
        }
        put_content(store, "config", 1, 10); /* the second pass: with neighbours */
        put_content(store, "data/00/other", 1, 10);
    }
    assert_int_equal(checker.offset, 0);
}

static void test_remove(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("remove");
    struct nacre_err e = {0};
    struct nacre_object_info info;
    put_content(store, "data/ab/one", 1, 1000);
    put_content(store, "data/ab/two", 2, 1000);
    assert_ok(store->ops->remove(store, "data/ab/one", &e), e);
    assert_code(store->ops->stat(store, "data/ab/one", &info, &e), e, NACRE_ABSENT);
    assert_remove_absent(store, "data/ab/one");
    assert_content(store, "data/ab/two", 2, 1000);
    put_content(store, "data/ab/one", 3, 7);
    assert_content(store, "data/ab/one", 3, 7);
}

static int stop_at_once(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    (void)data, (void)len;
    ++*(int *)ctx;
    return err_set(e, NACRE_CANCELLED, "enough");
}

static void test_sink_error_ends_the_get(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("sink");
    struct nacre_err e;
    put_content(store, "data/x", 5, 6 << 20);
    int calls = 0;
    assert_code(store->ops->get(store, "data/x", 0, NACRE_TO_END, stop_at_once, &calls, &e), e,
                NACRE_CANCELLED);
    assert_int_equal(calls, 1);
    assert_non_null(strstr(e.message, "enough"));
}

static int fail_past_the_middle(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    if (offset + len > (2 << 20))
        return err_set(e, NACRE_CORRUPT, "the source is damaged");
    content(*(const uint64_t *)ctx, offset, buf, len);
    return 0;
}

/* A source that fails leaves what was there before: nothing, or the old object. */
static void test_input_error_writes_nothing(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("input");
    struct nacre_err e;
    struct nacre_object_info info;
    uint64_t seed = 8;
    struct nacre_input bad = {.size = 4 << 20, .read = fail_past_the_middle, .ctx = &seed};
    assert_code(store->ops->put(store, "data/new", &bad, &e), e, NACRE_CORRUPT);
    assert_non_null(strstr(e.message, "the source is damaged"));
    assert_code(store->ops->stat(store, "data/new", &info, &e), e, NACRE_ABSENT);
    assert_code(store->ops->put_if_absent(store, "data/new", &bad, &e), e, NACRE_CORRUPT);
    assert_code(store->ops->stat(store, "data/new", &info, &e), e, NACRE_ABSENT);
    put_content(store, "data/old", 3, 12345);
    assert_code(store->ops->put(store, "data/old", &bad, &e), e, NACRE_CORRUPT);
    assert_content(store, "data/old", 3, 12345);
}

static void try_bad_name(struct nacre_object_store *store, const char *name)
{
    struct nacre_err e;
    struct nacre_object_info info;
    struct checker checker = {0};
    const struct nacre_input input = {.size = 1, .data = "x"};
    assert_false(nacre_object_name_valid(name));
    assert_code(store->ops->put(store, name, &input, &e), e, NACRE_INVALID);
    assert_code(store->ops->put_if_absent(store, name, &input, &e), e, NACRE_INVALID);
    assert_code(store->ops->get(store, name, 0, NACRE_TO_END, check_content, &checker, &e), e, NACRE_INVALID);
    assert_code(store->ops->stat(store, name, &info, &e), e, NACRE_INVALID);
    assert_code(store->ops->remove(store, name, &e), e, NACRE_INVALID);
}

static int count_entry(void *ctx, const struct nacre_object_info *info)
{
    (void)info;
    ++*(int *)ctx;
    return 0;
}

static void test_names(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("names");
    struct nacre_err e = {0};
    char longest[NACRE_OBJECT_NAME_MAX + 2], segment[NACRE_OBJECT_SEGMENT_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[200] = longest[400] = '/';
    longest[NACRE_OBJECT_NAME_MAX] = 0;
    memset(segment, 'y', sizeof segment);
    segment[NACRE_OBJECT_SEGMENT_MAX] = 0;
    const char *const good[] = {
        "a", "A-b_c.d", "0/1/2/3/4/5/6/7/8/9", "...", ".hidden", "-", "a..b", "x/.y/z.", longest, segment};
    size_t good_count = sizeof good / sizeof *good;
    for (size_t i = 0; i < good_count; i++) {
        assert_true(nacre_object_name_valid(good[i]));
        put_content(store, good[i], i, 20 + i);
    }
    for (size_t i = 0; i < good_count; i++)
        assert_content(store, good[i], i, 20 + i);

    static const char *const bad[] = {"",     "/",    "/a",     "a/",       "a//b", ".",   "..",
                                      "a/.",  "../a", "a/../b", "a/./b",    "a b",  "a\n", "\xc3\xa4",
                                      "a\\b", "a?b",  "a%2fb",  "~nacre-1", "a:b",  "a*",  "a\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        try_bad_name(store, bad[i]);
    longest[NACRE_OBJECT_NAME_MAX] = 'x';
    longest[NACRE_OBJECT_NAME_MAX + 1] = 0;
    try_bad_name(store, longest);
    segment[NACRE_OBJECT_SEGMENT_MAX] = 'y';
    segment[NACRE_OBJECT_SEGMENT_MAX + 1] = 0;
    try_bad_name(store, segment);
    int count = 0;
    assert_ok(store->ops->list(store, "", count_entry, &count, &e), e);
    assert_int_equal(count, good_count);
}

static void test_reopen(void **state)
{
    (void)state;
    struct nacre_object_store *store = open_space("reopen");
    put_content(store, "config", 1, 10);
    put_content(store, "data/ff/pack", 2, 1 << 20);
    store_close(store);
    store = open_space("reopen");
    assert_content(store, "config", 1, 10);
    assert_content(store, "data/ff/pack", 2, 1 << 20);
    store_close(store);
}

/* Two handles of the same place, and neighbours whose names begin alike. */
static void test_spaces(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *one = open_space("space");
    CLEANUP(store_close) struct nacre_object_store *same = open_space("space");
    CLEANUP(store_close) struct nacre_object_store *longer = open_space("space-2");
    CLEANUP(store_close) struct nacre_object_store *another = open_space("spac");
    struct nacre_err e = {0};
    struct nacre_object_info info;
    put_content(one, "x", 1, 10);
    assert_content(same, "x", 1, 10);
    assert_code(longer->ops->stat(longer, "x", &info, &e), e, NACRE_ABSENT);
    assert_code(another->ops->stat(another, "x", &info, &e), e, NACRE_ABSENT);
    put_content(longer, "y", 2, 10);
    int counts[3] = {0};
    assert_ok(one->ops->list(one, "", count_entry, &counts[0], &e), e);
    assert_ok(longer->ops->list(longer, "", count_entry, &counts[1], &e), e);
    assert_ok(another->ops->list(another, "", count_entry, &counts[2], &e), e);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 0);
    assert_ok(same->ops->remove(same, "x", &e), e);
    assert_code(one->ops->stat(one, "x", &info, &e), e, NACRE_ABSENT);
}

const struct CMUnitTest basic_tests[] = {
    cmocka_unit_test(test_put_and_get),
    cmocka_unit_test(test_streamed_input),
    cmocka_unit_test(test_put_replaces),
    cmocka_unit_test(test_put_if_absent),
    cmocka_unit_test(test_ranges),
    cmocka_unit_test(test_absent),
    cmocka_unit_test(test_remove),
    cmocka_unit_test(test_sink_error_ends_the_get),
    cmocka_unit_test(test_input_error_writes_nothing),
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_reopen),
    cmocka_unit_test(test_spaces),
};
const size_t basic_test_count = sizeof basic_tests / sizeof *basic_tests;

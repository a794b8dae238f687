/* SPDX-License-Identifier: Apache-2.0 */
/* The conveniences over a store, also against a store that does not keep to its contract. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/err.h"
#include "plugins/store.h"

/* Sends `sent` bytes, whatever was asked for. */
struct odd_store {
    struct nacre_object_store base;
    size_t sent;
};

static int odd_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                   nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    (void)name, (void)offset, (void)length;
    static const char data[64] = "0123456789012345678901234567890123456789012345678901234567890";
    for (size_t left = ((struct odd_store *)base)->sent; left;) {
        size_t part = left < 7 ? left : 7;
        if (sink(ctx, data, part, e) < 0)
            return -1;
        left -= part;
    }
    return 0;
}

static int odd_fail(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    (void)base, (void)name;
    return err_set(e, NACRE_DENIED, "no");
}

static const struct nacre_object_store_ops ops = {.size = sizeof ops, .get = odd_get, .remove = odd_fail};

static void test_range_is_exact(void **state)
{
    (void)state;
    struct odd_store odd = {{&ops}, 0};
    struct nacre_err e;
    char data[32];
    memset(data, '#', sizeof data);
    for (odd.sent = 0; odd.sent < 40; odd.sent++) {
        int result = store_get_range(&odd.base, "data/x", 5, 20, data, &e);
        assert_int_equal(result, odd.sent == 20 ? 0 : -1);
        if (result < 0) {
            assert_int_equal(e.code, NACRE_FAILED);
            assert_non_null(strstr(e.message, "data/x"));
        }
        for (size_t i = 20; i < sizeof data; i++)
            assert_int_equal(data[i], '#');
    }
}

static void test_whole_is_limited(void **state)
{
    (void)state;
    struct odd_store odd = {{&ops}, 100};
    struct nacre_err e;
    CLEANUP(buf_free) struct buf out = {0};
    buf_string(&out, "kept:");
    assert_int_equal(store_get(&odd.base, "keys/k", 99, &out, &e), -1);
    assert_int_equal(e.code, NACRE_CORRUPT);
    assert_non_null(strstr(e.message, "keys/k"));
    buf_clear(&out);
    buf_string(&out, "kept:");
    assert_int_equal(store_get(&odd.base, "keys/k", 100, &out, &e), 0);
    assert_int_equal(out.size, 105);
    assert_memory_equal(out.data, "kept:0123456", 12);
}

static void test_errors_name_the_object(void **state)
{
    (void)state;
    struct odd_store odd = {{&ops}, 0};
    struct nacre_err e;
    assert_int_equal(store_remove(&odd.base, "locks/l", &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    assert_string_equal(e.message, "removing object locks/l: no");
    store_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_is_exact),
        cmocka_unit_test(test_whole_is_limited),
        cmocka_unit_test(test_errors_name_the_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The growing buffer and hex. */
#include "support.h"

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/utf8.h"

static void appends(void **state)
{
    (void)state;
    CLEANUP(buf_free) struct buf b = {0};
    buf_append(&b, NULL, 0);
    assert_int_equal(b.size, 0);
    for (unsigned i = 0; i < 100000; i++)
        buf_append(&b, &i, sizeof i);
    assert_int_equal(b.size, 400000);
    for (unsigned i = 0; i < 100000; i += 999)
        assert_memory_equal(b.data + (size_t)4 * i, &i, sizeof i);
    assert_int_equal(b.data[b.size], 0);
    assert_true(b.capacity > b.size);
    buf_clear(&b);
    assert_int_equal(b.size, 0);
    buf_string(&b, "a");
    buf_char(&b, 'b');
    buf_printf(&b, "%d-%s", 12, "c");
    assert_string_equal((char *)b.data, "ab12-c");
    assert_false(buf_failed(&b));
}

static void reserves(void **state)
{
    (void)state;
    CLEANUP(buf_free) struct buf b = {0};
    char *at = buf_reserve(&b, 10);
    assert_non_null(at);
    assert_int_equal(b.size, 0);
    for (int i = 0; i < 10; i++)
        at[i] = (char)('0' + i);
    buf_commit(&b, 4);
    assert_string_equal((char *)b.data, "0123");
    assert_non_null(buf_reserve(&b, 0));
}

static void failing_is_remembered(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_string(&b, "kept");
    assert_null(buf_reserve(&b, SIZE_MAX - 2));
    assert_true(buf_failed(&b));
    buf_string(&b, "dropped");
    assert_int_equal(b.size, 4);
    buf_clear(&b);
    assert_false(buf_failed(&b));
    buf_wipe_free(&b);
    assert_null(b.data);
    buf_wipe_free(&b); /* empty is legal */
}

static void hex(void **state)
{
    (void)state;
    uint8_t all[256], back[256];
    char text[513];
    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    hex_encode(all, sizeof all, text);
    assert_memory_equal(text, "000102", 6);
    assert_int_equal(strlen(text), 512);
    assert_true(hex_decode(text, back, sizeof back));
    assert_memory_equal(all, back, sizeof all);
    assert_true(hex_decode("", back, 0));
    for (int c = 0; c < 256; c++) {
        const char pair[3] = {'0', (char)c, 0}, riap[3] = {(char)c, '0', 0};
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); /* lower case only */
        assert_int_equal(hex_decode(pair, back, 1), digit);
        assert_int_equal(hex_decode(riap, back, 1), digit);
    }
    assert_false(hex_decode("00", back, 2)); /* ends early: the NUL is no digit, nothing behind it is read */
}

static void utf8(void **state)
{
    (void)state;
    for (uint32_t rune = 0; rune < 0x110000; rune++) {
        char text[4];
        uint32_t back = 0;
        if (rune >= 0xd800 && rune <= 0xdfff)
            continue;
        size_t size = utf8_encode(rune, text);
        assert_int_equal(utf8_decode(text, size, &back), size);
        assert_int_equal(back, rune);
        if (size > 1)
            assert_int_equal(utf8_decode(text, size - 1, &back), 0); /* cut */
    }
    const char *const bad[] = {"\x80",         "\xc0\xaf",         "\xc1\xbf",         "\xe0\x9f\xbf",
                               "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                               "\xff",         "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
    assert_true(utf8_valid("a\xc3\xa9\xf0\x9f\x98\x80", 7));
    assert_true(utf8_valid("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends), cmocka_unit_test(reserves), cmocka_unit_test(failing_is_remembered),
        cmocka_unit_test(hex),     cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

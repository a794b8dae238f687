/* SPDX-License-Identifier: Apache-2.0 */
/* Ids: the published SHA-256 vectors, and that nothing but 64 lower-case digits is an id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "repository/id.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void hashes(void **state)
{
    (void)state;
    struct id id;
    char hex[ID_HEX_SIZE];
    id_hash(&id, NULL, 0);
    id_format(&id, hex);
    assert_string_equal(hex, EMPTY);
    id_hash(&id, "abc", 3);
    id_format(&id, hex);
    assert_string_equal(hex, ABC);
}

static void parses_what_it_formats(void **state)
{
    (void)state;
    struct id id, again;
    char hex[ID_HEX_SIZE];
    assert_true(id_parse(&id, ABC));
    id_format(&id, hex);
    assert_string_equal(hex, ABC);
    id_hash(&again, "abc", 3);
    assert_true(id_equal(&id, &again));
    assert_int_equal(id_compare(&id, &again), 0);
}

static void refuses_other_text(void **state)
{
    (void)state;
    struct id id;
    char text[ID_HEX_SIZE + 1];
    assert_false(id_parse(&id, ""));
    assert_false(id_parse(&id, "ab"));
    snprintf(text, sizeof text, "%s0", ABC);
    assert_false(id_parse(&id, text));
    snprintf(text, sizeof text, "%s", ABC);
    text[0] = 'B';
    assert_false(id_parse(&id, text));
    text[0] = 'g';
    assert_false(id_parse(&id, text));
    text[0] = 'b';
    text[63] = '/';
    assert_false(id_parse(&id, text));
}

static void orders_by_bytes(void **state)
{
    (void)state;
    struct id low = {{0}}, high = {{0}};
    low.bytes[31] = 1;
    high.bytes[0] = 0x80;
    assert_true(id_compare(&low, &high) < 0);
    assert_true(id_compare(&high, &low) > 0);
    assert_false(id_equal(&low, &high));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(parses_what_it_formats),
        cmocka_unit_test(refuses_other_text),
        cmocka_unit_test(orders_by_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as Go writes it, and the bounds of reading. */
#include "support.h"

#include "common/json.h"

static void check_escaped(const char *text, size_t size, const char *expected)
{
    CLEANUP(buf_free) struct buf out = {0};
    json_append_bytes(&out, text, size);
    assert_string_equal((char *)out.data, expected);
}

/* Expected values: what encoding/json of Go 1.19 gives. */
static void escapes_as_go(void **state)
{
    (void)state;
    check_escaped("", 0, "\"\"");
    check_escaped("plain text", 10, "\"plain text\"");
    check_escaped("\"\\/", 3, "\"\\\"\\\\/\"");
    check_escaped("\n\r\t\b\f\0\x1f\x7f", 8, "\"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f\"");
    check_escaped("<a>&'", 5, "\"\\u003ca\\u003e\\u0026'\"");
    check_escaped("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 12,
                  "\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\"");
    check_escaped("\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    check_escaped("a\xff\xc3z\xed\xa0\x80", 7, "\"a\\ufffd\\ufffdz\\ufffd\\ufffd\\ufffd\"");
    check_escaped("\xef\xbf\xbd", 3, "\"\xef\xbf\xbd\"");
    check_escaped("cut\xf0\x9f\x98", 6, "\"cut\\ufffd\\ufffd\\ufffd\"");
}

static void base64(void **state)
{
    (void)state;
    const struct {
        const char *plain;
        size_t size;
        const char *text;
    } cases[] = {{"", 0, ""},
                 {"f", 1, "Zg=="},
                 {"fo", 2, "Zm8="},
                 {"foo", 3, "Zm9v"},
                 {"foob", 4, "Zm9vYg=="},
                 {"\xff\xfe\xfd\0", 4, "//79AA=="},
                 {"\xfb\xef", 2, "++8="}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_free) struct buf out = {0}, back = {0};
        json_append_base64(&out, cases[i].plain, cases[i].size);
        assert_int_equal(out.size, strlen(cases[i].text) + 2);
        assert_memory_equal(out.data + 1, cases[i].text, strlen(cases[i].text));
        assert_true(json_decode_base64(cases[i].text, strlen(cases[i].text), &back));
        assert_int_equal(back.size, cases[i].size);
        if (cases[i].size)
            assert_memory_equal(back.data, cases[i].plain, cases[i].size);
    }
    const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm-_", "=m9v"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CLEANUP(buf_free) struct buf back = {0};
        if (json_decode_base64(bad[i], strlen(bad[i]), &back))
            fail_msg("%s", bad[i]);
    }
    CLEANUP(buf_free) struct buf back = {0};
    assert_false(json_decode_base64("Zm\0v", 4, &back));
}

static int parse(const char *text, size_t limit, json_t **out, struct nacre_err *e)
{
    return json_parse_object(text, strlen(text), limit, out, e);
}

static void parses_within_bounds(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(json_value_free) json_t *value = NULL, *none = NULL;
    assert_ok(parse("{\"a\":[\"[[[[\\\"[\"]}", 100, &value, &e));
    assert_fails(parse("{\"a\":1}", 6, &none, &e), NACRE_CORRUPT, "at most 6");
    assert_fails(parse("[]", 100, &none, &e), NACRE_CORRUPT, "object");
    assert_fails(parse("7", 100, &none, &e), NACRE_CORRUPT, "not JSON");
    assert_fails(parse("{\"a\":1} x", 100, &none, &e), NACRE_CORRUPT, "not JSON");
    assert_fails(parse("{\"a\":1,\"a\":2}", 100, &none, &e), NACRE_CORRUPT, "uplicate");
    assert_fails(parse("{\"a\":\"\xff\"}", 100, &none, &e), NACRE_CORRUPT, "not JSON");
    assert_fails(parse("{\"a\":\"\\u0000\"}", 100, &none, &e), NACRE_CORRUPT, "not JSON");
    assert_fails(parse("", 100, &none, &e), NACRE_CORRUPT, "not JSON: it is empty");
    for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX; depth++) {
        CLEANUP(buf_free) struct buf deep = {0};
        CLEANUP(json_value_free) json_t *nested = NULL;
        buf_string(&deep, "{\"a\":");
        for (int i = 0; i < depth; i++)
            buf_char(&deep, '[');
        for (int i = 0; i < depth; i++)
            buf_char(&deep, ']');
        buf_char(&deep, '}');
        int result = json_parse_object(deep.data, deep.size, deep.size, &nested, &e);
        assert_int_equal(result, depth < JSON_DEPTH_MAX ? 0 : -1);
    }
    assert_non_null(strstr(e.message, "deeper"));
}

static void gets_fields(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(json_value_free) json_t *o = NULL;
    const char *text = "default";
    bool truth = false;
    uint64_t number = 7;
    assert_ok(parse("{\"s\":\"x\",\"t\":true,\"n\":9223372036854775807,\"z\":null,\"m\":-1,\"f\":1.0}", 1000,
                    &o, &e));
    assert_ok(json_get_string(o, "absent", &text, &e));
    assert_ok(json_get_string(o, "z", &text, &e));
    assert_string_equal(text, "default");
    assert_ok(json_get_string(o, "s", &text, &e));
    assert_string_equal(text, "x");
    assert_fails(json_get_string(o, "t", &text, &e), NACRE_CORRUPT, "\"t\" is not a string");
    assert_ok(json_get_bool(o, "t", &truth, &e));
    assert_true(truth);
    assert_ok(json_get_bool(o, "absent", &truth, &e));
    assert_true(truth);
    assert_fails(json_get_bool(o, "s", &truth, &e), NACRE_CORRUPT, "\"s\"");
    assert_ok(json_get_uint(o, "absent", 10, &number, &e));
    assert_int_equal(number, 7);
    assert_ok(json_get_uint(o, "n", INT64_MAX, &number, &e));
    assert_int_equal(number, INT64_MAX);
    assert_fails(json_get_uint(o, "n", 100, &number, &e), NACRE_CORRUPT, "0 to 100");
    assert_fails(json_get_uint(o, "m", 100, &number, &e), NACRE_CORRUPT, "\"m\"");
    assert_fails(json_get_uint(o, "f", 100, &number, &e), NACRE_CORRUPT, "\"f\"");
    assert_fails(json_get_uint(o, "s", 100, &number, &e), NACRE_CORRUPT, "\"s\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_as_go),
        cmocka_unit_test(base64),
        cmocka_unit_test(parses_within_bounds),
        cmocka_unit_test(gets_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and tables as they are printed; text from elsewhere cannot reach a terminal with its control
 * characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <nacre/volume.h>

#include "capture.h"
#include "cli/output.h"

static void prints(enum cli_format format, json_t *document, const char *expected)
{
    struct cli cli = {.format = format};
    struct capture capture;
    struct nacre_err e;
    capture_begin(&capture);
    int result = output_document(&cli, document, &e);
    char *text = capture_end(&capture);
    assert_int_equal(result, 0);
    assert_string_equal(text, expected);
    free(text);
    json_decref(document);
}

static void json(void **state)
{
    (void)state;
    prints(CLI_JSON, json_pack("{s:i,s:s}", "b", 1, "a", "x"), "{\n  \"b\": 1,\n  \"a\": \"x\"\n}\n");
}

static void yaml(void **state)
{
    (void)state;
    prints(CLI_YAML,
           json_pack("{s:i,s:s,s:n,s:b,s:[],s:{}}", "num", 42, "t", "x", "none", "yes", 1, "l", "m"),
           "num: 42\nt: x\nnone: null\n\"yes\": true\nl: []\nm: {}\n");
    /* Words that a YAML reader would take for something else. */
    prints(CLI_YAML,
           json_pack("[s,s,s,s,s,s,s]", "true", "No", "null", "1.5", "2026-01-02", "a: b", "line\nbreak"),
           "- \"true\"\n- \"No\"\n- \"null\"\n- \"1.5\"\n- \"2026-01-02\"\n- \"a: b\"\n- \"line\\nbreak\"\n");
    prints(CLI_YAML, json_pack("{s:[{s:s,s:s}]}", "items", "name", "a", "path", "/x/y.img"),
           "items:\n- name: a\n  path: /x/y.img\n");
}

static void cleans(const char *text, const char *expected)
{
    struct buf out = {0};
    output_clean(&out, text);
    assert_string_equal((const char *)out.data, expected);
    buf_free(&out);
}

static void clean(void **state)
{
    (void)state;
    cleans("plain", "plain");
    cleans("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
           "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    cleans("\033[2Jgone\r\n\t\x7f", "?[2Jgone????");
    cleans("\xc2\x9b"
           "31m",
           "?31m");                               /* CSI as one character */
    cleans("\xff\xc0\x80\xed\xa0\x80", "??????"); /* no UTF-8 at all */
    cleans("\xe2\x82", "??");                     /* cut off */
}

static void documents_are_utf8(void **state)
{
    (void)state;
    json_t *text = output_text("a\xff"
                               "b");
    assert_string_equal(json_string_value(text), "a\xef\xbf\xbd"
                                                 "b");
    json_decref(text);
    assert_true(json_is_null(output_text("")));
    assert_true(json_is_null(output_time(0)));
    assert_true(json_is_null(output_number(NACRE_UNKNOWN)));
    text = output_time(1767323045000000006);
    assert_string_equal(json_string_value(text), "2026-01-02T03:04:05Z");
    json_decref(text);
    const struct nacre_option bad[] = {{"k\xff", "v\xff"}, {"e", ""}};
    json_t *object = output_options(bad, 2);
    assert_int_equal(json_object_size(object), 2);
    assert_string_equal(json_string_value(json_object_get(object, "k?")), "v\xef\xbf\xbd");
    json_decref(object);
}

static void table(void **state)
{
    (void)state;
    struct capture capture;
    struct table *t = table_new((const char *const[]){"NAME", "SIZE"}, 2);
    table_align_right(t, 1);
    for (int i = 0; i < 40; i++) /* grows */
        table_row(t, (const char *const[]){"\xc3\xbc", "1"});
    table_row(t, (const char *const[]){"a\nb", NULL});
    table_row(t, (const char *const[]){"longer", "12345"});
    capture_begin(&capture);
    table_print(t);
    char *text = capture_end(&capture);
    table_free(t);
    assert_true(!strncmp(text, "NAME     SIZE\n\xc3\xbc           1\n", 28));
    assert_non_null(strstr(text, "a?b         -\nlonger  12345\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(json), cmocka_unit_test(yaml),
                                       cmocka_unit_test(clean), cmocka_unit_test(documents_are_utf8),
                                       cmocka_unit_test(table)};
    return cmocka_run_group_tests_name("cli-output", tests, NULL, NULL);
}

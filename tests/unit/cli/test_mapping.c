/* SPDX-License-Identifier: Apache-2.0 */
/* Where volumes go: every rule of --volume-mapping, and every mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/mapping.h"
#include "common/cleanup.h"

static struct nacre_err e;

static const char *const three[] = {"rbd/east/pool/a", "rbd/east/pool/sub/b", "rbd/east/other/a"};

/* rules and expected: separated by spaces. expected NULL = refused with message. */
static void maps(const char *rules, const char *const *volumes, size_t count, bool native,
                 const char *expected, const char *message)
{
    char copy[512], got[1024] = "";
    struct mapping_rule parsed[8];
    struct volume_ref targets[8];
    bool natives[8];
    size_t rule_count = 0;
    int result = 0;
    snprintf(copy, sizeof copy, "%s", rules);
    for (char *rule = strtok(copy, " "); rule && !result; rule = strtok(NULL, " "))
        result = mapping_rule_parse(rule, &parsed[rule_count++], &e);
    for (size_t i = 0; i < count; i++)
        natives[i] = native;
    if (!result)
        result = mapping_apply(parsed, rule_count, volumes, natives, count, targets, &e);
    if (!expected) {
        if (!result)
            fail_msg("%s: accepted", rules);
        assert_int_equal(e.code, NACRE_INVALID);
        if (!strstr(e.message, message))
            fail_msg("%s: \"%s\" does not say \"%s\"", rules, e.message, message);
        return;
    }
    if (result)
        fail_msg("%s: %s", rules, e.message);
    for (size_t i = 0; i < count; i++) {
        char text[VOLUME_REF_SIZE];
        size_t used = strlen(got);
        volume_ref_format(&targets[i], text);
        snprintf(got + used, sizeof got - used, "%s%s", i ? " " : "", text);
    }
    assert_string_equal(got, expected);
}

static void without_rules(void **state)
{
    (void)state;
    maps("", three, 3, true, "rbd/east/pool/a rbd/east/pool/sub/b rbd/east/other/a", NULL);
}

static void names_and_beginnings(void **state)
{
    (void)state;
    maps("rbd/east/pool/a=hostpath/h/x", three, 3, true, "hostpath/h/x rbd/east/pool/sub/b rbd/east/other/a",
         NULL);
    maps("b=rbd/west/p/z", three, 3, true, "rbd/east/pool/a rbd/west/p/z rbd/east/other/a", NULL);
    maps("pool/a=rbd/west/p/z", three, 3, true, "rbd/west/p/z rbd/east/pool/sub/b rbd/east/other/a", NULL);
    maps("rbd/east=rbd/west", three, 3, true, "rbd/west/pool/a rbd/west/pool/sub/b rbd/west/other/a", NULL);
    maps("rbd/east/pool=rbd/west/pool2", three, 3, true,
         "rbd/west/pool2/a rbd/west/pool2/sub/b rbd/east/other/a", NULL);
}

static void longest_wins(void **state)
{
    (void)state;
    maps("rbd/east=rbd/w rbd/east/pool=rbd/x/p rbd/east/pool/a=rbd/y/p/i", three, 3, true,
         "rbd/y/p/i rbd/x/p/sub/b rbd/w/other/a", NULL);
    maps("rbd/east/pool/a=rbd/y/p/i rbd/east/pool=rbd/x/p rbd/east=rbd/w", three, 3, true,
         "rbd/y/p/i rbd/x/p/sub/b rbd/w/other/a", NULL);
}

static void star(void **state)
{
    (void)state;
    maps("*=rbd/w/p/i", three, 1, true, "rbd/w/p/i", NULL);
    maps("*=rbd/w/p/i a=rbd/v/p/i", three, 1, true, "rbd/v/p/i", NULL);
    maps("*=rbd/w/p/i", three, 3, true, NULL, "* is for a single one");
}

static void foreign(void **state)
{
    (void)state;
    const char *const path[] = {"/tmp/x=y/disk.img"};
    maps("", path, 1, false, NULL, "was not backed up from a volume");
    maps("*=rbd/w/p/i", path, 1, false, "rbd/w/p/i", NULL);
    maps("/tmp/x=y/disk.img=rbd/w/p/i", path, 1, false, "rbd/w/p/i", NULL);
    maps("disk.img=rbd/w/p/i", path, 1, false, "rbd/w/p/i", NULL);
}

static void mistakes(void **state)
{
    (void)state;
    maps("x", three, 3, true, NULL, "expected SRC=DST");
    maps("=x", three, 3, true, NULL, "expected SRC=DST");
    maps("x=", three, 3, true, NULL, "expected SRC=DST");
    maps("nothing=rbd/w/p/i", three, 3, true, NULL, "matches no volume; there is rbd/east/pool/a");
    maps("ool/a=rbd/w/p/i", three, 3, true, NULL, "matches no volume");
    maps("rbd/east/po=rbd/w", three, 3, true, NULL, "matches no volume");
    maps("a=rbd/w/p/i", three, 3, true, NULL, "could be several");
    maps("b=rbd/w/p/i b=rbd/w/p/j", three, 3, true, NULL, "mapped twice");
    maps("b=rbd/east/pool/a", three, 3, true, NULL, "would both go to rbd/east/pool/a");
    maps("b=image", three, 3, true, NULL, "--volume-mapping b=image");
    maps("b=rbd/w/p/i@s", three, 3, true, NULL, "a snapshot cannot be restored into");
}

static void selects(void **state)
{
    (void)state;
    size_t at;
    assert_int_equal(mapping_select("rbd/east/other/a", three, 3, &at, &e), 0);
    assert_int_equal(at, 2);
    assert_int_equal(mapping_select("sub/b", three, 3, &at, &e), 0);
    assert_int_equal(at, 1);
    assert_int_equal(mapping_select("a", three, 3, &at, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
    assert_int_equal(mapping_select("c", three, 3, &at, &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
    /* An exact name is meant, though it is the end of another. */
    const char *const nested[] = {"rbd/e/p/i", "x/rbd/e/p/i"};
    assert_int_equal(mapping_select("rbd/e/p/i", nested, 2, &at, &e), 0);
    assert_int_equal(at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules), cmocka_unit_test(names_and_beginnings),
        cmocka_unit_test(longest_wins),  cmocka_unit_test(star),
        cmocka_unit_test(foreign),       cmocka_unit_test(mistakes),
        cmocka_unit_test(selects)};
    return cmocka_run_group_tests_name("cli-mapping", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Volume references: what is one, what is not, and that writing one gives what was read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/volume_ref.h"

static void test_parts(void **state)
{
    (void)state;
    struct nacre_err e;
    struct volume_ref ref;
    assert_int_equal(volume_ref_parse("rbd/east/pool/space/image@monday", &ref, &e), 0);
    assert_string_equal(ref.driver, "rbd");
    assert_string_equal(ref.cluster, "east");
    assert_string_equal(ref.path, "pool/space/image");
    assert_string_equal(ref.snap, "monday");
    assert_int_equal(volume_ref_parse("hostpath/local/name", &ref, &e), 0);
    assert_string_equal(ref.path, "name");
    assert_string_equal(ref.snap, "");
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const good[] = {
        "rbd/east/pool/image",      "rbd/east/pool/ns/image", "hostpath/local/a",
        "rbd/c/p/i@s-1_2.3",        "rbd/east/pool/.hidden",  "rbd/e/p/a..b",
        "rbd/east/pool/with space", "rbd/east/pool/\xc3\xa4", "rbd/east/pool/csi-vol-1+2,3",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct nacre_err e = {0};
        struct volume_ref ref;
        char text[VOLUME_REF_SIZE];
        if (volume_ref_parse(good[i], &ref, &e) < 0)
            fail_msg("%s: %s", good[i], e.message);
        volume_ref_format(&ref, text);
        assert_string_equal(text, good[i]);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "rbd",
        "rbd/east",
        "rbd/east/",
        "/east/pool/image",
        "rbd//pool/image",
        "rbd/east/p//i",
        "rbd/east/pool/",
        "rbd/east//image",
        "rbd/east/./image",
        "rbd/east/p/..",
        "rbd/east/../x",
        "../east/p/i",
        "rbd/../p/i",
        "rbd/east/p/i@",
        "rbd/east/p/i@a/b",
        "rbd/east/p/i@a@b",
        "rbd/east/p/i@..",
        "rbd/east/p@q/i",
        "rbd/east/@s",
        "rbd/east/p/i\n",
        "rbd/east/p/\x01i",
        "rbd/ea st/p/i",
        "r b/east/p/i",
        "rbd/east/p/i@a b",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nacre_err e = {0};
        struct volume_ref ref;
        if (volume_ref_parse(bad[i], &ref, &e) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(e.code, NACRE_INVALID);
        assert_non_null(strstr(e.message, "DRIVER/CLUSTER/PATH"));
        assert_string_equal(ref.driver, "");
    }
}

/* Nothing is ever cut off: what does not fit is refused. */
static void test_lengths(void **state)
{
    (void)state;
    char text[2000], formatted[VOLUME_REF_SIZE];
    struct nacre_err e;
    struct volume_ref ref;
    static const struct {
        const char *before, *after;
        int longest;
    } parts[] = {
        {"", "/c/p", 31}, {"d/", "/p", 63}, {"d/c/", "", 511}, {"d/c/p@", "", NACRE_SNAPSHOT_NAME_MAX}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char word[700];
        memset(word, 'w', sizeof word);
        snprintf(text, sizeof text, "%s%.*s%s", parts[i].before, parts[i].longest, word, parts[i].after);
        assert_int_equal(volume_ref_parse(text, &ref, &e), 0);
        volume_ref_format(&ref, formatted);
        assert_string_equal(formatted, text);
        snprintf(text, sizeof text, "%s%.*s%s", parts[i].before, parts[i].longest + 1, word, parts[i].after);
        assert_int_equal(volume_ref_parse(text, &ref, &e), -1);
    }
}

static void test_snapshot_names(void **state)
{
    (void)state;
    assert_true(volume_snapshot_name_valid("nacre.2026-01-02_3"));
    assert_false(volume_snapshot_name_valid(""));
    assert_false(volume_snapshot_name_valid("."));
    assert_false(volume_snapshot_name_valid("a/b"));
    assert_false(volume_snapshot_name_valid("a@b"));
    char name[NACRE_SNAPSHOT_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    name[NACRE_SNAPSHOT_NAME_MAX] = 0;
    assert_true(volume_snapshot_name_valid(name));
    name[NACRE_SNAPSHOT_NAME_MAX] = 'x';
    name[NACRE_SNAPSHOT_NAME_MAX + 1] = 0;
    assert_false(volume_snapshot_name_valid(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),   cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_snapshot_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

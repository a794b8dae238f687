/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: codes survive wrapping, messages are cut and never overflow. */
#include "support.h"

#include <errno.h>

static void sets_and_wraps(void **state)
{
    (void)state;
    struct nacre_err e = {.retry_after_ms = 9};
    assert_int_equal(err_set(&e, NACRE_ABSENT, "no %s", "thing"), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
    assert_int_equal(e.retry_after_ms, 0);
    assert_int_equal(err_wrap(&e, "opening %d", 7), -1);
    assert_string_equal(e.message, "opening 7: no thing");
    assert_int_equal(e.code, NACRE_ABSENT);
    err_set(&e, NACRE_CORRUPT, "again: %s", e.message); /* its own message as an argument */
    assert_string_equal(e.message, "again: opening 7: no thing");
}

static void cuts_what_is_too_long(void **state)
{
    (void)state;
    struct {
        struct nacre_err e;
        char after[16];
    } guarded = {.after = "untouched"};
    char text[3 * NACRE_MESSAGE_SIZE];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    err_set(&guarded.e, NACRE_FAILED, "%s", text);
    assert_int_equal(strlen(guarded.e.message), NACRE_MESSAGE_SIZE - 1);
    err_wrap(&guarded.e, "front");
    assert_memory_equal(guarded.e.message, "front: xxx", 10);
    assert_int_equal(strlen(guarded.e.message), NACRE_MESSAGE_SIZE - 1);
    err_wrap(&guarded.e, "%s", text); /* the front wins */
    assert_int_equal(strlen(guarded.e.message), NACRE_MESSAGE_SIZE - 1);
    assert_int_equal(guarded.e.message[NACRE_MESSAGE_SIZE - 2], 'x');
    assert_string_equal(guarded.after, "untouched");
}

static void stands_for_errno(void **state)
{
    (void)state;
    struct nacre_err e;
    const struct {
        int number;
        enum nacre_code code;
    } cases[] = {{ENOENT, NACRE_ABSENT},       {EEXIST, NACRE_EXISTS},       {EACCES, NACRE_DENIED},
                 {EROFS, NACRE_DENIED},        {ENOSPC, NACRE_NO_SPACE},     {EDQUOT, NACRE_NO_SPACE},
                 {EBUSY, NACRE_BUSY},          {EINVAL, NACRE_INVALID},      {ENOSYS, NACRE_UNSUPPORTED},
                 {ETIMEDOUT, NACRE_TRANSIENT}, {ECANCELED, NACRE_CANCELLED}, {EIO, NACRE_FAILED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(err_errno(&e, cases[i].number, "doing %s", "it"), -1);
        assert_int_equal(e.code, cases[i].code);
        assert_memory_equal(e.message, "doing it: ", 10);
        assert_true(strlen(e.message) > 12);
    }
    assert_int_equal(err_no_memory(&e, "a test"), -1);
    assert_int_equal(e.code, NACRE_FAILED);
    assert_non_null(strstr(e.message, "a test"));
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (int code = NACRE_OK; code <= NACRE_PARTIAL; code++)
        assert_string_not_equal(err_code_name((enum nacre_code)code), "unknown");
    assert_string_equal(err_code_name((enum nacre_code)(NACRE_PARTIAL + 1)), "unknown");
    assert_string_equal(err_code_name(NACRE_ABSENT), "absent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_and_wraps),
        cmocka_unit_test(cuts_what_is_too_long),
        cmocka_unit_test(stands_for_errno),
        cmocka_unit_test(every_code_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

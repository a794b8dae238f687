/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps secrets in the process, and which keys are taken for secrets. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/secrets.h"

static void knows_keys(void **state)
{
    (void)state;
    static const char *const secret[] = {"account-key",      "sas",      "sas-token",        "client-secret",
                                         "password-command", "password", "secret-access-key"};
    static const char *const open[] = {"account-key-file", "sas-file",         "password-file", "credentials",
                                       "client-id",        "credentials-file", "url",           "endpoint",
                                       "prefix",           "stall-timeout"};
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        if (!secrets_key(secret[i]))
            fail_msg("%s is shown", secret[i]);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        if (secrets_key(open[i]))
            fail_msg("%s is not shown", open[i]);
}

static void own_descriptors(void **state)
{
    (void)state;
    int ends[2];
    char path[64], byte = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    int fd = secrets_own_fd(path);
    assert_true(fd >= 0 && fd != ends[0]);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(fd);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(secrets_own_fd(path), -1);
    assert_int_equal(secrets_own_fd("/dev/null"), -1);
    assert_int_equal(secrets_own_fd("/dev/fd/0x"), -1);
}

/* The last: it is for good. */
static void closes(void **state)
{
    (void)state;
    struct rlimit limit;
    secrets_forbid_core();
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_true(limit.rlim_cur <= 1 && limit.rlim_max <= 1);
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
    secrets_seclude();
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_keys),
        cmocka_unit_test(own_descriptors),
        cmocka_unit_test(closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of common share. */
#ifndef TESTS_COMMON_SUPPORT_H
#define TESTS_COMMON_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/err.h"

/* Fails the test with the message of the error. */
#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        if ((call) < 0)                                                                                      \
            fail_msg("%s: %s", #call, e.message);                                                            \
    } while (0)

/* Expects failure with that code, and text in the message. */
#define assert_fails(call, expected, text_in_it)                                                             \
    do {                                                                                                     \
        assert_int_equal((call), -1);                                                                        \
        if (e.code != (expected) || !strstr(e.message, text_in_it))                                          \
            fail_msg("%s: code %d instead of %d, or no \"%s\" in: %s", #call, e.code, expected, text_in_it,  \
                     e.message);                                                                             \
    } while (0)

#endif

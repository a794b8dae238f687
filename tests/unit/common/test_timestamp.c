/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 3339, both ways. */
#include "support.h"

#include "common/timestamp.h"

#define SECOND INT64_C(1000000000)

static void formats(void **state)
{
    (void)state;
    const struct {
        int64_t ns;
        const char *text, *seconds;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59Z"},
        {1767323045 * SECOND + 120000000, "2026-01-02T03:04:05.12Z", "2026-01-02T03:04:05Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TIMESTAMP_SIZE];
        int64_t back;
        timestamp_format(cases[i].ns, text);
        assert_string_equal(text, cases[i].text);
        assert_true(timestamp_parse(text, &back));
        assert_int_equal(back, cases[i].ns);
        timestamp_format_seconds(cases[i].ns, text);
        assert_string_equal(text, cases[i].seconds);
    }
}

static void parses(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"2026-01-02T03:04:05+01:30", (1767323045 - 5400) * SECOND},
        {"2026-01-02T03:04:05.5-00:30", (1767323045 + 1800) * SECOND + 500000000},
        {"2026-01-02t03:04:05z", 1767323045 * SECOND},
        {"2026-01-02 03:04:05Z", 1767323045 * SECOND},
        {"2026-01-02T03:04:05.1234567899999Z", 1767323045 * SECOND + 123456789},
        {"1969-12-31T23:59:59.5Z", -500000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns;
        if (!timestamp_parse(cases[i].text, &ns))
            fail_msg("%s", cases[i].text);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void refuses(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               "2026",
                               "2026-01-02",
                               "2026-01-02T03:04:05",
                               "2026-01-02T03:04:05.Z",
                               "2026-01-02T03:04:05Zx",
                               "2026-13-02T03:04:05Z",
                               "2026-00-02T03:04:05Z",
                               "2026-01-32T03:04:05Z",
                               "2026-01-02T24:04:05Z",
                               "2026-01-02T03:60:05Z",
                               "2026-01-02T03:04:61Z",
                               "2026-01-02T03:04:05+24:00",
                               "2026-01-02T03:04:05+0100",
                               "26-01-02T03:04:05Z",
                               "2026-1-2T03:04:05Z",
                               "-026-01-02T03:04:05Z",
                               "0001-01-01T00:00:00Z",
                               "2263-01-01T00:00:00Z",
                               "9999-12-31T23:59:59Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ns;
        if (timestamp_parse(bad[i], &ns))
            fail_msg("%s", bad[i]);
    }
}

static void clocks_run(void **state)
{
    (void)state;
    assert_true(timestamp_now() > 1700000000 * SECOND);
    int64_t first = timestamp_elapsed();
    assert_true(timestamp_elapsed() >= first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

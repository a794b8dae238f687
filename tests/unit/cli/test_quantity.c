/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and durations, read and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/progress.h"
#include "cli/quantity.h"
#include <string.h>

static void size(const char *text, uint64_t expected)
{
    uint64_t value = 0;
    if (!size_parse(text, &value) || value != expected)
        fail_msg("%s: %llu", text, (unsigned long long)value);
}

static void no_size(const char *text)
{
    uint64_t value;
    if (size_parse(text, &value))
        fail_msg("%s was read as %llu", text, (unsigned long long)value);
}

static void sizes(void **state)
{
    (void)state;
    size("0", 0);
    size("1048576", 1048576);
    size("512B", 512);
    size("1K", 1024);
    size("1k", 1024);
    size("1KiB", 1024);
    size("10GiB", 10ull << 30);
    size("10 GiB", 10ull << 30);
    size("1.5T", 3ull << 39);
    size("0.5K", 512);
    size("16P", 16ull << 50);
    size("18446744073709551615", UINT64_MAX);
    no_size("");
    no_size("G");
    no_size("-1");
    no_size("+1");
    no_size("1GB"); /* neither 10^9 nor 2^30 for sure */
    no_size("1.G");
    no_size(".5G");
    no_size("1.3K"); /* no whole bytes */
    no_size("0.3");
    no_size("1e3");
    no_size("18446744073709551616");
    no_size("16384P");
    no_size("1G ");
    no_size("1X");
}

static void duration(const char *text, uint64_t expected)
{
    uint64_t value = 0;
    if (!duration_parse(text, &value) || value != expected)
        fail_msg("%s: %llu", text, (unsigned long long)value);
}

static void no_duration(const char *text)
{
    uint64_t value;
    if (duration_parse(text, &value))
        fail_msg("%s was read as %llu", text, (unsigned long long)value);
}

static void durations(void **state)
{
    (void)state;
    duration("0", 0);
    duration("90", 90);
    duration("90s", 90);
    duration("5m", 300);
    duration("1h30m", 5400);
    duration("720h0m0s", 2592000);
    duration("2w1d", 1296000);
    no_duration("");
    no_duration("m");
    no_duration("5x");
    no_duration("5m1h"); /* not in order */
    no_duration("5m5m");
    no_duration("1h 30m");
    no_duration("-5m");
    no_duration("99999999999999999999w");
    no_duration("30500568904944w");
}

static void writes(void **state)
{
    (void)state;
    char text[QUANTITY_SIZE];
    size_format(0, text);
    assert_string_equal(text, "0 B");
    size_format(999, text);
    assert_string_equal(text, "999 B");
    size_format(1536, text);
    assert_string_equal(text, "1.50 KiB");
    size_format(10ull << 30, text);
    assert_string_equal(text, "10.0 GiB");
    size_format(1023ull << 20, text);
    assert_string_equal(text, "1.00 GiB");
    size_format(UINT64_MAX, text);
    assert_string_equal(text, "16.0 EiB");
    duration_format(7, text);
    assert_string_equal(text, "7s");
    duration_format(245, text);
    assert_string_equal(text, "4m05s");
    duration_format(3723, text);
    assert_string_equal(text, "1h02m03s");
    time_format_local(0, text);
    assert_string_equal(text, "-");
}

static void progress(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_SIZE];
    struct progress_view view = {.what = "backup x", .done = 512 << 20, .total = 1 << 30, .rate = 64 << 20};
    progress_line(&view, line);
    assert_string_equal(line,
                        "backup x: [############            ]  50% 512 MiB of 1.00 GiB, 64.0 MiB/s, left 8s");
    view.columns = 80;
    progress_line(&view, line);
    assert_string_equal(line, "backup x:  50% 512 MiB of 1.00 GiB, 64.0 MiB/s, left 8s");
    view.columns = 30;
    progress_line(&view, line);
    assert_int_equal(strlen(line), 29);
    /* More done than expected, nothing to do, no rate: no division by zero, no negative bar. */
    view = (struct progress_view){.what = "x", .done = 2, .total = 1};
    progress_line(&view, line);
    assert_non_null(strstr(line, "100%"));
    view.total = 0;
    progress_line(&view, line);
    assert_string_equal(line, "x: 2 B of 0 B, 0 B/s");
    view = (struct progress_view){.what = "check", .counted = "reading packs", .done = 3, .total = 7};
    progress_line(&view, line);
    assert_string_equal(line, "check: reading packs, 3 of 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(durations),
                                       cmocka_unit_test(writes), cmocka_unit_test(progress)};
    return cmocka_run_group_tests_name("cli-quantity", tests, NULL, NULL);
}

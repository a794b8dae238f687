/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes and durations are parsed in integers: a size is exact or refused, never rounded. */
#include "cli/quantity.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits; false when there are none or they overflow. */
static bool read_number(const char **text, uint64_t *out)
{
    uint64_t value = 0;
    if (!digit(**text))
        return false;
    for (; digit(**text); (*text)++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
            return false;
    *out = value;
    return true;
}

bool number_parse(const char *text, uint64_t *out)
{
    uint64_t value;
    if (!read_number(&text, &value) || *text)
        return false;
    *out = value;
    return true;
}

/* The power of 1024 of "", "B", "K", "KiB", "k", …; -1 for no unit. */
static int unit_power(const char *unit)
{
    static const char letters[] = "KMGTP";
    if (!*unit || !strcmp(unit, "B"))
        return 0;
    char letter = *unit >= 'a' && *unit <= 'z' ? (char)(*unit - 32) : *unit;
    const char *at = strchr(letters, letter);
    if (!at || (unit[1] && strcmp(unit + 1, "iB") != 0 && strcmp(unit + 1, "i") != 0))
        return -1;
    return (int)(at - letters) + 1;
}

bool size_parse(const char *text, uint64_t *out)
{
    uint64_t whole, fraction = 0, scale = 1;
    if (!read_number(&text, &whole))
        return false;
    if (*text == '.') {
        const char *start = ++text;
        if (!read_number(&text, &fraction) || text - start > 6)
            return false;
        for (; start < text; start++)
            scale *= 10;
    }
    if (*text == ' ')
        text++;
    int power = unit_power(text);
    if (power < 0)
        return false;
    uint64_t unit = 1ull << (10 * power), part;
    if (__builtin_mul_overflow(fraction, unit, &part) || part % scale ||
        __builtin_mul_overflow(whole, unit, &whole) || __builtin_add_overflow(whole, part / scale, &whole))
        return false;
    *out = whole;
    return true;
}

bool duration_parse(const char *text, uint64_t *seconds)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    uint64_t total = 0, value;
    size_t next = 0; /* units get smaller */
    if (number_parse(text, seconds))
        return true;
    if (!*text)
        return false;
    while (*text) {
        if (!read_number(&text, &value))
            return false;
        while (next < 5 && units[next].letter != *text)
            next++;
        if (next == 5 || __builtin_mul_overflow(value, units[next].seconds, &value) ||
            __builtin_add_overflow(total, value, &total))
            return false;
        text++;
        next++;
    }
    *seconds = total;
    return true;
}

void size_format(uint64_t bytes, char out[QUANTITY_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit < 6) {
        value /= 1024;
        unit++;
    }
    if (!unit)
        snprintf(out, QUANTITY_SIZE, "%llu B", (unsigned long long)bytes);
    else
        snprintf(out, QUANTITY_SIZE,
                 value < 9.995   ? "%.2f %s"
                 : value < 99.95 ? "%.1f %s"
                                 : "%.0f %s",
                 value, units[unit]);
}

void count_format(uint64_t count, const char *noun, char out[QUANTITY_SIZE])
{
    snprintf(out, QUANTITY_SIZE, "%llu %s%s", (unsigned long long)count, noun, count == 1 ? "" : "s");
}

void duration_format(uint64_t seconds, char out[QUANTITY_SIZE])
{
    unsigned long long s = seconds;
    if (s >= 3600)
        snprintf(out, QUANTITY_SIZE, "%lluh%02llum%02llus", s / 3600, s / 60 % 60, s % 60);
    else if (s >= 60)
        snprintf(out, QUANTITY_SIZE, "%llum%02llus", s / 60, s % 60);
    else
        snprintf(out, QUANTITY_SIZE, "%llus", s);
}

void time_format_local(int64_t ns, char out[QUANTITY_SIZE])
{
    time_t t = (time_t)(ns / 1000000000);
    struct tm tm;
    if (!ns || !localtime_r(&t, &tm) || !strftime(out, QUANTITY_SIZE, "%Y-%m-%d %H:%M:%S", &tm))
        strcpy(out, "-");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 3339 by hand: strptime knows neither fractions nor offsets, and the C library's locale has no say here.
 */
#include "common/timestamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND 1000000000LL

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * SECOND + ts.tv_nsec;
}

int64_t timestamp_now(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t timestamp_elapsed(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static int format_whole(int64_t ns, char *out, int64_t *fraction)
{
    int64_t seconds = ns / SECOND;
    *fraction = ns % SECOND;
    if (*fraction < 0) {
        *fraction += SECOND;
        seconds--;
    }
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    return snprintf(out, TIMESTAMP_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", (tm.tm_year + 1900) % 10000,
                    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void timestamp_format(int64_t ns, char out[TIMESTAMP_SIZE])
{
    int64_t fraction;
    int used = format_whole(ns, out, &fraction);
    if (fraction) {
        used += snprintf(out + used, (size_t)(TIMESTAMP_SIZE - used), ".%09d", (int)fraction);
        while (out[used - 1] == '0')
            used--;
    }
    out[used] = 'Z';
    out[used + 1] = 0;
}

void timestamp_format_seconds(int64_t ns, char out[TIMESTAMP_SIZE])
{
    int64_t fraction;
    int used = format_whole(ns, out, &fraction);
    out[used] = 'Z';
    out[used + 1] = 0;
}

/* Reads exactly `count` digits. */
static bool digits(const char **text, int count, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        value = value * 10 + (**text - '0');
    }
    *out = value;
    return true;
}

static bool character(const char **text, const char *any_of)
{
    if (!**text || !strchr(any_of, **text))
        return false;
    (*text)++;
    return true;
}

static bool parse_fraction(const char **text, int64_t *ns)
{
    *ns = 0;
    if (!character(text, "."))
        return true;
    int64_t unit = SECOND / 10;
    const char *start = *text;
    for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10)
        *ns += unit * (**text - '0');
    return *text > start;
}

static bool parse_offset(const char **text, int *seconds)
{
    *seconds = 0;
    if (character(text, "Zz"))
        return true;
    int sign = **text == '-' ? -1 : 1;
    int hours, minutes;
    if (!character(text, "+-") || !digits(text, 2, &hours) || !character(text, ":") ||
        !digits(text, 2, &minutes))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

bool timestamp_parse(const char *text, int64_t *ns)
{
    struct tm tm = {0};
    int64_t fraction;
    int offset;
    if (!digits(&text, 4, &tm.tm_year) || !character(&text, "-") || !digits(&text, 2, &tm.tm_mon) ||
        !character(&text, "-") || !digits(&text, 2, &tm.tm_mday) || !character(&text, "Tt ") ||
        !digits(&text, 2, &tm.tm_hour) || !character(&text, ":") || !digits(&text, 2, &tm.tm_min) ||
        !character(&text, ":") || !digits(&text, 2, &tm.tm_sec) || !parse_fraction(&text, &fraction) ||
        !parse_offset(&text, &offset) || *text)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t seconds = (int64_t)timegm(&tm) - offset, whole;
    if (seconds < 0 && fraction) { /* the first second that fits begins before what fits */
        seconds++;
        fraction -= SECOND;
    }
    return !__builtin_mul_overflow(seconds, SECOND, &whole) && !__builtin_add_overflow(whole, fraction, ns);
}

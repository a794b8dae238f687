/* SPDX-License-Identifier: Apache-2.0 */
/* Which request fails, and how. */
#include "fault.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[FAULT_KINDS] = {
    [FAULT_NONE] = "none",
    [FAULT_503] = "503",
    [FAULT_429] = "429",
    [FAULT_RESET_BEFORE] = "reset-before",
    [FAULT_RESET_AFTER] = "reset-after",
    [FAULT_RESET_MIDDLE] = "reset-middle",
    [FAULT_TRUNCATE] = "truncate",
    [FAULT_FLIP] = "flip",
    [FAULT_STALL] = "stall",
    [FAULT_CHECKSUM] = "checksum",
    [FAULT_LOST_ANSWER] = "lost-answer",
    [FAULT_503_AFTER] = "503-after",
};

enum fault_kind fault_of_name(const char *name)
{
    int kind = 0;
    while (kind < FAULT_KINDS && strcmp(names[kind], name) != 0)
        kind++;
    return (enum fault_kind)kind;
}

const char *fault_name(enum fault_kind kind)
{
    return names[kind];
}

/* xorshift64*: the same faults for the same seed on every machine. */
static uint64_t next(struct faults *f)
{
    f->seed ^= f->seed >> 12;
    f->seed ^= f->seed << 25;
    f->seed ^= f->seed >> 27;
    return f->seed * 2685821657736338717u;
}

static enum fault_kind draw_kind(struct faults *f)
{
    unsigned skip = (unsigned)(next(f) % (unsigned)__builtin_popcount(f->kinds));
    for (int kind = 1; kind < FAULT_KINDS; kind++)
        if (f->kinds >> kind & 1 && skip-- == 0)
            return (enum fault_kind)kind;
    return FAULT_NONE;
}

enum fault_kind fault_draw(struct faults *f, uint64_t *number)
{
    enum fault_kind kind = FAULT_NONE;
    pthread_mutex_lock(&f->lock);
    *number = ++f->count;
    bool chosen = f->nth && (f->count == f->nth ||
                             (f->every && f->count > f->nth && (f->count - f->nth) % f->every == 0));
    if (f->percent > 0 && (double)(next(f) >> 11) * 0x1p-53 * 100 < f->percent)
        chosen = true;
    if (chosen)
        kind = draw_kind(f);
    pthread_mutex_unlock(&f->lock);
    return kind;
}

/* "503,flip"; "any" is all of them. 0 when a word is none. */
static unsigned kinds_of(const char *text)
{
    char copy[256], *rest = copy, *word;
    unsigned kinds = 0;
    if (!strcmp(text, "any"))
        return (1u << FAULT_KINDS) - 2;
    if (strlen(text) >= sizeof copy)
        return 0;
    strcpy(copy, text);
    while ((word = strsep(&rest, ","))) {
        enum fault_kind kind = fault_of_name(word);
        if (kind == FAULT_NONE || kind == FAULT_KINDS)
            return 0;
        kinds |= 1u << kind;
    }
    return kinds;
}

static bool number(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end;
}

int fault_option(struct faults *f, const char *name, const char *value)
{
    uint64_t n = 0;
    if (!strcmp(name, "--fail-kind")) {
        f->kinds = kinds_of(value);
        return f->kinds ? 1 : -1;
    }
    if (!strcmp(name, "--fail-percent")) {
        char *end;
        f->percent = strtod(value, &end);
        return end != value && !*end && f->percent >= 0 && f->percent <= 100 ? 1 : -1;
    }
    uint64_t *into = !strcmp(name, "--fail-nth")     ? &f->nth
                     : !strcmp(name, "--fail-every") ? &f->every
                     : !strcmp(name, "--fail-seed")  ? &f->seed
                                                     : NULL;
    if (!into && strcmp(name, "--stall-seconds") != 0)
        return 0;
    if (!number(value, &n))
        return -1;
    if (into == &f->seed)
        f->seed = n * 0x9E3779B97F4A7C15u | 1; /* never 0, in which the generator would stay */
    else if (into)
        *into = n;
    else
        f->stall_seconds = (unsigned)n;
    return 1;
}

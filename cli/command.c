/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up in the table of commands, and guessing what a word that is not in it was meant to be. */
#include "cli/command.h"

#include <string.h>

#include "cli/commands.h"

const struct option option_config = {.name = "config",
                                     .argument = "FILE",
                                     .help = "read this configuration instead of $NACRE_CONFIG, "
                                             "~/.config/nacre/config.yaml or /etc/nacre/config.yaml",
                                     .flags = OPTION_FILE};
const struct option option_output = {.name = "output",
                                     .letter = 'o',
                                     .argument = "table|json|yaml",
                                     .help = "form of the result on standard output (default: table)"};
const struct option option_verbose = {
    .name = "verbose", .letter = 'v', .help = "say more on standard error", .flags = OPTION_REPEAT};
const struct option option_quiet = {
    .name = "quiet", .letter = 'q', .help = "no progress, and nothing but errors on standard error"};
const struct option option_version = {.name = "version", .help = "show the version, and do nothing else"};
const struct option option_help = {.name = "help", .letter = 'h', .help = "show help"};

const struct option *const global_options[] = {
    &option_config, &option_output, &option_verbose, &option_quiet, &option_version, &option_help, NULL};

const struct command *command_find(const char *group, const char *name)
{
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        if (!strcmp(c->name, name) && !c->group == !group && (!group || !strcmp(c->group, group)))
            return c;
    }
    return !group && !strcmp(name, command_commands.name) ? &command_commands : NULL;
}

const struct command_group *command_group_find(const char *name)
{
    for (size_t i = 0; command_groups[i]; i++)
        if (!strcmp(command_groups[i]->name, name))
            return command_groups[i];
    return NULL;
}

static const struct option *find_in(const struct option *const *options, const char *name, size_t length)
{
    for (; options && *options; options++)
        if (strlen((*options)->name) == length && !memcmp((*options)->name, name, length))
            return *options;
    return NULL;
}

const struct option *command_option(const struct command *command, const char *name, size_t length)
{
    const struct option *option = find_in(global_options, name, length);
    return option || !command ? option : find_in(command->options, name, length);
}

const struct option *command_option_letter(const struct command *command, char letter)
{
    const struct option *const *const lists[] = {global_options, command ? command->options : NULL};
    for (size_t i = 0; i < 2; i++)
        for (const struct option *const *o = lists[i]; o && *o; o++)
            if ((*o)->letter == letter)
                return *o;
    return NULL;
}

bool command_words(const char *words, bool (*word)(void *ctx, const char *word, size_t length), void *ctx)
{
    if (!words || !strchr(words, '|'))
        return false;
    for (;;) {
        size_t length = strcspn(words, "|");
        if (word(ctx, words, length))
            return true;
        if (!words[length])
            return false;
        words += length + 1;
    }
}

#define NEAREST_MAX 40

/* The number of letters to insert, remove, replace or swap with their neighbour to get from a to b. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > NEAREST_MAX || b_length > NEAREST_MAX)
        return NEAREST_MAX;
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < best)
                best = two_above[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}

const char *command_nearest(const char *given, const char *const *known, size_t count)
{
    const char *nearest = NULL;
    size_t best = strlen(given) < 5 ? 2 : 3; /* one slip in a short word, two in a longer one */
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(given);
        size_t distance = edit_distance(given, known[i]);
        if (length >= 3 && !strncmp(given, known[i], length))
            distance = 1; /* its beginning */
        if (distance < best) {
            best = distance;
            nearest = known[i];
        }
    }
    return nearest;
}

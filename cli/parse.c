/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the command line, read against the table. Options may stand anywhere after the command, those
 * of every command before it, too; `--` ends them. An option that does not repeat may be given once only: of
 * two locations the program does not choose one. */
#include "cli/cli.h"

#include <string.h>

#include "cli/commands.h"
#include "common/err.h"

struct parser {
    struct cli *cli;
    int argc;
    char *const *argv;
    int at;
    bool only_arguments; /* after -- */
};

void cli_free(struct cli *cli)
{
    free(cli->options);
    free(cli->arguments);
    cli->options = NULL;
    cli->arguments = NULL;
}

struct word_match {
    const char *value;
};

static bool word_is(void *ctx, const char *word, size_t length)
{
    const struct word_match *match = ctx;
    return strlen(match->value) == length && !memcmp(word, match->value, length);
}

/* An argument described as a|b|c must be one of these words. */
static bool word_allowed(const char *words, const char *value)
{
    return !words || !strchr(words, '|') || command_words(words, word_is, &(struct word_match){value});
}

static int unknown_option(const struct parser *p, const char *text, struct nacre_err *e)
{
    const char *known[64] = {NULL};
    char given[64];
    size_t count = 0;
    for (const struct option *const *o = global_options; *o; o++)
        known[count++] = (*o)->name;
    if (p->cli->command)
        for (const struct option *const *o = p->cli->command->options; o && *o && count < 64; o++)
            known[count++] = (*o)->name;
    size_t length = strcspn(text, "=");
    snprintf(given, sizeof given, "%.*s", (int)(length < 60 ? length : 60), text);
    const char *nearest = !strncmp(given, "--", 2) ? command_nearest(given + 2, known, count) : NULL;
    if (nearest)
        return err_set(e, NACRE_INVALID, "unknown option %s: did you mean --%s?", given, nearest);
    if (!p->cli->command)
        return err_set(e, NACRE_INVALID,
                       "unknown option %s before the command: a command's options follow it", given);
    return err_set(e, NACRE_INVALID, "unknown option %s", given);
}

static int apply_global(struct cli *cli, const struct option *option, const char *value)
{
    if (option == &option_verbose)
        cli->verbose = true;
    else if (option == &option_quiet)
        cli->quiet = true;
    else if (option == &option_version)
        cli->version = true;
    else if (option == &option_help)
        cli->help = true;
    else if (option == &option_output && value)
        cli->format = !strcmp(value, "json") ? CLI_JSON : !strcmp(value, "yaml") ? CLI_YAML : CLI_TABLE;
    return 0;
}

static int add_option(struct parser *p, const struct option *option, const char *value, struct nacre_err *e)
{
    struct cli *cli = p->cli;
    if (option->argument && !word_allowed(option->argument, value))
        return err_set(e, NACRE_INVALID, "--%s %s: expected one of %s", option->name, value,
                       option->argument);
    if (option->argument && !(option->flags & OPTION_REPEAT) && cli_count(cli, option))
        return err_set(e, NACRE_INVALID, "--%s was given twice", option->name);
    cli->options[cli->option_count++] = (struct cli_option){option, value};
    return apply_global(cli, option, value);
}

static int missing_value(const struct option *option, struct nacre_err *e)
{
    return err_set(e, NACRE_INVALID, "--%s needs a value: --%s %s", option->name, option->name,
                   option->argument);
}

static int parse_long(struct parser *p, const char *text, struct nacre_err *e)
{
    const char *name = text + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] ? name + length + 1 : NULL;
    const struct option *option = command_option(p->cli->command, name, length);
    if (!option)
        return unknown_option(p, text, e);
    if (!option->argument && value)
        return err_set(e, NACRE_INVALID, "--%s takes no value", option->name);
    if (option->argument && !value) {
        if (option->flags & OPTION_SWITCH)
            value = "true";
        else if (p->at == p->argc)
            return missing_value(option, e);
        else
            value = p->argv[p->at++];
    }
    return add_option(p, option, value, e);
}

/* -v, -vq, -o json, -ojson */
static int parse_letters(struct parser *p, const char *text, struct nacre_err *e)
{
    for (const char *letter = text + 1; *letter; letter++) {
        const struct option *option = command_option_letter(p->cli->command, *letter);
        if (!option)
            return err_set(e, NACRE_INVALID, "unknown option -%c%s", *letter,
                           p->cli->command ? "" : " before the command: a command's options follow it");
        if (!option->argument) {
            if (add_option(p, option, NULL, e) < 0)
                return -1;
            continue;
        }
        if (letter[1])
            return add_option(p, option, letter + 1, e);
        if (p->at == p->argc)
            return missing_value(option, e);
        return add_option(p, option, p->argv[p->at++], e);
    }
    return 0;
}

static int unknown_command(const struct command_group *group, const char *word, struct nacre_err *e)
{
    const char *known[128] = {NULL};
    size_t count = 0;
    if (!group)
        for (size_t i = 0; command_groups[i]; i++)
            known[count++] = command_groups[i]->name;
    for (size_t i = 0; commands[i] && count < 128; i++)
        if (group ? commands[i]->group && !strcmp(commands[i]->group, group->name) : !commands[i]->group)
            known[count++] = commands[i]->name;
    const char *nearest = command_nearest(word, known, count);
    const char *before = group ? group->name : "", *space = group ? " " : "";
    if (nearest)
        return err_set(e, NACRE_INVALID, "unknown command %s%s%.64s: did you mean %s%s%s?", before, space,
                       word, before, space, nearest);
    return err_set(e, NACRE_INVALID, "unknown command %s%s%.64s: nacre help%s%s lists them", before, space,
                   word, space, before);
}

static int parse_word(struct parser *p, const char *word, struct nacre_err *e)
{
    struct cli *cli = p->cli;
    if (cli->command) {
        cli->arguments[cli->argument_count++] = word;
        return 0;
    }
    cli->command = command_find(cli->group ? cli->group->name : NULL, word);
    if (cli->command)
        return 0;
    if (!cli->group && (cli->group = command_group_find(word)))
        return 0;
    return unknown_command(cli->group, word, e);
}

/* The word of the command's `arguments` that describes argument number `at`; the last one repeats. */
static void describe_argument(const struct command *command, size_t at, char *out, size_t size)
{
    const char *text = command->arguments;
    for (;;) {
        size_t length = strcspn(text, " ");
        if (!at || !text[length]) {
            snprintf(out, size, "%.*s", (int)length, text);
            return;
        }
        text += length + 1;
        at--;
    }
}

static int check_arguments(const struct cli *cli, struct nacre_err *e)
{
    const struct command *command = cli->command;
    char usage[256], described[128];
    cli_usage_line(command, usage, sizeof usage);
    if (cli->argument_count < command->least) {
        describe_argument(command, cli->argument_count, described, sizeof described);
        return err_set(e, NACRE_INVALID, "%s is missing: %s", described, usage);
    }
    if (cli->argument_count > command->most)
        return err_set(e, NACRE_INVALID, "unexpected argument %.64s: %s", cli->arguments[command->most],
                       usage);
    for (size_t i = 0; i < cli->argument_count; i++) {
        describe_argument(command, i, described, sizeof described);
        if (!word_allowed(described, cli->arguments[i]))
            return err_set(e, NACRE_INVALID, "%.64s: expected one of %s", cli->arguments[i], described);
    }
    return 0;
}

int cli_parse(struct cli *cli, int argc, char *const *argv, struct nacre_err *e)
{
    size_t room = argc > 0 ? (size_t)argc : 1;
    /* Letters may be clustered: -vvv are three options in one word. */
    size_t option_room = room;
    for (int i = 0; i < argc; i++)
        option_room += strlen(argv[i]);
    cli->options = calloc(option_room, sizeof *cli->options);
    cli->arguments = calloc(room, sizeof *cli->arguments);
    if (!cli->options || !cli->arguments)
        return err_no_memory(e, "the command line");
    struct parser p = {.cli = cli, .argc = argc, .argv = argv};
    int result = 0;
    while (!result && p.at < argc) {
        const char *word = argv[p.at++];
        if (p.only_arguments || word[0] != '-' || !word[1])
            result = parse_word(&p, word, e);
        else if (!strcmp(word, "--"))
            p.only_arguments = true;
        else if (word[1] == '-')
            result = parse_long(&p, word, e);
        else
            result = parse_letters(&p, word, e);
    }
    for (int i = 0; i < argc && result < 0 && strcmp(argv[i], "--") != 0; i++)
        cli->help |= !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
    if (cli->help)
        return 0;
    if (result < 0)
        return -1;
    if (cli->version) {
        cli->command = &command_version;
        cli->argument_count = 0;
    }
    if (!cli->command)
        return err_set(e, NACRE_INVALID, cli->group ? "nacre %s: which command?" : "which command?",
                       cli->group ? cli->group->name : "");
    return check_arguments(cli, e);
}

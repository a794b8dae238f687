/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of nacre as data: names, arguments, options, help. One table, from which parsing, --help,
 * completion and the test of the man page all come, so that none of them can say what another denies. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <nacre/plugin.h>

enum option_flags {
    OPTION_REPEAT = 1, /* may be given more than once */
    OPTION_FILE = 2,   /* its argument is a file: for completion */
    OPTION_SWITCH = 4, /* argument "true|false", which may be left out (true) and follows '=' only */
};

struct option {
    const char *name;     /* without its dashes */
    char letter;          /* 0 = none */
    const char *argument; /* such as "FILE"; "a|b" = one of these words; NULL = none */
    const char *help;
    unsigned flags;
};

struct cli;

struct command {
    const char *group;     /* "backup" of `backup create`; NULL for a command of one word */
    const char *name;      /* "create" */
    const char *arguments; /* such as "NAME [VOLUME]"; an argument a|b|c is one of these words */
    unsigned least, most;  /* how many arguments; most ARGUMENTS_ANY = no bound */
    const char *summary;   /* one line, without a full stop */
    const char *details;   /* a paragraph or more, "" = none */
    const struct option *const *options; /* NULL-terminated */
    int (*run)(struct cli *cli, struct nacre_err *e);
};
#define ARGUMENTS_ANY (~0u)

struct command_group {
    const char *name;
    const char *summary;
};

/* Both NULL-terminated: every command in the order in which help lists them; the groups likewise. */
extern const struct command *const commands[];
extern const struct command_group *const command_groups[];

/* Options that every command takes. NULL-terminated. */
extern const struct option *const global_options[];
extern const struct option option_config, option_output, option_verbose, option_quiet, option_version,
    option_help;

const struct command *command_find(const char *group, const char *name); /* NULL = none */
const struct command_group *command_group_find(const char *name);
const struct option *command_option(const struct command *command, const char *name, size_t length);
const struct option *command_option_letter(const struct command *command, char letter);

/* Calls word for each of the words in "a|b|c"; true when one returns true. False without any '|'. */
bool command_words(const char *words, bool (*word)(void *ctx, const char *word, size_t length), void *ctx);

/* The nearest of the known words when it is near enough to be a slip of the finger, else NULL. */
const char *command_nearest(const char *given, const char *const *known, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* One run of the program: what was asked for, as parsed against the table of commands. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/command.h"
#include "common/cleanup.h"

enum cli_format { CLI_TABLE, CLI_JSON, CLI_YAML };

struct cli_option {
    const struct option *option;
    const char *value; /* NULL for a flag */
};

struct settings;
struct settings_entry;

struct cli {
    const struct command *command;
    struct cli_option *options; /* in the order given */
    size_t option_count;
    const char **arguments;
    size_t argument_count;
    enum cli_format format;
    bool verbose, quiet;
    bool version;                      /* --version was given: command is that of nacre version then */
    bool help;                         /* --help was given: command may be NULL then */
    const struct command_group *group; /* the group that was named, when command is NULL */
    struct settings *settings;         /* once cli_settings was called */
};

/* Parses the words after the program's name, which it borrows. NACRE_INVALID says what is wrong, with the
 * nearest word that would be right. With --help whatever else is wrong or missing does not matter. */
int cli_parse(struct cli *cli, int argc, char *const *argv, struct nacre_err *e);
void cli_free(struct cli *cli);
static inline void cli_free_at(struct cli *cli)
{
    cli_free(cli);
}

/* The argument's text; NULL when it was not given. */
const char *cli_argument(const struct cli *cli, size_t at);

/* An option's value: the number `at`, NULL beyond; cli_value is the first. */
const char *cli_value(const struct cli *cli, const struct option *option);
const char *cli_value_at(const struct cli *cli, const struct option *option, size_t at);
size_t cli_count(const struct cli *cli, const struct option *option);
bool cli_flag(const struct cli *cli, const struct option *option);
/* An OPTION_SWITCH: `otherwise` when it was not given. */
bool cli_switch(const struct cli *cli, const struct option *option, bool otherwise);

/* Values that are quantities: *out is left as it is when the option was not given. NACRE_INVALID names the
 * option. cli_number: least ≤ *out ≤ most. */
int cli_number(const struct cli *cli, const struct option *option, uint64_t least, uint64_t most,
               uint64_t *out, struct nacre_err *e);
int cli_size(const struct cli *cli, const struct option *option, uint64_t *out, struct nacre_err *e);
int cli_duration(const struct cli *cli, const struct option *option, uint64_t *seconds, struct nacre_err *e);

/* KEY=VALUE options as they were given. *out: free(); the strings in it are cut out of a copy that *text
 * holds: free(). NACRE_INVALID names what has no '='. */
int cli_pairs(const struct cli *cli, const struct option *option, struct nacre_option **out, size_t *count,
              char **text, struct nacre_err *e);

/* The exit code that an error stands for. */
int cli_exit_code(enum nacre_code code);

/* The configuration, read at the first call. */
int cli_settings(struct cli *cli, struct settings **out, struct nacre_err *e);

/* Asks on the terminal; NACRE_INVALID, saying to pass --yes, without one; NACRE_CANCELLED for a no. */
extern const struct option option_yes;
int cli_confirm(const struct cli *cli, struct nacre_err *e, const char *question, ...)
    __attribute__((format(printf, 3, 4)));

/* Help on standard output. */
void cli_help_main(void);
void cli_help_group(const struct command_group *group);
void cli_help_command(const struct command *command);
/* `nacre backup create [OPTION]… NAME`. */
void cli_usage_line(const struct command *command, char *out, size_t size);

#endif

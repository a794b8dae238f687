/* SPDX-License-Identifier: Apache-2.0 */
/* nacre version, help; and __commands, which lists the table for the test of the man page. */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "common/err.h"

static int run_version(struct cli *cli, struct nacre_err *e)
{
    if (cli->format == CLI_TABLE) {
        printf("nacre %s\n", NACRE_VERSION);
        return 0;
    }
    json_t *document = json_pack("{s:s,s:i}", "version", NACRE_VERSION, "pluginAbi", (int)NACRE_PLUGIN_ABI);
    int result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

static int run_help(struct cli *cli, struct nacre_err *e)
{
    const char *first = cli_argument(cli, 0), *second = cli_argument(cli, 1);
    if (!first) {
        cli_help_main();
        return 0;
    }
    const struct command *command = second ? command_find(first, second) : command_find(NULL, first);
    const struct command_group *group = command_group_find(first);
    if (command)
        cli_help_command(command);
    else if (group && !second)
        cli_help_group(group);
    else
        return err_set(e, NACRE_INVALID, "there is no command %.64s%s%.64s; nacre help lists them", first,
                       second ? " " : "", second ? second : "");
    return 0;
}

static void list_options(const char *prefix, const struct option *const *options)
{
    for (; options && *options; options++) {
        printf("%s --%s", prefix, (*options)->name);
        if ((*options)->letter)
            printf(" -%c", (*options)->letter);
        if ((*options)->argument)
            printf(" %s", (*options)->argument);
        printf("\n");
    }
}

static int run_commands(struct cli *cli, struct nacre_err *e)
{
    (void)cli;
    (void)e;
    list_options("global", global_options);
    for (size_t i = 0; commands[i]; i++) {
        char name[64];
        const struct command *c = commands[i];
        snprintf(name, sizeof name, "%s%s%s", c->group ? c->group : "", c->group ? " " : "", c->name);
        printf("command %s%s%s\n", name, *c->arguments ? " " : "", c->arguments);
        list_options(name, c->options);
    }
    return 0;
}

const struct command command_version = {
    .name = "version",
    .arguments = "",
    .summary = "Show the version",
    .details = "",
    .run = run_version,
};

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]…",
    .most = 2,
    .summary = "Show help about a command, a group of commands, or all",
    .details = "",
    .run = run_help,
};

const struct command command_commands = {
    .name = "__commands",
    .arguments = "",
    .summary = "List every command and option, for tests",
    .details = "",
    .run = run_commands,
};

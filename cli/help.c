/* SPDX-License-Identifier: Apache-2.0 */
/* --help, from the table. Text is wrapped at 80 columns: it is read on terminals and pasted into reports. */
#include <string.h>

#include "cli/cli.h"

#define COLUMNS 80
#define OPTION_COLUMN 30
#define COMMAND_COLUMN 28

/* Prints text, broken at spaces, from column `at` on; further lines are indented by `indent`. A newline in
 * the text begins a new line; spaces after one are kept, so that an example keeps its shape. */
static void print_wrapped(const char *text, size_t at, size_t indent)
{
    bool line_start = true;
    while (*text) {
        if (*text == '\n') {
            printf("\n%*s", text[1] && text[1] != '\n' ? (int)indent : 0, "");
            at = indent;
            line_start = true;
            text++;
            continue;
        }
        size_t spaces = strspn(text, " ");
        size_t length = strcspn(text + spaces, " \n");
        /* Bytes are counted, of which a character has one at least: a line never gets wider than it may. */
        if (!line_start && at + spaces + length > COLUMNS) {
            printf("\n%*s", (int)indent, "");
            at = indent;
            spaces = 0;
            text += strspn(text, " ");
        }
        printf("%*s%.*s", (int)spaces, "", (int)length, text + spaces);
        at += spaces + length;
        text += spaces + length;
        line_start = false;
    }
    putchar('\n');
}

static void print_option(const struct option *option)
{
    char left[64];
    int used = option->letter ? snprintf(left, sizeof left, "  -%c, --%s", option->letter, option->name)
                              : snprintf(left, sizeof left, "      --%s", option->name);
    if (option->argument)
        snprintf(left + used, sizeof left - (size_t)used, option->flags & OPTION_SWITCH ? "[=%s]" : " %s%s",
                 option->argument, option->flags & OPTION_REPEAT ? "…" : "");
    /* The ellipsis is one column in three bytes. */
    size_t columns = strlen(left) - (option->flags & OPTION_REPEAT && option->argument ? 2 : 0);
    printf("%s", left);
    if (columns + 2 > OPTION_COLUMN)
        printf("\n%*s", OPTION_COLUMN, "");
    else
        printf("%*s", (int)(OPTION_COLUMN - columns), "");
    print_wrapped(option->help, OPTION_COLUMN, OPTION_COLUMN);
}

static void print_options(const char *title, const struct option *const *options)
{
    if (!options || !*options)
        return;
    printf("\n%s\n", title);
    for (; *options; options++)
        print_option(*options);
}

void cli_usage_line(const struct command *command, char *out, size_t size)
{
    snprintf(out, size, "nacre %s%s%s%s%s%s", command->group ? command->group : "", command->group ? " " : "",
             command->name, command->options && *command->options ? " [OPTION]…" : "",
             *command->arguments ? " " : "", command->arguments);
}

void cli_help_command(const struct command *command)
{
    char usage[256];
    cli_usage_line(command, usage, sizeof usage);
    printf("Usage: ");
    print_wrapped(usage, 7, 4);
    putchar('\n');
    print_wrapped(command->summary, 0, 0);
    if (*command->details) {
        putchar('\n');
        print_wrapped(command->details, 0, 0);
    }
    print_options("Options:", command->options);
    print_options("Options of every command:", global_options);
}

static void print_command(const struct command *command)
{
    char left[128];
    snprintf(left, sizeof left, "  %s%s%s", command->group ? command->group : "", command->group ? " " : "",
             command->name);
    printf("%-*s", COMMAND_COLUMN, left);
    print_wrapped(command->summary, COMMAND_COLUMN, COMMAND_COLUMN);
}

void cli_help_group(const struct command_group *group)
{
    printf("Usage: nacre %s COMMAND [OPTION]… …\n\n%s\n\nCommands:\n", group->name, group->summary);
    for (size_t i = 0; commands[i]; i++)
        if (commands[i]->group && !strcmp(commands[i]->group, group->name))
            print_command(commands[i]);
    printf("\nnacre %s COMMAND --help says more about each.\n", group->name);
}

void cli_help_main(void)
{
    printf("Usage: nacre [OPTION]… COMMAND …\n\n");
    print_wrapped("Backs up, restores and migrates the volumes of Ceph clusters through an encrypted, "
                  "deduplicating repository that restic can read, too.",
                  0, 0);
    for (size_t g = 0; command_groups[g]; g++) {
        printf("\n%s:\n", command_groups[g]->summary);
        for (size_t i = 0; commands[i]; i++)
            if (commands[i]->group && !strcmp(commands[i]->group, command_groups[g]->name))
                print_command(commands[i]);
    }
    printf("\nOthers:\n");
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->group)
            print_command(commands[i]);
    print_options("Options of every command:", global_options);
    putchar('\n');
    print_wrapped(
        "VOLUME is DRIVER/CLUSTER/PATH, such as rbd/east/pool/image or hostpath/local/name; CLUSTER "
        "is an entry of the configuration, or else the NAME of /etc/ceph/NAME.conf. A location is "
        "an entry of the configuration, or a URL such as file:///srv/backups.",
        0, 0);
    printf("\nnacre COMMAND --help says more about each; so do nacre(1) and nacre.yaml(5).\n");
    printf("Exit codes: 0 done, 1 failed, 2 usage, 3 partially failed, 4 absent, 5 locked,\n"
           "6 wrong password, 7 corrupt.\n");
}

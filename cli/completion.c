/* SPDX-License-Identifier: Apache-2.0 */
/* nacre completion: a script for the shell, generated from the table. It holds no logic of its own beyond
 * finding the command in the line: all words are in it. */
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"

static bool print_word(void *ctx, const char *word, size_t length)
{
    (void)ctx;
    printf("%.*s ", (int)length, word);
    return false;
}

static void print_options(const struct option *const *options)
{
    for (; options && *options; options++) {
        printf("--%s ", (*options)->name);
        if ((*options)->letter)
            printf("-%c ", (*options)->letter);
        if ((*options)->flags & OPTION_SWITCH)
            printf("--%s=false ", (*options)->name);
    }
}

/* The words of the first argument, when it is one of several. */
static void print_argument_words(const char *arguments)
{
    char first[128];
    snprintf(first, sizeof first, "%.*s", (int)strcspn(arguments, " "), arguments);
    command_words(first, print_word, NULL);
}

/* Every option of any command, once. */
static bool seen_before(size_t command, size_t option)
{
    const char *name = commands[command]->options[option]->name;
    for (size_t i = 0; i <= command; i++)
        for (size_t j = 0; commands[i]->options && commands[i]->options[j]; j++)
            if (i == command && j == option)
                return false;
            else if (!strcmp(commands[i]->options[j]->name, name))
                return true;
    return false;
}

static void print_case(const struct option *option, const char *files)
{
    if (!option->argument || option->flags & OPTION_SWITCH)
        return;
    printf("    --%s", option->name);
    if (option->letter)
        printf("|-%c", option->letter);
    printf(") ");
    if (option->flags & OPTION_FILE) {
        printf("%s", files);
    } else {
        printf("words='");
        command_words(option->argument, print_word, NULL);
        printf("'");
    }
    printf(" ;;\n");
}

static void print_option_cases(const char *files)
{
    for (const struct option *const *o = global_options; *o; o++)
        print_case(*o, files);
    for (size_t i = 0; commands[i]; i++)
        for (size_t j = 0; commands[i]->options && commands[i]->options[j]; j++)
            if (!seen_before(i, j))
                print_case(commands[i]->options[j], files);
}

static void print_command_cases(void)
{
    printf("    '') words='");
    for (size_t i = 0; command_groups[i]; i++)
        printf("%s ", command_groups[i]->name);
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->group)
            printf("%s ", commands[i]->name);
    print_options(global_options);
    printf("' ;;\n");
    for (size_t g = 0; command_groups[g]; g++) {
        printf("    '%s') words='", command_groups[g]->name);
        for (size_t i = 0; commands[i]; i++)
            if (commands[i]->group && !strcmp(commands[i]->group, command_groups[g]->name))
                printf("%s ", commands[i]->name);
        printf("' ;;\n");
    }
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        printf("    '%s%s%s') words='", c->group ? c->group : "", c->group ? " " : "", c->name);
        print_argument_words(c->arguments);
        print_options(c->options);
        print_options(global_options);
        printf("' ;;\n");
    }
}

/* The alternatives of a shell pattern: options whose value is the next word. */
static void print_valued(void)
{
    const char *bar = "";
    for (const struct option *const *o = global_options; *o; o++)
        if ((*o)->argument) {
            printf("%s--%s", bar, (*o)->name);
            if ((*o)->letter)
                printf("|-%c", (*o)->letter);
            bar = "|";
        }
    for (size_t i = 0; commands[i]; i++)
        for (size_t j = 0; commands[i]->options && commands[i]->options[j]; j++) {
            const struct option *o = commands[i]->options[j];
            if (!o->argument || o->flags & OPTION_SWITCH || seen_before(i, j))
                continue;
            printf("|--%s", o->name);
            if (o->letter)
                printf("|-%c", o->letter);
        }
}

static void print_groups(void)
{
    for (size_t i = 0; command_groups[i]; i++)
        printf("%s%s", i ? "|" : "", command_groups[i]->name);
}

static void print_bash(void)
{
    printf("# bash completion of nacre %s: source it, or put it where bash-completion looks for \"nacre\".\n"
           "_nacre() {\n"
           "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"\" command=\"\" words=\"\" i word\n"
           "  ((COMP_CWORD > 0)) && previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
           "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "    word=\"${COMP_WORDS[i]}\"\n"
           "    case \"$word\" in\n"
           "    ",
           NACRE_VERSION);
    print_valued();
    printf(") ((i++)) ;;\n"
           "    -*) ;;\n"
           "    *) case \"$command\" in\n"
           "      '') command=\"$word\" ;;\n"
           "      ");
    print_groups();
    printf(") command=\"$command $word\" ;;\n"
           "      esac ;;\n"
           "    esac\n"
           "  done\n"
           "  COMPREPLY=()\n"
           "  case \"$previous\" in\n");
    print_option_cases("mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return");
    printf("  *) case \"$command\" in\n");
    print_command_cases();
    printf("    esac ;;\n"
           "  esac\n"
           "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
           "}\n"
           "complete -o filenames -F _nacre nacre\n");
}

static void print_zsh(void)
{
    printf("#compdef nacre\n"
           "# zsh completion of nacre %s: source it, or put it into a directory of $fpath as \"_nacre\".\n"
           "_nacre() {\n"
           "  local current=\"${words[CURRENT]}\" previous=\"${words[CURRENT-1]}\" command=\"\" word\n"
           "  local -a line=(\"${words[@]}\")\n"
           "  local words=\"\" i\n"
           "  for ((i = 2; i < CURRENT; i++)); do\n"
           "    word=\"${line[i]}\"\n"
           "    case \"$word\" in\n"
           "    ",
           NACRE_VERSION);
    print_valued();
    printf(") ((i++)) ;;\n"
           "    -*) ;;\n"
           "    *) case \"$command\" in\n"
           "      '') command=\"$word\" ;;\n"
           "      ");
    print_groups();
    printf(") command=\"$command $word\" ;;\n"
           "      esac ;;\n"
           "    esac\n"
           "  done\n"
           "  case \"$previous\" in\n");
    print_option_cases("_files; return");
    printf("  *) case \"$command\" in\n");
    print_command_cases();
    printf("    esac ;;\n"
           "  esac\n"
           "  compadd -- ${=words}\n"
           "}\n"
           "if [ \"${funcstack[1]}\" = _nacre ]; then _nacre \"$@\"; else compdef _nacre nacre; fi\n");
}

static int run(struct cli *cli, struct nacre_err *e)
{
    (void)e;
    if (!strcmp(cli_argument(cli, 0), "bash"))
        print_bash();
    else
        print_zsh();
    return 0;
}

const struct command command_completion = {
    .name = "completion",
    .arguments = "bash|zsh",
    .least = 1,
    .most = 1,
    .summary = "Print a completion script for the shell",
    .details =
        "For bash: source <(nacre completion bash). For zsh: nacre completion zsh > ~/.zfunc/_nacre, with "
        "~/.zfunc in $fpath.",
    .run = run,
};

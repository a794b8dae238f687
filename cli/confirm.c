/* SPDX-License-Identifier: Apache-2.0 */
/* Asking before something is lost. Without a terminal there is nobody to ask: a script says --yes. */
#include <stdarg.h>
#include <string.h>

#include "cli/cli.h"
#include "common/err.h"

const struct option option_yes = {.name = "yes", .letter = 'y', .help = "do it without asking"};

int cli_confirm(const struct cli *cli, struct nacre_err *e, const char *question, ...)
{
    if (cli_flag(cli, &option_yes))
        return 0;
    char text[NACRE_MESSAGE_SIZE];
    va_list args;
    va_start(args, question);
    vsnprintf(text, sizeof text, question, args);
    va_end(args);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return err_set(e, NACRE_INVALID, "%s: nobody to ask, as this is not a terminal; pass --yes", text);
    fprintf(stderr, "%s? [y/N] ", text);
    fflush(stderr);
    char answer[16];
    if (fgets(answer, sizeof answer, stdin) && (!strcmp(answer, "y\n") || !strcmp(answer, "yes\n")))
        return 0;
    return err_set(e, NACRE_CANCELLED, "nothing was done");
}

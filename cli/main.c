/* SPDX-License-Identifier: Apache-2.0 */
/* nacre: parses, runs, reports. The only place that prints errors and decides exit codes. */
#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/settings.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/wipe.h"

/* A backup's errors may come long after a progress bar: what is said last must be readable alone. */
static int fail(const struct nacre_err *e)
{
    fprintf(stderr, "nacre: %s\n", *e->message ? e->message : err_code_name(e->code));
    return cli_exit_code(e->code);
}

static int usage_error(const struct cli *cli, const struct nacre_err *e)
{
    int code = fail(e);
    const struct command *c = cli->command;
    const char *group = c && c->group ? c->group : cli->group ? cli->group->name : "";
    fprintf(stderr, "nacre%s%s%s%s --help says more.\n", *group ? " " : "", group, c ? " " : "",
            c ? c->name : "");
    return code;
}

static int show_help(const struct cli *cli, struct nacre_err *e)
{
    if (cli->command)
        cli_help_command(cli->command);
    else if (cli->group)
        cli_help_group(cli->group);
    else
        cli_help_main();
    return output_finish(e);
}

static int run(struct cli *cli, struct nacre_err *e)
{
    log_set_level(cli->quiet ? NACRE_LOG_ERROR : cli->verbose ? NACRE_LOG_DEBUG : NACRE_LOG_WARNING);
    int result = cli->command->run(cli, e);
    struct nacre_err output;
    /* What was asked for may have been printed even though some of it failed. */
    if (output_finish(&output) < 0 && !result) {
        *e = output;
        return -1;
    }
    return result;
}

int main(int argc, char **argv)
{
    CLEANUP(cli_free) struct cli cli = {0};
    struct nacre_err e = {0};
    /* glibc raises this by itself once large buffers were freed, and then keeps them in arenas which never
     * shrink: librados' reads of 4 MiB alone cost a hundred. Setting it keeps it. */
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    secrets_forbid_core();
    wipe_json();
    signal(SIGPIPE, SIG_IGN);
    cancel_on_signals();
    if (cli_parse(&cli, argc - 1, argv + 1, &e) < 0)
        return usage_error(&cli, &e);
    int result = cli.help ? show_help(&cli, &e) : run(&cli, &e);
    settings_free(cli.settings);
    cli.settings = NULL;
    return result < 0 ? fail(&e) : 0;
}

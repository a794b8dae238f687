/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords: from options, the environment, the configuration, or the terminal, in this order. Never from an
 * argument, which other users of the machine can see. */
#ifndef CLI_PASSWORD_H
#define CLI_PASSWORD_H

#include "cli/cli.h"
#include "common/buf.h"

#define PASSWORD_BYTES_MAX 4096

/* Where one kind of password may come from. NULL = not from there. */
struct password_sources {
    const struct option *file_option, *command_option;
    const char *file_variable, *variable; /* environment variables */
    const char *file, *command;           /* of the configuration */
    bool configurable;                    /* the configuration could name one */
    const char *prompt;                   /* such as "password of the repository" */
    bool twice;                           /* the prompt asks again, to catch a slip */
};

/* The password, without its trailing newline. NACRE_INVALID when there is none to be had (or an empty one).
 * The buffer is wiped by buf_wipe_free. */
int password_get(const struct cli *cli, const struct password_sources *sources, struct buf *out,
                 struct nacre_err *e);

#endif

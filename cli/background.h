/* SPDX-License-Identifier: Apache-2.0 */
/* --wait=false: a job goes on in the background once it is certain that it can begin. */
#ifndef CLI_BACKGROUND_H
#define CLI_BACKGROUND_H

#include "cli/cli.h"

extern const struct option option_wait;

struct background {
    int pipe; /* to the waiting parent, in the child; -1 = not in the background */
};

/* Splits the process when --wait=false was given; before any thread or plugin. In the child returns 0 with
 * *parent false. In the parent waits until the child says that it is ready (0) or has failed (-1 with the
 * child's error), with *parent true. */
int background_start(const struct cli *cli, struct background *background, bool *parent, struct nacre_err *e);

/* In the child: the job can begin. Leaves the terminal; what is said from now on goes to the job's log only.
 */
void background_ready(struct background *background);

/* In the child: it could not begin; hands the error to the parent. Does nothing after background_ready, or
 * when not in the background. True when the parent will report it. */
bool background_failed(struct background *background, const struct nacre_err *e);

#endif

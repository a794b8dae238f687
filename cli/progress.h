/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on standard error: on a terminal a bar with bytes, rate and time left; otherwise a line every ten
 * seconds. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli/cli.h"

struct progress_source {
    _Atomic uint64_t *done, *total; /* bytes; total may grow */
    const char *what;               /* such as "backup nightly" */
    /* Not NULL: the figures are no bytes, but numbers of what this says at the moment (a literal). */
    const char *_Atomic *counted;
};

/* Shows it until progress_stop, in a thread of its own; nothing with --quiet. The figures are borrowed. One
 * at a time. */
void progress_start(const struct cli *cli, const struct progress_source *source);
void progress_stop(void);

/* The line for given figures, at most `columns` wide when columns is not 0: for the thread and its test. */
struct progress_view {
    const char *what, *counted;
    uint64_t done, total;
    double seconds; /* since the start */
    double rate;    /* bytes a second, lately */
    unsigned columns;
};
#define PROGRESS_LINE_SIZE 512
void progress_line(const struct progress_view *view, char out[PROGRESS_LINE_SIZE]);

#endif

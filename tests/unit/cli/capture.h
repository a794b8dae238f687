/* SPDX-License-Identifier: Apache-2.0 */
/* Catching what a function prints on standard output. */
#ifndef TESTS_CAPTURE_H
#define TESTS_CAPTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct capture {
    FILE *file;
    int saved;
};

static inline void capture_begin(struct capture *c)
{
    fflush(stdout);
    c->file = tmpfile();
    c->saved = dup(STDOUT_FILENO);
    dup2(fileno(c->file), STDOUT_FILENO);
}

/* The text: free(). */
static inline char *capture_end(struct capture *c)
{
    fflush(stdout);
    dup2(c->saved, STDOUT_FILENO);
    close(c->saved);
    long size = lseek(fileno(c->file), 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    if (pread(fileno(c->file), text, (size_t)size, 0) != size)
        abort();
    fclose(c->file);
    return text;
}

#endif

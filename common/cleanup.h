/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning by scope: a variable declared CLEANUP(x_free) is freed with x_free when its scope ends, MOVE hands
 * it on instead. x_free takes the pointer itself and accepts NULL. */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(free_function) __attribute__((cleanup(free_function##_at)))

/* Makes `free_function` usable with CLEANUP; once, after its declaration. */
#define CLEANUP_DEFINE(type, free_function)                                                                  \
    static inline void free_function##_at(type *at)                                                          \
    {                                                                                                        \
        free_function(*at);                                                                                  \
    }

#define MOVE(pointer)                                                                                        \
    (__extension__({                                                                                         \
        __typeof__(pointer) moved_ = (pointer);                                                              \
        (pointer) = NULL;                                                                                    \
        moved_;                                                                                              \
    }))

/* CLEANUP(mem_free) char *s; */
static inline void mem_free_at(void *at)
{
    free(*(void **)at);
}

/* CLEANUP(fd_close) int fd = -1; */
static inline void fd_close_at(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void file_close_at(FILE **file)
{
    if (*file)
        fclose(*file);
}

#endif

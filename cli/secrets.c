/* SPDX-License-Identifier: Apache-2.0 */
/* See secrets.h. A limit of 0 keeps the kernel from writing core files, but a core_pattern that is a pipe
 * gets the core all the same; a limit of 1 stops both: less than a page is no file, and for a pipe it is the
 * value with which the kernel marks the pipe's own reader (do_coredump in its fs/coredump.c). */
#include "cli/secrets.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/quantity.h"

void secrets_forbid_core(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max < 1 ? 0 : 1;
    limit.rlim_max = limit.rlim_cur;
    setrlimit(RLIMIT_CORE, &limit);
}

void secrets_seclude(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int secrets_own_fd(const char *path)
{
    uint64_t fd;
    if (!strcmp(path, "/dev/stdin"))
        fd = STDIN_FILENO;
    else if (!strcmp(path, "/dev/stdout"))
        fd = STDOUT_FILENO;
    else if (strncmp(path, "/dev/fd/", 8) != 0 || !number_parse(path + 8, &fd) || fd > INT_MAX)
        return -1;
    return fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && !strcmp(text + length - end_length, end);
}

bool secrets_key(const char *key)
{
    static const char *const words[] = {"secret", "password",  "token",     "key",
                                        "sas",    "signature", "credential"};
    if (ends_with(key, "-file") || ends_with(key, "-id") || !strcmp(key, "credentials"))
        return false; /* the last is the name of a file, too */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(key, words[i]))
            return true;
    return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Host and user names. The host name is compared byte for byte with what other processes wrote into their
 * locks, so it is the kernel's own, as restic takes it. */
#include "repository/self.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static void make_printable(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

void self_hostname(char out[SELF_SIZE])
{
    if (gethostname(out, SELF_SIZE - 1) < 0 || !*out)
        snprintf(out, SELF_SIZE, "localhost");
    out[SELF_SIZE - 1] = 0;
    make_printable(out);
}

void self_pid_namespace(char out[SELF_SIZE])
{
    ssize_t size = readlink("/proc/self/ns/pid", out, SELF_SIZE - 1);
    out[size > 0 ? size : 0] = 0;
    make_printable(out);
}

void self_username(char out[SELF_SIZE])
{
    char memory[4096];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(geteuid(), &entry, memory, sizeof memory, &found) == 0 && found && *found->pw_name)
        snprintf(out, SELF_SIZE, "%s", found->pw_name);
    else
        snprintf(out, SELF_SIZE, "uid-%u", (unsigned)geteuid());
    make_printable(out);
}

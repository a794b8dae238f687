/* SPDX-License-Identifier: Apache-2.0 */
/* Going to the background. The split comes before any cluster is opened, because their libraries' threads
 * would not survive it; the parent stays until the child has opened everything, so that a wrong password or
 * an absent volume is still said to whoever asked. */
#include "cli/background.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "common/err.h"

const struct option option_wait = {
    .name = "wait",
    .argument = "true|false",
    .help = "false: return once the job has begun and let it go on in the background (default: true)",
    .flags = OPTION_SWITCH};

static int wait_for_child(int fd, pid_t pid, struct nacre_err *e)
{
    size_t used = 0;
    while (used < sizeof *e) {
        ssize_t got = read(fd, (char *)e + used, sizeof *e - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    if (used < sizeof *e) {
        int status = 0;
        waitpid(pid, &status, 0);
        return err_set(e, NACRE_FAILED, "the background process ended (%s %d) before it could begin",
                       WIFSIGNALED(status) ? "signal" : "exit code",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    e->message[sizeof e->message - 1] = 0;
    return e->code == NACRE_OK ? 0 : -1;
}

int background_start(const struct cli *cli, struct background *background, bool *parent, struct nacre_err *e)
{
    int ends[2];
    background->pipe = -1;
    *parent = false;
    if (cli_switch(cli, &option_wait, true))
        return 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, errno, "going to the background");
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        err_errno(e, errno, "going to the background");
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    if (!pid) {
        close(ends[0]);
        background->pipe = ends[1];
        return 0;
    }
    close(ends[1]);
    *parent = true;
    int result = wait_for_child(ends[0], pid, e);
    close(ends[0]);
    return result;
}

static void tell_parent(struct background *background, const struct nacre_err *e)
{
    size_t sent = 0;
    while (sent < sizeof *e) {
        ssize_t n = write(background->pipe, (const char *)e + sent, sizeof *e - sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    close(background->pipe);
    background->pipe = -1;
}

void background_ready(struct background *background)
{
    if (background->pipe < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    struct nacre_err none = {0};
    tell_parent(background, &none);
}

bool background_failed(struct background *background, const struct nacre_err *e)
{
    if (background->pipe < 0)
        return false;
    tell_parent(background, e);
    return true;
}

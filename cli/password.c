/* SPDX-License-Identifier: Apache-2.0 */
/* Getting a password. Every buffer that held one is wiped. */
#include "cli/password.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>

#include "cli/secrets.h"
#include "common/cancel.h"
#include "common/err.h"

/* Drops line ends at the end; what is left must be a password. `from` is for messages. */
static int finish(struct buf *out, const char *from, struct nacre_err *e)
{
    while (out->size && (out->data[out->size - 1] == '\n' || out->data[out->size - 1] == '\r'))
        out->data[--out->size] = 0;
    if (buf_failed(out))
        return err_no_memory(e, "the password");
    if (!out->size)
        return err_set(e, NACRE_INVALID, "the password from %s is empty", from);
    if (memchr(out->data, 0, out->size))
        return err_set(e, NACRE_INVALID, "the password from %s holds a NUL byte", from);
    return 0;
}

/* All that fd gives; room for it is made before, so that no copy stays behind in freed memory. */
static int read_all(int fd, const char *from, struct buf *out, struct nacre_err *e)
{
    char *at = buf_reserve(out, PASSWORD_BYTES_MAX + 1);
    size_t used = 0;
    if (!at)
        return err_no_memory(e, "the password");
    for (;;) {
        ssize_t got = read(fd, at + used, PASSWORD_BYTES_MAX + 1 - used);
        if (got < 0 && errno == EINTR && !cancel_requested())
            continue;
        if (got < 0)
            return err_errno(e, errno, "reading the password from %s", from);
        used += (size_t)got;
        if (!got)
            break;
        if (used > PASSWORD_BYTES_MAX)
            return err_set(e, NACRE_INVALID, "the password from %s is longer than %d bytes", from,
                           PASSWORD_BYTES_MAX);
    }
    buf_commit(out, used);
    return 0;
}

static int from_file(const char *file, struct buf *out, struct nacre_err *e)
{
    char from[512];
    snprintf(from, sizeof from, "file %s", file);
    CLEANUP(fd_close) int fd = secrets_own_fd(file);
    if (fd < 0)
        fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(e, errno, "password file %s", file);
        if (e->code == NACRE_ABSENT)
            e->code = NACRE_INVALID;
        return -1;
    }
    return read_all(fd, from, out, e) < 0 ? -1 : finish(out, from, e);
}

static int spawn_shell(const char *command, int output, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    const char *const argv[] = {"sh", "-c", command, NULL};
    int error = posix_spawn(pid, "/bin/sh", &actions, &attributes, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int from_command(const char *command, struct buf *out, struct nacre_err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(e, errno, "password command");
    pid_t pid;
    int error = spawn_shell(command, ends[1], &pid);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        return err_errno(e, error, "password command: /bin/sh");
    }
    int result = read_all(ends[0], "the password command", out, e);
    close(ends[0]); /* before the wait: a command that writes on must end */
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (result < 0)
        return -1;
    if (WIFSIGNALED(status))
        return err_set(e, NACRE_FAILED, "the password command was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status))
        return err_set(e, NACRE_FAILED, "the password command failed with exit code %d", WEXITSTATUS(status));
    return finish(out, "the password command", e);
}

/* One line from the terminal without echo. The wait looks at the stop flag, so that the terminal is put right
 * after Control-C instead of staying silent. */
static int read_line(int tty, const char *prompt, const char *suffix, struct buf *out)
{
    struct termios old, silent;
    if (tcgetattr(tty, &old) < 0)
        return -1;
    silent = old;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ICANON;
    char *at = buf_reserve(out, PASSWORD_BYTES_MAX);
    ssize_t got = -1;
    tcsetattr(tty, TCSAFLUSH, &silent);
    dprintf(tty, "%s%s: ", prompt, suffix); /* not before: what answers it at once would be flushed away */
    struct pollfd wait = {.fd = tty, .events = POLLIN};
    while (at && !cancel_requested() && got < 0)
        if (poll(&wait, 1, 100) > 0)
            got = read(tty, at, PASSWORD_BYTES_MAX);
    tcsetattr(tty, TCSADRAIN, &old);
    dprintf(tty, "\n");
    if (got <= 0)
        return -1;
    buf_commit(out, (size_t)got);
    return 0;
}

static int ask(int tty, const char *prompt, const char *suffix, struct buf *out, struct nacre_err *e)
{
    if (read_line(tty, prompt, suffix, out) < 0)
        return err_set(e, NACRE_CANCELLED, "no password was entered");
    return finish(out, "the terminal", e);
}

static int from_terminal(const struct password_sources *sources, struct buf *out, struct nacre_err *e)
{
    /* A terminal that can be opened may still be nobody's: without one on standard input, do not wait. */
    CLEANUP(fd_close) int tty = isatty(STDIN_FILENO) ? open("/dev/tty", O_RDWR | O_CLOEXEC) : -1;
    if (tty < 0)
        return err_set(e, NACRE_INVALID, "no %s: this is not a terminal; pass --%s or --%s, set %s or %s%s",
                       sources->prompt, sources->file_option->name, sources->command_option->name,
                       sources->file_variable, sources->variable,
                       sources->configurable ? ", or name a password-file in the configuration" : "");
    if (ask(tty, sources->prompt, "", out, e) < 0)
        return -1;
    if (!sources->twice)
        return 0;
    CLEANUP(buf_wipe_free) struct buf again = {0};
    if (ask(tty, sources->prompt, ", again", &again, e) < 0)
        return -1;
    if (!again.data || strcmp((const char *)again.data, (const char *)out->data) != 0)
        return err_set(e, NACRE_INVALID, "the two passwords differ");
    return 0;
}

static char *environment(const char *name)
{
    char *value = name ? getenv(name) : NULL;
    return value && *value ? value : NULL;
}

int password_get(const struct cli *cli, const struct password_sources *sources, struct buf *out,
                 struct nacre_err *e)
{
    const char *file = cli_value(cli, sources->file_option);
    const char *command = cli_value(cli, sources->command_option);
    if (file && command)
        return err_set(e, NACRE_INVALID, "--%s and --%s exclude each other", sources->file_option->name,
                       sources->command_option->name);
    if (file)
        return from_file(file, out, e);
    if (command)
        return from_command(command, out, e);
    char *text;
    if ((text = environment(sources->file_variable)))
        return from_file(text, out, e);
    if ((text = environment(sources->variable))) {
        buf_reserve(out, PASSWORD_BYTES_MAX);
        buf_string(out, text);
        explicit_bzero(text, strlen(text)); /* neither /proc nor a command started later shows it */
        return finish(out, sources->variable, e);
    }
    if (sources->file)
        return from_file(sources->file, out, e);
    if (sources->command)
        return from_command(sources->command, out, e);
    return from_terminal(sources, out, e);
}

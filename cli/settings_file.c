/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and reading the configuration file. The first that exists counts alone: files are not merged, so
 * that what is in force can be read in one place. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/settings.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/log.h"

#define SYSTEM_FILE "/etc/nacre/config.yaml"

/* The file can name a command to run (password-command): who can write it, can run commands as its reader. */
static int check_owner(int fd, const char *file, struct nacre_err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "configuration %s", file);
    if (S_ISDIR(st.st_mode))
        return err_set(e, NACRE_INVALID, "configuration %s is a directory", file);
    if (S_ISREG(st.st_mode) && (st.st_mode & 0002))
        return err_set(e, NACRE_DENIED, "configuration %s can be written by everyone; run chmod o-w %s", file,
                       file);
    return 0;
}

int settings_read(int fd, const char *path, struct buf *out, struct nacre_err *e)
{
    for (;;) {
        void *at = buf_reserve(out, 16384);
        if (!at)
            return err_no_memory(e, "the configuration");
        ssize_t got = read(fd, at, 16384);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "configuration %s", path);
        buf_commit(out, (size_t)got);
        if (!got || out->size > SETTINGS_BYTES_MAX)
            return 0; /* one that is too large is refused where it is parsed */
    }
}

static int read_file(const char *file, struct settings **out, struct nacre_err *e)
{
    CLEANUP(fd_close) int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, errno, "configuration %s", file);
    if (check_owner(fd, file, e) < 0)
        return -1;
    CLEANUP(buf_free) struct buf text = {0};
    if (settings_read(fd, file, &text, e) < 0)
        return -1;
    log_debug("configuration: %s", file);
    return settings_parse(text.data, text.size, file, out, e);
}

/* The user's own file, whether it is there or not; NULL without a home directory. free() */
static int user_file(char **out, struct nacre_err *e)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int used = 0;
    *out = NULL;
    if (base && *base == '/')
        used = asprintf(out, "%s/nacre/config.yaml", base);
    else if (home && *home)
        used = asprintf(out, "%s/.config/nacre/config.yaml", home);
    return used < 0 ? err_no_memory(e, "the configuration's name") : 0;
}

static const char *named_file(const char *file)
{
    const char *named = file ? file : getenv("NACRE_CONFIG");
    return named && *named ? named : NULL;
}

static bool is_there(const char *file)
{
    return access(file, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

int settings_load(const char *file, struct settings **out, struct nacre_err *e)
{
    const char *named = named_file(file);
    if (named) {
        int result = read_file(named, out, e);
        if (result < 0 && e->code == NACRE_ABSENT)
            e->code = NACRE_INVALID; /* asked for by name: a mistake of the caller's, not an absent backup */
        return result;
    }
    CLEANUP(mem_free) char *own = NULL;
    if (user_file(&own, e) < 0)
        return -1;
    const char *const files[] = {own, SYSTEM_FILE};
    for (size_t i = 0; i < 2; i++)
        if (files[i] && is_there(files[i]))
            return read_file(files[i], out, e);
    *out = calloc(1, sizeof **out);
    return *out ? 0 : err_no_memory(e, "the configuration");
}

int settings_path(const char *file, char **out, struct nacre_err *e)
{
    const char *named = named_file(file);
    CLEANUP(mem_free) char *path = NULL;
    if (named)
        path = strdup(named);
    else if (user_file(&path, e) < 0)
        return -1;
    else if ((!path || !is_there(path)) && (!path || is_there(SYSTEM_FILE))) {
        free(path);
        path = strdup(SYSTEM_FILE);
    }
    if (!path)
        return err_no_memory(e, "the configuration's name");
    char *real = realpath(path, NULL);
    if (!real && errno != ENOENT)
        return err_errno(e, errno, "configuration %s", path);
    *out = real ? real : MOVE(path);
    return 0;
}

int cli_settings(struct cli *cli, struct settings **out, struct nacre_err *e)
{
    if (!cli->settings && settings_load(cli_value(cli, &option_config), &cli->settings, e) < 0)
        return -1;
    *out = cli->settings;
    return 0;
}

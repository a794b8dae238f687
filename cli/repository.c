/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a location's repository: where it lies, with which password, and where its caches go. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/location.h"
#include "cli/password.h"
#include "cli/secrets.h"
#include "cli/settings.h"
#include "common/err.h"
#include "common/log.h"

const struct option option_repository = {.name = "repository",
                                         .argument = "PATH",
                                         .help =
                                             "where the repository lies below the location's prefix; \".\" = "
                                             "the prefix itself (default: restic/default)"};
const struct option option_password_file = {.name = "password-file",
                                            .argument = "FILE",
                                            .help = "read the repository's password from FILE",
                                            .flags = OPTION_FILE};
const struct option option_password_command = {.name = "password-command",
                                               .argument = "COMMAND",
                                               .help = "take the repository's password from the output of "
                                                       "COMMAND, which /bin/sh runs"};
const struct option option_no_cache = {.name = "no-cache",
                                       .help = "keep no cache of the index on this machine"};
const struct option option_retry_lock = {.name = "retry-lock",
                                         .argument = "DURATION",
                                         .help = "wait so long for a lock that is in the way (default: 0)"};

#define DEFAULT_PATH "restic/default"

/* Makes a directory and those above it, for this user alone. */
static int make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int result = mkdir(path, 0700);
        int error = errno;
        *slash = '/';
        if (result < 0 && error != EEXIST)
            return error;
    }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? errno : 0;
}

char *location_cache_dir(struct cli *cli)
{
    if (cli_flag(cli, &option_no_cache))
        return NULL;
    char *path = NULL;
    const char *own = getenv("NACRE_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int used = 0;
    if (own && *own)
        path = strdup(own);
    else if (xdg && *xdg == '/')
        used = asprintf(&path, "%s/nacre", xdg);
    else if (home && *home)
        used = asprintf(&path, "%s/.cache/nacre", home);
    if (used < 0 || !path)
        return NULL;
    int error = make_directories(path);
    if (error) {
        log_warning("cache directory %s: %s; going on without a cache", path, strerror(error));
        free(path);
        return NULL;
    }
    return path;
}

static int config_exists(struct location *location, const char *path, bool *exists, struct nacre_err *e)
{
    char name[NACRE_OBJECT_NAME_MAX + 1];
    struct nacre_object_info info;
    *exists = false;
    int used = snprintf(name, sizeof name, "%s%sconfig", path, *path ? "/" : "");
    if (used < 0 || (size_t)used >= sizeof name)
        return err_set(e, NACRE_INVALID, "--repository: the path is too long");
    if (!store_stat(location->store, name, &info, e)) {
        *exists = true;
        return 0;
    }
    if (e->code != NACRE_ABSENT)
        return err_wrap(e, "repository in %s", location->url);
    return 0;
}

/* Segments of [A-Za-z0-9._-] joined by '/'; "." and "" stand for the prefix itself. */
static int check_path(const char *path, struct nacre_err *e)
{
    for (const char *at = path; *at;) {
        size_t length = strcspn(at, "/");
        if (!length || (length <= 2 && !strncmp(at, "..", length)) || length > 255 ||
            strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") < length ||
            (at[length] && !at[length + 1]))
            return err_set(e, NACRE_INVALID,
                           "repository \"%.128s\": expected a path below the location's prefix, such as "
                           "restic/default, of letters, digits, '.', '_' and '-'",
                           path);
        at += length + (at[length] == '/');
    }
    return 0;
}

/* Where the repository lies, or is to lie. One that restic made lies at the prefix itself; it is found there
 * when nothing else was said. `exists` tells whether there is one. */
static int choose_path(struct cli *cli, struct location *location, const char **out, bool *exists,
                       struct nacre_err *e)
{
    const char *path = cli_value(cli, &option_repository);
    if (!path)
        path = settings_value(location->entry, "repository");
    bool said = path != NULL;
    if (!said)
        path = DEFAULT_PATH;
    if (!strcmp(path, "."))
        path = "";
    if (check_path(path, e) < 0 || config_exists(location, path, exists, e) < 0)
        return -1;
    bool plain = false;
    if (!*exists && !said) {
        if (config_exists(location, "", &plain, e) < 0)
            return -1;
        if (plain) {
            log_info("%s is a plain restic repository: using it as it is", location->url);
            path = "";
            *exists = true;
        }
    }
    *out = path;
    return 0;
}

static char *describe(const struct location *location, const char *path)
{
    char *where = NULL;
    size_t length = strlen(location->url);
    const char *slash = *path && location->url[length - 1] != '/' ? "/" : "";
    return asprintf(&where, "%s%s%s", location->url, slash, path) < 0 ? NULL : where;
}

static int get_password(struct cli *cli, const struct location *location, bool twice, struct buf *out,
                        struct nacre_err *e)
{
    const struct password_sources sources = {
        .file_option = &option_password_file,
        .command_option = &option_password_command,
        .file_variable = "NACRE_PASSWORD_FILE",
        .variable = "NACRE_PASSWORD",
        .file = settings_value(location->entry, "password-file"),
        .command = settings_value(location->entry, "password-command"),
        .configurable = true,
        .prompt = twice ? "password for the new repository" : "password of the repository",
        .twice = twice,
    };
    return password_get(cli, &sources, out, e);
}

int location_open_repository(struct cli *cli, struct location *location, struct repo **out,
                             struct nacre_err *e)
{
    const char *path;
    bool exists;
    if (choose_path(cli, location, &path, &exists, e) < 0)
        return -1;
    CLEANUP(mem_free) char *where = describe(location, path);
    if (!where)
        return err_no_memory(e, "the repository");
    if (!exists)
        return err_set(e, NACRE_ABSENT, "no repository at %s; make one with nacre repo init --location %s",
                       where, location->name);
    CLEANUP(buf_wipe_free) struct buf password = {0};
    if (get_password(cli, location, false, &password, e) < 0)
        return err_wrap(e, "cannot open repository %s", where);
    secrets_seclude();
    CLEANUP(mem_free) char *cache = location_cache_dir(cli);
    const struct repo_options options = {.path = path, .cache_dir = cache, .where = where};
    return repo_open(location->store, &options, (const char *)password.data, out, e);
}

int location_init_repository(struct cli *cli, struct location *location, unsigned version, struct repo **out,
                             struct nacre_err *e)
{
    const char *path;
    bool exists;
    if (choose_path(cli, location, &path, &exists, e) < 0)
        return -1;
    CLEANUP(mem_free) char *where = describe(location, path);
    if (!where)
        return err_no_memory(e, "the repository");
    if (exists)
        return err_set(e, NACRE_EXISTS, "there is a repository at %s already; nothing was changed", where);
    CLEANUP(buf_wipe_free) struct buf password = {0};
    if (get_password(cli, location, true, &password, e) < 0)
        return err_wrap(e, "cannot make repository %s", where);
    secrets_seclude();
    CLEANUP(mem_free) char *cache = location_cache_dir(cli);
    const struct repo_options options = {.path = path, .cache_dir = cache, .where = where};
    return repo_init(location->store, &options, (const char *)password.data, version, out, e);
}

int location_retry_seconds(struct cli *cli, unsigned *out, struct nacre_err *e)
{
    uint64_t seconds = 0;
    if (cli_duration(cli, &option_retry_lock, &seconds, e) < 0)
        return -1;
    *out = seconds > 365ull * 86400 ? 365u * 86400 : (unsigned)seconds;
    return 0;
}

int location_lock(struct cli *cli, const struct location *location, struct repo *repo, bool exclusive,
                  struct lock **out, struct nacre_err *e)
{
    unsigned retry_seconds;
    if (location_retry_seconds(cli, &retry_seconds, e) < 0)
        return -1;
    if (location->read_only) {
        log_debug("%s is read-only: no lock is written", location->url);
        *out = NULL;
        return 0;
    }
    return lock_acquire(repo, exclusive, retry_seconds, out, e);
}

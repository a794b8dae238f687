/* SPDX-License-Identifier: Apache-2.0 */
/* The connection, paths, and what librados' and librbd's error numbers mean.
 *
 * Every wait of librados is bounded by `timeout`, so that a cluster that went away becomes NACRE_TRANSIENT
 * and not a program that hangs. Its own log is turned off: standard error is the program's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "driver.h"

enum nacre_code code_of_rbd(int error)
{
    switch (-error) {
    case EROFS: /* another client holds the exclusive lock and keeps it */
        return NACRE_BUSY;
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        return NACRE_TRANSIENT;
    case ERANGE:
    case EDOM:
        return NACRE_INVALID;
    default:
        return err_code_of_errno(-error);
    }
}

static int fail(const struct rbd_driver *driver, const char *where, int error, struct nacre_err *e,
                const char *what)
{
    enum nacre_code code = code_of_rbd(error);
    char reason[128];
    const char *text = strerror_r(-error, reason, sizeof reason);
    const char *hint = "";
    switch (-error) {
    case ETIMEDOUT:
        return err_set(e, code,
                       "%s: %s: the cluster does not answer (waited %u s); is it up, and can it be "
                       "reached?",
                       where, what, driver->timeout);
    case ESHUTDOWN:
        return err_set(e, code,
                       "%s: %s: the cluster has cut this client off (blocklisted), because another "
                       "took its lock over; try again",
                       where, what);
    case EPERM:
    case EACCES:
        return err_set(e, code,
                       "%s: %s: %s; client.%s needs the caps mon 'profile rbd', mgr 'profile rbd', "
                       "osd 'profile rbd'",
                       where, what, text, driver->user);
    case EROFS:
        text = "another client holds its exclusive lock";
        break;
    case ENOSPC:
    case EDQUOT:
        hint = "; the cluster or the pool's quota is full";
        break;
    default:
        break;
    }
    return err_set(e, code, "%s: %s: %s%s", where, what, text, hint);
}

int place_fail(const struct place *place, int error, struct nacre_err *e, const char *what)
{
    char where[PATH_SIZE + 128];
    snprintf(where, sizeof where, PLACE_FORMAT, PLACE_ARGS(place));
    return fail(place->driver, where, error, e, what);
}

int driver_fail(const struct rbd_driver *driver, int error, struct nacre_err *e, const char *what)
{
    char where[128];
    snprintf(where, sizeof where, "rbd/%s", driver->cluster_name);
    return fail(driver, where, error, e, what);
}

void driver_set_timeout(struct rbd_driver *driver, unsigned seconds)
{
    char value[16];
    snprintf(value, sizeof value, "%u", seconds);
    rados_conf_set(driver->cluster, "rados_osd_op_timeout", value);
}

static int configure(struct rbd_driver *driver, rados_t cluster, struct nacre_err *e)
{
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%u", driver->timeout);
    /* Set before the file is read, so that reading it is silent, and after, so that it has no say. */
    const char *const settings[][2] = {{"log_to_stderr", "false"},
                                       {"err_to_stderr", "false"},
                                       {"log_to_syslog", "false"},
                                       {"log_file", ""},
                                       {"admin_socket", ""},
                                       {"rbd_cache", "false"},
                                       {"rados_osd_op_timeout", seconds},
                                       {"rados_mon_op_timeout", seconds},
                                       {"client_mount_timeout", seconds}};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
            if (rados_conf_set(cluster, settings[i][0], settings[i][1]) < 0)
                log_debug("rbd/%s: librados does not know %s", driver->cluster_name, settings[i][0]);
        if (round)
            break;
        int error = rados_conf_read_file(cluster, driver->conf);
        if (error == -ENOENT)
            return err_set(e, NACRE_ABSENT,
                           "rbd/%s: there is no %s; name the cluster's configuration file with `conf` below "
                           "clusters: %s: in nacre's own",
                           driver->cluster_name, driver->conf, driver->cluster_name);
        if (error < 0)
            return err_errno(e, -error, "rbd/%s: cannot read %s", driver->cluster_name, driver->conf);
    }
    int error = driver->keyring ? rados_conf_set(cluster, "keyring", driver->keyring) : 0;
    return error < 0 ? driver_fail(driver, error, e, "cannot set the keyring") : 0;
}

static int connect_now(struct rbd_driver *driver, struct nacre_err *e)
{
    char name[160];
    rados_t cluster;
    if (driver->keyring && access(driver->keyring, R_OK) < 0)
        return err_errno(e, errno, "rbd/%s: cannot read the keyring %s", driver->cluster_name,
                         driver->keyring);
    snprintf(name, sizeof name, "client.%s", driver->user);
    int error = rados_create2(&cluster, driver->cluster_name, name, 0);
    if (error < 0)
        return driver_fail(driver, error, e, "cannot begin a connection");
    if (configure(driver, cluster, e) < 0) {
        rados_shutdown(cluster);
        return -1;
    }
    error = rados_connect(cluster);
    if (error == 0)
        error = rados_cluster_fsid(cluster, driver->fsid, sizeof driver->fsid);
    if (error >= 0) {
        driver->cluster = cluster;
        driver->connected = true;
        return 0;
    }
    rados_shutdown(cluster);
    if (error == -ENOENT || error == -EACCES || error == -EPERM || error == -EOPNOTSUPP)
        return err_set(e, NACRE_DENIED,
                       "rbd/%s: cannot authenticate as %s: %s; is its key in the keyring%s%s?",
                       driver->cluster_name, name, error == -ENOENT ? "no key found" : strerror(-error),
                       driver->keyring ? " " : "", driver->keyring ? driver->keyring : "");
    return driver_fail(driver, error, e, "cannot connect");
}

int rbd_driver_connect(struct rbd_driver *driver, struct nacre_err *e)
{
    pthread_mutex_lock(&driver->mutex);
    int result = driver->connected ? 0 : connect_now(driver, e);
    pthread_mutex_unlock(&driver->mutex);
    return result;
}

static int bad_path(const struct rbd_driver *driver, const char *path, bool image_wanted, struct nacre_err *e)
{
    return err_set(e, NACRE_INVALID, "rbd/%s/%.200s: not a path of the form %s", driver->cluster_name, path,
                   image_wanted ? "pool[/namespace]/image" : "pool[/namespace]");
}

static bool part_valid(const char *part, size_t length, size_t room)
{
    if (!length || length >= room || (part[0] == '.' && (length == 1 || (length == 2 && part[1] == '.'))))
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)part[i] <= ' ' || part[i] == '@' || part[i] == 0x7f)
            return false;
    return true;
}

static int parse(struct place *place, const char *path, bool image_wanted, struct nacre_err *e)
{
    const char *parts[3];
    size_t lengths[3], count = 0;
    for (const char *at = path;; at++) {
        size_t length = strcspn(at, "/");
        if (count == 3)
            return bad_path(place->driver, path, image_wanted, e);
        parts[count] = at;
        lengths[count++] = length;
        at += length;
        if (!*at)
            break;
    }
    size_t names = count - (image_wanted ? 1 : 0);
    if (names < 1 || names > 2 || !part_valid(parts[0], lengths[0], sizeof place->pool) ||
        (names == 2 && !part_valid(parts[1], lengths[1], sizeof place->space)) ||
        (image_wanted && !part_valid(parts[count - 1], lengths[count - 1], sizeof place->image)))
        return bad_path(place->driver, path, image_wanted, e);
    memcpy(place->pool, parts[0], lengths[0]);
    if (names == 2)
        memcpy(place->space, parts[1], lengths[1]);
    if (image_wanted)
        memcpy(place->image, parts[count - 1], lengths[count - 1]);
    if (!strncmp(place->image, ASIDE_PREFIX, strlen(ASIDE_PREFIX)))
        return err_set(e, NACRE_INVALID,
                       PLACE_FORMAT ": names that begin with " ASIDE_PREFIX " are nacre's own",
                       PLACE_ARGS(place));
    return 0;
}

int place_open(struct rbd_driver *driver, const char *path, bool image_wanted, struct place *out,
               struct nacre_err *e)
{
    struct place place = {.driver = driver};
    if (parse(&place, path, image_wanted, e) < 0 || rbd_driver_connect(driver, e) < 0)
        return -1;
    int error = rados_ioctx_create(driver->cluster, place.pool, &place.io);
    if (error == -ENOENT)
        return err_set(e, NACRE_ABSENT, "rbd/%s/%s: the cluster has no pool \"%s\"", driver->cluster_name,
                       path, place.pool);
    if (error < 0)
        return place_fail(&place, error, e, "cannot open the pool");
    rados_ioctx_set_namespace(place.io, place.space);
    *out = place;
    return 0;
}

void place_close(struct place *place)
{
    if (place->io)
        rados_ioctx_destroy(place->io);
    place->io = NULL;
}

/* The word that an answer says besides its number. */
static int command_result(struct rbd_driver *driver, int error, char *status, size_t status_size,
                          struct nacre_err *e)
{
    if (error < 0 && status && status_size)
        err_set(e, code_of_rbd(error), "rbd/%s: the cluster refuses a command: %.*s", driver->cluster_name,
                (int)(status_size < 400 ? status_size : 400), status);
    else if (error < 0)
        driver_fail(driver, error, e, "the cluster refuses a command");
    if (status)
        rados_buffer_free(status);
    return error < 0 ? -1 : 0;
}

int mon_command(struct rbd_driver *driver, const char *json, char **out, struct nacre_err *e)
{
    char *answer = NULL, *status = NULL;
    size_t answer_size = 0, status_size = 0;
    int error =
        rados_mon_command(driver->cluster, &json, 1, NULL, 0, &answer, &answer_size, &status, &status_size);
    int result = command_result(driver, error, status, status_size, e);
    if (result == 0) {
        *out = malloc(answer_size + 1);
        if (*out) {
            memcpy(*out, answer ? answer : "", answer_size);
            (*out)[answer_size] = '\0';
        } else {
            result = err_no_memory(e, "an answer of the cluster");
        }
    }
    if (answer)
        rados_buffer_free(answer);
    return result;
}

int mgr_command(struct rbd_driver *driver, const char *json, struct nacre_err *e)
{
    char *answer = NULL, *status = NULL;
    size_t answer_size = 0, status_size = 0;
    int error =
        rados_mgr_command(driver->cluster, &json, 1, NULL, 0, &answer, &answer_size, &status, &status_size);
    if (answer)
        rados_buffer_free(answer);
    return command_result(driver, error, status, status_size, e);
}

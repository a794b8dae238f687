/* SPDX-License-Identifier: Apache-2.0 */
/* The rbd driver as a plugin: its options and its two facets. Opening connects to nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "driver.h"

static void close_driver(struct nacre_driver *base)
{
    struct rbd_driver *driver = rbd_driver_of(base);
    if (driver->connected)
        rados_shutdown(driver->cluster);
    pthread_mutex_destroy(&driver->mutex);
    free(driver->cluster_name);
    free(driver->conf);
    free(driver->keyring);
    free(driver->user);
    free(driver);
}

static int read_timeout(struct rbd_driver *driver, const char *value, struct nacre_err *e)
{
    char *end;
    errno = 0;
    unsigned long seconds = strtoul(value, &end, 10);
    if (errno || end == value || *end || *value == '-' || seconds < 1 || seconds > 86400)
        return err_set(e, NACRE_INVALID, "rbd: timeout \"%.40s\" is not a number of seconds from 1 to 86400",
                       value);
    driver->timeout = (unsigned)seconds;
    return 0;
}

static int read_option(struct rbd_driver *driver, const struct nacre_option *option, struct nacre_err *e)
{
    if (!strcmp(option->key, "timeout"))
        return read_timeout(driver, option->value, e);
    char **to = !strcmp(option->key, "cluster")   ? &driver->cluster_name
                : !strcmp(option->key, "conf")    ? &driver->conf
                : !strcmp(option->key, "keyring") ? &driver->keyring
                : !strcmp(option->key, "user")    ? &driver->user
                                                  : NULL;
    if (!to)
        return err_set(e, NACRE_INVALID, "rbd: unknown option \"%s\" (known: conf, keyring, user, timeout)",
                       option->key);
    /* "client.admin" means the user "admin". */
    const char *value =
        to == &driver->user && !strncmp(option->value, "client.", 7) ? option->value + 7 : option->value;
    if (!*value)
        return err_set(e, NACRE_INVALID, "rbd: the option \"%s\" is empty", option->key);
    free(*to);
    *to = strdup(value);
    return *to ? 0 : err_no_memory(e, "an option of rbd");
}

static int read_options(struct rbd_driver *driver, const struct nacre_config *config, struct nacre_err *e)
{
    for (size_t i = 0; i < config->option_count; i++)
        if (read_option(driver, &config->options[i], e) < 0)
            return -1;
    if (!driver->cluster_name)
        return err_set(e, NACRE_INVALID, "rbd: the option \"cluster\" is missing");
    if (!driver->user)
        driver->user = strdup("admin");
    if (!driver->conf && asprintf(&driver->conf, "/etc/ceph/%s.conf", driver->cluster_name) < 0)
        driver->conf = NULL;
    return driver->user && driver->conf ? 0 : err_no_memory(e, "the rbd driver");
}

static int open_driver(const struct nacre_config *config, struct nacre_driver **out, struct nacre_err *e)
{
    log_forward(config->log);
    struct rbd_driver *driver = calloc(1, sizeof *driver);
    if (!driver)
        return err_no_memory(e, "the rbd driver");
    driver->base = (struct nacre_driver){.lifecycle = &rbd_lifecycle, .block = &rbd_block};
    driver->cancelled = config->cancelled;
    driver->timeout = 60;
    pthread_mutex_init(&driver->mutex, NULL);
    if (read_options(driver, config, e) < 0) {
        close_driver(&driver->base);
        return -1;
    }
    *out = &driver->base;
    return 0;
}

static const char *const options[] = {"cluster", "conf", "keyring", "user", "timeout", NULL};

NACRE_EXPORT extern const struct nacre_volume_plugin nacre_volume_plugin;

const struct nacre_volume_plugin nacre_volume_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_volume_plugin),
    .name = "rbd",
    .version = NACRE_VERSION,
    .description = "volumes as RBD images of a Ceph cluster",
    .options = options,
    .open = open_driver,
    .close = close_driver,
};

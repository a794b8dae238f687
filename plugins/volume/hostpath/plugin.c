/* SPDX-License-Identifier: Apache-2.0 */
/* The hostpath driver as a plugin: its options and its two facets. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "hostpath.h"

static void close_driver(struct nacre_driver *driver)
{
    struct hostpath *host = hostpath_of(driver);
    if (host->root >= 0)
        close(host->root);
    free(host->root_path);
    free(host->cluster);
    free(host);
}

static int read_options(struct hostpath *host, const struct nacre_config *config, struct nacre_err *e)
{
    for (size_t i = 0; i < config->option_count; i++) {
        const struct nacre_option *option = &config->options[i];
        char **to = !strcmp(option->key, "cluster") ? &host->cluster
                    : !strcmp(option->key, "path")  ? &host->root_path
                                                    : NULL;
        if (!to)
            return err_set(e, NACRE_INVALID, "hostpath: unknown option \"%s\" (known: path)", option->key);
        free(*to);
        *to = strdup(option->value);
        if (!*to)
            return err_no_memory(e, "an option of hostpath");
    }
    if (!host->cluster)
        return err_set(e, NACRE_INVALID, "hostpath: the option \"cluster\" is missing");
    if (!host->root_path || !*host->root_path)
        return err_set(e, NACRE_INVALID,
                       "hostpath/%s: the option \"path\" is missing; set it to the directory that holds the "
                       "volumes",
                       host->cluster);
    return 0;
}

static int open_driver(const struct nacre_config *config, struct nacre_driver **out, struct nacre_err *e)
{
    log_forward(config->log);
    struct hostpath *host = calloc(1, sizeof *host);
    if (!host)
        return err_no_memory(e, "the hostpath driver");
    host->base = (struct nacre_driver){.lifecycle = &hostpath_lifecycle, .block = &hostpath_block};
    host->cancelled = config->cancelled;
    host->root = -1;
    if (read_options(host, config, e) == 0) {
        host->root = open(host->root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (host->root >= 0) {
            *out = &host->base;
            return 0;
        }
        if (errno == ENOENT)
            err_set(e, NACRE_ABSENT,
                    "hostpath/%s: the directory %s does not exist; mount what belongs there, or make it",
                    host->cluster, host->root_path);
        else
            err_errno(e, errno, "hostpath/%s: cannot open the directory %s", host->cluster, host->root_path);
    }
    close_driver(&host->base);
    return -1;
}

static const char *const options[] = {"cluster", "path", NULL};

NACRE_EXPORT extern const struct nacre_volume_plugin nacre_volume_plugin;

const struct nacre_volume_plugin nacre_volume_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_volume_plugin),
    .name = "hostpath",
    .version = NACRE_VERSION,
    .description = "volumes as sparse files in a directory",
    .options = options,
    .open = open_driver,
    .close = close_driver,
};

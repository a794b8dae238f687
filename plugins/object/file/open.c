/* SPDX-License-Identifier: Apache-2.0 */
/* The object store `file`: a directory, file:///path (%XX stands for a byte, as in any URL).
 *
 * Objects are files below it, segments are directories, so that restic reads the same directory. The root
 * may be a symbolic link or lie behind some; below it none is followed, neither to an object nor to a
 * directory, so that who can write there cannot send reads or writes elsewhere. Files are 0600, directories
 * 0700. Another program's files are objects when their names can be; all others are passed over.
 *
 * The root is opened once and kept: when a file system is mounted over it or taken away meanwhile, a running
 * backup does not change to another one half way. */
#include "file.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"

static void file_close(struct nacre_object_store *base)
{
    struct file_store *store = (struct file_store *)base;
    if (store->root_fd >= 0)
        close(store->root_fd);
    for (size_t i = 0; i < store->durable_count; i++)
        free(store->durable[i]);
    free(store->durable);
    pthread_mutex_destroy(&store->mutex);
    free(store->root);
    free(store);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = file_close,
    .put = file_put,
    .put_if_absent = file_put_if_absent,
    .get = file_get,
    .stat = file_stat,
    .list = file_list,
    .remove = file_remove,
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The path of a URL, decoded; NULL with *e set. */
static char *path_of(const char *url, struct nacre_err *e)
{
    static const char scheme[] = "file://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0 || url[sizeof scheme - 1] != '/') {
        err_set(e, NACRE_INVALID, "\"%.300s\" is not file:///DIRECTORY with an absolute path", url);
        return NULL;
    }
    char *path = strdup(url + sizeof scheme - 1), *to = path;
    if (!path) {
        err_no_memory(e, "a path");
        return NULL;
    }
    for (const char *from = path; *from; from++, to++) {
        if (*from != '%') {
            *to = *from;
            continue;
        }
        int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
        if (low < 0 || high + low == 0) {
            err_set(e, NACRE_INVALID,
                    "\"%.300s\": a '%%' in a URL begins %%XX; write %%25 for the sign itself", url);
            free(path);
            return NULL;
        }
        *to = (char)(high << 4 | low);
        from += 2;
    }
    while (to > path + 1 && to[-1] == '/')
        to--;
    *to = 0;
    return path;
}

static int file_open(const char *url, const struct nacre_config *config, struct nacre_object_store **out,
                     struct nacre_err *e)
{
    log_forward(config->log);
    CLEANUP(mem_free) char *root = path_of(url, e);
    if (!root)
        return -1;
    struct file_store *store = calloc(1, sizeof *store);
    if (!store)
        return err_no_memory(e, "an object store");
    store->base.ops = &ops;
    store->root = MOVE(root);
    store->root_fd = -1;
    pthread_mutex_init(&store->mutex, NULL);
    int fd;
    if (file_root(store, false, &fd, e) < 0 && e->code != NACRE_ABSENT) {
        file_close(&store->base);
        return -1;
    }
    *out = &store->base;
    return 0;
}

static const char *const schemes[] = {"file", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_object_store_plugin),
    .name = "file",
    .version = NACRE_VERSION,
    .description = "a directory of this machine, or of a mounted file system",
    .schemes = schemes,
    .open = file_open,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The search for modules: $NACRE_PLUGIN_PATH (directories separated by ':'), or else the first that exists
 * of the installed place and the build tree's, both relative to the program itself, so that an installed
 * tree works under any prefix. secure_getenv: the environment has no say in a set-uid program. */
#include "plugins/find.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/err.h"

#ifndef PLUGINS_INSTALLED
#define PLUGINS_INSTALLED "../libexec/nacre/plugins"
#endif

void plugin_files_free(struct plugin_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].directory);
    free(files->items);
    *files = (struct plugin_files){0};
}

bool plugin_name_valid(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return size && size <= PLUGIN_NAME_MAX && !name[size];
}

/* The directory of the running program; empty when the kernel does not tell. */
static void program_directory(char out[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - 1);
    out[size > 0 ? size : 0] = 0;
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = 0;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The search path: directories separated by ':'. */
static int search_path(struct buf *out, struct nacre_err *e)
{
    const char *path = secure_getenv("NACRE_PLUGIN_PATH");
    if (path && *path) {
        buf_string(out, path);
    } else {
        char directory[PATH_MAX];
        program_directory(directory);
        const char *installed = PLUGINS_INSTALLED;
        if (*installed == '/')
            buf_string(out, installed);
        else
            buf_printf(out, "%s/%s", directory, installed);
        if (!buf_failed(out) && !is_directory((const char *)out->data)) {
            CLEANUP(buf_free) struct buf tree = {0};
            buf_printf(&tree, "%s/../plugins", directory);
            if (!buf_failed(&tree) && is_directory((const char *)tree.data)) {
                buf_clear(out);
                buf_append(out, tree.data, tree.size);
            }
        }
    }
    return buf_failed(out) ? err_no_memory(e, "the plugin path") : 0;
}

static bool known(const struct plugin_files *files, const char *name)
{
    for (size_t i = 0; i < files->count; i++)
        if (!strcmp(files->items[i].name, name))
            return true;
    return false;
}

static int add(struct plugin_files *files, const char *name, const char *directory, struct nacre_err *e)
{
    struct plugin_file *items = realloc(files->items, (files->count + 1) * sizeof *items);
    if (!items)
        return err_no_memory(e, "the list of plugins");
    files->items = items;
    struct plugin_file *file = &items[files->count];
    snprintf(file->name, sizeof file->name, "%s", name);
    file->directory = strdup(directory);
    if (!file->directory)
        return err_no_memory(e, "the list of plugins");
    files->count++;
    return 0;
}

static int add_directory(struct plugin_files *files, const char *directory, struct nacre_err *e)
{
    DIR *stream = opendir(directory);
    if (!stream)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : err_errno(e, errno, "cannot list the plugin directory %s", directory);
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(stream));) {
        char name[NAME_MAX + 1];
        size_t size = strlen(entry->d_name);
        if (size < 4 || strcmp(entry->d_name + size - 3, ".so") != 0)
            continue;
        memcpy(name, entry->d_name, size - 3);
        name[size - 3] = 0;
        if (plugin_name_valid(name) && !known(files, name))
            result = add(files, name, directory, e);
    }
    closedir(stream);
    return result;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct plugin_file *)a)->name, ((const struct plugin_file *)b)->name);
}

int plugin_files_find(const char *kind, struct plugin_files *out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf path = {0};
    CLEANUP(plugin_files_free) struct plugin_files files = {0};
    if (search_path(&path, e) < 0)
        return -1;
    char *rest = (char *)path.data;
    for (char *directory; (directory = strsep(&rest, ":"));) {
        if (!*directory)
            continue;
        CLEANUP(buf_free) struct buf below = {0};
        buf_printf(&below, "%s/%s", directory, kind);
        if (buf_failed(&below))
            return err_no_memory(e, "the plugin path");
        if (add_directory(&files, (const char *)below.data, e) < 0)
            return -1;
    }
    if (files.count)
        qsort(files.items, files.count, sizeof *files.items, by_name);
    *out = files;
    files = (struct plugin_files){0};
    return 0;
}

int plugin_directories_describe(char *out, size_t size, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf path = {0};
    if (search_path(&path, e) < 0)
        return -1;
    size_t used = 0;
    for (const char *p = (const char *)path.data; *p && used + 3 < size; p++) {
        out[used++] = *p == ':' ? ',' : *p;
        if (*p == ':')
            out[used++] = ' ';
    }
    out[used] = 0;
    return 0;
}

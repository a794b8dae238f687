/* SPDX-License-Identifier: Apache-2.0 */
/* Opening stores and drivers by name. The host's part of the contract is done here once, so that no plugin
 * has to: unknown options are refused with the key and the plugin named, a handle without the functions of
 * the ABI's first version is refused, logging and the stop flag are handed in.
 *
 * One mutex serialises loading; it is not held while a plugin opens a store or connects to a cluster. */
#include "plugins/load.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "plugins/find.h"
#include "plugins/module.h"

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

static const struct module *open_module(bool volume, const struct plugin_file *file, uint32_t *abi,
                                        struct nacre_err *e)
{
    pthread_mutex_lock(&loading);
    const struct module *module = module_open(volume, file, abi, e);
    pthread_mutex_unlock(&loading);
    return module;
}

/* "file, memory", or that there is none; where was looked. */
static void describe_installed(const struct plugin_files *files, struct buf *out)
{
    char where[512] = "";
    struct nacre_err ignored;
    (void)plugin_directories_describe(where, sizeof where, &ignored);
    if (!files->count) {
        buf_printf(out, "there is none in %s; set NACRE_PLUGIN_PATH", where);
        return;
    }
    buf_string(out, "installed in ");
    buf_printf(out, "%s: ", where);
    for (size_t i = 0; i < files->count; i++)
        buf_printf(out, "%s%s", i ? ", " : "", files->items[i].name);
}

static int err_not_installed(struct nacre_err *e, const char *what, const char *name,
                             const struct plugin_files *files)
{
    CLEANUP(buf_free) struct buf installed = {0};
    describe_installed(files, &installed);
    return err_set(e, NACRE_ABSENT, "no %s \"%.64s\" (%s)", what, name,
                   installed.data ? (const char *)installed.data : "?");
}

static const struct plugin_file *file_named(const struct plugin_files *files, const char *name)
{
    for (size_t i = 0; i < files->count; i++)
        if (!strcmp(files->items[i].name, name))
            return &files->items[i];
    return NULL;
}

static bool listed(const char *const *list, const char *key)
{
    for (; list && *list; list++)
        if (!strcmp(*list, key))
            return true;
    return false;
}

static int check_options(const char *what, const char *name, const char *const *known,
                         const struct nacre_option *options, size_t count, struct nacre_err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (listed(known, options[i].key))
            continue;
        CLEANUP(buf_free) struct buf keys = {0};
        for (const char *const *key = known; key && *key; key++)
            buf_printf(&keys, "%s%s", keys.size ? ", " : "", *key);
        return err_set(e, NACRE_INVALID, "%s \"%s\" knows no option \"%.100s\" (it knows: %s)", what, name,
                       options[i].key, keys.data ? (const char *)keys.data : "none");
    }
    return 0;
}

static struct nacre_config config_of(const struct nacre_option *options, size_t count)
{
    return (struct nacre_config){
        .size = sizeof(struct nacre_config),
        .options = options,
        .option_count = count,
        .log = log_message,
        .cancelled = cancel_requested,
    };
}

/* All functions up to remove, those of the first version, must be there. */
static int check_store(const struct module *module, const struct nacre_object_store *store,
                       struct nacre_err *e)
{
    const struct nacre_object_store_ops *ops = store ? store->ops : NULL;
    if (!ops || ops->size < offsetof(struct nacre_object_store_ops, remove) + sizeof(void *) || !ops->close ||
        !ops->put || !ops->put_if_absent || !ops->get || !ops->stat || !ops->list || !ops->remove)
        return err_set(e, NACRE_UNSUPPORTED, "plugin %s lacks functions that every object store must have",
                       module->path);
    return 0;
}

/* The module that serves a scheme: the one of that name, else any that lists it. A module that cannot be
 * loaded is passed over when another serves the scheme; otherwise its error is the answer. */
static const struct module *find_scheme(const struct plugin_files *files, const char *scheme,
                                        struct nacre_err *e)
{
    const struct plugin_file *named = file_named(files, scheme);
    const struct module *module = named ? open_module(false, named, NULL, e) : NULL;
    if (named && !module)
        return NULL;
    if (module && module->store.open && listed(module->store.schemes, scheme))
        return module;
    struct nacre_err first = {0};
    for (size_t i = 0; i < files->count; i++) {
        struct nacre_err problem;
        module = open_module(false, &files->items[i], NULL, &problem);
        if (!module)
            first = first.code ? first : problem;
        else if (module->store.open && listed(module->store.schemes, scheme))
            return module;
    }
    err_not_installed(e, "object store plugin for the scheme", scheme, files);
    if (first.code)
        err_set(e, NACRE_ABSENT, "%s; one of them cannot be loaded: %s", e->message, first.message);
    return NULL;
}

int plugin_open_store(const char *url, const struct nacre_option *options, size_t option_count,
                      struct nacre_object_store **out, struct nacre_err *e)
{
    char scheme[PLUGIN_NAME_MAX + 1];
    size_t size = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
    if (!size || size >= sizeof scheme || strncmp(url + size, "://", 3) != 0)
        return err_set(e, NACRE_INVALID,
                       "\"%.200s\" is not a storage URL: expected SCHEME://…, such as "
                       "file:///srv/backups",
                       url);
    memcpy(scheme, url, size);
    scheme[size] = 0;

    CLEANUP(plugin_files_free) struct plugin_files files = {0};
    if (plugin_files_find("object", &files, e) < 0)
        return -1;
    const struct module *module = find_scheme(&files, scheme, e);
    if (!module || check_options("object store", module->store.name, module->store.options, options,
                                 option_count, e) < 0)
        return -1;
    const struct nacre_config config = config_of(options, option_count);
    struct nacre_object_store *store = NULL;
    if (module->store.open(url, &config, &store, e) < 0 || check_store(module, store, e) < 0)
        return err_wrap(e, "cannot open storage %s", url);
    *out = store;
    return 0;
}

int plugin_wrap_store(const char *name, const struct nacre_option *options, size_t option_count,
                      struct nacre_object_store **store, struct nacre_err *e)
{
    CLEANUP(plugin_files_free) struct plugin_files files = {0};
    if (plugin_files_find("object", &files, e) < 0)
        return -1;
    const struct plugin_file *file = file_named(&files, name);
    if (!file)
        return err_not_installed(e, "object store wrapper", name, &files);
    const struct module *module = open_module(false, file, NULL, e);
    if (!module)
        return -1;
    if (!module->store.wrap)
        return err_set(e, NACRE_INVALID, "plugin %s is an object store, not a wrapper around one",
                       module->path);
    if (check_options("the wrapper", name, module->store.options, options, option_count, e) < 0)
        return -1;
    const struct nacre_config config = config_of(options, option_count);
    struct nacre_object_store *wrapped = NULL;
    if (module->store.wrap(*store, &config, &wrapped, e) < 0)
        return -1;
    if (check_store(module, wrapped, e) < 0)
        return -1;
    *store = wrapped;
    return 0;
}

/* Which plugin closes a driver: the handle itself does not say. */
struct open_driver {
    struct open_driver *next;
    struct nacre_driver *driver;
    void (*close)(struct nacre_driver *driver);
};

static struct open_driver *open_drivers;

static int check_driver(const struct module *module, const struct nacre_driver *driver, struct nacre_err *e)
{
    if (!driver || (driver->lifecycle && driver->lifecycle->size < sizeof *driver->lifecycle) ||
        (driver->block && driver->block->size < sizeof *driver->block))
        return err_set(e, NACRE_UNSUPPORTED, "plugin %s lacks functions that every volume driver must have",
                       module->path);
    return 0;
}

static const struct module *find_driver(const char *name, struct nacre_err *e)
{
    CLEANUP(plugin_files_free) struct plugin_files files = {0};
    if (plugin_files_find("volume", &files, e) < 0)
        return NULL;
    const struct plugin_file *file = file_named(&files, name);
    if (!file) {
        err_not_installed(e, "volume driver", name, &files);
        return NULL;
    }
    return open_module(true, file, NULL, e);
}

int plugin_open_driver(const char *name, const struct nacre_option *options, size_t option_count,
                       struct nacre_driver **out, struct nacre_err *e)
{
    const struct module *module = find_driver(name, e);
    if (!module)
        return -1;
    for (size_t i = 0; i < option_count; i++) /* `cluster` is always given, listed or not */
        if (strcmp(options[i].key, "cluster") != 0 &&
            check_options("volume driver", name, module->driver.options, &options[i], 1, e) < 0)
            return -1;
    struct open_driver *entry = calloc(1, sizeof *entry);
    if (!entry)
        return err_no_memory(e, "a driver");
    const struct nacre_config config = config_of(options, option_count);
    if (module->driver.open(&config, &entry->driver, e) < 0 || check_driver(module, entry->driver, e) < 0) {
        free(entry);
        return -1;
    }
    entry->close = module->driver.close;
    *out = entry->driver;
    pthread_mutex_lock(&loading);
    entry->next = open_drivers;
    open_drivers = entry;
    pthread_mutex_unlock(&loading);
    return 0;
}

void driver_close(struct nacre_driver *driver)
{
    if (!driver)
        return;
    pthread_mutex_lock(&loading);
    struct open_driver **at = &open_drivers;
    while (*at && (*at)->driver != driver)
        at = &(*at)->next;
    struct open_driver *entry = *at;
    if (entry)
        *at = entry->next;
    pthread_mutex_unlock(&loading);
    if (entry)
        entry->close(driver);
    free(entry);
}

static int describe(bool volume, const struct plugin_file *file,
                    int (*entry)(void *ctx, const struct plugin_info *info), void *ctx, bool *stop,
                    struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf path = {0};
    CLEANUP(buf_free) struct buf schemes = {0};
    buf_printf(&path, "%s/%s.so", file->directory, file->name);
    buf_string(&schemes, "");
    struct nacre_err problem = {0};
    struct plugin_info info = {
        .kind = volume ? "volume" : "object", .name = file->name, .version = "", .description = ""};
    const struct module *module = open_module(volume, file, &info.abi, &problem);
    if (module) {
        info.version = volume ? module->driver.version : module->store.version;
        info.description = volume ? module->driver.description : module->store.description;
        for (const char *const *scheme = volume ? NULL : module->store.schemes; scheme && *scheme; scheme++)
            buf_printf(&schemes, "%s%s", schemes.size ? "," : "", *scheme);
    } else {
        info.problem = problem.message;
    }
    if (buf_failed(&path) || buf_failed(&schemes))
        return err_no_memory(e, "the list of plugins");
    info.path = (const char *)path.data;
    info.schemes = (const char *)schemes.data;
    *stop = entry(ctx, &info) != 0;
    return 0;
}

int plugin_each(int (*entry)(void *ctx, const struct plugin_info *info), void *ctx, struct nacre_err *e)
{
    for (int volume = 0; volume < 2; volume++) {
        CLEANUP(plugin_files_free) struct plugin_files files = {0};
        if (plugin_files_find(volume ? "volume" : "object", &files, e) < 0)
            return -1;
        for (size_t i = 0; i < files.count; i++) {
            bool stop = false;
            if (describe(volume, &files.items[i], entry, ctx, &stop, e) < 0)
                return -1;
            if (stop)
                return 0;
        }
    }
    return 0;
}

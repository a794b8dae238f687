/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a module runs its code, so everything that can be known is checked before: who could have written
 * it (the module, its directory and the directory above, each looked at through an open descriptor), that it
 * is an ELF file with all its parts (the loader maps a file that was cut short and dies of it), and
 * only then its table: version first, then size.
 *
 * dlopen takes a path, not a descriptor. Once the directories are known to be writable by root and by the
 * caller alone, nobody else can put another file in the module's place between the check and the call.
 *
 * A module is never unloaded: libraries beneath it (librados) do not survive that. */
#include "plugins/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"

static struct module *modules;

static int check_owner(int fd, const char *what, const char *path, struct nacre_err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot look at %s %s", what, path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return err_set(e, NACRE_DENIED,
                       "%s %s belongs to user %u, who is neither root nor the caller, and could put any code "
                       "in it; use chown, or install plugins elsewhere and set NACRE_PLUGIN_PATH",
                       what, path, (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return err_set(
            e, NACRE_DENIED,
            "%s %s can be written by others than its owner (mode %04o), who could put any code in it; "
            "run: chmod go-w %s",
            what, path, (unsigned)st.st_mode & 07777, path);
    return 0;
}

static int check_directory(int at, const char *name, const char *path, int *out, struct nacre_err *e)
{
    *out = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out < 0)
        return err_errno(e, errno, "cannot open the plugin directory %s", path);
    return check_owner(*out, "the plugin directory", path, e);
}

/* All that the program headers promise lies within the file. */
static int check_elf(int fd, const char *path, struct nacre_err *e)
{
    struct stat st;
    Elf64_Ehdr head;
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "cannot look at plugin %s", path);
    if (!S_ISREG(st.st_mode) || pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
        return err_set(e, NACRE_INVALID, "%s is not a shared module", path);
    if (head.e_ident[EI_CLASS] != ELFCLASS64)
        return 0; /* another class than the program's is refused by the loader, before it maps anything */
    uint64_t size = (uint64_t)st.st_size;
    bool whole = head.e_phentsize == sizeof(Elf64_Phdr) && head.e_phnum > 0;
    for (unsigned i = 0; whole && i < head.e_phnum; i++) {
        Elf64_Phdr segment;
        uint64_t at = head.e_phoff + i * sizeof segment, end;
        whole = at <= size && pread(fd, &segment, sizeof segment, (off_t)at) == (ssize_t)sizeof segment &&
                !__builtin_add_overflow(segment.p_offset, segment.p_filesz, &end) && end <= size;
    }
    return whole ? 0
                 : err_set(e, NACRE_INVALID, "plugin %s was cut short or damaged; install it again", path);
}

static int check(const struct plugin_file *file, const char *path, struct nacre_err *e)
{
    CLEANUP(fd_close) int directory = -1;
    CLEANUP(fd_close) int above = -1;
    if (check_directory(AT_FDCWD, file->directory, file->directory, &directory, e) < 0)
        return -1;
    CLEANUP(mem_free) char *above_path = NULL;
    if (asprintf(&above_path, "%s/..", file->directory) < 0) {
        above_path = NULL;
        return err_no_memory(e, "a path");
    }
    if (check_directory(directory, "..", above_path, &above, e) < 0)
        return -1;
    char name[PLUGIN_NAME_MAX + 4];
    snprintf(name, sizeof name, "%s.so", file->name);
    CLEANUP(fd_close) int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, errno, "cannot open plugin %s", path);
    return check_owner(fd, "plugin", path, e) < 0 ? -1 : check_elf(fd, path, e);
}

static void no_string(const char **string)
{
    if (!*string)
        *string = "";
}

/* Copies as much of the plugin's table as both sides know. */
static int take_table(struct module *module, const void *table, const char *name, struct nacre_err *e)
{
    uint32_t abi = ((const uint32_t *)table)[0], size = ((const uint32_t *)table)[1];
    if (abi != NACRE_PLUGIN_ABI)
        return err_set(
            e, NACRE_UNSUPPORTED,
            "plugin %s is of ABI version %u, this program takes version %u; build the plugin again "
            "with this version's headers",
            module->path, abi, NACRE_PLUGIN_ABI);
    size_t ours = module->volume ? sizeof module->driver : sizeof module->store;
    size_t least = module->volume ? offsetof(struct nacre_volume_plugin, close) + sizeof(void *)
                                  : offsetof(struct nacre_object_store_plugin, open) + sizeof(void *);
    if (size < least)
        return err_set(e, NACRE_INVALID,
                       "plugin %s has an incomplete table (%u bytes, at least %zu expected)", module->path,
                       size, least);
    memcpy(&module->store, table, size < ours ? size : ours);
    struct nacre_object_store_plugin *store = &module->store;
    struct nacre_volume_plugin *driver = &module->driver;
    const char **strings[] = {module->volume ? &driver->name : &store->name,
                              module->volume ? &driver->version : &store->version,
                              module->volume ? &driver->description : &store->description};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        no_string(strings[i]);
    if (strcmp(*strings[0], name) != 0)
        return err_set(e, NACRE_INVALID, "plugin %s calls itself \"%.64s\"; the file must be named after it",
                       module->path, *strings[0]);
    bool works = module->volume ? driver->open && driver->close : store->open || store->wrap;
    return works ? 0 : err_set(e, NACRE_INVALID, "plugin %s has nothing to open", module->path);
}

static struct module *find_open(bool volume, const char *path)
{
    struct module *module = modules;
    while (module && (module->volume != volume || strcmp(module->path, path) != 0))
        module = module->next;
    return module;
}

static void module_free(struct module *module)
{
    if (module)
        free(module->path);
    free(module);
}
CLEANUP_DEFINE(struct module *, module_free)

const struct module *module_open(bool volume, const struct plugin_file *file, uint32_t *abi,
                                 struct nacre_err *e)
{
    uint32_t ignored;
    abi = abi ? abi : &ignored;
    *abi = 0;
    CLEANUP(module_free) struct module *module = calloc(1, sizeof *module);
    if (!module || asprintf(&module->path, "%s/%s.so", file->directory, file->name) < 0) {
        if (module)
            module->path = NULL;
        err_no_memory(e, "a plugin");
        return NULL;
    }
    module->volume = volume;
    struct module *open = find_open(volume, module->path);
    if (open) {
        *abi = volume ? open->driver.abi : open->store.abi;
        return open;
    }
    if (check(file, module->path, e) < 0)
        return NULL;
    void *handle = dlopen(module->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) {
        err_set(e, NACRE_FAILED, "cannot load plugin: %s", dlerror());
        return NULL;
    }
    const char *symbol = volume ? NACRE_VOLUME_SYMBOL : NACRE_OBJECT_STORE_SYMBOL;
    const void *table = dlsym(handle, symbol);
    if (!table) {
        err_set(e, NACRE_INVALID, "%s is no plugin of this kind: it has no symbol %s", module->path, symbol);
        dlclose(handle);
        return NULL;
    }
    *abi = *(const uint32_t *)table;
    if (take_table(module, table, file->name, e) < 0) {
        dlclose(handle);
        return NULL;
    }
    module->next = modules;
    modules = module;
    return MOVE(module);
}

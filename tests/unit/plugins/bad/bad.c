/* SPDX-License-Identifier: Apache-2.0 */
/* Modules that the host must refuse, one per BAD_… macro; what each is wrong in is its name. */
#include <nacre/object_store.h>
#include <nacre/volume.h>

#if defined(BAD_abi) || defined(BAD_size) || defined(BAD_name) || defined(BAD_empty) || defined(BAD_ops)
__attribute__((unused)) static int open_ops(const char *url, const struct nacre_config *config,
                                            struct nacre_object_store **out, struct nacre_err *e)
{
    (void)url, (void)config, (void)e;
    /* A table that says it is half as long as the first version's. */
    static const struct nacre_object_store_ops ops = {.size = sizeof ops / 2};
    static struct nacre_object_store store = {&ops};
    *out = &store;
    return 0;
}

__attribute__((unused)) static const char *const schemes[] = {"ops", NULL};

NACRE_EXPORT const struct nacre_object_store_plugin nacre_object_store_plugin = {
#ifdef BAD_abi
    .abi = NACRE_PLUGIN_ABI + 1,
#else
    .abi = NACRE_PLUGIN_ABI,
#endif
#ifdef BAD_size
    .size = 8,
#else
    .size = sizeof(struct nacre_object_store_plugin),
#endif
#ifdef BAD_abi
    .name = "abi",
#elif defined(BAD_name)
    .name = "another",
#elif defined(BAD_ops)
    .name = "ops",
#elif defined(BAD_empty)
    .name = "empty",
#endif
#ifndef BAD_empty
    .schemes = schemes,
    .open = open_ops,
#endif
};
#endif

#ifdef BAD_symbol
int nothing_of_use;
#endif

#ifdef BAD_driver
/* A volume driver whose facets are too short. */
static int open_driver(const struct nacre_config *config, struct nacre_driver **out, struct nacre_err *e)
{
    (void)config, (void)e;
    static const struct nacre_lifecycle_ops lifecycle = {.size = 16};
    static struct nacre_driver driver = {.lifecycle = &lifecycle};
    *out = &driver;
    return 0;
}

static void close_driver(struct nacre_driver *driver)
{
    (void)driver;
}

NACRE_EXPORT const struct nacre_volume_plugin nacre_volume_plugin = {
    .abi = NACRE_PLUGIN_ABI,
    .size = sizeof(struct nacre_volume_plugin),
    .name = "driver",
    .open = open_driver,
    .close = close_driver,
};
#endif

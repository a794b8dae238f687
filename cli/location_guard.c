/* SPDX-License-Identifier: Apache-2.0 */
/* A wrapper that refuses what writes, and passes the rest on. */
#include "cli/location_guard.h"

#include <string.h>

#include "common/err.h"
#include "plugins/store.h"

struct guard {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    char name[64];
};

static struct guard *of(struct nacre_object_store *store)
{
    return (struct guard *)store;
}

static void close_guard(struct nacre_object_store *store)
{
    store_close(of(store)->inner);
    free(store);
}

static int refuse(struct nacre_object_store *store, const char *what, struct nacre_err *e)
{
    return err_set(e, NACRE_DENIED, "location \"%s\" is read-only (access-mode: ReadOnly): %s",
                   of(store)->name, what);
}

static int put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
               struct nacre_err *e)
{
    (void)name;
    (void)input;
    return refuse(store, "nothing is written", e);
}

static int get(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
               nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct nacre_object_store *inner = of(store)->inner;
    return inner->ops->get(inner, name, offset, length, sink, ctx, e);
}

static int stat_object(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
                       struct nacre_err *e)
{
    struct nacre_object_store *inner = of(store)->inner;
    return inner->ops->stat(inner, name, out, e);
}

static int list(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry, void *ctx,
                struct nacre_err *e)
{
    struct nacre_object_store *inner = of(store)->inner;
    return inner->ops->list(inner, prefix, entry, ctx, e);
}

static int remove_object(struct nacre_object_store *store, const char *name, struct nacre_err *e)
{
    (void)name;
    return refuse(store, "nothing is removed", e);
}

int location_guard(const char *name, struct nacre_object_store **store, struct nacre_err *e)
{
    static const struct nacre_object_store_ops ops = {.size = sizeof ops,
                                                      .close = close_guard,
                                                      .put = put,
                                                      .put_if_absent = put,
                                                      .get = get,
                                                      .stat = stat_object,
                                                      .list = list,
                                                      .remove = remove_object};
    struct guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return err_no_memory(e, "the location");
    guard->base.ops = &ops;
    guard->inner = *store;
    snprintf(guard->name, sizeof guard->name, "%s", name);
    *store = &guard->base;
    return 0;
}

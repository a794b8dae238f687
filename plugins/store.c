/* SPDX-License-Identifier: Apache-2.0 */
/* Whole objects in memory over the ABI. What a store delivers is counted against what was asked for: a plugin
 * that sends too much or too little must not overrun a buffer or pass for a success. */
#include "plugins/store.h"

#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"

void store_close(struct nacre_object_store *store)
{
    if (store)
        store->ops->close(store);
}

/* What came to harm on its way is whole when it comes again; what lies there so does not become better. */
#define READS_MAX 2

struct whole {
    struct buf *out;
    size_t left;
};

static int take_whole(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct whole *whole = ctx;
    if (len > whole->left)
        return err_set(e, NACRE_CORRUPT, "it is larger than anything that belongs there");
    whole->left -= len;
    buf_append(whole->out, data, len);
    return buf_failed(whole->out) ? err_no_memory(e, "its content") : 0;
}

int store_get(struct nacre_object_store *store, const char *name, size_t limit, struct buf *out,
              struct nacre_err *e)
{
    size_t start = out->size;
    for (int reads = 1;; reads++) {
        struct whole whole = {out, limit};
        if (store->ops->get(store, name, 0, NACRE_TO_END, take_whole, &whole, e) == 0)
            return 0;
        if (e->code != NACRE_CORRUPT || reads == READS_MAX)
            return err_wrap(e, "reading object %s", name);
        log_warning("reading object %s: %s; reading it again", name, e->message);
        out->size = start;
    }
}

struct range {
    uint8_t *data;
    size_t left;
};

static int take_range(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct range *range = ctx;
    if (len > range->left)
        return err_set(e, NACRE_FAILED, "the object store sent more than was asked for");
    memcpy(range->data, data, len);
    range->data += len;
    range->left -= len;
    return 0;
}

/* Whether the store has a function that was appended to the table after its first version. */
#define OFFERS(store, function)                                                                              \
    ((store)->ops->size >=                                                                                   \
         offsetof(struct nacre_object_store_ops, function) + sizeof((store)->ops->function) &&               \
     (store)->ops->function)

static int get_range(struct nacre_object_store *store, const char *name, uint64_t offset, size_t length,
                     void *data, bool keep, struct nacre_err *e)
{
    struct range range = {data, length};
    int result = (keep && OFFERS(store, get_kept) ? store->ops->get_kept : store->ops->get)(
        store, name, offset, length, take_range, &range, e);
    if (result == 0 && range.left)
        result = err_set(e, NACRE_FAILED, "the object store sent less than was asked for");
    if (result < 0)
        return err_wrap(e, "reading object %s at %" PRIu64, name, offset);
    return 0;
}

int store_get_range(struct nacre_object_store *store, const char *name, uint64_t offset, size_t length,
                    void *data, struct nacre_err *e)
{
    return get_range(store, name, offset, length, data, false, e);
}

int store_get_range_kept(struct nacre_object_store *store, const char *name, uint64_t offset, size_t length,
                         void *data, struct nacre_err *e)
{
    return get_range(store, name, offset, length, data, true, e);
}

int store_put_kept(struct nacre_object_store *store, const char *name, const void *data, size_t size,
                   struct nacre_err *e)
{
    const struct nacre_input input = {.size = size, .data = size ? data : ""};
    int result = (OFFERS(store, put_kept) ? store->ops->put_kept : store->ops->put)(store, name, &input, e);
    return result < 0 ? err_wrap(e, "writing object %s", name) : 0;
}

int store_put(struct nacre_object_store *store, const char *name, const void *data, size_t size,
              struct nacre_err *e)
{
    const struct nacre_input input = {.size = size, .data = size ? data : ""};
    return store->ops->put(store, name, &input, e) < 0 ? err_wrap(e, "writing object %s", name) : 0;
}

int store_put_if_absent(struct nacre_object_store *store, const char *name, const void *data, size_t size,
                        struct nacre_err *e)
{
    const struct nacre_input input = {.size = size, .data = size ? data : ""};
    return store->ops->put_if_absent(store, name, &input, e) < 0 ? err_wrap(e, "writing object %s", name) : 0;
}

int store_stat(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
               struct nacre_err *e)
{
    return store->ops->stat(store, name, out, e) < 0 ? err_wrap(e, "looking for object %s", name) : 0;
}

int store_list(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry, void *ctx,
               struct nacre_err *e)
{
    if (store->ops->list(store, prefix, entry, ctx, e) < 0)
        return err_wrap(e, "listing objects %s*", prefix);
    return 0;
}

int store_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e)
{
    return store->ops->remove(store, name, e) < 0 ? err_wrap(e, "removing object %s", name) : 0;
}

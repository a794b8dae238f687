/* SPDX-License-Identifier: Apache-2.0 */
/* Collects the driver's listing. A name longer than the ABI allows is no snapshot of ours: it is left out. */
#include "snapshot/history.h"

#include <string.h>

#include "common/err.h"

struct collecting {
    struct history *history;
    size_t capacity;
    bool out_of_memory;
};

static int collect(void *ctx, const struct nacre_snapshot_info *info)
{
    struct collecting *c = ctx;
    struct history *history = c->history;
    size_t length = strlen(info->name);
    if (length > NACRE_SNAPSHOT_NAME_MAX)
        return 0;
    if (history->count == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 16;
        struct history_entry *items = reallocarray(history->items, capacity, sizeof *items);
        if (!items) {
            c->out_of_memory = true;
            return 1;
        }
        history->items = items;
        c->capacity = capacity;
    }
    struct history_entry *entry = &history->items[history->count++];
    *entry = (struct history_entry){.id = info->id, .bytes = info->bytes};
    memcpy(entry->name, info->name, length + 1);
    return 0;
}

int history_load(struct nacre_driver *driver, const char *path, struct history *out, struct nacre_err *e)
{
    *out = (struct history){0};
    struct collecting c = {.history = out};
    int rc = driver->lifecycle->snapshot_list(driver, path, collect, &c, e);
    if (!rc && c.out_of_memory)
        rc = err_no_memory(e, "the snapshots of a volume");
    if (rc)
        history_free(out);
    return rc;
}

void history_free(struct history *history)
{
    free(history->items);
    *history = (struct history){0};
}

const struct history_entry *history_find(const struct history *history, const char *name)
{
    for (size_t i = 0; i < history->count; i++)
        if (!strcmp(history->items[i].name, name))
            return &history->items[i];
    return NULL;
}

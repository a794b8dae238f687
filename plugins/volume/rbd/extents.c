/* SPDX-License-Identifier: Apache-2.0 */
/* What an image holds, and what changed since a snapshot of it.
 *
 * In two steps. The object map tells in milliseconds which objects can have changed at all, of whole
 * terabytes; only those are asked for their exact extents, which is a request each. An image without a map
 * (many of ceph-csi's have only the feature layering) has every object asked, which is slower and as right. A
 * map that is marked invalid means that somebody lost track: all data is still found, a change is not told.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

/* Objects are looked up, and exact extents gathered, for this much of the image at a time. */
#define MAP_WINDOW (UINT64_C(256) << 30)
#define EXACT_WINDOW (UINT64_C(4) << 30)

struct gathered {
    struct nacre_extent *items;
    size_t count, room;
    bool (*cancelled)(void);
    bool failed; /* out of memory */
};

static int gather(uint64_t offset, size_t length, int exists, void *ctx)
{
    struct gathered *all = ctx;
    if (all->cancelled && all->cancelled())
        return -ECANCELED;
    struct nacre_extent *last = all->count ? &all->items[all->count - 1] : NULL;
    if (last && last->offset + last->length == offset && last->data == (exists != 0)) {
        last->length += length;
        return 0;
    }
    if (!all->items || all->count == all->room) {
        size_t room = all->room ? 2 * all->room : 64;
        struct nacre_extent *grown = realloc(all->items, room * sizeof *grown);
        if (!grown) {
            all->failed = true;
            return -ENOMEM;
        }
        all->items = grown;
        all->room = room;
    }
    all->items[all->count++] = (struct nacre_extent){offset, length, exists != 0};
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct nacre_extent *left = a, *right = b;
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

enum map_state { MAP_NONE, MAP_VALID, MAP_INVALID };

/* Of what is open: a snapshot has a map of its own. */
static enum map_state map_state(rbd_image_t image)
{
    uint64_t features = 0, flags = 0;
    if (rbd_get_features(image, &features) < 0 || rbd_get_flags(image, &flags) < 0)
        return MAP_INVALID;
    if (!(features & RBD_FEATURE_FAST_DIFF))
        return MAP_NONE;
    return flags & (RBD_FLAG_OBJECT_MAP_INVALID | RBD_FLAG_FAST_DIFF_INVALID) ? MAP_INVALID : MAP_VALID;
}

bool image_map_valid(rbd_image_t image)
{
    return map_state(image) == MAP_VALID;
}

struct walk {
    const struct place *place;
    rbd_image_t image;
    const char *base;
    nacre_extent_entry *entry;
    void *ctx;
    struct gathered objects, exact;
    struct nacre_extent held; /* grows until something else follows; length 0 = none */
    bool stopped;
};

static void emit(struct walk *w, uint64_t offset, uint64_t length, bool data)
{
    if (w->held.length && w->held.data == data && w->held.offset + w->held.length == offset) {
        w->held.length += length;
        return;
    }
    if (w->held.length && !w->stopped)
        w->stopped = w->entry(w->ctx, &w->held) != 0;
    w->held = (struct nacre_extent){offset, length, data};
}

static int diff(struct walk *w, uint64_t offset, uint64_t end, bool whole, struct gathered *into,
                struct nacre_err *e)
{
    into->count = 0;
    int error = rbd_diff_iterate2(w->image, w->base, offset, end - offset, true, whole, gather, into);
    if (error >= 0) {
        if (into->count)
            qsort(into->items, into->count, sizeof *into->items, by_offset);
        return 0;
    }
    if (into->failed)
        return err_no_memory(e, "a list of extents");
    if (error == -ECANCELED)
        return err_set(e, NACRE_CANCELLED, "interrupted");
    if (error == -ENOENT && w->base)
        return err_set(e, NACRE_ABSENT, PLACE_FORMAT " has no snapshot \"%.128s\"", PLACE_ARGS(w->place),
                       w->base);
    if (error == -EINVAL && w->base)
        return err_set(e, NACRE_UNSUPPORTED,
                       PLACE_FORMAT
                       ": the change since \"%.128s\" cannot be told; it is not older than what is "
                       "open",
                       PLACE_ARGS(w->place), w->base);
    return place_fail(w->place, error, e, "cannot tell its extents");
}

/* The exact extents of [offset, end), sent on in order. Striping can make them come disordered, and librbd
 * may report beyond the range. */
static int exact_range(struct walk *w, uint64_t offset, uint64_t end, struct nacre_err *e)
{
    while (offset < end && !w->stopped) {
        uint64_t stop = end - offset < EXACT_WINDOW ? end : offset + EXACT_WINDOW, done = offset;
        if (diff(w, offset, stop, false, &w->exact, e) < 0)
            return -1;
        for (size_t i = 0; i < w->exact.count && !w->stopped; i++) {
            uint64_t from = w->exact.items[i].offset, to = from + w->exact.items[i].length;
            from = from < done ? done : from;
            to = to > stop ? stop : to;
            if (from >= to)
                continue;
            emit(w, from, to - from, w->exact.items[i].data);
            done = to;
        }
        offset = stop;
    }
    return 0;
}

/* Objects in [offset, end) of which the map says that they may matter, then each run of them exactly. */
static int mapped_range(struct walk *w, uint64_t offset, uint64_t end, struct nacre_err *e)
{
    while (offset < end && !w->stopped) {
        uint64_t stop = end - offset < MAP_WINDOW ? end : offset + MAP_WINDOW, done = offset;
        if (diff(w, offset, stop, true, &w->objects, e) < 0)
            return -1;
        for (size_t i = 0; i < w->objects.count && !w->stopped;) {
            uint64_t from = w->objects.items[i].offset, to = from + w->objects.items[i].length;
            for (i++; i < w->objects.count && w->objects.items[i].offset <= to; i++)
                if (w->objects.items[i].offset + w->objects.items[i].length > to)
                    to = w->objects.items[i].offset + w->objects.items[i].length;
            from = from < done ? done : from;
            to = to > stop ? stop : to;
            if (from < to && exact_range(w, from, to, e) < 0)
                return -1;
            done = to > done ? to : done;
        }
        offset = stop;
    }
    return 0;
}

/* The base must be there, and not younger than what is open (a clone keeps no snapshots of its source). */
static int check_base(struct walk *w, enum map_state map, struct nacre_err *e)
{
    bool there = false;
    int error = rbd_snap_exists(w->image, w->base, &there);
    if (error < 0)
        return place_fail(w->place, error, e, "cannot look for the base snapshot");
    if (!there)
        return err_set(e, NACRE_ABSENT, PLACE_FORMAT " has no snapshot \"%.128s\"", PLACE_ARGS(w->place),
                       w->base);
    if (map != MAP_INVALID)
        return 0;
    return err_set(e, NACRE_UNSUPPORTED,
                   PLACE_FORMAT ": the change since \"%.128s\" cannot be told: its object map is "
                                "invalid (rbd object-map rebuild mends it)",
                   PLACE_ARGS(w->place), w->base);
}

int image_extents(const struct place *place, rbd_image_t image, uint64_t bytes, const char *base,
                  uint64_t offset, uint64_t length, nacre_extent_entry *entry, void *ctx, struct nacre_err *e)
{
    if (offset >= bytes)
        return 0;
    uint64_t end = length < bytes - offset ? offset + length : bytes;
    struct walk w = {.place = place, .image = image, .base = base, .entry = entry, .ctx = ctx};
    w.objects.cancelled = w.exact.cancelled = place->driver->cancelled;
    enum map_state map = map_state(image);
    if (base && check_base(&w, map, e) < 0)
        return -1;
    int result = map == MAP_VALID ? mapped_range(&w, offset, end, e) : exact_range(&w, offset, end, e);
    free(w.objects.items);
    free(w.exact.items);
    if (result == 0 && w.held.length && !w.stopped)
        entry(ctx, &w.held);
    return result;
}

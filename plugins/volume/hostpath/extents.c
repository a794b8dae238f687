/* SPDX-License-Identifier: Apache-2.0 */
/* What a file holds, and what changed since a snapshot of it.
 *
 * The change is told from the data itself: where both files are holes it is equal; where both lie in the same
 * place of the disk (a reflink that nobody wrote to) it is equal without a look; what remains is compared,
 * block by block. That reads, but reads locally, and is exact. Nothing is kept between calls. */
#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "hostpath.h"

#define BLOCK ((size_t)4096)
#define PIECE ((size_t)256 << 10)
#define MAP_EXTENTS 128

struct sink {
    nacre_extent_entry *entry;
    void *ctx;
    struct nacre_extent held; /* grows until something else follows; length 0 = none */
    bool stopped;
};

static void sink_flush(struct sink *sink)
{
    if (sink->held.length && !sink->stopped)
        sink->stopped = sink->entry(sink->ctx, &sink->held) != 0;
    sink->held.length = 0;
}

static void sink_put(struct sink *sink, uint64_t offset, uint64_t length, bool data)
{
    struct nacre_extent *held = &sink->held;
    if (held->length && held->data == data && held->offset + held->length == offset) {
        held->length += length;
        return;
    }
    sink_flush(sink);
    *held = (struct nacre_extent){offset, length, data};
}

/* Where [at, end) is a hole or data throughout: sets *is_data and returns the end of that run. */
static uint64_t run_at(int fd, uint64_t at, uint64_t end, bool *is_data)
{
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) { /* nothing but a hole up to the end of the file, or beyond it */
        *is_data = false;
        return end;
    }
    if (data > (off_t)at) {
        *is_data = false;
        return (uint64_t)data < end ? (uint64_t)data : end;
    }
    off_t hole = data < 0 ? -1 : lseek(fd, (off_t)at, SEEK_HOLE);
    *is_data = true;
    return hole > (off_t)at && (uint64_t)hole < end ? (uint64_t)hole : end;
}

/* The extents of a file on the disk, fetched some at a time as a walk moves on. */
struct disk_map {
    int fd;
    bool unusable;     /* the file system cannot tell */
    uint64_t from, to; /* the range that `map` describes */
    union {
        struct fiemap map;
        char room[sizeof(struct fiemap) + MAP_EXTENTS * sizeof(struct fiemap_extent)];
    };
};

static bool disk_map_fetch(struct disk_map *m, uint64_t at, uint64_t end)
{
    m->map = (struct fiemap){
        .fm_start = at, .fm_length = end - at, .fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = MAP_EXTENTS};
    if (ioctl(m->fd, FS_IOC_FIEMAP, &m->map) < 0) {
        m->unusable = true;
        return false;
    }
    const struct fiemap_extent *last =
        m->map.fm_mapped_extents ? &m->map.fm_extents[m->map.fm_mapped_extents - 1] : NULL;
    m->from = at;
    m->to = m->map.fm_mapped_extents == MAP_EXTENTS ? last->fe_logical + last->fe_length : end;
    return true;
}

/* Where `at` lies on the disk, and how far the extent reaches; false when that is not sure, or not a place
 * that two files can share. */
static bool disk_place(struct disk_map *m, uint64_t at, uint64_t end, uint64_t *place, uint64_t *reach)
{
    const uint32_t unsure = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED |
                            FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_UNWRITTEN;
    if (m->unusable || ((at < m->from || at >= m->to) && !disk_map_fetch(m, at, end)))
        return false;
    for (uint32_t i = 0; i < m->map.fm_mapped_extents; i++) {
        const struct fiemap_extent *x = &m->map.fm_extents[i];
        if (at < x->fe_logical || at >= x->fe_logical + x->fe_length)
            continue;
        *place = x->fe_physical + (at - x->fe_logical);
        *reach = x->fe_logical + x->fe_length;
        return !(x->fe_flags & unsure) && (x->fe_flags & FIEMAP_EXTENT_SHARED);
    }
    return false;
}

struct comparison {
    int now, base;
    struct disk_map *now_map, *base_map;
    char *now_buffer, *base_buffer;
    struct sink *sink;
};

/* Reads length bytes; what lies beyond the end of the file is zeros. */
static int read_piece(int fd, char *buffer, size_t length, uint64_t offset, struct nacre_err *e)
{
    size_t done = 0;
    while (done < length) {
        ssize_t got = pread(fd, buffer + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "cannot read the data to compare");
        if (got == 0)
            break;
        done += (size_t)got;
    }
    memset(buffer + done, 0, length - done);
    return 0;
}

/* Compares one piece. A side that is a hole is not read. */
static int compare_piece(struct comparison *c, uint64_t at, size_t length, bool now_data, bool base_data,
                         struct nacre_err *e)
{
    if (!now_data)
        memset(c->now_buffer, 0, length);
    else if (read_piece(c->now, c->now_buffer, length, at, e) < 0)
        return -1;
    if (!base_data)
        memset(c->base_buffer, 0, length);
    else if (read_piece(c->base, c->base_buffer, length, at, e) < 0)
        return -1;
    for (size_t i = 0; i < length;) {
        size_t step = BLOCK - (size_t)((at + i) % BLOCK);
        if (step > length - i)
            step = length - i;
        if (memcmp(c->now_buffer + i, c->base_buffer + i, step) != 0)
            sink_put(c->sink, at + i, step, now_data);
        i += step;
    }
    return 0;
}

/* The end of what both files share on the disk from `at` on; at itself when nothing. */
static uint64_t shared_until(struct comparison *c, uint64_t at, uint64_t end)
{
    uint64_t now_place, base_place, now_reach, base_reach;
    if (!disk_place(c->base_map, at, end, &base_place, &base_reach) ||
        !disk_place(c->now_map, at, end, &now_place, &now_reach) || now_place != base_place)
        return at;
    uint64_t reach = now_reach < base_reach ? now_reach : base_reach;
    return reach < end ? reach : end;
}

static int compare(struct comparison *c, uint64_t at, uint64_t end, bool (*cancelled)(void),
                   struct nacre_err *e)
{
    while (at < end && !c->sink->stopped) {
        bool now_data, base_data;
        uint64_t now_end = run_at(c->now, at, end, &now_data);
        uint64_t run_end = run_at(c->base, at, now_end, &base_data);
        if (!now_data && !base_data) {
            at = run_end;
            continue;
        }
        while (at < run_end && !c->sink->stopped) {
            if (cancelled && cancelled())
                return err_set(e, NACRE_CANCELLED, "interrupted");
            uint64_t shared = now_data && base_data ? shared_until(c, at, run_end) : at;
            if (shared > at) {
                at = shared;
                continue;
            }
            size_t length = run_end - at < PIECE ? (size_t)(run_end - at) : PIECE;
            if (compare_piece(c, at, length, now_data, base_data, e) < 0)
                return -1;
            at += length;
        }
    }
    return 0;
}

static int changed(int fd, int base, uint64_t at, uint64_t end, bool (*cancelled)(void), struct sink *sink,
                   struct nacre_err *e)
{
    CLEANUP(mem_free) char *buffers = malloc(2 * PIECE);
    CLEANUP(mem_free) struct disk_map *maps = calloc(2, sizeof *maps);
    if (!buffers || !maps)
        return err_no_memory(e, "a comparison");
    maps[0].fd = fd;
    maps[1].fd = base;
    struct comparison c = {fd, base, &maps[0], &maps[1], buffers, buffers + PIECE, sink};
    /* cppcheck-suppress memleak; they are freed by scope */
    return compare(&c, at, end, cancelled, e);
}

int extents_of(int fd, uint64_t size, int base, uint64_t offset, uint64_t length, bool (*cancelled)(void),
               nacre_extent_entry *entry, void *ctx, struct nacre_err *e)
{
    if (offset >= size)
        return 0;
    uint64_t end = length < size - offset ? offset + length : size;
    struct sink sink = {.entry = entry, .ctx = ctx};
    if (base >= 0) {
        if (changed(fd, base, offset, end, cancelled, &sink, e) < 0)
            return -1;
    } else {
        for (uint64_t at = offset; at < end && !sink.stopped;) {
            bool data;
            uint64_t run_end = run_at(fd, at, end, &data);
            if (data)
                sink_put(&sink, at, run_end - at, true);
            at = run_end;
        }
    }
    sink_flush(&sink);
    return 0;
}

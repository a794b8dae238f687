/* SPDX-License-Identifier: Apache-2.0 */
/* One block volume: map, then segment by segment ids from three sources: holes are zeros, unchanged chunks
 * are the parent's, the rest is read.
 *
 * Nothing of the parent is trusted. A segment whose tree cannot be loaded, and a chunk whose blob the index
 * does not have in the right length, are read again: a damaged repository heals with the next backup, at the
 * price of the read, and a warning says so. */
#include <stdio.h>
#include <string.h>

#include "backup/parent_tree.h"
#include "backup/pipeline.h"
#include "backup/run.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "snapshot/changed.h"

struct work {
    const struct run *run;
    struct job *job;
    struct backup_volume *volume;
    struct nacre_driver *driver;
    struct nacre_block *block;
    struct chunk_map *map;
    struct chunk_map
        *allocated;             /* when a part of the parent is lost: what to read instead; NULL until then */
    struct parent_tree *parent; /* NULL = no base */
    struct segment_layout layout;
    struct zeros zeros;
    struct pipeline *pipeline;
    struct segments *segments;
    struct id *ids, *parent_ids; /* of one segment */
    uint64_t chunks_lost;        /* taken over by the map, but to be read again */
};

static void work_free(struct work *w)
{
    pipeline_free(w->pipeline); /* first: reads in flight write to ids */
    segments_free(w->segments);
    parent_tree_free(w->parent);
    chunk_map_free(w->map);
    chunk_map_free(w->allocated);
    free(w->ids);
    free(w->parent_ids);
    if (w->block)
        w->driver->block->close(w->block);
}
static inline void work_free_at(struct work *w)
{
    work_free(w);
}

static int go_on(void *ctx, struct nacre_err *e)
{
    const struct work *w = ctx;
    return cancel_check(e) ? -1 : lock_check(w->run->lock, e);
}

static void warn(struct work *w, const char *text)
{
    if (!w->volume->warning[0])
        snprintf(w->volume->warning, sizeof w->volume->warning, "%s", text);
    log_warning("%s: %s", w->volume->volume, text);
}

/* Another run may have replaced the base while it was compared with: the comparison is then worth nothing. */
static bool base_still_there(struct work *w)
{
    CLEANUP(history_free) struct history history = {0};
    struct nacre_err e;
    if (history_load(w->driver, w->job->source->ref.path, &history, &e))
        return false;
    const struct history_entry *entry = history_find(&history, w->job->parent.base.name);
    return entry && entry->id == w->job->parent.base.id;
}

/* Of a snapshot that is gone a cluster may give zeros instead of an error: what it no longer has looks like a
 * hole. So what was read counts only when the snapshot is there after the last read. */
static int source_still_there(const struct work *w, struct nacre_err *e)
{
    CLEANUP(history_free) struct history history = {0};
    if (history_load(w->driver, w->job->source->ref.path, &history, e))
        return err_wrap(e, "looking whether the snapshot %s is still there", w->job->snap);
    const struct history_entry *entry = history_find(&history, w->job->snap);
    if (entry && entry->id == w->job->snap_id)
        return 0;
    return err_set(e, NACRE_ABSENT,
                   "the snapshot %s was removed from %s while it was read, so what was read is not to be "
                   "trusted; run the backup again",
                   w->job->snap, w->volume->volume);
}

/* The map of what changed since the base, and the parent's tree. 1 when the base cannot be used: warned. */
static int map_changes(struct work *w, struct nacre_err *e)
{
    const struct parent_choice *choice = &w->job->parent;
    char text[NACRE_MESSAGE_SIZE];
    if (parent_tree_open(w->run->repo, w->run->index, &choice->snapshot->tree, choice->base.bytes,
                         choice->chunk_size, &w->parent, e)) {
        if (e->code == NACRE_CANCELLED)
            return -1;
        snprintf(text, sizeof text, "read in full: the tree of the previous backup cannot be used: %s",
                 e->message);
        warn(w, text);
        return 1;
    }
    if (chunk_map_new(w->driver, w->block, choice->base.name, choice->base.bytes, choice->chunk_size, &w->map,
                      e)) {
        if (e->code != NACRE_ABSENT && e->code != NACRE_UNSUPPORTED)
            return -1;
        snprintf(text, sizeof text, "read in full: what changed since the snapshot %s cannot be told: %s",
                 choice->base.name, e->message);
        warn(w, text);
        return 1;
    }
    if (base_still_there(w))
        return 0;
    chunk_map_free(MOVE(w->map));
    snprintf(text, sizeof text, "read in full: the snapshot %s was removed while it was compared with",
             choice->base.name);
    warn(w, text);
    return 1;
}

static int map_volume(struct work *w, struct nacre_err *e)
{
    struct backup_volume *volume = w->volume;
    const struct parent_choice *choice = &w->job->parent;
    int rc = 1;
    if (choice->base.name[0] && (rc = map_changes(w, e)) < 0)
        return -1;
    volume->incremental = !rc;
    if (!rc) {
        memcpy(volume->base, choice->base.name, sizeof volume->base);
    } else {
        parent_tree_free(MOVE(w->parent));
        if (chunk_map_new(w->driver, w->block, NULL, 0, choice->chunk_size, &w->map, e))
            return err_wrap(e, "looking for the data of %s", volume->volume);
    }
    volume->chunks_total = chunk_map_count(w->map);
    if (w->run->progress) {
        uint64_t chunks = volume->chunks_total - chunk_map_count_state(w->map, CHUNK_HOLE);
        uint64_t bytes = chunks * volume->chunk_size, last = volume->chunks_total - 1;
        if (chunks && chunk_map_get(w->map, last) != CHUNK_HOLE)
            bytes -= volume->chunk_size - zeros_chunk_length(&w->zeros, last);
        atomic_fetch_add(&w->run->progress->bytes_total, bytes);
    }
    return 0;
}

static int open_all(struct work *w, struct nacre_err *e)
{
    const struct backup_options *options = w->run->options;
    struct backup_volume *volume = w->volume;
    const char *path = w->job->source->ref.path;
    if (w->driver->block->open(w->driver, path, w->job->snap, NACRE_BLOCK_READ, &w->block, e))
        return err_wrap(e, "opening %s@%s", volume->volume, w->job->snap);
    volume->volume_bytes = w->driver->block->bytes(w->block);
    volume->chunk_size = w->job->parent.chunk_size;
    if (zeros_init(&w->zeros, volume->volume_bytes, volume->chunk_size, e) ||
        segment_layout_of(volume->volume_bytes, volume->chunk_size, &w->layout, e) || map_volume(w, e) ||
        segments_new(&w->layout, w->run->writer, w->job->info->created_ns, &w->segments, e))
        return -1;
    uint64_t count = segment_chunks(&w->layout, 0) + 1; /* an empty volume needs memory, too */
    w->ids = calloc(count, sizeof *w->ids);
    w->parent_ids = w->parent ? calloc(count, sizeof *w->parent_ids) : NULL;
    if (!w->ids || (w->parent && !w->parent_ids))
        return err_no_memory(e, "the chunks of a volume");
    struct pipeline_options pipeline = {.driver = w->driver,
                                        .block = w->block,
                                        .volume = volume->volume,
                                        .zeros = &w->zeros,
                                        .writer = w->run->writer,
                                        .workers = options->workers,
                                        .read_depth = options->read_depth,
                                        .check = go_on,
                                        .ctx = w,
                                        .bytes_done =
                                            w->run->progress ? &w->run->progress->bytes_done : NULL};
    return pipeline_new(&pipeline, &w->pipeline, e);
}

/* How many chunks of a segment are in a state. */
static uint64_t count_state(const struct work *w, uint64_t first, uint64_t count, enum chunk_state state)
{
    uint64_t found = 0;
    for (uint64_t i = 0; i < count; i++)
        found += chunk_map_get(w->map, first + i) == state;
    return found;
}

/* Fills parent_ids for a segment. 1 when the parent's is lost: warned; `allocated` says then what to read. */
static int load_parent(struct work *w, uint64_t segment, struct nacre_err *e)
{
    struct id zeros_tree, theirs;
    const struct id *zero = &w->zeros.full;
    if (parent_tree_id(w->parent, segment, &theirs) && !w->layout.single) {
        if (segments_zeros_tree(w->segments, zero, &zeros_tree, e))
            return -1;
        if (id_equal(&zeros_tree, &theirs)) {
            for (uint64_t i = 0; i < w->layout.chunks_per_segment; i++)
                w->parent_ids[i] = *zero;
            return 0;
        }
    }
    CLEANUP(mem_free) struct id *ids = NULL; /* the parent's segment may be longer than ours */
    uint64_t theirs_count = parent_tree_chunks(w->parent, segment);
    uint64_t ours_count = segment_chunks(&w->layout, segment);
    if (!(ids = calloc(theirs_count + 1, sizeof *ids)))
        return err_no_memory(e, "the chunks of the previous backup");
    if (!parent_tree_load(w->parent, segment, ids, e)) {
        memcpy(w->parent_ids, ids, (ours_count < theirs_count ? ours_count : theirs_count) * sizeof *ids);
        return 0;
    }
    if (e->code == NACRE_CANCELLED)
        return -1;
    char text[NACRE_MESSAGE_SIZE], which[64] = "";
    if (w->layout.single)
        w->volume->incremental = false; /* there is nothing else to take from the parent */
    else
        snprintf(which, sizeof which, "segment %llu was ", (unsigned long long)segment);
    snprintf(text, sizeof text, "%sread in full: its tree in the previous backup cannot be used: %s", which,
             e->message);
    warn(w, text);
    if (!w->allocated && chunk_map_new(w->driver, w->block, NULL, 0, w->volume->chunk_size, &w->allocated, e))
        return err_wrap(e, "looking for the data of %s", w->volume->volume);
    return 1;
}

/* A chunk that the progress bar counts is settled without a read. */
static void settled(struct work *w, uint64_t chunk)
{
    if (w->run->progress)
        atomic_fetch_add_explicit(&w->run->progress->bytes_done, zeros_chunk_length(&w->zeros, chunk),
                                  memory_order_relaxed);
}

/* Takes a chunk over from the parent; false when it must be read. */
static bool take_over(struct work *w, uint64_t chunk, const struct id *theirs, struct id *out)
{
    struct index_entry entry;
    if (zeros_is(&w->zeros, chunk, theirs)) {
        *out = *zeros_id(&w->zeros, chunk);
    } else if (index_find(w->run->index, BLOB_DATA, theirs, &entry) &&
               entry.blob.plain_length == zeros_chunk_length(&w->zeros, chunk)) {
        *out = *theirs;
    } else {
        w->chunks_lost++;
        return false;
    }
    w->volume->chunks_unchanged++;
    settled(w, chunk);
    return true;
}

/* Decides about one chunk: true when it must be read, else its id is in *out. */
static bool must_read(struct work *w, uint64_t chunk, bool parent_lost, const struct id *theirs,
                      struct id *out)
{
    enum chunk_state state = chunk_map_get(w->map, chunk);
    if (state == CHUNK_SAME && parent_lost && (state = chunk_map_get(w->allocated, chunk)) == CHUNK_HOLE)
        settled(w, chunk);
    if (state == CHUNK_SAME && theirs)
        return !take_over(w, chunk, theirs, out);
    if (state == CHUNK_HOLE) {
        *out = *zeros_id(&w->zeros, chunk);
        w->volume->chunks_hole++;
    }
    return state != CHUNK_HOLE;
}

static int fill_segment(struct work *w, uint64_t segment, struct nacre_err *e)
{
    const uint64_t first = segment * w->layout.chunks_per_segment,
                   count = segment_chunks(&w->layout, segment);
    bool full_length = segment_bytes(&w->layout, segment) == BACKUP_SEGMENT_BYTES;
    if (!w->layout.single && full_length && count_state(w, first, count, CHUNK_HOLE) == count) {
        w->volume->chunks_hole += count;
        return segments_add_zeros(w->segments, zeros_id(&w->zeros, first), e);
    }
    int lost = 0;
    if (w->parent && count_state(w, first, count, CHUNK_SAME) && (lost = load_parent(w, segment, e)) < 0)
        return -1;
    const struct id *theirs = w->parent_ids;
    for (uint64_t i = 0; i < count;) {
        uint64_t row = 0; /* neighbours that must be read */
        while (i + row < count &&
               must_read(w, first + i + row, lost, theirs ? &theirs[i + row] : NULL, &w->ids[i + row]))
            row++;
        if (row && pipeline_read(w->pipeline, first + i, row, &w->ids[i], e))
            return -1;
        i += row + (i + row < count);
    }
    if (pipeline_drain(w->pipeline, e))
        return -1;
    return segments_add(w->segments, w->ids, e);
}

static void report(struct work *w)
{
    struct backup_volume *volume = w->volume;
    struct pipeline_stats stats;
    pipeline_get_stats(w->pipeline, &stats);
    volume->chunks_read = stats.chunks_read;
    volume->chunks_zero = stats.chunks_zero;
    volume->chunks_known = stats.chunks_known;
    volume->chunks_new = stats.chunks_new;
    volume->bytes_read = stats.bytes_read;
    volume->bytes_new = stats.bytes_new;
    if (!w->chunks_lost)
        return;
    char text[NACRE_MESSAGE_SIZE];
    snprintf(text, sizeof text,
             "%llu unchanged chunks were read again: the repository has lost them (see `nacre repo check`)",
             (unsigned long long)w->chunks_lost);
    warn(w, text);
}

int block_backup(const struct run *run, struct job *job, struct nacre_err *e)
{
    CLEANUP(work_free)
    struct work w = {.run = run, .job = job, .volume = job->volume, .driver = job->source->driver};
    if (open_all(&w, e))
        return -1;
    for (uint64_t segment = 0; segment < w.layout.count; segment++)
        if (go_on(&w, e) || fill_segment(&w, segment, e))
            return -1;
    if (source_still_there(&w, e))
        return -1;
    report(&w);
    if (w.volume->volume_bytes && zeros_save(&w.zeros, run->writer, e))
        return -1;
    return segments_finish(w.segments, &w.volume->tree, e);
}

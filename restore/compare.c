/* SPDX-License-Identifier: Apache-2.0 */
/* What the target has already. Only where it holds data is anything read or zeroed.
 *
 * Extents are laid over the plan's entries and holes, all ascending, in one sweep. A driver's callback must
 * not start operations (it may hold the volume's locks), so ranges to be zeroed are gathered first, and the
 * sweep is taken up again when there are many. */
#include <inttypes.h>

#include "common/cancel.h"
#include "common/err.h"
#include "restore/crew.h"

#define CLEAR_MAX 16384
#define READ_MAX (4u << 20)

struct sweep {
    struct plan *plan;
    bool mark;          /* entries as PLAN_DATA */
    size_t entry, hole; /* the first that can still be met */
    uint64_t reached;   /* the extents before this offset are dealt with */
    struct plan_range *clear;
    size_t count, capacity;
    bool failed;
    struct nacre_err *e;
};

static inline void sweep_free_at(struct sweep *sweep)
{
    free(sweep->clear);
}

static int add_clear(struct sweep *sweep, uint64_t offset, uint64_t end)
{
    if (sweep->count == sweep->capacity) {
        size_t capacity = sweep->capacity ? 2 * sweep->capacity : 256;
        struct plan_range *clear = realloc(sweep->clear, capacity * sizeof *clear);
        if (!clear) {
            sweep->failed = true;
            return err_no_memory(sweep->e, "the ranges to be zeroed");
        }
        sweep->clear = clear;
        sweep->capacity = capacity;
    }
    sweep->clear[sweep->count++] = (struct plan_range){offset, end - offset};
    return 0;
}

static void mark_entries(struct sweep *sweep, uint64_t start, uint64_t end)
{
    const struct plan *plan = sweep->plan;
    while (sweep->entry < plan->count &&
           plan->entries[sweep->entry].dest + plan->entries[sweep->entry].blob.plain_length <= start)
        sweep->entry++;
    for (size_t i = sweep->entry; i < plan->count && plan->entries[i].dest < end; i++)
        plan->entries[i].state = PLAN_DATA;
}

static int see_extent(void *ctx, const struct nacre_extent *extent)
{
    struct sweep *sweep = ctx;
    const struct plan *plan = sweep->plan;
    uint64_t start = extent->offset, end = start + extent->length;
    if (extent->data && sweep->mark)
        mark_entries(sweep, start, end);
    while (sweep->hole < plan->hole_count &&
           plan->holes[sweep->hole].offset + plan->holes[sweep->hole].length <= start)
        sweep->hole++;
    for (size_t i = sweep->hole; extent->data && i < plan->hole_count && plan->holes[i].offset < end; i++) {
        uint64_t from = plan->holes[i].offset, to = from + plan->holes[i].length;
        if (add_clear(sweep, from > start ? from : start, to < end ? to : end) < 0)
            return 1;
    }
    sweep->reached = end;
    return sweep->count >= CLEAR_MAX || cancel_requested();
}

/* One sweep over [plan->start, plan->end). */
static int sweep_plan(struct random_target *target, struct plan *plan, bool mark, struct nacre_err *e)
{
    __attribute__((cleanup(sweep_free_at))) struct sweep sweep = {
        .plan = plan, .mark = mark, .reached = plan->start, .e = e};
    bool more = plan->end > plan->start;
    while (more) {
        uint64_t from = sweep.reached;
        sweep.count = 0;
        if (target->ops->extents(target, from, plan->end - from, see_extent, &sweep, e) < 0)
            return err_wrap(e, "asking where the target holds data");
        if (sweep.failed || cancel_check(e) < 0)
            return -1;
        for (size_t i = 0; i < sweep.count; i++)
            if (target->ops->zero(target, sweep.clear[i].offset, sweep.clear[i].length, e) < 0)
                return -1;
        more = sweep.count >= CLEAR_MAX && sweep.reached < plan->end;
    }
    return 0;
}

int compare_tail(struct random_target *target, uint64_t offset, struct nacre_err *e)
{
    struct plan_range tail = {offset, target->tail};
    struct plan plan = {.start = offset, .end = offset + target->tail, .holes = &tail, .hole_count = 1};
    return target->tail ? sweep_plan(target, &plan, false, e) : 0;
}

int compare_entries(struct worker *worker, const struct job *job, struct nacre_err *e)
{
    struct random_target *target = (struct random_target *)worker->target;
    struct plan_entry *entries = job->plan->entries, *last = &entries[job->end - 1];
    uint64_t start = entries[job->first].dest, length = last->dest + last->blob.plain_length - start;
    buf_clear(&worker->buffer);
    uint8_t *data = buf_reserve(&worker->buffer, length);
    if (!data)
        return err_no_memory(e, "comparing");
    if (target->ops->read(target, start, length, data, e) < 0)
        return -1;
    for (size_t i = job->first; i < job->end; i++) {
        struct id id;
        id_hash(&id, data + (entries[i].dest - start), entries[i].blob.plain_length);
        if (!id_equal(&id, &entries[i].blob.id))
            continue;
        entries[i].state = PLAN_SAME;
        run_count(worker->run, &worker->run->same, entries[i].blob.plain_length);
    }
    return 0;
}

/* The end of the neighbours, beginning at `first`, that are read at once. */
static size_t read_end(const struct plan *plan, size_t first)
{
    const struct plan_entry *entries = plan->entries;
    uint64_t end = entries[first].dest + entries[first].blob.plain_length;
    size_t i = first + 1;
    for (; i < plan->count && entries[i].state == PLAN_DATA && entries[i].dest == end; i++) {
        if (end + entries[i].blob.plain_length - entries[first].dest > READ_MAX)
            break;
        end += entries[i].blob.plain_length;
    }
    return i;
}

int compare_plan(struct crew *crew, struct random_target *target, struct plan *plan, bool compare,
                 struct nacre_err *e)
{
    if (sweep_plan(target, plan, compare, e) < 0)
        return -1;
    struct batch batch;
    int result = 0;
    batch_init(&batch);
    for (size_t i = 0, end; compare && result == 0 && i < plan->count; i = end) {
        end = i + 1;
        if (plan->entries[i].state != PLAN_DATA)
            continue;
        end = read_end(plan, i);
        const struct job job = {
            .work = compare_entries, .plan = plan, .first = i, .end = end, .batch = &batch};
        result = crew_give(crew, &job, e);
    }
    batch_wait(&batch);
    batch_destroy(&batch);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Restoring into what can be written anywhere: window by window, each planned by pack. A window is a quarter
 * of a million blobs, or 256 GiB of data in chunks of 1 MiB: within it every range of a pack is fetched once.
 * Holes need no room in it, so a thin volume is one window. */
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "common/cancel.h"
#include "common/err.h"
#include "restore/crew.h"

#define WINDOW_ENTRIES (256u << 10)

static void count_packs(struct run *run, const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        run->packs += i == 0 || plan->entries[i].pack != plan->entries[i - 1].pack;
}

/* Reads and compares all of the plan's entries, and looks for data in its holes. */
static int window_compare(struct crew *crew, struct random_target *target, struct plan *plan,
                          struct nacre_err *e)
{
    struct run *run = target->target.run;
    for (size_t i = 0; i < plan->count; i++)
        plan->entries[i].state = PLAN_DATA;
    if (compare_plan(crew, target, plan, true, e) < 0)
        return -1;
    plan_sort(plan); /* drops what is the same */
    if (plan->count)
        atomic_store(&run->differs, true);
    return 0;
}

static int window(struct crew *crew, struct random_target *target, struct plan *plan, struct nacre_err *e)
{
    struct run *run = target->target.run;
    run_count(run, &run->hole, plan->hole_bytes);
    if (target->compare_only)
        return window_compare(crew, target, plan, e);
    if (!target->is_zero && compare_plan(crew, target, plan, run->options->compare, e) < 0)
        return -1;
    plan_sort(plan);
    count_packs(run, plan);
    struct batch batch;
    batch_init(&batch);
    int result = fetch_plan(crew, plan, &batch, e);
    batch_wait(&batch);
    batch_destroy(&batch);
    return result;
}

static int windows(struct crew *crew, struct random_target *target, struct nacre_err *e)
{
    struct run *run = target->target.run;
    CLEANUP(plan_free) struct plan plan = {0};
    struct plan_cursor cursor = {.image = run->image, .index = run->index};
    for (;;) {
        if (cancel_check(e) < 0 || plan_next(&cursor, WINDOW_ENTRIES, UINT64_MAX, &plan, e) < 0)
            return -1;
        if (!plan.count && !plan.hole_count)
            return 0;
        if (window(crew, target, &plan, e) < 0)
            return -1;
        if (run_failed(run) || atomic_load(&run->differs))
            return 0;
    }
}

/* Everything up to, but without, making it durable. Errors go to the run. */
static void restore_random(struct random_target *target)
{
    struct run *run = target->target.run;
    struct nacre_err e;
    CLEANUP(crew_free) struct crew *crew = NULL;
    if (crew_new(run, &target->target, &crew, &e) < 0 || windows(crew, target, &e) < 0)
        run_fail(run, &e);
    else if (!run_failed(run) && !atomic_load(&run->differs) && !target->is_zero &&
             compare_tail(target, image_bytes(run->image), &e) < 0)
        run_fail(run, &e);
    crew_free(MOVE(crew));
    random_drain(target);
}

int restore_to_block(struct repo *repo, struct index *index, struct image *image, struct nacre_driver *driver,
                     struct nacre_block *block, const struct restore_options *options,
                     struct restore_progress *progress, struct restore_stats *stats, struct nacre_err *e)
{
    uint64_t bytes = driver->block->bytes(block);
    if (stats)
        *stats = (struct restore_stats){0};
    if (bytes < image_bytes(image))
        return err_set(e, NACRE_INVALID,
                       "the target has %" PRIu64 " bytes, the backup %" PRIu64 "; expand the target first",
                       bytes, image_bytes(image));
    struct run run;
    struct block_target target;
    run_begin(&run, repo, index, image, options, progress);
    block_target_init(&target, &run, driver, block);
    restore_random(&target.random);
    if (!run_failed(&run) && driver->block->flush(block, e) < 0) {
        err_wrap(e, "flushing the target");
        run_fail(&run, e);
    }
    random_destroy(&target.random);
    return run_end(&run, stats, e);
}

int restore_compare_block(struct repo *repo, struct index *index, struct image *image,
                          struct nacre_driver *driver, struct nacre_block *block,
                          const struct restore_options *options, struct restore_progress *progress,
                          struct restore_stats *stats, bool *same, struct nacre_err *e)
{
    *same = false;
    if (driver->block->bytes(block) < image_bytes(image))
        return 0;
    struct run run;
    struct block_target target;
    run_begin(&run, repo, index, image, options, progress);
    block_target_init_compare(&target, &run, driver, block);
    restore_random(&target.random);
    random_destroy(&target.random);
    *same = !atomic_load(&run.differs);
    return run_end(&run, stats, e);
}

/* The file gets the image's size; a device must have room for it. */
static int prepare_fd(int fd, uint64_t bytes, bool *regular, struct nacre_err *e)
{
    struct stat st;
    uint64_t room = 0;
    if (fstat(fd, &st) < 0)
        return err_errno(e, errno, "looking at the target");
    *regular = S_ISREG(st.st_mode);
    if (*regular)
        return ftruncate(fd, (off_t)bytes) < 0
                   ? err_errno(e, errno, "setting the target's size to %" PRIu64 " bytes", bytes)
                   : 0;
    if (!S_ISBLK(st.st_mode))
        return err_set(e, NACRE_INVALID, "the target is neither a file nor a block device");
    if (ioctl(fd, BLKGETSIZE64, &room) < 0)
        return err_errno(e, errno, "asking for the target's size");
    if (room < bytes)
        return err_set(e, NACRE_NO_SPACE, "the device has %" PRIu64 " bytes, the backup %" PRIu64, room,
                       bytes);
    return 0;
}

int restore_to_fd(struct repo *repo, struct index *index, struct image *image, int fd,
                  const struct restore_options *options, struct restore_progress *progress,
                  struct restore_stats *stats, struct nacre_err *e)
{
    bool regular = false;
    if (stats)
        *stats = (struct restore_stats){0};
    if (prepare_fd(fd, image_bytes(image), &regular, e) < 0)
        return -1;
    struct run run;
    struct fd_target target;
    run_begin(&run, repo, index, image, options, progress);
    fd_target_init(&target, &run, fd, regular);
    restore_random(&target.random);
    if (!run_failed(&run) && fsync(fd) < 0) {
        err_errno(e, errno, "making the target durable");
        run_fail(&run, e);
    }
    random_destroy(&target.random);
    return run_end(&run, stats, e);
}

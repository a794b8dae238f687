/* SPDX-License-Identifier: Apache-2.0 */
/* What all threads of one restore share. */
#include "restore/run.h"

void run_begin(struct run *run, struct repo *repo, struct index *index, struct image *image,
               const struct restore_options *options, struct restore_progress *progress)
{
    static const struct restore_options defaults = {0};
    *run = (struct run){.repo = repo,
                        .index = index,
                        .image = image,
                        .options = options ? options : &defaults,
                        .progress = progress};
    pthread_mutex_init(&run->mutex, NULL);
    if (progress)
        atomic_fetch_add(&progress->bytes_total, image_bytes(image));
}

void run_fail(struct run *run, const struct nacre_err *e)
{
    pthread_mutex_lock(&run->mutex);
    if (!atomic_load(&run->failed))
        run->error = *e;
    atomic_store(&run->failed, true);
    pthread_mutex_unlock(&run->mutex);
}

bool run_failed(const struct run *run)
{
    return atomic_load(&run->failed);
}

void run_count(struct run *run, _Atomic uint64_t *figure, uint64_t bytes)
{
    atomic_fetch_add_explicit(figure, bytes, memory_order_relaxed);
    if (run->progress)
        atomic_fetch_add_explicit(&run->progress->bytes_done, bytes, memory_order_relaxed);
}

int run_end(struct run *run, struct restore_stats *stats, struct nacre_err *e)
{
    if (stats)
        *stats = (struct restore_stats){.bytes_written = run->written,
                                        .bytes_hole = run->hole,
                                        .bytes_same = run->same,
                                        .bytes_fetched = run->fetched,
                                        .blobs = run->blobs,
                                        .packs = run->packs};
    pthread_mutex_destroy(&run->mutex);
    if (!run_failed(run))
        return 0;
    *e = run->error;
    return -1;
}

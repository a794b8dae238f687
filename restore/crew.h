/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a restore, and the work they are given: a range of a plan's entries at a time. */
#ifndef RESTORE_CREW_H
#define RESTORE_CREW_H

#include "restore/target.h"

/* Counts the jobs of a plan that are not done. */
struct batch {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    size_t pending;
};
void batch_init(struct batch *batch);
void batch_destroy(struct batch *batch);
void batch_wait(struct batch *batch);

/* One thread, with memory of its own. */
struct worker {
    struct run *run;
    struct target *target;
    struct buf buffer;
};

struct job;
typedef int job_work(struct worker *worker, const struct job *job, struct nacre_err *e);

struct job {
    job_work *work;
    struct plan *plan;
    size_t first, end; /* of its entries */
    struct batch *batch;
};

/* The number of threads comes from the run's options. */
struct crew;
int crew_new(struct run *run, struct target *target, struct crew **out, struct nacre_err *e);
/* Waits for the threads to end what was given to them. */
void crew_free(struct crew *crew);
CLEANUP_DEFINE(struct crew *, crew_free)

/* How many threads there are. */
unsigned crew_size(const struct crew *crew);

/* Hands a job (copied) to whoever is free; waits while all are busy. Once the run has failed, a job is
 * counted as done without being worked on. */
int crew_give(struct crew *crew, const struct job *job, struct nacre_err *e);

/* The two kinds of work. */
job_work fetch_entries;   /* entries of one request of a sorted plan: fetch, open, check, deliver */
job_work compare_entries; /* neighbouring entries in the image: read the target, mark what is PLAN_SAME */

/* Gives the crew all requests of a sorted plan. */
int fetch_plan(struct crew *crew, struct plan *plan, struct batch *batch, struct nacre_err *e);

/* Prepares a target that may hold data for a plan that is not sorted yet: what is data there where the plan
 * has holes, or behind the image, becomes zeros; with `compare`, entries that the target has already become
 * PLAN_SAME. */
int compare_plan(struct crew *crew, struct random_target *target, struct plan *plan, bool compare,
                 struct nacre_err *e);
int compare_tail(struct random_target *target, uint64_t offset, struct nacre_err *e);

#endif

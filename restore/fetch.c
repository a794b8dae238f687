/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching: one ranged request of a pack, whose blobs are opened, checked and delivered as their bytes
 * arrive, so that a thread holds one blob and not a whole request.
 *
 * A blob that turns out damaged, or whose pack is gone or cut off, is looked for in other packs afterwards,
 * as a repository may hold a blob twice; only when there is no good copy does the restore fail. */
#include <inttypes.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "repository/blob_load.h"
#include "restore/crew.h"

struct fetch {
    struct worker *worker;
    const struct job *job;
    size_t at;         /* the entry whose blob comes next */
    uint64_t position; /* in the pack */
    bool stopped;      /* the sink ended the request */
    bool damaged;      /* `damage` is set */
    struct nacre_err damage;
};

static void name_of(const struct plan_entry *entry, char hex[ID_HEX_SIZE])
{
    id_format(&entry->blob.id, hex);
}

static void pack_of(const struct fetch *fetch, const struct plan_entry *entry, char hex[ID_HEX_SIZE])
{
    struct id id;
    index_pack_id(fetch->worker->run->index, entry->pack, &id);
    id_format(&id, hex);
}

static void note_damage(struct fetch *fetch, const struct nacre_err *damage)
{
    if (!fetch->damaged)
        fetch->damage = *damage;
    fetch->damaged = true;
}

/* The sealed bytes of the blob at fetch->at are there. */
static int open_blob(struct fetch *fetch, const void *sealed, struct nacre_err *e)
{
    struct worker *worker = fetch->worker;
    struct plan *plan = fetch->job->plan;
    struct plan_entry *entry = &plan->entries[fetch->at];
    size_t end = plan_same_end(plan, fetch->at, fetch->job->end), count = end - fetch->at;
    if (cancel_check(e) < 0)
        return -1;
    if (run_failed(worker->run))
        return err_set(e, NACRE_CANCELLED, "another part of the restore failed");
    void *plain = worker->target->place(worker->target, plan, entry, e);
    if (!plain)
        return -1;
    fetch->at = end;
    if (blob_unseal(worker->run->repo, &entry->blob, sealed, plain, e) < 0) {
        worker->target->drop(worker->target, plain);
        if (e->code != NACRE_CORRUPT)
            return -1;
        entry->state = PLAN_BAD;
        note_damage(fetch, e);
        return 0;
    }
    atomic_fetch_add_explicit(&worker->run->blobs, 1, memory_order_relaxed);
    return worker->target->deliver(worker->target, plan, entry, count, plain, e);
}

/* Uses as much of data as belongs to one gap or one blob; returns how much, or -1. */
static int64_t take(struct fetch *fetch, const uint8_t *data, size_t len, struct nacre_err *e)
{
    struct buf *gathered = &fetch->worker->buffer;
    if (fetch->at == fetch->job->end)
        return err_set(e, NACRE_FAILED, "the object store sent more than was asked for");
    const struct pack_blob *blob = &fetch->job->plan->entries[fetch->at].blob;
    if (fetch->position < blob->offset) {
        uint64_t gap = blob->offset - fetch->position;
        return (int64_t)(gap < len ? gap : len);
    }
    if (!gathered->size && len >= blob->length)
        return open_blob(fetch, data, e) < 0 ? -1 : (int64_t)blob->length;
    size_t missing = blob->length - gathered->size, used = missing < len ? missing : len;
    buf_append(gathered, data, used);
    if (buf_failed(gathered))
        return err_no_memory(e, "a blob");
    if (used == missing) {
        int opened = open_blob(fetch, gathered->data, e);
        buf_clear(gathered);
        if (opened < 0)
            return -1;
    }
    return (int64_t)used;
}

static int sink(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct fetch *fetch = ctx;
    for (const uint8_t *at = data; len;) {
        int64_t used = take(fetch, at, len, e);
        if (used < 0) {
            fetch->stopped = true;
            return -1;
        }
        at += used;
        len -= (size_t)used;
        fetch->position += (uint64_t)used;
    }
    return 0;
}

/* One request. 0 also when the pack is not what it should be: what was not delivered is then left to rescue.
 */
static int request(struct fetch *fetch, struct nacre_err *e)
{
    struct run *run = fetch->worker->run;
    const struct job *job = fetch->job;
    const struct plan_entry *first = &job->plan->entries[job->first],
                            *last = &job->plan->entries[job->end - 1];
    uint64_t length = (uint64_t)last->blob.offset + last->blob.length - first->blob.offset;
    char name[REPO_NAME_SIZE];
    struct id pack;
    index_pack_id(run->index, first->pack, &pack);
    repo_name(run->repo, REPO_PACK, &pack, name);
    struct nacre_object_store *store = repo_store(run->repo);
    fetch->position = first->blob.offset;
    buf_clear(&fetch->worker->buffer);
    int result = store->ops->get(store, name, first->blob.offset, length, sink, fetch, e);
    atomic_fetch_add_explicit(&run->fetched, fetch->position - first->blob.offset, memory_order_relaxed);
    if (result == 0 && fetch->at < job->end)
        return err_set(e, NACRE_FAILED, "object %s: the object store sent less than was asked for", name);
    if (result == 0 || fetch->stopped)
        return result;
    if (e->code != NACRE_ABSENT && e->code != NACRE_INVALID && e->code != NACRE_CORRUPT)
        return err_wrap(e, "reading object %s", name);
    if (e->code == NACRE_ABSENT)
        err_set(e, NACRE_CORRUPT, "the pack is gone");
    else if (e->code == NACRE_INVALID)
        err_set(e, NACRE_CORRUPT, "the pack is cut off");
    note_damage(fetch, e);
    return 0;
}

/* Looks for another copy of the blob of entries [first, end). */
static int rescue(struct fetch *fetch, size_t first, size_t end, struct nacre_err *e)
{
    struct worker *worker = fetch->worker;
    struct plan *plan = fetch->job->plan;
    const struct plan_entry *entry = &plan->entries[first];
    char blob[ID_HEX_SIZE], pack[ID_HEX_SIZE];
    CLEANUP(buf_free) struct buf copy = {0};
    name_of(entry, blob);
    pack_of(fetch, entry, pack);
    int loaded = blob_load(worker->run->repo, worker->run->index, BLOB_DATA, &entry->blob.id, &copy, e);
    if (loaded < 0 && e->code != NACRE_CORRUPT && e->code != NACRE_ABSENT && e->code != NACRE_INVALID)
        return -1;
    if (loaded < 0 || copy.size != entry->blob.plain_length)
        return err_set(
            e, NACRE_CORRUPT,
            "pack %s, blob %s: %s; there is no other copy of it. `nacre repo check --read-data` tells "
            "what else is damaged",
            pack, blob, fetch->damage.message);
    log_warning(
        "pack %s, blob %s: %s; this blob was still whole, there or in another pack. `nacre repo check "
        "--read-data` tells what is not",
        pack, blob, fetch->damage.message);
    void *plain = worker->target->place(worker->target, plan, entry, e);
    if (!plain)
        return -1;
    memcpy(plain, copy.data, copy.size);
    atomic_fetch_add_explicit(&worker->run->blobs, 1, memory_order_relaxed);
    return worker->target->deliver(worker->target, plan, entry, end - first, plain, e);
}

int fetch_entries(struct worker *worker, const struct job *job, struct nacre_err *e)
{
    struct fetch fetch = {.worker = worker, .job = job, .at = job->first};
    if (request(&fetch, e) < 0)
        return -1;
    for (size_t i = job->first, end; fetch.damaged && i < job->end; i = end) {
        end = plan_same_end(job->plan, i, job->end);
        if (i < fetch.at && job->plan->entries[i].state != PLAN_BAD)
            continue;
        if (cancel_check(e) < 0 || rescue(&fetch, i, end, e) < 0)
            return -1;
    }
    return 0;
}

int fetch_plan(struct crew *crew, struct plan *plan, struct batch *batch, struct nacre_err *e)
{
    uint64_t most = plan_request_bytes(plan, crew_size(crew));
    for (size_t i = 0, end; i < plan->count; i = end) {
        end = plan_request_end(plan, i, most);
        const struct job job = {.work = fetch_entries, .plan = plan, .first = i, .end = end, .batch = batch};
        if (crew_give(crew, &job, e) < 0)
            return -1;
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The check: snapshots, index files, packs, trees, and last, when asked for, every byte of the packs. What
 * can be told without reading packs comes first, since reading may take hours. Memory: the mapped index, some
 * 30 bytes a pack, 45 a tree. The caller holds a lock. */
#include "repository/check_internal.h"
#include "repository/repo_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/timestamp.h"
#include "repository/lock.h"

/* A header is its length (4), sealing, and an entry of 37 or 41 bytes for each blob. */
#define HEADER_FIXED (4 + SEAL_OVERHEAD)
#define HEADER_ENTRY 37
#define HEADER_ENTRY_COMPRESSED 41

static void report(struct check *c, void (*receiver)(void *ctx, const char *text), const char *format,
                   va_list args)
{
    char text[NACRE_MESSAGE_SIZE];
    vsnprintf(text, sizeof text, format, args);
    if (receiver)
        receiver(c->options->ctx, text);
}

void check_fault(struct check *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&c->mutex);
    c->result->faults++;
    report(c, c->options->fault, format, args);
    pthread_mutex_unlock(&c->mutex);
    va_end(args);
}

void check_note(struct check *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&c->mutex);
    report(c, c->options->note, format, args);
    pthread_mutex_unlock(&c->mutex);
    va_end(args);
}

void check_progress(struct check *c, uint64_t done, uint64_t total, const char *what)
{
    if (!c->options->progress)
        return;
    pthread_mutex_lock(&c->mutex);
    c->options->progress(c->options->ctx, done, total, what);
    pthread_mutex_unlock(&c->mutex);
}

struct id check_place(const struct id *blob, const struct id *pack)
{
    struct id place;
    for (size_t i = 0; i < ID_SIZE; i++)
        place.bytes[i] = blob->bytes[i] ^ pack->bytes[i];
    return place;
}

/* --- index --- */

static void on_damaged_index(void *ctx, const struct id *file, const char *why)
{
    (void)file; /* the message names it */
    check_fault(ctx, "%s; blobs that only it named are lost to this check", why);
}

static int on_entry(void *ctx, const struct index_entry *entry)
{
    struct check *c = ctx;
    struct check_pack *pack = &c->packs[entry->pack_number];
    pack->expected +=
        entry->blob.length + (uint64_t)(entry->blob.compressed ? HEADER_ENTRY_COMPRESSED : HEADER_ENTRY);
    pack->blobs++;
    return 0;
}

static int check_index(struct check *c, struct nacre_err *e)
{
    check_progress(c, 0, 0, "reading the index");
    if (index_load_damaged(c->repo, on_damaged_index, c, &c->index, e) < 0)
        return -1;
    c->pack_count = index_pack_count(c->index);
    c->packs = calloc((size_t)c->pack_count + 1, sizeof *c->packs);
    if (!c->packs)
        return err_no_memory(e, "the check");
    for (uint32_t i = 0; i < c->pack_count; i++)
        c->packs[i].expected = HEADER_FIXED;
    c->result->packs = c->pack_count;
    c->result->blobs = index_blob_count(c->index);
    return index_each(c->index, on_entry, c) < 0 ? err_no_memory(e, "the check") : 0;
}

/* --- packs --- */

static int on_pack(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    struct check *c = ctx;
    uint32_t number;
    char hex[ID_HEX_SIZE];
    (void)modified_ns;
    id_format(id, hex);
    if (!index_find_pack(c->index, id, &number)) {
        c->result->packs_unused++;
        check_note(c,
                   "pack %s (%" PRIu64 " bytes) is in no index file: left by an interrupted backup, or being "
                   "written now; prune removes it",
                   hex, size);
        return 0;
    }
    c->packs[number].seen = true;
    c->packs[number].actual = size;
    if (size != c->packs[number].expected)
        check_fault(c, "pack %s has %" PRIu64 " bytes where the index makes it %" PRIu64, hex, size,
                    c->packs[number].expected);
    return 0;
}

static int check_packs(struct check *c, struct nacre_err *e)
{
    check_progress(c, 0, c->pack_count, "listing packs");
    if (repo_file_list(c->repo, REPO_PACK, on_pack, c, e) < 0)
        return -1;
    for (uint32_t i = 0; i < c->pack_count; i++) {
        struct id id;
        char hex[ID_HEX_SIZE];
        if (c->packs[i].seen)
            continue;
        index_pack_id(c->index, i, &id);
        id_format(&id, hex);
        check_fault(c, "pack %s is missing, with %" PRIu32 " blobs", hex, c->packs[i].blobs);
    }
    return cancel_check(e);
}

/* --- snapshots --- */

static int on_snapshot(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    (void)size;
    (void)modified_ns;
    buf_append(ctx, id, sizeof *id);
    return 0;
}

static int load_snapshots(struct check *c, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf ids = {0};
    if (repo_file_list(c->repo, REPO_SNAPSHOT, on_snapshot, &ids, e) < 0)
        return -1;
    const struct id *id = (const void *)ids.data;
    size_t count = ids.size / sizeof *id;
    c->snapshots.items = calloc(count + 1, sizeof(struct snapshot *));
    if (!c->snapshots.items || buf_failed(&ids))
        return err_no_memory(e, "the check");
    for (size_t i = 0; i < count; i++) {
        if (cancel_check(e) < 0)
            return -1;
        if (snapshot_load(c->repo, &id[i], &c->snapshots.items[c->snapshots.count], e) == 0)
            c->snapshots.count++;
        else if (e->code == NACRE_CORRUPT)
            check_fault(c, "%s", e->message);
        else if (e->code != NACRE_ABSENT) /* removed since it was listed */
            return -1;
    }
    c->result->snapshots = c->snapshots.count;
    return 0;
}

/* --- keys --- */

/* The one that opened the repository among them: one that still opens can be altered all the same. */
static int check_keys(struct check *c, struct nacre_err *e)
{
    CLEANUP(file_list_free) struct file_list keys = {0};
    if (repo_file_gather(c->repo, REPO_KEY, &keys, e) < 0)
        return -1;
    for (size_t i = 0; i < keys.count; i++) {
        CLEANUP(buf_free) struct buf json = {0};
        if (cancel_check(e) < 0)
            return -1;
        if (repo_file_load(c->repo, REPO_KEY, &keys.items[i].id, &json, e) == 0 || e->code == NACRE_ABSENT)
            continue;
        if (e->code != NACRE_CORRUPT && e->code != NACRE_INVALID)
            return -1;
        check_fault(
            c, "%s; its password may not open the repository any more: make a new one with nacre key add",
            e->message);
    }
    return 0;
}

/* --- locks --- */

static int on_lock(void *ctx, const struct lock_info *info)
{
    char time[TIMESTAMP_SIZE];
    timestamp_format_seconds(info->time_ns, time);
    if (info->stale)
        check_note(ctx, "a stale lock of %s@%s (pid %d), of %s, is left; nacre repo unlock removes it",
                   info->username, info->hostname, info->pid, time);
    return 0;
}

/* --- which packs to read --- */

static bool in_part(const struct id *id, unsigned part, unsigned of)
{
    uint64_t number;
    memcpy(&number, id->bytes + 8, sizeof number);
    return number % of == part - 1;
}

/* Exactly percent of those that are there, at least one, all equally likely: each is taken with the chance
 * that what is still wanted has among what is left. */
static int select_random(struct check *c, double percent, struct nacre_err *e)
{
    uint64_t left = 0;
    for (uint32_t i = 0; i < c->pack_count; i++)
        left += c->packs[i].seen;
    double exact = (double)left * percent / 100;
    uint64_t wanted = (uint64_t)exact;
    wanted += (double)wanted < exact;
    for (uint32_t i = 0; i < c->pack_count; i++) {
        uint64_t random;
        if (!c->packs[i].seen)
            continue;
        if (random_bytes(&random, sizeof random, e) < 0)
            return -1;
        c->packs[i].selected = random % left < wanted;
        wanted -= c->packs[i].selected;
        left--;
    }
    return 0;
}

static int select_packs(struct check *c, struct nacre_err *e)
{
    const struct check_options *o = c->options;
    if (o->read_percent > 0)
        return select_random(c, o->read_percent < 100 ? o->read_percent : 100, e);
    if (o->read_of > 1 && (o->read_part < 1 || o->read_part > o->read_of))
        return err_set(e, NACRE_INVALID, "there is no part %u of %u", o->read_part, o->read_of);
    for (uint32_t i = 0; i < c->pack_count; i++) {
        struct id id;
        index_pack_id(c->index, i, &id);
        c->packs[i].selected = c->packs[i].seen && (o->read_of < 2 || in_part(&id, o->read_part, o->read_of));
    }
    return 0;
}

static int read_data(struct check *c, struct nacre_err *e)
{
    uint64_t before = c->result->faults;
    if (select_packs(c, e) < 0 || check_read_packs(c, e) < 0)
        return -1;
    /* Which files does what was found hurt? */
    return c->result->faults > before ? check_trees(c, true, e) : 0;
}

static int run(struct check *c, struct nacre_err *e)
{
    /* Snapshots before the index, the index before packs: what a backup writes meanwhile comes in the other
     * order, so that whatever a snapshot seen here needs is in what is read after it. */
    if (check_keys(c, e) < 0 || load_snapshots(c, e) < 0 || check_index(c, e) < 0 || check_packs(c, e) < 0 ||
        check_trees(c, false, e) < 0 || lock_each(c->repo, on_lock, c, e) < 0)
        return -1;
    return c->options->read_data ? read_data(c, e) : 0;
}

int check_run(struct repo *repo, const struct check_options *options, struct check_result *result,
              struct nacre_err *e)
{
    struct check c = {.repo = repo, .options = options, .result = result, .mutex = PTHREAD_MUTEX_INITIALIZER};
    *result = (struct check_result){0};
    int outcome = run(&c, e);
    index_free(c.index);
    free(c.packs);
    snapshot_list_free(&c.snapshots);
    id_set_free(&c.bad);
    return outcome;
}

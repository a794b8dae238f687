/* SPDX-License-Identifier: Apache-2.0 */
/* The index in use: the mapped file, which does not change, and the overlay of this run behind a lock of many
 * readers. */
#include "repository/index.h"

#include <pthread.h>
#include <string.h>

#include "common/err.h"
#include "repository/index_cache.h"
#include "repository/index_overlay.h"

struct index {
    struct index_file file;
    pthread_rwlock_t lock; /* guards what follows */
    struct index_overlay overlay;
    struct buf packs; /* of struct id: numbers from file.pack_count on */
};

static int finish_load(struct index *index, int result, struct index **out, struct nacre_err *e)
{
    if (result < 0) {
        free(index);
        return -1;
    }
    if (pthread_rwlock_init(&index->lock, NULL)) {
        index_file_close(&index->file);
        free(index);
        return err_no_memory(e, "the index");
    }
    *out = index;
    return 0;
}

int index_load(struct repo *repo, struct index **out, struct nacre_err *e)
{
    struct index *index = calloc(1, sizeof *index);
    if (!index)
        return err_no_memory(e, "the index");
    return finish_load(index, index_cache_open(repo, &index->file, e), out, e);
}

int index_load_damaged(struct repo *repo, void (*damaged)(void *ctx, const struct id *file, const char *why),
                       void *ctx, struct index **out, struct nacre_err *e)
{
    struct index *index = calloc(1, sizeof *index);
    if (!index)
        return err_no_memory(e, "the index");
    return finish_load(index, index_cache_rebuild(repo, damaged, ctx, &index->file, e), out, e);
}

void index_free(struct index *index)
{
    if (!index)
        return;
    index_file_close(&index->file);
    index_overlay_free(&index->overlay);
    buf_free(&index->packs);
    pthread_rwlock_destroy(&index->lock);
    free(index);
}

/* With the lock held when the number may be the overlay's. */
static struct id pack_id(const struct index *index, uint32_t number)
{
    if (number < index->file.pack_count)
        return index->file.packs[number];
    const struct id *added = (const void *)index->packs.data;
    return added[number - index->file.pack_count];
}

static void fill_entry(const struct index *index, const struct index_record *record, struct index_entry *out)
{
    index_record_get(record, &out->blob);
    out->pack_number = index_record_pack(record);
    out->pack = pack_id(index, out->pack_number);
}

bool index_find_nth(struct index *index, enum blob_type type, const struct id *id, unsigned nth,
                    struct index_entry *out)
{
    const struct index_file *file = &index->file;
    for (uint64_t at = index_file_find(file, type, id);
         at < file->record_count && !index_record_match(&file->records[at], type, id); at++) {
        if (!nth--) {
            fill_entry(index, &file->records[at], out);
            return true;
        }
    }
    pthread_rwlock_rdlock(&index->lock);
    const struct index_record *record = index_overlay_find(&index->overlay, type, id, nth);
    if (record)
        fill_entry(index, record, out);
    pthread_rwlock_unlock(&index->lock);
    return record;
}

bool index_find(struct index *index, enum blob_type type, const struct id *id, struct index_entry *out)
{
    return index_find_nth(index, type, id, 0, out);
}

/* Locking does not change what a const index says. */
static pthread_rwlock_t *lock_of(const struct index *index)
{
    return (pthread_rwlock_t *)&index->lock;
}

uint64_t index_blob_count(const struct index *index)
{
    pthread_rwlock_rdlock(lock_of(index));
    uint64_t count = index->file.record_count + index->overlay.count;
    pthread_rwlock_unlock(lock_of(index));
    return count;
}

uint32_t index_pack_count(const struct index *index)
{
    pthread_rwlock_rdlock(lock_of(index));
    uint32_t count = index->file.pack_count + (uint32_t)(index->packs.size / sizeof(struct id));
    pthread_rwlock_unlock(lock_of(index));
    return count;
}

void index_pack_id(const struct index *index, uint32_t pack_number, struct id *out)
{
    pthread_rwlock_rdlock(lock_of(index));
    *out = pack_id(index, pack_number);
    pthread_rwlock_unlock(lock_of(index));
}

static bool find_pack(const struct index *index, const struct id *pack, uint32_t *pack_number)
{
    const struct index_file *file = &index->file;
    const struct id *added = (const void *)index->packs.data;
    uint32_t low = 0, high = file->pack_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (id_compare(&file->packs[middle], pack) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *pack_number = low;
    if (low < file->pack_count && id_equal(&file->packs[low], pack))
        return true;
    for (uint32_t i = 0; i < index->packs.size / sizeof *added; i++) {
        *pack_number = file->pack_count + i;
        if (id_equal(&added[i], pack))
            return true;
    }
    return false;
}

bool index_find_pack(const struct index *index, const struct id *pack, uint32_t *pack_number)
{
    pthread_rwlock_rdlock(lock_of(index));
    bool found = find_pack(index, pack, pack_number);
    pthread_rwlock_unlock(lock_of(index));
    return found;
}

/* Merges the file and the overlay, whose order is `sorted`. */
static int each_in_order(const struct index *index, const uint32_t *sorted,
                         int (*entry)(void *ctx, const struct index_entry *entry), void *ctx)
{
    const struct index_file *file = &index->file;
    uint64_t at = 0;
    uint32_t k = 0;
    int result = 0;
    while (!result && (at < file->record_count || k < index->overlay.count)) {
        const struct index_record *added =
            k < index->overlay.count ? index_overlay_at(&index->overlay, sorted[k]) : NULL;
        const struct index_record *record = at < file->record_count ? &file->records[at] : NULL;
        struct index_entry found;
        if (!record || (added && index_record_compare(added, record) < 0)) {
            record = added;
            k++;
        } else {
            at++;
        }
        if (!record)
            break;
        fill_entry(index, record, &found);
        result = entry(ctx, &found);
    }
    return result;
}

int index_each(struct index *index, int (*entry)(void *ctx, const struct index_entry *entry), void *ctx)
{
    pthread_rwlock_rdlock(&index->lock);
    uint32_t *sorted = index_overlay_sorted(&index->overlay);
    int result = sorted ? each_in_order(index, sorted, entry, ctx) : -1;
    pthread_rwlock_unlock(&index->lock);
    free(sorted);
    return result;
}

static int add_locked(struct index *index, const struct id *pack, const struct pack_blob *blobs, size_t count,
                      struct nacre_err *e)
{
    size_t number = index->file.pack_count + index->packs.size / sizeof *pack;
    if (number >= INDEX_PACKS_MAX)
        return err_set(e, NACRE_UNSUPPORTED, "the repository has more than %u packs", INDEX_PACKS_MAX);
    buf_append(&index->packs, pack, sizeof *pack);
    if (buf_failed(&index->packs))
        return err_no_memory(e, "the index of new blobs");
    for (size_t i = 0; i < count; i++) {
        struct index_record record;
        index_record_set(&record, &blobs[i], (uint32_t)number);
        if (index_overlay_add(&index->overlay, &record, e) < 0)
            return -1;
    }
    return 0;
}

int index_add_pack(struct index *index, const struct id *pack, const struct pack_blob *blobs, size_t count,
                   struct nacre_err *e)
{
    pthread_rwlock_wrlock(&index->lock);
    int result = add_locked(index, pack, blobs, count, e);
    pthread_rwlock_unlock(&index->lock);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Building the local index.
 *
 * Four threads load index files; the wait is the network's. Each gathers records in a run of its own, sorts
 * it when it is full and appends it to the scratch file. While that lasts a record's pack number is the place
 * where its pack was met; when all packs are known they get their final numbers, in order of id. Then the
 * runs and the older file are merged into the new one. Memory: a run and a JSON document a thread, a block a
 * run during the merge, four bytes a pack. */
#include "repository/index_build.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "repository/index.h"

#define LOADERS 4
#define RUN_RECORDS ((size_t)128 * 1024)
#define MERGE_RECORDS ((size_t)680) /* about 32 KiB */

struct run {
    uint64_t offset;
    size_t count;
};

struct builder {
    struct index_build *build;
    const struct id *fresh; /* the index files to load */
    uint32_t fresh_count;
    atomic_uint next;
    atomic_bool stop;
    pthread_mutex_t mutex; /* guards all below, and `damaged` */
    struct buf packs;      /* of struct id, in the order they were met */
    struct buf runs;       /* of struct run */
    uint64_t scratch_size;
    struct nacre_err error;
    bool failed;
    /* The final numbers of packs as met, and of the old file's. */
    uint32_t *met_numbers, *old_numbers;
};

struct loader {
    struct builder *b;
    struct index_record *run; /* RUN_RECORDS */
    size_t count;
};

static int compare_records(const void *a, const void *b)
{
    return index_record_compare(a, b);
}

static int flush_run(struct loader *loader, struct nacre_err *e)
{
    struct builder *b = loader->b;
    if (!loader->count)
        return 0;
    qsort(loader->run, loader->count, sizeof *loader->run, compare_records);
    struct run run = {.count = loader->count};
    size_t size = loader->count * sizeof *loader->run;
    pthread_mutex_lock(&b->mutex);
    run.offset = b->scratch_size;
    b->scratch_size += size;
    buf_append(&b->runs, &run, sizeof run);
    bool failed = buf_failed(&b->runs);
    pthread_mutex_unlock(&b->mutex);
    if (failed)
        return err_no_memory(e, "the index");
    loader->count = 0;
    if (index_write_at(b->build->scratch, loader->run, size, run.offset, e) == 0)
        return 0;
    b->build->local_failed = true;
    return -1;
}

static int on_pack(void *ctx, const struct id *pack, const struct pack_blob *blobs, size_t count,
                   struct nacre_err *e)
{
    struct loader *loader = ctx;
    struct builder *b = loader->b;
    pthread_mutex_lock(&b->mutex);
    size_t number = b->packs.size / sizeof *pack;
    buf_append(&b->packs, pack, sizeof *pack);
    bool failed = buf_failed(&b->packs);
    pthread_mutex_unlock(&b->mutex);
    if (failed)
        return err_no_memory(e, "the index");
    if (number >= INDEX_PACKS_MAX)
        return err_set(e, NACRE_UNSUPPORTED, "the index has more than %u packs", INDEX_PACKS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (loader->count == RUN_RECORDS && flush_run(loader, e) < 0)
            return -1;
        index_record_set(&loader->run[loader->count++], &blobs[i], (uint32_t)number);
    }
    return 0;
}

static int load_file(struct loader *loader, const struct id *file, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    char hex[ID_HEX_SIZE];
    struct builder *b = loader->b;
    if (cancel_check(e) < 0)
        return -1;
    if (repo_file_load(b->build->repo, REPO_INDEX, file, &json, e) == 0) {
        if (index_parse(json.data, json.size, on_pack, loader, e) == 0)
            return 0;
        id_format(file, hex);
        err_wrap(e, "index file %.16s", hex);
    }
    if (e->code != NACRE_CORRUPT || b->build->local_failed)
        return -1;
    if (!b->build->damaged)
        return err_set(e, NACRE_CORRUPT, "%s; run nacre repo check to see what it hurts",
                       (const char *)e->message);
    pthread_mutex_lock(&b->mutex);
    b->build->damaged(b->build->ctx, file, e->message);
    pthread_mutex_unlock(&b->mutex);
    return 0;
}

static int load_files(struct loader *loader, struct nacre_err *e)
{
    struct builder *b = loader->b;
    while (!atomic_load(&b->stop)) {
        uint32_t number = atomic_fetch_add(&b->next, 1);
        if (number >= b->fresh_count)
            return flush_run(loader, e);
        if (load_file(loader, &b->fresh[number], e) < 0)
            return -1;
    }
    return 0;
}

static void *loader_main(void *ctx)
{
    struct loader loader = {.b = ctx};
    struct nacre_err error = {0};
    loader.run = malloc(RUN_RECORDS * sizeof *loader.run);
    int result = loader.run ? load_files(&loader, &error) : err_no_memory(&error, "the index");
    free(loader.run);
    if (result < 0) {
        pthread_mutex_lock(&loader.b->mutex);
        if (!loader.b->failed)
            loader.b->error = error;
        loader.b->failed = true;
        pthread_mutex_unlock(&loader.b->mutex);
        atomic_store(&loader.b->stop, true);
    }
    return NULL;
}

static int load_all(struct builder *b, struct nacre_err *e)
{
    pthread_t threads[LOADERS];
    unsigned started = 0, wanted = b->fresh_count < LOADERS ? b->fresh_count : LOADERS;
    while (started < wanted && !pthread_create(&threads[started], NULL, loader_main, b))
        started++;
    if (wanted && !started)
        loader_main(b);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (b->failed) {
        *e = b->error;
        return -1;
    }
    return 0;
}

static int compare_met(const void *a, const void *b, void *ctx)
{
    const struct id *packs = ctx;
    return id_compare(&packs[*(const uint32_t *)a], &packs[*(const uint32_t *)b]);
}

/* Writes all packs, each once, in order, and notes their numbers. `order` sorts the packs as met. */
static int merge_packs(struct builder *b, const uint32_t *order, uint32_t met_count,
                       struct index_file_writer *writer, struct nacre_err *e)
{
    const struct index_file *old = b->build->old;
    const struct id *met = (const void *)b->packs.data;
    uint32_t i = 0, k = 0, number = 0, old_count = old ? old->pack_count : 0;
    for (; i < met_count || k < old_count; number++) {
        const struct id *pack = i < met_count ? &met[order[i]] : &old->packs[k];
        if (k < old_count && id_compare(&old->packs[k], pack) < 0)
            pack = &old->packs[k];
        if (index_file_put_pack(writer, pack, e) < 0)
            return -1;
        while (i < met_count && id_equal(&met[order[i]], pack))
            b->met_numbers[order[i++]] = number;
        if (k < old_count && id_equal(&old->packs[k], pack))
            b->old_numbers[k++] = number;
    }
    return 0;
}

static int number_packs(struct builder *b, struct index_file_writer *writer, struct nacre_err *e)
{
    uint32_t met_count = (uint32_t)(b->packs.size / sizeof(struct id));
    size_t old_count = b->build->old ? b->build->old->pack_count : 0;
    CLEANUP(mem_free) uint32_t *order = malloc((met_count + (size_t)1) * sizeof *order);
    b->met_numbers = malloc((met_count + (size_t)1) * sizeof *b->met_numbers);
    b->old_numbers = malloc((old_count + 1) * sizeof *b->old_numbers);
    if (!order || !b->met_numbers || !b->old_numbers)
        return err_no_memory(e, "the index");
    for (uint32_t i = 0; i < met_count; i++)
        order[i] = i;
    qsort_r(order, met_count, sizeof *order, compare_met, b->packs.data);
    return merge_packs(b, order, met_count, writer, e);
}

/* One sorted sequence of records: a run, or the old file. */
struct source {
    int fd;
    uint64_t offset; /* of what is not in the block yet */
    uint64_t left;   /* records from there on */
    const uint32_t *numbers;
    struct index_record *block; /* MERGE_RECORDS */
    size_t at, filled;
};

struct merge {
    struct source *sources;
    size_t source_count;
    struct source **heap; /* those that have a record, the least first */
    size_t heap_size;
};

static struct index_record *head(const struct source *source)
{
    return &source->block[source->at];
}

/* Makes head() the next record, with its final pack number; false at the end. */
static int advance(struct source *source, bool *more, struct nacre_err *e)
{
    if (++source->at >= source->filled) {
        size_t count = source->left < MERGE_RECORDS ? (size_t)source->left : MERGE_RECORDS;
        size_t size = count * sizeof *source->block;
        *more = count != 0;
        if (!count)
            return 0;
        if (index_read_at(source->fd, source->block, size, source->offset, e) < 0)
            return -1;
        source->offset += size;
        source->left -= count;
        source->filled = count;
        source->at = 0;
    }
    struct index_record *record = head(source);
    record->where = source->numbers[index_record_pack(record)] << 2 | (record->where & 3);
    *more = true;
    return 0;
}

static void sift_down(struct merge *m, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < m->heap_size; child++)
            if (index_record_compare(head(m->heap[child]), head(m->heap[least])) < 0)
                least = child;
        if (least == at)
            return;
        struct source *swap = m->heap[at];
        m->heap[at] = m->heap[least];
        m->heap[least] = swap;
        at = least;
    }
}

static int merge_begin(struct merge *m, struct nacre_err *e)
{
    for (size_t i = 0; i < m->source_count; i++) {
        bool more;
        m->sources[i].block = malloc(MERGE_RECORDS * sizeof *m->sources[i].block);
        if (!m->sources[i].block)
            return err_no_memory(e, "the index");
        if (advance(&m->sources[i], &more, e) < 0)
            return -1;
        if (more)
            m->heap[m->heap_size++] = &m->sources[i];
    }
    for (size_t i = m->heap_size; i-- > 0;)
        sift_down(m, i);
    return 0;
}

/* Writes the records of one blob, which lie in several packs, or in one that two index files name. A run has
 * them in the order in which its packs were met; the final numbers of those may be in another. */
static int put_group(struct buf *group, struct index_file_writer *writer, struct nacre_err *e)
{
    struct index_record *records = (void *)group->data;
    size_t count = group->size / sizeof *records;
    if (buf_failed(group))
        return err_no_memory(e, "the index");
    if (count > 1)
        qsort(records, count, sizeof *records, compare_records);
    for (size_t i = 0; i < count; i++)
        if ((!i || index_record_compare(&records[i - 1], &records[i]) != 0) &&
            index_file_put_record(writer, &records[i], e) < 0)
            return -1;
    buf_clear(group);
    return 0;
}

static int merge_run(struct merge *m, struct index_file_writer *writer, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf group = {0};
    bool more;
    if (merge_begin(m, e) < 0)
        return -1;
    while (m->heap_size) {
        struct source *least = m->heap[0];
        const struct index_record *record = head(least), *first = (const void *)group.data;
        if (group.size && index_record_match(first, index_record_type(record), &record->id) != 0 &&
            put_group(&group, writer, e) < 0)
            return -1;
        buf_append(&group, record, sizeof *record);
        if (advance(least, &more, e) < 0)
            return -1;
        if (!more)
            m->heap[0] = m->heap[--m->heap_size];
        sift_down(m, 0);
    }
    return put_group(&group, writer, e);
}

/* The runs, and the old file as one more. */
static void set_sources(const struct builder *b, struct source *sources)
{
    const struct index_file *old = b->build->old;
    const struct run *runs = (const void *)b->runs.data;
    size_t run_count = b->runs.size / sizeof *runs;
    for (size_t i = 0; i < run_count; i++)
        sources[i] = (struct source){.fd = b->build->scratch,
                                     .offset = runs[i].offset,
                                     .left = runs[i].count,
                                     .numbers = b->met_numbers};
    if (old)
        sources[run_count] =
            (struct source){.fd = old->fd,
                            .offset = (uint64_t)((const char *)old->records - (const char *)old->map),
                            .left = old->record_count,
                            .numbers = b->old_numbers};
}

static int merge_records(struct builder *b, struct index_file_writer *writer, struct nacre_err *e)
{
    size_t count = b->runs.size / sizeof(struct run) + (b->build->old != NULL);
    CLEANUP(mem_free) struct source *sources = calloc(count + 1, sizeof *sources);
    CLEANUP(mem_free) struct source **heap = calloc(count + 1, sizeof(struct source *));
    if (!sources || !heap)
        return err_no_memory(e, "the index");
    set_sources(b, sources);
    struct merge m = {.sources = sources, .source_count = count, .heap = heap};
    int result = merge_run(&m, writer, e);
    for (size_t i = 0; i < count; i++)
        free(sources[i].block);
    return result;
}

static int write_out(struct builder *b, struct nacre_err *e)
{
    CLEANUP(index_file_writer_free) struct index_file_writer *writer = NULL;
    struct index_build *build = b->build;
    if (index_file_writer_new(build->out, repo_id(build->repo), &writer, e) < 0)
        return -1;
    if (index_file_put_files(writer, build->files, build->file_count, e) < 0 ||
        number_packs(b, writer, e) < 0 || merge_records(b, writer, e) < 0 ||
        index_file_finish(writer, e) < 0) {
        build->local_failed = true;
        return -1;
    }
    return 0;
}

/* The index files that the old local file does not cover. Both lists ascend. */
static struct id *fresh_files(const struct index_build *build, uint32_t *count)
{
    const struct index_file *old = build->old;
    struct id *fresh = malloc(((size_t)build->file_count + 1) * sizeof *fresh);
    *count = 0;
    for (uint32_t i = 0, k = 0; fresh && i < build->file_count; i++) {
        while (old && k < old->file_count && id_compare(&old->files[k], &build->files[i]) < 0)
            k++;
        if (!old || k == old->file_count || !id_equal(&old->files[k], &build->files[i]))
            fresh[(*count)++] = build->files[i];
    }
    return fresh;
}

int index_build_run(struct index_build *build, struct nacre_err *e)
{
    struct builder b = {.build = build, .mutex = PTHREAD_MUTEX_INITIALIZER};
    CLEANUP(mem_free) struct id *fresh = fresh_files(build, &b.fresh_count);
    if (!fresh)
        return err_no_memory(e, "the index");
    b.fresh = fresh;
    int result = load_all(&b, e);
    if (!result)
        result = write_out(&b, e);
    buf_free(&b.packs);
    buf_free(&b.runs);
    free(b.met_numbers);
    free(b.old_numbers);
    return result;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests the engine has under way: against a store in which calls for packs stay until as many are
 * there as were asked for. Were they made one after the other, the first would stay for ever. */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "plugins/store.h"
#include "repository/check.h"
#include "repository/writer.h"

#define CHUNK ((size_t)1 << 20)

/* Between the repository and its store. */
struct crowd {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned wanted; /* calls for packs stay until so many are inside; 0 = they do not */
    unsigned inside, most;
    bool gathered; /* they were: all go on */
};

static void stay(struct crowd *crowd, const char *name)
{
    if (!strstr(name, "data/"))
        return;
    pthread_mutex_lock(&crowd->mutex);
    if (++crowd->inside > crowd->most)
        crowd->most = crowd->inside;
    if (crowd->inside >= crowd->wanted)
        crowd->gathered = true;
    pthread_cond_broadcast(&crowd->changed);
    while (!crowd->gathered)
        pthread_cond_wait(&crowd->changed, &crowd->mutex);
    pthread_mutex_unlock(&crowd->mutex);
}

static void leave(struct crowd *crowd, const char *name)
{
    if (!strstr(name, "data/"))
        return;
    pthread_mutex_lock(&crowd->mutex);
    crowd->inside--;
    pthread_mutex_unlock(&crowd->mutex);
}

static int crowd_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e)
{
    struct crowd *crowd = (struct crowd *)base;
    stay(crowd, name);
    int result = crowd->inner->ops->put(crowd->inner, name, input, e);
    leave(crowd, name);
    return result;
}

static int crowd_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                     nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct crowd *crowd = (struct crowd *)base;
    bool whole = offset == 0 && length == NACRE_TO_END; /* not of a header */
    if (whole)
        stay(crowd, name);
    int result = crowd->inner->ops->get(crowd->inner, name, offset, length, sink, ctx, e);
    if (whole)
        leave(crowd, name);
    return result;
}

static int crowd_put_if_absent(struct nacre_object_store *base, const char *name,
                               const struct nacre_input *input, struct nacre_err *e)
{
    struct crowd *crowd = (struct crowd *)base;
    return crowd->inner->ops->put_if_absent(crowd->inner, name, input, e);
}

static int crowd_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
                      struct nacre_err *e)
{
    struct crowd *crowd = (struct crowd *)base;
    return crowd->inner->ops->stat(crowd->inner, name, out, e);
}

static int crowd_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
                      struct nacre_err *e)
{
    struct crowd *crowd = (struct crowd *)base;
    return crowd->inner->ops->list(crowd->inner, prefix, entry, ctx, e);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .put = crowd_put,
    .put_if_absent = crowd_put_if_absent,
    .get = crowd_get,
    .stat = crowd_stat,
    .list = crowd_list,
};

static void crowd_around(struct crowd *crowd, struct place *place)
{
    *crowd = (struct crowd){.base.ops = &ops,
                            .inner = place->store,
                            .mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
}

static void ask_for(struct crowd *crowd, unsigned wanted)
{
    pthread_mutex_lock(&crowd->mutex);
    crowd->wanted = wanted;
    crowd->most = 0;
    crowd->gathered = false;
    pthread_mutex_unlock(&crowd->mutex);
}

/* Bytes that do not compress, other ones for every n. */
static void make_chunk(unsigned n, uint8_t chunk[CHUNK])
{
    uint64_t x = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < CHUNK; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(chunk + i, &x, 8);
    }
}

/* A thread that saves chunks until it is told that it is enough. */
struct saver {
    struct writer *writer;
    unsigned count; /* of chunks to save */
    atomic_uint saved;
    int result;
};

static void *save_chunks(void *ctx)
{
    struct saver *saver = ctx;
    CLEANUP(mem_free) uint8_t *chunk = malloc(CHUNK);
    struct nacre_err e;
    for (unsigned n = 0; chunk && !saver->result && n < saver->count; n++) {
        struct id id;
        bool added;
        make_chunk(n, chunk);
        id_hash(&id, chunk, CHUNK);
        saver->result = writer_save(saver->writer, BLOB_DATA, &id, chunk, CHUNK, &added, &e);
        atomic_fetch_add(&saver->saved, 1);
    }
    return NULL;
}

/* Waits until nothing was saved for a while: how many chunks were by then. On a machine that is slow it may
 * be too few, never too many. */
static unsigned saved_until_stuck(struct saver *saver)
{
    unsigned before;
    do {
        before = atomic_load(&saver->saved);
        usleep(300000);
    } while (before != atomic_load(&saver->saved));
    return before;
}

/* Saves chunks with so many uploads, which all must be under way at once; *held = the chunks that are taken
 * in while no upload ends. */
static void save_in_a_crowd(struct place *place, unsigned uploads, unsigned chunks, unsigned *held)
{
    struct crowd crowd;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    CLEANUP(writer_free) struct writer *writer = NULL;
    crowd_around(&crowd, place);
    assert_ok(repo_init(&crowd.base, &place->options, PASSWORD, 2, &repo, &e));
    assert_ok(index_load(repo, &index, &e));
    const struct writer_options options = {.uploads = uploads};
    unsigned expected = uploads ? uploads : 8;
    assert_ok(writer_new(repo, index, &options, &writer, &e));
    ask_for(&crowd, expected + 1); /* that never comes */
    struct saver saver = {.writer = writer, .count = chunks};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, save_chunks, &saver), 0);
    pthread_mutex_lock(&crowd.mutex);
    while (crowd.inside < expected)
        pthread_cond_wait(&crowd.changed, &crowd.mutex);
    pthread_mutex_unlock(&crowd.mutex);
    *held = saved_until_stuck(&saver);
    assert_true(*held < chunks);
    ask_for(&crowd, 0);
    pthread_mutex_lock(&crowd.mutex);
    crowd.gathered = true;
    pthread_cond_broadcast(&crowd.changed);
    pthread_mutex_unlock(&crowd.mutex);
    pthread_join(thread, NULL);
    assert_int_equal(saver.result, 0);
    assert_ok(writer_finish(writer, &e));
    assert_int_equal(saver.saved, chunks);
    assert_true(crowd.most <= expected);
}

static void eight_uploads(void **state)
{
    unsigned held;
    save_in_a_crowd(*state, 0, 130, &held);
    assert_in_range(held, 8 * 8, WRITER_MEMORY >> 20);
}

static void two_uploads(void **state)
{
    unsigned held;
    save_in_a_crowd(*state, 2, 100, &held);
    assert_in_range(held, 2 * 16, 4 * 17);
}

static void twenty_uploads(void **state)
{
    unsigned held;
    save_in_a_crowd(*state, 20, 140, &held);
    assert_in_range(held, 20 * 4, 22 * 5);
}

static void on_fault(void *ctx, const char *text)
{
    (void)ctx;
    fail_msg("%s", text);
}

static void on_note(void *ctx, const char *text)
{
    (void)ctx, (void)text;
}

static void check_reads(void **state)
{
    struct place *place = *state;
    struct crowd crowd;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    crowd_around(&crowd, place);
    assert_ok(repo_init(&crowd.base, &place->options, PASSWORD, 2, &repo, &e));
    assert_ok(index_load(repo, &index, &e));
    {
        CLEANUP(writer_free) struct writer *writer = NULL;
        const struct writer_options options = {.pack_size = CHUNK};
        assert_ok(writer_new(repo, index, &options, &writer, &e));
        struct saver saver = {.writer = writer, .count = 24};
        save_chunks(&saver);
        assert_int_equal(saver.result, 0);
        assert_ok(writer_finish(writer, &e));
    }
    static const unsigned connections[][2] = {{0, 8}, {3, 3}, {1, 1}, {20, 20}};
    for (size_t i = 0; i < sizeof connections / sizeof *connections; i++) {
        struct check_result result;
        const struct check_options options = {
            .read_data = true, .connections = connections[i][0], .fault = on_fault, .note = on_note};
        ask_for(&crowd, connections[i][1]);
        assert_ok(check_run(repo, &options, &result, &e));
        assert_int_equal(result.packs_read, 24);
        assert_int_equal(crowd.most, connections[i][1]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {TEST(eight_uploads), TEST(two_uploads), TEST(twenty_uploads),
                                       TEST(check_reads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

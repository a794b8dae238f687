/* SPDX-License-Identifier: Apache-2.0 */
/* How the object store is asked: so many requests at once, neighbours in one, each range once. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "fixture.h"

/* Requests stay until as many are there as were asked for: were they made one after the other, the first
 * would stay for ever. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned wanted, inside;
} crowd = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static void stay(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&crowd.mutex);
    crowd.inside++;
    pthread_cond_broadcast(&crowd.changed);
    while (crowd.inside < crowd.wanted)
        pthread_cond_wait(&crowd.changed, &crowd.mutex);
    pthread_mutex_unlock(&crowd.mutex);
}

/* 64 MiB of 64 different chunks. */
static struct snapshot *save_64_mib(struct fixture *fx)
{
    static struct chunk chunks[65];
    for (unsigned i = 0; i < 64; i++)
        chunks[i] = (struct chunk){MIB, i + 1, 1};
    return save_image(fx, chunks);
}

/* Restores with so many connections, of which so many must be busy at once. */
static void restore(struct fixture *fx, unsigned connections, unsigned busy, bool stream)
{
    struct nacre_err e = {0};
    struct restore_stats stats;
    const struct restore_options options = {.connections = connections, .target_is_zero = true};
    char path[192];
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_64_mib(fx);
    CLEANUP(image_free) struct image *image = NULL;
    must(image_open(fx->repo, fx->index, snapshot, NULL, &image, &e), &e);
    snprintf(path, sizeof path, "%s/out", fx->dir);
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    crowd.wanted = busy;
    crowd.inside = 0;
    counts.on_get = stay;
    must((stream ? restore_to_stream : restore_to_fd)(fx->repo, fx->index, image, fd, &options, NULL, &stats,
                                                      &e),
         &e);
    counts.on_get = NULL;
    assert_true(crowd.inside >= busy);
    assert_int_equal(0, shell(fx, "cmp expected out"));
    assert_true(stats.bytes_fetched < 64 * MIB + 64 * KIB);
}

static void eight_requests(void **state)
{
    restore(*state, 0, 8, false);
    restore(*state, 8, 8, false);
}

static void eight_requests_of_a_stream(void **state)
{
    restore(*state, 8, 8, true);
}

static void other_numbers(void **state)
{
    restore(*state, 1, 1, false);
    restore(*state, 3, 3, false);
    restore(*state, 20, 20, false);
    restore(*state, 20, 20, true);
}

/* A pack of wanted blobs with others between them, which take 100 KiB and 200 KiB. */
static void gaps(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    static const struct chunk packed[] = {{256 * KIB, 1, 1}, {100 * KIB, 2, 1}, {256 * KIB, 3, 1},
                                          {200 * KIB, 4, 1}, {256 * KIB, 5, 1}, END};
    static const struct chunk wanted[] = {
        {256 * KIB, 5, 1}, {256 * KIB, 1, 2}, {256 * KIB, 3, 1}, {256 * KIB, 5, 1}, END};
    CLEANUP(buf_free) struct buf ids = {0};
    save_blobs(fx, packed, &ids);
    must(writer_finish(fx->writer, &e), &e);
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, wanted);
    counts.gets = 0;
    must(restore_to(fx, snapshot, "v", false, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_int_equal(1 + 2,
                     counts.gets); /* the tree; the first two and what is between them, and the third */
    assert_int_equal(3, stats.blobs);
    /* A test's bytes have seven random bits each, and take that much. */
    assert_in_range(stats.bytes_fetched, (3 * 256 + 100) * KIB * 7 / 8, (3 * 256 + 100) * KIB * 9 / 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {TEST(eight_requests), TEST(eight_requests_of_a_stream),
                                       TEST(other_numbers), TEST(gaps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

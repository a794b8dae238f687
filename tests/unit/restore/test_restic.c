/* SPDX-License-Identifier: Apache-2.0 */
/* Images that the real restic backed up, in repositories of both versions: found by their path, restored,
 * compared. And what nacre's own writer made, as restic sees it. */
#include <fcntl.h>
#include <unistd.h>

#include "fixture.h"

/* A disk image with data, a hole of 90 MiB, and a file system's kind of clutter. */
static void make_image(struct fixture *fx)
{
    assert_int_equal(0,
                     shell(fx, "mkdir -p src/deep/er && head -c 9M /dev/urandom > src/deep/er/disk.img && "
                               "yes 'the same line again and again' | head -c 5M >> src/deep/er/disk.img && "
                               "truncate -s 104M src/deep/er/disk.img && "
                               "head -c 3333333 /dev/urandom >> src/deep/er/disk.img && "
                               "cp src/deep/er/disk.img expected"));
}

static struct snapshot *latest(struct fixture *fx)
{
    struct nacre_err e = {0};
    struct snapshot *snapshot = NULL;
    must(snapshot_find(fx->repo, "latest", &snapshot, &e), &e);
    return snapshot;
}

static int to_stream(struct fixture *fx, struct image *image, const char *command, struct nacre_err *e)
{
    char text[512];
    snprintf(text, sizeof text, "cd %s && %s", fx->dir, command);
    FILE *pipe = popen(text, "w");
    assert_non_null(pipe);
    int result = restore_to_stream(fx->repo, fx->index, image, fileno(pipe), &(struct restore_options){0},
                                   NULL, NULL, e);
    assert_int_equal(0, pclose(pipe));
    return result;
}

static void of_version(struct fixture *fx, int version)
{
    struct nacre_err e = {0};
    struct restore_stats stats;
    char place[16], path[192];
    snprintf(place, sizeof place, "v%d", version);
    make_image(fx);
    assert_int_equal(0, shell(fx, "$R -r store/%s init --repository-version %d > /dev/null", place, version));
    assert_int_equal(0, shell(fx, "$R -r store/%s backup src/deep/er/disk.img", place));
    fixture_open_repo(fx, place);
    assert_int_equal(version, repo_version(fx->repo));
    CLEANUP(snapshot_free) struct snapshot *snapshot = latest(fx);
    must(restore_to(fx, snapshot, "v", false, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_true(stats.bytes_hole > 85ull * MIB); /* restic's zeros are chunks of 512 KiB: holes again */
    assert_true(volume_allocated(fx, "v") < 20ull * MIB);
    /* By its path, into a file and a stream. */
    CLEANUP(image_free) struct image *image = NULL;
    must(image_open(fx->repo, fx->index, snapshot, "src/deep/er/disk.img", &image, &e), &e);
    must(to_stream(fx, image, "cmp - expected", &e), &e);
    snprintf(path, sizeof path, "%s/out", fx->dir);
    CLEANUP(fd_close) int fd = open(path, O_CREAT | O_RDWR, 0600);
    must(restore_to_fd(fx->repo, fx->index, image, fd, &(struct restore_options){.target_is_zero = true},
                       NULL, NULL, &e),
         &e);
    assert_int_equal(0, shell(fx, "cmp expected out"));
    /* Over a changed volume only what differs is written: restic's chunks have any length. */
    volume_write(fx, "v", 3 * MIB, 10, 5);
    volume_write(fx, "v", 50 * MIB, 10, 5);
    must(restore_to(fx, snapshot, "v", true, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_true(stats.bytes_written <= 2 * 8 * MIB);
}

static void version_1(void **state)
{
    of_version(*state, 1);
}

static void version_2(void **state)
{
    of_version(*state, 2);
}

/* Absolute paths make restic store the directories above; --stdin makes a file in the root. */
static void other_shapes(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    char path[256];
    make_image(fx);
    assert_int_equal(0, shell(fx, "$R -r store/r init > /dev/null && $R -r store/r backup $PWD/src"));
    fixture_open_repo(fx, "r");
    CLEANUP(snapshot_free) struct snapshot *absolute = latest(fx);
    CLEANUP(image_free) struct image *image = NULL;
    snprintf(path, sizeof path, "%s/src/deep/er/disk.img", fx->dir);
    must(image_open(fx->repo, fx->index, absolute, path, &image, &e), &e);
    must(to_stream(fx, image, "cmp - expected", &e), &e);
    must(restore_to(fx, absolute, "v", false, NULL, &e), &e);
    expect_equal(fx, "v");
    assert_int_equal(0, shell(fx, "$R -r store/r backup --stdin --stdin-filename whole.img < expected"));
    fixture_reload_index(fx);
    CLEANUP(snapshot_free) struct snapshot *stdin_one = latest(fx);
    must(restore_to(fx, stdin_one, "w", false, NULL, &e), &e);
    expect_equal(fx, "w");
    assert_int_equal(0, shell(fx, "echo more > src/other && $R -r store/r backup src"));
    fixture_reload_index(fx);
    CLEANUP(snapshot_free) struct snapshot *two = latest(fx);
    must_fail(restore_to(fx, two, "x", false, NULL, &e), NACRE_INVALID, "src/deep/er/disk.img", "src/other");
}

/* The fixture's own images are what restic takes for a sound repository. */
static void restic_agrees(void **state)
{
    struct fixture *fx = *state;
    static const struct chunk image[] = {{MIB, 1, 3}, {MIB, 0, 5}, {123, 2}, END};
    snapshot_free(save_image(fx, image));
    assert_int_equal(
        0, shell(fx, "$R -r store/restic/default check --read-data > log 2>&1 || { cat log >&2; false; }"));
    assert_int_equal(0, shell(fx, "$R -r store/restic/default dump latest /disk.img | cmp - expected"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {TEST(version_1), TEST(version_2), TEST(other_shapes),
                                       TEST(restic_agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Packs that are damaged, cut off, gone, or there twice; stores that fail or lie. Whatever happens, either
 * the volume is right or it is marked as unfinished, and the message names pack and blob. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

/* 24 blobs of 1 MiB, which do not compress: two packs of data. */
static struct chunk image[25];

static int setup(void **state)
{
    for (unsigned i = 0; i < 24; i++)
        image[i] = (struct chunk){MIB, i + 1, i % 5 == 0 ? 2 : 1};
    return fixture_setup(state);
}

/* The pack that holds chunk n of the image: its path below the directory, and where its blob begins. */
static void pack_of(struct fixture *fx, unsigned n, char path[256], struct index_entry *entry)
{
    CLEANUP(mem_free) uint8_t *data = malloc(MIB);
    struct id id;
    char hex[ID_HEX_SIZE];
    chunk_bytes(&image[n], data);
    id_hash(&id, data, MIB);
    assert_true(index_find(fx->index, BLOB_DATA, &id, entry));
    id_format(&entry->pack, hex);
    snprintf(path, 256, "%s/store/restic/default/data/%.2s/%s", fx->dir, hex, hex);
}

static void flip(const char *path, off_t offset)
{
    uint8_t byte;
    chmod(path, 0600);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(1, pread(fd, &byte, 1, offset));
    byte ^= 1;
    assert_int_equal(1, pwrite(fd, &byte, 1, offset));
    close(fd);
}

static void expect_corrupt(struct fixture *fx, const struct snapshot *snapshot,
                           const struct index_entry *entry, const char *why)
{
    struct nacre_err e = {0};
    char pack[ID_HEX_SIZE], value[256];
    id_format(&entry->pack, pack);
    must_fail(restore_to(fx, snapshot, "v", false, NULL, &e), NACRE_CORRUPT, pack, "blob", why, "repo check",
              "unfinished");
    assert_int_equal(64, strlen(volume_metadata(fx, "v", RESTORE_UNFINISHED_KEY, value)));
}

static void damaged(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    char path[256], blob[ID_HEX_SIZE];
    struct index_entry entry;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    pack_of(fx, 7, path, &entry);
    const off_t at[] = {0, 15, 16, entry.blob.length / 2, entry.blob.length - 16, entry.blob.length - 1};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        flip(path, entry.blob.offset + at[i]);
        expect_corrupt(fx, snapshot, &entry, "blob");
        id_format(&entry.blob.id, blob);
        must_fail(restore_to(fx, snapshot, "v", false, NULL, &e), NACRE_CORRUPT, blob);
        flip(path, entry.blob.offset + at[i]);
    }
    must(restore_to(fx, snapshot, "v", false, NULL, &e), &e);
    expect_equal(fx, "v");
}

static void cut_off(void **state)
{
    struct fixture *fx = *state;
    char path[256];
    struct index_entry entry;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    pack_of(fx, 7, path, &entry);
    chmod(path, 0600);
    assert_int_equal(0, truncate(path, entry.blob.offset + entry.blob.length - 1));
    expect_corrupt(fx, snapshot, &entry, "cut off");
}

static void gone(void **state)
{
    struct fixture *fx = *state;
    char path[256];
    struct index_entry entry;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    pack_of(fx, 7, path, &entry);
    assert_int_equal(0, unlink(path));
    expect_corrupt(fx, snapshot, &entry, "gone");
}

/* Saves all blobs a second time, by a writer that does not know of the first: every blob is there twice. */
static void save_again(struct fixture *fx)
{
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf ids = {0};
    char from[256], command[1024];
    snprintf(from, sizeof from, "%s/store/restic/default", fx->dir);
    snprintf(command, sizeof command, "mv %s/index %s/index.aside && mkdir %s/index", from, from, from);
    assert_int_equal(0, system(command));
    fixture_reload_index(fx);
    save_blobs(fx, image, &ids);
    must(writer_finish(fx->writer, &e), &e);
    snprintf(command, sizeof command, "mv %s/index.aside/* %s/index/ && rmdir %s/index.aside", from, from,
             from);
    assert_int_equal(0, system(command));
    fixture_reload_index(fx);
}

/* With another copy of what is damaged, the restore goes through. */
static void rescued(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    char path[256];
    struct index_entry entry;
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    save_again(fx);
    for (unsigned n = 0; n < 24; n += 11) {
        pack_of(fx, n, path, &entry);
        flip(path, entry.blob.offset + 100);
    }
    must(restore_to(fx, snapshot, "v", false, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_int_equal(24, stats.blobs);
    pack_of(fx, 3, path, &entry);
    assert_int_equal(0, unlink(path));
    must(restore_to(fx, snapshot, "w", false, &stats, &e), &e);
    expect_equal(fx, "w");
}

/* Ranges: neighbours in one request, of 2 MiB since this is little; nothing fetched twice, no more than is
 * needed. */
static void requests(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    struct restore_stats stats;
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    counts.gets = 0;
    counts.bytes = 0;
    must(restore_to(fx, snapshot, "v", false, &stats, &e), &e);
    assert_int_equal(24, stats.blobs);
    assert_true(stats.packs >= 1 && stats.packs <= 3);
    assert_true(counts.gets <= 1 + 24 / 2 + 2 * stats.packs);
    assert_true(stats.bytes_fetched <= 24 * (MIB + 64ull));
    assert_true(counts.bytes < stats.bytes_fetched + 64 * KIB); /* and the tree */
    /* Every other chunk is there: no request reads through a gap of 1 MiB. */
    char path[256];
    snprintf(path, sizeof path, "%s/volumes/v/data", fx->dir);
    for (unsigned i = 0; i < 29; i += 2)
        volume_write(fx, "v", (uint64_t)i * MIB + 5, 1, 500);
    must(restore_to(fx, snapshot, "v", true, &stats, &e), &e);
    expect_equal(fx, "v");
    assert_int_equal(15 * (uint64_t)MIB, stats.bytes_written);
    assert_true(stats.bytes_fetched <= stats.blobs * (MIB + 64ull));
}

static void failing_store(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    static const enum nacre_code codes[] = {NACRE_TRANSIENT, NACRE_DENIED, NACRE_FAILED, NACRE_THROTTLED};
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        counts.fail_get_in = 2;
        counts.fail_code = codes[i];
        must_fail(restore_to(fx, snapshot, "v", false, NULL, &e), codes[i], "/data/", "told to fail");
    }
    counts.fail_get_in = -1;
    must(restore_to(fx, snapshot, "v", false, NULL, &e), &e);
    expect_equal(fx, "v");
}

/* The wrapper that flips bits and ends gets early, calling that a success. What is
 * read again is whole, or the restore fails: never is something else restored. */
static void lying_store(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    static const struct nacre_option lies[] = {{"flip-byte", "3"}, {"truncate-get", "3"}};
    CLEANUP(snapshot_free) struct snapshot *snapshot = save_image(fx, image);
    for (size_t i = 0; i < 2; i++) {
        char url[160];
        struct fixture other = *fx;
        snprintf(url, sizeof url, "file://%s/store", fx->dir);
        const struct repo_options place = {.path = "restic/default", .where = "the test's repository"};
        must(plugin_open_store(url, NULL, 0, &other.store, &e), &e);
        must(repo_open(other.store, &place, PASSWORD, &other.repo, &e), &e);
        must(index_load(other.repo, &other.index, &e), &e);
        repo_free(other.repo);
        must(plugin_wrap_store("fault", &lies[i], 1, &other.store, &e), &e);
        /* Opening may meet a lie, too: again until it does not. */
        int opened = -1;
        for (int tries = 0; opened < 0 && tries < 10; tries++)
            opened = repo_open(other.store, &place, PASSWORD, &other.repo, &e);
        must(opened, &e);
        for (int round = 0; round < 6; round++) {
            if (restore_to(&other, snapshot, "v", true, NULL, &e) == 0)
                expect_equal(fx, "v");
            else
                assert_true(e.code == NACRE_CORRUPT || e.code == NACRE_FAILED);
        }
        index_free(other.index);
        repo_free(other.repo);
        store_close(other.store);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(damaged),  TEST(cut_off),       TEST(gone),        TEST(rescued),
        TEST(requests), TEST(failing_store), TEST(lying_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

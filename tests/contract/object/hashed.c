/* SPDX-License-Identifier: Apache-2.0 */
/* Objects under the names of a repository, which are the SHA-256 of their content: what a cache may keep is
 * still written, read in ranges, and gone when it was removed. */
#include <openssl/evp.h>
#include <stdio.h>

#include "contract.h"

static const size_t sizes[] = {0, 1, 300, 65535, 65536, 65537, 3 * 65536, 1000003};
#define SIZES (sizeof sizes / sizeof *sizes)

/* The name of content `seed` of a size: in turn an index file, a snapshot and a pack. */
static void name_of(uint64_t seed, size_t size, char out[128])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    char hex[65], pack[16];
    struct nacre_input input = content_in_memory(seed, size);
    assert_int_equal(EVP_Digest(input.data, size, hash, NULL, EVP_sha256(), NULL), 1);
    free((void *)input.data);
    hex_encode(hash, 32, hex);
    snprintf(pack, sizeof pack, "data/%.2s", hex);
    const char *const places[] = {"index", "snapshots", pack};
    snprintf(out, 128, "restic/default/%s/%s", places[seed % 3], hex);
}

/* Reads [offset, offset + length) by both ways, and compares. */
static void assert_range(struct nacre_object_store *store, const char *name, uint64_t seed, uint64_t offset,
                         size_t length)
{
    struct nacre_err e = {0};
    CLEANUP(mem_free) uint8_t *expected = malloc(length + 1), *got = malloc(length + 1);
    assert_true(expected && got);
    content(seed, offset, expected, length);
    assert_ok(store_get_range(store, name, offset, length, got, &e), e);
    assert_memory_equal(expected, got, length);
    memset(got, 0, length);
    assert_ok(store_get_range_kept(store, name, offset, length, got, &e), e);
    assert_memory_equal(expected, got, length);
}

static void assert_ranges(struct nacre_object_store *store, const char *name, uint64_t seed, size_t size)
{
    struct nacre_err e = {0};
    char byte[2];
    assert_content(store, name, seed, size);
    assert_range(store, name, seed, 0, size);
    assert_range(store, name, seed, size / 2, size - size / 2);
    assert_range(store, name, seed, size / 3, size / 3);
    if (size > 65537)
        assert_range(store, name, seed, 65535, 2);
    assert_code(store_get_range(store, name, size, 1, byte, &e), e, NACRE_INVALID);
    assert_code(store_get_range_kept(store, name, size, 1, byte, &e), e, NACRE_INVALID);
    assert_code(store_get_range_kept(store, name, size + 1, 1, byte, &e), e, NACRE_INVALID);
    assert_content(store, name, seed, size);
}

static void test_hashed_names(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("hashed");
    struct nacre_err e = {0};
    char name[128];
    for (uint64_t i = 0; i < 3 * SIZES; i++) {
        size_t size = sizes[i / 3];
        name_of(i, size, name);
        struct nacre_input input = content_in_memory(i, size);
        if (i % 2)
            assert_ok(store_put_kept(store, name, input.data, size, &e), e);
        else
            assert_ok(store->ops->put(store, name, &input, &e), e);
        free((void *)input.data);
        assert_ranges(store, name, i, size);
        CLEANUP(store_close) struct nacre_object_store *other = open_space("hashed");
        assert_ranges(other, name, i, size);
    }
}

static void test_hashed_names_go(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("hashed-gone");
    struct nacre_err e = {0};
    char name[128], byte[1];
    for (uint64_t i = 50; i < 56; i++) {
        name_of(i, 1000, name);
        struct nacre_input input = content_in_memory(i, 1000);
        assert_ok(store->ops->put_if_absent(store, name, &input, &e), e);
        assert_range(store, name, i, 0, 1000);
        assert_ok(store->ops->remove(store, name, &e), e);
        assert_code(store_get_range(store, name, 0, 1, byte, &e), e, NACRE_ABSENT);
        assert_code(store_get_range_kept(store, name, 0, 1, byte, &e), e, NACRE_ABSENT);
        assert_remove_absent(store, name);
        assert_ok(store->ops->put_if_absent(store, name, &input, &e), e);
        free((void *)input.data);
        struct nacre_input another = content_in_memory(i + 1, 1000);
        assert_code(store->ops->put_if_absent(store, name, &another, &e), e, NACRE_EXISTS);
        free((void *)another.data);
        assert_content(store, name, i, 1000);
    }
}

/* Who names an object by a hash that is not its own gets back what was written last. */
static void test_names_that_lie(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_space("hashed-lies");
    char name[128];
    for (uint64_t i = 60; i < 63; i++) {
        name_of(i, 500, name);
        put_content(store, name, i, 500);
        assert_range(store, name, i, 0, 500);
        put_content(store, name, i + 1000, 700);
        assert_ranges(store, name, i + 1000, 700);
        put_content(store, name, i, 500);
        assert_ranges(store, name, i, 500);
    }
}

const struct CMUnitTest hashed_tests[] = {
    cmocka_unit_test(test_hashed_names),
    cmocka_unit_test(test_hashed_names_go),
    cmocka_unit_test(test_names_that_lie),
};
const size_t hashed_test_count = sizeof hashed_tests / sizeof *hashed_tests;

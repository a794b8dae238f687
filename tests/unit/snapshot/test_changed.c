/* SPDX-License-Identifier: Apache-2.0 */
/* Chunk maps: each rule by hand, then all of them against a byte-by-byte model with random extents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/err.h"
#include "scripted.h"
#include "snapshot/changed.h"

#define C 1024ull

/* One letter a chunk: H hole, S same, R read. */
static void expect_sized(uint64_t bytes, uint64_t base_bytes, const char *base,
                         const struct nacre_extent *extents, size_t count, const char *states)
{
    struct scripted driver;
    struct nacre_err e = {0};
    CLEANUP(chunk_map_free) struct chunk_map *map = NULL;
    scripted_init(&driver);
    driver.bytes = bytes;
    driver.extents = extents;
    driver.extent_count = count;
    driver.base_wanted = base;
    assert_int_equal(
        0, chunk_map_new(&driver.base, (struct nacre_block *)&driver, base, base_bytes, C, &map, &e));
    char found[256] = "";
    uint64_t counts[3] = {0};
    assert_int_equal(strlen(states), chunk_map_count(map));
    for (uint64_t i = 0; i < chunk_map_count(map); i++) {
        found[i] = "HSR"[chunk_map_get(map, i)];
        counts[chunk_map_get(map, i)]++;
    }
    assert_string_equal(states, found);
    for (unsigned state = 0; state < 3; state++)
        assert_int_equal(counts[state], chunk_map_count_state(map, (enum chunk_state)state));
}
#define EXPECT(bytes, base_bytes, base, states, ...)                                                         \
    do {                                                                                                     \
        const struct nacre_extent extents[] = {{0}, __VA_ARGS__};                                            \
        expect_sized(bytes, base_bytes, base, extents + 1, sizeof extents / sizeof *extents - 1, states);    \
    } while (0)

static void without_base(void **state)
{
    (void)state;
    EXPECT(0, 0, NULL, "");
    EXPECT(4 * C, 0, NULL, "HHHH");
    EXPECT(4 * C, 0, NULL, "HRHH", {C, 1, true});
    EXPECT(4 * C, 0, NULL, "RRHH", {C - 1, 2, true});
    EXPECT(4 * C, 0, NULL, "HRRH", {C, 2 * C, true});
    EXPECT(4 * C + 1, 0, NULL, "HHHHR", {4 * C, 1, true});
    /* what is said to be no data is a hole, as what is not said at all */
    EXPECT(4 * C, 0, NULL, "RHHH", {0, 7, true}, {7, 3 * C, false});
}

static void with_base(void **state)
{
    (void)state;
    EXPECT(4 * C, 4 * C, "b", "SSSS");
    EXPECT(4 * C, 4 * C, "b", "SRSS", {C + 5, 1, true});
    EXPECT(5 * C, 5 * C, "b", "SRRRS", {2 * C - 1, C + 2, true});
    EXPECT(4 * C + 9, 4 * C + 9, "b", "SSSSS"); /* a short last chunk that did not change */
}

static void discarded(void **state)
{
    (void)state;
    EXPECT(4 * C, 4 * C, "b", "SHSS", {C, C, false});
    EXPECT(4 * C, 4 * C, "b", "SRHR", {C + 1, 2 * C, false});
    EXPECT(4 * C, 4 * C, "b", "SRSS", {C, C - 1, false});
    /* cut at the backend's own boundaries: together they cover the chunk */
    EXPECT(4 * C, 4 * C, "b", "SHSS", {C, 100, false}, {C + 100, C - 100, false});
    EXPECT(4 * C, 4 * C, "b", "SRSS", {C, 100, false}, {C + 101, C - 101, false});
    /* data wins, before and after */
    EXPECT(4 * C, 4 * C, "b", "SRHS", {C, 1, true}, {C + 1, 2 * C - 1, false});
    EXPECT(4 * C, 4 * C, "b", "SHRS", {C, C + 7, false}, {2 * C + 7, 1, true});
    /* the short last chunk is whole when its bytes are */
    EXPECT(3 * C + 9, 3 * C + 9, "b", "SSSH", {3 * C, 9, false});
    EXPECT(3 * C + 9, 3 * C + 9, "b", "SSSR", {3 * C, 8, false});
}

static void resized(void **state)
{
    (void)state;
    EXPECT(5 * C, 3 * C, "b", "SSSHH");
    EXPECT(5 * C, 3 * C + 1, "b", "SSSRH"); /* its short chunk has another length now */
    EXPECT(5 * C, 3 * C, "b", "SSSRH", {3 * C, 1, true});
    EXPECT(3 * C, 5 * C, "b", "SSS"); /* shrunk */
    EXPECT(3 * C + 1, 5 * C, "b", "SSSR");
    EXPECT(3 * C + 2, 3 * C + 1, "b", "SSSR");
    EXPECT(2, 1, "b", "R");
    EXPECT(5 * C, 0, "b", "HHHHH");
    EXPECT(0, 5 * C, "b", "");
}

static void windows(void **state)
{
    (void)state;
    struct scripted driver;
    struct nacre_err e = {0};
    const uint64_t window = 65536ull * C;
    /* a discard and data that cross the border between two questions */
    const struct nacre_extent extents[] = {{window - 2 * C, 4 * C, false}, {2 * window - 1, 2, true}};
    CLEANUP(chunk_map_free) struct chunk_map *map = NULL;
    scripted_init(&driver);
    driver.bytes = 3 * window + 5;
    driver.extents = extents;
    driver.extent_count = 2;
    driver.base_wanted = "b";
    assert_int_equal(
        0, chunk_map_new(&driver.base, (struct nacre_block *)&driver, "b", driver.bytes, C, &map, &e));
    assert_int_equal(4, driver.extents_calls);
    assert_int_equal(4, chunk_map_count_state(map, CHUNK_HOLE));
    assert_int_equal(2, chunk_map_count_state(map, CHUNK_READ));
    assert_int_equal(CHUNK_SAME, chunk_map_get(map, 65533));
    assert_int_equal(CHUNK_HOLE, chunk_map_get(map, 65534));
    assert_int_equal(CHUNK_HOLE, chunk_map_get(map, 65537));
    assert_int_equal(CHUNK_READ, chunk_map_get(map, 2 * 65536ull - 1));
    assert_int_equal(CHUNK_READ, chunk_map_get(map, 2 * 65536ull));
}

/* What the rules say, told byte by byte. */
static enum chunk_state model_state(const uint8_t *mark, uint64_t bytes, uint64_t base_bytes, uint64_t chunk)
{
    uint64_t from = chunk * C, to = from + C < bytes ? from + C : bytes, data = 0, discarded = 0;
    for (uint64_t i = from; i < to; i++) {
        data += mark[i] == 2;
        discarded += mark[i] == 1;
    }
    if (data)
        return CHUNK_READ;
    bool cut = base_bytes != bytes &&
               ((base_bytes > from && base_bytes < to) || (base_bytes >= to && to - from < C));
    if (discarded == to - from && !cut)
        return CHUNK_HOLE;
    if (discarded || cut)
        return CHUNK_READ;
    return from >= base_bytes ? CHUNK_HOLE : CHUNK_SAME;
}

static uint64_t below(uint64_t n) /* xorshift: the same numbers in every run */
{
    static uint64_t seed = 88172645463325252ull;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static void random_extents(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        struct nacre_extent extents[64];
        uint8_t mark[32 * C] = {0};
        size_t count = 0;
        uint64_t bytes = 1 + below(32 * C), base_bytes = below(3) ? bytes : below(32 * C);
        for (uint64_t at = below(3 * C); at < bytes && count < 64;) {
            uint64_t length = 1 + below(below(4) ? 3 * C : 40);
            length = length < bytes - at ? length : bytes - at;
            extents[count] = (struct nacre_extent){at, length, below(2)};
            memset(mark + at, extents[count].data ? 2 : 1, length);
            count++;
            at += length + (below(2) ? 0 : below(4 * C));
        }
        struct scripted driver;
        struct nacre_err e = {0};
        CLEANUP(chunk_map_free) struct chunk_map *map = NULL;
        scripted_init(&driver);
        driver.bytes = bytes;
        driver.extents = extents;
        driver.extent_count = count;
        driver.base_wanted = "b";
        assert_int_equal(
            0, chunk_map_new(&driver.base, (struct nacre_block *)&driver, "b", base_bytes, C, &map, &e));
        for (uint64_t i = 0; i < chunk_map_count(map); i++)
            assert_int_equal(model_state(mark, bytes, base_bytes, i), chunk_map_get(map, i));
    }
}

static void errors(void **state)
{
    (void)state;
    struct scripted driver;
    struct nacre_err e = {0};
    struct chunk_map *map = NULL;
    scripted_init(&driver);
    driver.bytes = 10 * C;
    assert_int_equal(-1, chunk_map_new(&driver.base, (struct nacre_block *)&driver, "gone", 1, C, &map, &e));
    assert_int_equal(NACRE_ABSENT, e.code);
    err_set(&driver.extents_error, NACRE_UNSUPPORTED, "the object map is invalid");
    assert_int_equal(-1, chunk_map_new(&driver.base, (struct nacre_block *)&driver, "b", 1, C, &map, &e));
    assert_int_equal(NACRE_UNSUPPORTED, e.code);
    driver.bytes = UINT64_MAX;
    assert_int_equal(-1, chunk_map_new(&driver.base, (struct nacre_block *)&driver, "b", 1, C, &map, &e));
    assert_int_equal(NACRE_INVALID, e.code);
    assert_null(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_base), cmocka_unit_test(with_base), cmocka_unit_test(discarded),
        cmocka_unit_test(resized),      cmocka_unit_test(windows),   cmocka_unit_test(random_extents),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* gzip in memory: what gunzip reads, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "kubernetes/gzip.h"

static void expect(const void *packed, size_t size, size_t limit, const char *plain, enum nacre_code code)
{
    CLEANUP(buf_free) struct buf out = {0};
    struct nacre_err e = {0};
    int result = gzip_unpack(packed, size, limit, &out, &e);
    assert_int_equal(plain ? 0 : -1, result);
    if (plain) {
        assert_int_equal(strlen(plain), out.size);
        assert_memory_equal(plain, out.size ? (const char *)out.data : "", out.size);
    } else {
        assert_int_equal(code, e.code);
    }
}

static void round_trip(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf empty = {0}, word = {0}, again = {0};
    assert_int_equal(0, gzip_pack("", 0, &empty, &e));
    assert_int_equal(0, gzip_pack("mother-of-pearl", 15, &word, &e));
    assert_int_equal(0, gzip_pack("mother-of-pearl", 15, &again, &e));
    assert_int_equal(word.size, again.size);
    assert_memory_equal(word.data, again.data, word.size);
    expect(empty.data, empty.size, 0, "", NACRE_OK);
    expect(word.data, word.size, 15, "mother-of-pearl", NACRE_OK);
    buf_append(&again, word.data, word.size);
    expect(again.data, again.size, 30, "mother-of-pearlmother-of-pearl", NACRE_OK);
}

/* What the gzip program wrote; and it reads what we wrote. */
static void the_real_gzip(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf packed = {0};
    FILE *gzip = popen("printf 'layer on layer' | gzip -9", "r");
    assert_non_null(gzip);
    void *at = buf_reserve(&packed, 4096);
    buf_commit(&packed, fread(at, 1, 4096, gzip));
    assert_int_equal(0, pclose(gzip));
    expect(packed.data, packed.size, 100, "layer on layer", NACRE_OK);
    buf_clear(&packed);
    assert_int_equal(0, gzip_pack("layer on layer", 14, &packed, &e));
    FILE *gunzip = popen("test \"$(gzip -dc)\" = 'layer on layer'", "w");
    assert_non_null(gunzip);
    assert_int_equal(packed.size, fwrite(packed.data, 1, packed.size, gunzip));
    assert_int_equal(0, pclose(gunzip));
}

static void refused(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf packed = {0}, zeros = {0}, bomb = {0};
    assert_int_equal(0, gzip_pack("mother-of-pearl", 15, &packed, &e));
    expect("", 0, 100, NULL, NACRE_CORRUPT);
    expect("plain text", 10, 100, NULL, NACRE_CORRUPT);
    for (size_t cut = 1; cut < packed.size; cut++)
        expect(packed.data, cut, 100, NULL, NACRE_CORRUPT);
    expect(packed.data, packed.size, 14, NULL, NACRE_CORRUPT); /* one byte more than allowed */
    for (size_t i = packed.size - 8; i < packed.size; i++) {   /* checksum and length */
        packed.data[i] ^= 1;
        expect(packed.data, packed.size, 100, NULL, NACRE_CORRUPT);
        packed.data[i] ^= 1;
    }
    buf_string(&packed, "rubbish");
    expect(packed.data, packed.size, 100, NULL, NACRE_CORRUPT);
    memset(buf_reserve(&zeros, 64 << 20), 0, 64 << 20);
    buf_commit(&zeros, 64 << 20);
    assert_int_equal(0, gzip_pack(zeros.data, zeros.size, &bomb, &e));
    assert_true(bomb.size < 1 << 20);
    expect(bomb.data, bomb.size, 1 << 20, NULL, NACRE_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(the_real_gzip),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

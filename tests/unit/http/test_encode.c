/* SPDX-License-Identifier: Apache-2.0 */
/* Spellings and digests against published values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "http/encode.h"

static void expect_text(struct buf *b, const char *expected)
{
    assert_false(buf_failed(b));
    assert_string_equal(b->size ? (char *)b->data : "", expected);
    buf_free(b);
}

static void percent(void **state)
{
    (void)state;
    struct buf b = {0};
    encode_percent(&b, "a/b c~d+\xc3\xa9", false);
    expect_text(&b, "a%2Fb%20c~d%2B%C3%A9");
    encode_percent(&b, "a/b", true);
    expect_text(&b, "a/b");
}

/* RFC 4648, section 10. */
static void base64(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                                           {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        encode_base64(&b, pairs[i][0], strlen(pairs[i][0]));
        expect_text(&b, pairs[i][1]);
    }
    buf_string(&b, "x=");
    encode_base64url(&b, "\xfb\xff\xfe", 4); /* with the NUL */
    expect_text(&b, "x=-__-AA");
}

/* RFC 9110, section 5.6.7. */
static void dates(void **state)
{
    (void)state;
    char text[HTTP_DATE_SIZE];
    encode_http_date(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(decode_http_date(text), 784111777);
    static const char *const wrong[] = {"",
                                        "Sun",
                                        "Sun, 06 Xyz 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 06 anF 1994 08:49:37 GMT",
                                        "123456789"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(decode_http_date(wrong[i]), -1);
}

static int read_piece(void *ctx, uint64_t offset, void *out, size_t size, struct nacre_err *e)
{
    (void)e;
    memcpy(out, (const char *)ctx + offset, size);
    return 0;
}

static int read_fails(void *ctx, uint64_t offset, void *out, size_t size, struct nacre_err *e)
{
    (void)ctx;
    (void)offset;
    (void)out;
    (void)size;
    return err_set(e, NACRE_CORRUPT, "unreadable");
}

/* RFC 3720, appendix B.4; RFC 1321, appendix A.5; FIPS 180-2, appendix B.1. */
static void digests(void **state)
{
    (void)state;
    struct nacre_err e;
    uint8_t md5[MD5_SIZE], sha256[SHA256_SIZE], zeros[32] = {0};
    uint32_t crc;
    char hex[65];
    assert_int_equal(crc32c_more(0, zeros, sizeof zeros), 0x8a9136aa);
    assert_int_equal(crc32c_more(crc32c_more(0, "1234", 4), "56789", 5), 0xe3069283);
    struct nacre_input input = {.size = 5, .data = "xabcx"};
    for (int streamed = 0; streamed < 2; streamed++) {
        assert_int_equal(
            digest_input(&input, 1, 3, &(struct digests){.md5 = md5, .sha256 = sha256, .crc32c = &crc}, &e),
            0);
        hex_encode(md5, sizeof md5, hex);
        assert_string_equal(hex, "900150983cd24fb0d6963f7d28e17f72");
        hex_encode(sha256, sizeof sha256, hex);
        assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_int_equal(crc, crc32c_more(0, "abc", 3));
        input = (struct nacre_input){.size = 5, .read = read_piece, .ctx = "xabcx"};
    }
    input.read = read_fails;
    assert_int_equal(digest_input(&input, 0, 5, &(struct digests){.crc32c = &crc}, &e), -1);
    assert_int_equal(e.code, NACRE_CORRUPT);
}

/* Longer than a piece, in memory and streamed. */
static void large_digest(void **state)
{
    (void)state;
    struct nacre_err e;
    const size_t size = ((size_t)3 << 20) + 17;
    char *data = malloc(size);
    uint32_t whole, streamed;
    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + i / 1000);
    struct nacre_input memory = {.size = size, .data = data};
    struct nacre_input reading = {.size = size, .read = read_piece, .ctx = data};
    assert_int_equal(digest_input(&memory, 0, size, &(struct digests){.crc32c = &whole}, &e), 0);
    assert_int_equal(digest_input(&reading, 0, size, &(struct digests){.crc32c = &streamed}, &e), 0);
    assert_int_equal(whole, streamed);
    data[size - 1] ^= 1;
    assert_int_equal(digest_input(&reading, 0, size, &(struct digests){.crc32c = &streamed}, &e), 0);
    assert_int_not_equal(whole, streamed);
    free(data);
}

/* RFC 4231, test case 2. */
static void hmac(void **state)
{
    (void)state;
    uint8_t out[SHA256_SIZE];
    char hex[65];
    assert_true(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out));
    hex_encode(out, sizeof out, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent), cmocka_unit_test(base64),       cmocka_unit_test(dates),
        cmocka_unit_test(digests), cmocka_unit_test(large_digest), cmocka_unit_test(hmac),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

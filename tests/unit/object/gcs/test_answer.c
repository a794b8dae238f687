/* SPDX-License-Identifier: Apache-2.0 */
/* What the service's answers say, and answers that say nothing. */
#include "fixture.h"

static int read_object(const char *text, struct answer_object *out, struct nacre_err *e)
{
    return answer_object(text, strlen(text), out, e);
}

static void objects(void **state)
{
    struct nacre_err e;
    struct answer_object o;
    (void)state;
    assert_ok(
        read_object("{\"size\":\"12345678901\",\"generation\":\"1700000000000001\",\"crc32c\":\"AQIDBA==\","
                    "\"timeCreated\":\"2026-01-02T03:04:05.678Z\",\"updated\":\"2026-02-02T00:00:00Z\"}",
                    &o, &e));
    assert_int_equal(o.size, 12345678901);
    assert_int_equal(o.generation, 1700000000000001);
    assert_true(o.has_crc32c);
    assert_int_equal(o.crc32c, 0x01020304);
    assert_int_equal(o.modified_ns, INT64_C(1767323045678000000));
    assert_ok(read_object("{\"size\":\"0\",\"updated\":\"2026-01-02T03:04:05Z\"}", &o, &e));
    assert_int_equal(o.modified_ns, INT64_C(1767323045000000000));
    assert_false(o.has_crc32c);
    static const char *const bad[] = {
        "",
        "[]",
        "<html>",
        "{}",
        "{\"size\":5}",
        "{\"size\":\"\"}",
        "{\"size\":\"-1\"}",
        "{\"size\":\"1x\"}",
        "{\"size\":\"9223372036854775808\"}",
        "{\"size\":\"99999999999999999999999\"}",
        "{\"size\":\"1\",\"crc32c\":\"AQIDBA=\"}",
        "{\"size\":\"1\",\"crc32c\":\"AQIDBAUG\"}",
        "{\"size\":\"1\",\"generation\":\"x\"}",
        "{\"size\":\"1\",\"updated\":\"yesterday\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(read_object(bad[i], &o, &e), NACRE_TRANSIENT, "cannot be read");
}

static int join(void *ctx, const struct answer_object *object, struct nacre_err *e)
{
    struct buf *out = ctx;
    (void)e;
    buf_printf(out, "%s=%llu ", object->name, (unsigned long long)object->size);
    return !strcmp(object->name, "stop");
}

static int read_page(const char *text, struct buf *names, struct buf *next, struct nacre_err *e)
{
    buf_clear(names);
    buf_clear(next);
    return answer_page(text, strlen(text), join, names, next, e);
}

static void pages(void **state)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf names = {0};
    CLEANUP(buf_free) struct buf next = {0};
    (void)state;
    assert_ok(
        read_page("{\"items\":[{\"name\":\"a\",\"size\":\"1\"},{\"name\":\"b/\\u00e4\",\"size\":\"2\"}],"
                  "\"nextPageToken\":\"t/=\"}",
                  &names, &next, &e));
    assert_string_equal((char *)names.data, "a=1 b/\xc3\xa4=2 ");
    assert_string_equal((char *)next.data, "t/=");
    assert_ok(read_page("{}", &names, &next, &e));
    assert_int_equal(names.size + next.size, 0);
    assert_int_equal(
        read_page("{\"items\":[{\"name\":\"stop\",\"size\":\"1\"},{\"name\":\"b\",\"size\":\"2\"}]}", &names,
                  &next, &e),
        1);
    assert_string_equal((char *)names.data, "stop=1 ");
    static const char *const bad[] = {"", "{\"items\":{}}", "{\"items\":[1]}",
                                      "{\"items\":[{\"size\":\"1\"}]}", "{\"nextPageToken\":7}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(read_page(bad[i], &names, &next, &e), NACRE_TRANSIENT, "cannot be read");
}

static void ranges(void **state)
{
    uint64_t a = 0, b = 0, c = 0;
    (void)state;
    assert_true(answer_stored("bytes=0-262143", &a));
    assert_int_equal(a, 262144);
    assert_true(answer_stored("bytes=0-0", &a));
    assert_int_equal(a, 1);
    static const char *const not_stored[] = {"", "bytes=0-", "bytes=1-5", "0-5", "bytes=0-5x", "bytes=0--5"};
    for (size_t i = 0; i < sizeof not_stored / sizeof *not_stored; i++)
        assert_false(answer_stored(not_stored[i], &a));
    assert_true(answer_range("bytes 5-9/10", &a, &b, &c));
    assert_int_equal(a * 10000 + b * 100 + c, 50910);
    static const char *const no_range[] = {
        "", "bytes 5-10/10", "bytes 6-5/10", "bytes */10", "bytes 5-9/*", "5-9/10", "bytes 5-9/10x"};
    for (size_t i = 0; i < sizeof no_range / sizeof *no_range; i++)
        assert_false(answer_range(no_range[i], &a, &b, &c));
}

static void hashes(void **state)
{
    uint32_t crc = 0;
    (void)state;
    assert_true(answer_hash("HTTP/1.1 200 OK\nX-Goog-Hash: crc32c=AQIDBA==,md5=xx\n", &crc));
    assert_int_equal(crc, 0x01020304);
    assert_true(answer_hash("x-goog-hash: md5=xx, crc32c=AAAAAQ==\n", &crc));
    assert_int_equal(crc, 1);
    assert_true(answer_hash("x-goog-hash: md5=xx\nx-goog-hash: crc32c=AAAAAg==", &crc));
    assert_int_equal(crc, 2);
    assert_false(answer_hash("", &crc));
    assert_false(answer_hash("x-goog-hash: md5=xx\n", &crc));
    assert_false(answer_hash("x-goog-hash: crc32c=AAAAAg\n", &crc));
    assert_false(answer_hash("etag: crc32c=AAAAAg==\n", &crc));
}

static void check_complaint(const char *text, const char *reason, const char *message)
{
    struct answer_complaint c;
    answer_complaint(text, strlen(text), &c);
    assert_string_equal(c.reason, reason);
    assert_string_equal(c.message, message);
}

static void complaints(void **state)
{
    (void)state;
    check_complaint(
        "{\"error\":{\"code\":404,\"message\":\"Not there\",\"errors\":[{\"reason\":\"notFound\"}]}}",
        "notFound", "Not there");
    check_complaint("{\"error\":{\"code\":403,\"message\":\"No\",\"status\":\"PERMISSION_DENIED\"}}",
                    "PERMISSION_DENIED", "No");
    check_complaint("{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT\"}", "invalid_grant",
                    "Invalid JWT");
    check_complaint("Not Found", "", "");
    check_complaint("{\"error\":[1]}", "", "");
    check_complaint("", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects), cmocka_unit_test(pages),      cmocka_unit_test(ranges),
        cmocka_unit_test(hashes),  cmocka_unit_test(complaints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket URLs, and XML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "http/location.h"
#include "http/xml.h"

static void expect_url(const char *url, const char *bucket, const char *prefix)
{
    struct bucket_url parsed;
    struct nacre_err e;
    assert_int_equal(bucket_url_parse(url, "gs", &parsed, &e), 0);
    assert_string_equal(parsed.bucket, bucket);
    assert_string_equal(parsed.prefix, prefix);
    bucket_url_free(&parsed);
}

static void urls(void **state)
{
    (void)state;
    expect_url("gs://b", "b", "");
    expect_url("gs://b/", "b", "");
    expect_url("gs://my-bucket.example/a//b/", "my-bucket.example", "a/b/");
    static const char *const wrong[] = {"s3://b",           "gs:/b",      "gs://",         "gs:///p",
                                        "gs://user:pw@b/p", "gs://b/p?q", "gs://b/a/../c", "gs://b/a b",
                                        "gs://b#f",         "gs://b/%41"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bucket_url parsed;
        struct nacre_err e;
        assert_int_equal(bucket_url_parse(wrong[i], "gs", &parsed, &e), -1);
        assert_int_equal(e.code, NACRE_INVALID);
        assert_null(strstr(e.message, "pw"));
    }
}

static void names(void **state)
{
    (void)state;
    struct nacre_err e;
    assert_int_equal(object_name_check("data/ab/abc", &e), 0);
    assert_int_equal(object_name_check("data//abc", &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
}

static int note_leaf(void *ctx, const char *path, const char *text, struct nacre_err *e)
{
    (void)e;
    buf_printf(ctx, "%s=%s;", path, text);
    return strstr(path, "stop") ? err_set(e, NACRE_CANCELLED, "stopped") : 0;
}

static int note_end(void *ctx, const char *path, struct nacre_err *e)
{
    (void)e;
    buf_printf(ctx, "/%s;", path);
    return 0;
}

static int read_text(const char *text, struct buf *out, struct nacre_err *e)
{
    return xml_read(text, strlen(text), note_leaf, note_end, out, e);
}

static void xml(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(buf_free) struct buf out = {0};
    assert_int_equal(
        read_text("<?xml version=\"1.0\"?><a xmlns:x=\"u\"><x:b>1 &lt;&#38;</x:b> <c/><d><e>2</e></d></a>",
                  &out, &e),
        0);
    assert_string_equal((char *)out.data, "a/b=1 <&;a/c=;a/d/e=2;/a/d;/a;");
    static const char *const wrong[] = {"",
                                        "<a>",
                                        "<a></b>",
                                        "{}",
                                        "<!DOCTYPE a [<!ENTITY b \"cc\">]><a>&b;</a>",
                                        "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_text(wrong[i], &out, &e), -1);
        assert_int_equal(e.code, NACRE_CORRUPT);
    }
    assert_int_equal(read_text("<a><stop>1</stop><b>2</b></a>", &out, &e), -1);
    assert_int_equal(e.code, NACRE_CANCELLED);
}

static void finds(void **state)
{
    (void)state;
    static const char text[] = "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>";
    CLEANUP(buf_free) struct buf out = {0};
    assert_true(xml_find(text, strlen(text), "Error/Code", &out));
    assert_string_equal((char *)out.data, "NoSuchKey");
    assert_false(xml_find(text, strlen(text), "Error/Resource", &out));
    assert_false(xml_find("nonsense", 8, "Error/Code", &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(urls), cmocka_unit_test(names), cmocka_unit_test(xml),
                                       cmocka_unit_test(finds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as they go out, answers as they may come back: everything but sessions and tokens. */
#include <ctype.h>

#include "fixture.h"

/* The check value of CRC-32C: that of "123456789" is e3069283, in base64 4waSgw==. */
#define DIGITS "123456789"
#define STORED "{\"size\":\"9\",\"generation\":\"77\",\"crc32c\":\"4waSgw==\"}"
#define MULTIPART "/upload/storage/v1/b/b/o?uploadType=multipart&fields=size,crc32c,generation"
#define OBJECT "/storage/v1/b/b/o/p%2Fdata%2Fx"
#define ERROR(code, reason, message)                                                                         \
    "{\"error\":{\"code\":" #code ",\"message\":\"" message "\",\"errors\":[{\"reason\":\"" reason "\"}]}}"

static const struct nacre_input digits = {.size = 9, .data = DIGITS};

static void multipart(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", MULTIPART, "!Authorization", 200, "", STORED});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_ok(store->ops->put(store, "data/x", &digits, &e));
    play_check(&play);
    char boundary[128], expected[1024];
    assert_int_equal(sscanf((char *)play.bodies[0].data, "--%100[0-9a-f]", boundary), 1);
    assert_true(strlen(boundary) >= 32);
    snprintf(expected, sizeof expected,
             "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
             "{\"name\":\"p/data/x\",\"contentType\":\"application/octet-stream\",\"crc32c\":\"4waSgw==\"}"
             "\r\n--%s\r\nContent-Type: application/octet-stream\r\n\r\n" DIGITS "\r\n--%s--\r\n",
             boundary, boundary, boundary);
    assert_string_equal((char *)play.bodies[0].data, expected);
    assert_null(strstr(play.targets[0], "ifGenerationMatch"));
}

static int read_digits(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    (void)ctx, (void)e;
    memcpy(buf, &DIGITS[offset], len);
    return 0;
}

static void only_if_absent(void **state)
{
    struct nacre_err e;
    const struct nacre_input streamed = {.size = 9, .read = read_digits};
    (void)state;
    PLAY(play, {"POST", MULTIPART "&ifGenerationMatch=0", NULL, 200, "", STORED},
         {"POST", MULTIPART "&ifGenerationMatch=0", NULL, 412, "", ERROR(412, "conditionNotMet", "no")});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_ok(store->ops->put_if_absent(store, "data/x", &streamed, &e));
    assert_non_null(strstr((char *)play.bodies[0].data, DIGITS));
    assert_fails(store->ops->put_if_absent(store, "data/x", &digits, &e), NACRE_EXISTS, "gs://b/p/data/x");
    play_check(&play);
}

/* A kept connection closes after the request was read, before its answer. Made again unseen, the request
 * would find what the first one wrote, and take it for another's. */
static void answer_lost(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", MULTIPART, NULL, 200, "", STORED},
         {"POST", MULTIPART, "!Expect", 0, .ending = HANG_UP});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_ok(store->ops->put_if_absent(store, "data/x", &digits, &e));
    assert_int_equal(store->ops->put_if_absent(store, "data/y", &digits, &e), -1);
    assert_int_equal(e.code, NACRE_TRANSIENT);
    play_check(&play);
}

#define WRONG "{\"size\":\"9\",\"generation\":\"77\",\"crc32c\":\"AAAAAA==\"}"
#define LOOK OBJECT "?fields=size,generation,crc32c"

/* Only what is stored wrongly indeed is taken back, and no other generation than that. */
static void wrong_checksum_in_the_answer(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", MULTIPART, NULL, 200, "", WRONG}, {"GET", LOOK, NULL, 200, "", STORED},
         {"POST", MULTIPART, NULL, 200, "", WRONG}, {"GET", LOOK, NULL, 200, "", WRONG},
         {"DELETE", OBJECT "?ifGenerationMatch=77", NULL, 204}, {"POST", MULTIPART, NULL, 200, "", WRONG},
         {"GET", LOOK, NULL, 200, "", "{\"size\":\"1\",\"generation\":\"78\",\"crc32c\":\"AAAAAA==\"}"},
         {"POST", MULTIPART, NULL, 200, "", WRONG}, {"GET", LOOK, NULL, 404, "", ""},
         {"POST", MULTIPART, NULL, 200, "", "{\"size\":\"9\"}"},
         {"POST", MULTIPART, NULL, 400, "", ERROR(400, "invalid", "Provided CRC32C does not match")});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_ok(store->ops->put(store, "data/x", &digits, &e));
    assert_fails(store->ops->put(store, "data/x", &digits, &e), NACRE_TRANSIENT, "checksum 00000000");
    assert_fails(store->ops->put(store, "data/x", &digits, &e), NACRE_TRANSIENT, "stored 1 bytes");
    assert_fails(store->ops->put(store, "data/x", &digits, &e), NACRE_TRANSIENT, "HTTP 404");
    assert_fails(store->ops->put(store, "data/x", &digits, &e), NACRE_UNSUPPORTED, "checksum");
    assert_fails(store->ops->put(store, "data/x", &digits, &e), NACRE_TRANSIENT, "CRC32C");
    play_check(&play);
}

static int collect(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    (void)e;
    buf_append(ctx, data, len);
    return 0;
}

static void get_whole(void **state)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf got = {0};
    (void)state;
    PLAY(play, {"GET", OBJECT "?alt=media", "!Range", 200, "x-goog-hash: crc32c=4waSgw==,md5=x\r\n", DIGITS},
         {"GET", OBJECT "?alt=media", NULL, 404, "", "No such object: b/p/data/x"});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_ok(store->ops->get(store, "data/x", 0, NACRE_TO_END, collect, &got, &e));
    assert_string_equal((char *)got.data, DIGITS);
    assert_fails(store->ops->get(store, "data/x", 0, NACRE_TO_END, collect, &got, &e), NACRE_ABSENT,
                 "gs://b/p/data/x");
    play_check(&play);
}

/* Bytes that came to harm are not handed on; when it was the checksum beside them, they are. */
static void get_harmed(void **state)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf got = {0};
    (void)state;
    PLAY(play, {"GET", OBJECT "?alt=media", NULL, 200, "x-goog-hash: crc32c=4waSgw==\r\n", "123456780"},
         {"GET", OBJECT "?fields=size,crc32c", NULL, 200, "", STORED},
         {"GET", OBJECT "?alt=media", "Range: bytes=0-8", 206,
          "Content-Range: bytes 0-8/9\r\nx-goog-hash: crc32c=4waSgw==\r\n", "023456789"},
         {"GET", OBJECT "?fields=size,crc32c", NULL, 200, "", STORED},
         {"GET", OBJECT "?alt=media", NULL, 200, "x-goog-hash: crc32c=AAAAAA==\r\n", DIGITS},
         {"GET", OBJECT "?fields=size,crc32c", NULL, 200, "", STORED});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_fails(store->ops->get(store, "data/x", 0, NACRE_TO_END, collect, &got, &e), NACRE_TRANSIENT,
                 "checksum");
    assert_fails(store->ops->get(store, "data/x", 0, 9, collect, &got, &e), NACRE_TRANSIENT, "checksum");
    assert_int_equal(got.size, 0);
    assert_ok(store->ops->get(store, "data/x", 0, NACRE_TO_END, collect, &got, &e));
    assert_string_equal((char *)got.data, DIGITS);
    play_check(&play);
}

/* What is too large to be held has been handed on when it turns out to be harmed: to go on with it later
 * would be to believe it. */
static void get_large_harmed(void **state)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf got = {0};
    size_t size = (4 << 20) + 1;
    char *body = malloc(size + 1);
    (void)state;
    assert_non_null(body);
    memset(body, 'x', size);
    body[size] = '\0';
    PLAY(play, {"GET", OBJECT "?alt=media", NULL, 200, "x-goog-hash: crc32c=AAAAAA==\r\n", body},
         {"GET", OBJECT "?fields=size,crc32c", NULL, 200, "",
          "{\"size\":\"4194305\",\"crc32c\":\"AAAAAA==\"}"});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_fails(store->ops->get(store, "data/x", 0, NACRE_TO_END, collect, &got, &e), NACRE_CORRUPT,
                 "checksum");
    assert_int_equal(got.size, size);
    play_check(&play);
    free(body);
}

static void get_range(void **state)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf got = {0};
    (void)state;
    PLAY(play, {"GET", OBJECT, "Range: bytes=2-4", 206, "Content-Range: bytes 2-4/9\r\n", "345"},
         {"GET", OBJECT, "Range: bytes=5-", 206, "Content-Range: bytes 5-8/9\r\n", "6789"},
         {"GET", OBJECT, "Range: bytes=7-9", 206, "Content-Range: bytes 7-8/9\r\n", "89"},
         {"GET", OBJECT, "Range: bytes=2-4", 200, "", DIGITS},
         {"GET", OBJECT, "Range: bytes=2-4", 206, "Content-Range: bytes 3-5/9\r\n", "456"},
         {"GET", OBJECT, "Range: bytes=2-4", 206, "Content-Range: bytes 2-4/9\r\n", "34"},
         {"GET", OBJECT, "Range: bytes=2-4", 206, "Content-Range: bytes 2-4/9\r\n", "3456"},
         {"GET", OBJECT, "Range: bytes=9-", 416, "", ""},
         {"GET", OBJECT "?fields=size", NULL, 200, "", STORED},
         {"GET", OBJECT, "Range: bytes=9-9", 416, "", ""},
         {"GET", OBJECT "?fields=size", NULL, 200, "", STORED});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_ok(store->ops->get(store, "data/x", 2, 3, collect, &got, &e));
    assert_string_equal((char *)got.data, "345");
    buf_clear(&got);
    assert_ok(store->ops->get(store, "data/x", 5, NACRE_TO_END, collect, &got, &e));
    assert_string_equal((char *)got.data, "6789");
    buf_clear(&got);
    assert_fails(store->ops->get(store, "data/x", 7, 3, collect, &got, &e), NACRE_INVALID, "has 9 bytes");
    assert_fails(store->ops->get(store, "data/x", 2, 3, collect, &got, &e), NACRE_UNSUPPORTED,
                 "ignores ranges");
    assert_fails(store->ops->get(store, "data/x", 2, 3, collect, &got, &e), NACRE_TRANSIENT, "another range");
    assert_int_equal(got.size, 0);
    assert_fails(store->ops->get(store, "data/x", 2, 3, collect, &got, &e), NACRE_TRANSIENT, "2 of 3");
    assert_fails(store->ops->get(store, "data/x", 2, 3, collect, &got, &e), NACRE_TRANSIENT, "longer");
    assert_ok(store->ops->get(store, "data/x", 9, NACRE_TO_END, collect, &got, &e));
    assert_fails(store->ops->get(store, "data/x", 9, 1, collect, &got, &e), NACRE_INVALID, "has 9 bytes");
    play_check(&play);
}

static void stat_and_remove(void **state)
{
    struct nacre_err e;
    struct nacre_object_info info;
    (void)state;
    PLAY(play,
         {"GET", OBJECT "?fields=size,timeCreated,updated", NULL, 200, "",
          "{\"size\":\"9\",\"timeCreated\":\"2026-01-02T03:04:05Z\"}"},
         {"GET", OBJECT, NULL, 404, "", ERROR(404, "notFound", "No such object: b/p/data/x")},
         {"DELETE", OBJECT, NULL, 204},
         {"DELETE", OBJECT, NULL, 404, "", ERROR(404, "notFound", "No such object")},
         {"DELETE", OBJECT, NULL, 404, "", ERROR(404, "notFound", "The specified bucket does not exist.")},
         {"GET", OBJECT, NULL, 200, "", "<html>hello</html>"});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_ok(store->ops->stat(store, "data/x", &info, &e));
    assert_int_equal(info.size, 9);
    assert_int_equal(info.modified_ns, INT64_C(1767323045000000000));
    assert_fails(store->ops->stat(store, "data/x", &info, &e), NACRE_ABSENT, "No such object");
    assert_null(strstr(e.message, "bucket"));
    assert_ok(store->ops->remove(store, "data/x", &e));
    assert_fails(store->ops->remove(store, "data/x", &e), NACRE_ABSENT, "No such object");
    assert_fails(store->ops->remove(store, "data/x", &e), NACRE_FAILED, "the bucket b does not exist");
    assert_fails(store->ops->stat(store, "data/x", &info, &e), NACRE_TRANSIENT, "cannot be read");
    play_check(&play);
}

static int join(void *ctx, const struct nacre_object_info *info)
{
    buf_printf(ctx, "%s=%llu ", info->name, (unsigned long long)info->size);
    return !strcmp(info->name, "stop");
}

#define LIST "/storage/v1/b/b/o?maxResults=1000&fields=nextPageToken,items(name,size,timeCreated,updated)"

static void list_pages(void **state)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf names = {0};
    (void)state;
    PLAY(play,
         {"GET", LIST "&prefix=p%2Fdata%2F", NULL, 200, "",
          "{\"items\":[{\"name\":\"p/data/a\",\"size\":\"1\"},{\"name\":\"p/data/a b\",\"size\":\"7\"}],"
          "\"nextPageToken\":\"x/y+z=\"}"},
         {"GET", LIST "&prefix=p%2Fdata%2F&pageToken=x%2Fy%2Bz%3D", NULL, 200, "",
          "{\"nextPageToken\":\"2\"}"},
         {"GET", LIST "&prefix=p%2Fdata%2F&pageToken=2", NULL, 200, "",
          "{\"items\":[{\"name\":\"p/data/b\",\"size\":\"2\"}]}"},
         {"GET", LIST "&prefix=p%2F", NULL, 200, "",
          "{\"items\":[{\"name\":\"p/stop\",\"size\":\"1\"},{\"name\":\"p/z\",\"size\":\"2\"}],"
          "\"nextPageToken\":\"1\"}"});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_ok(store->ops->list(store, "data/", join, &names, &e));
    assert_string_equal((char *)names.data, "data/a=1 data/b=2 ");
    buf_clear(&names);
    assert_ok(store->ops->list(store, "", join, &names, &e));
    assert_string_equal((char *)names.data, "stop=1 ");
    play_check(&play);
}

static void bad_listings(void **state)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf names = {0};
    (void)state;
    PLAY(play,
         {"GET", LIST, NULL, 200, "",
          "{\"items\":[{\"name\":\"p/b\",\"size\":\"1\"},{\"name\":\"p/a\",\"size\":\"7\"}]}"},
         {"GET", LIST, NULL, 200, "", "{\"items\":[{\"name\":\"q/b\",\"size\":\"1\"}]}"},
         {"GET", LIST, NULL, 200, "", "{\"nextPageToken\":\"1\"}"},
         {"GET", LIST, NULL, 200, "", "{\"nextPageToken\":\"1\"}"},
         {"GET", LIST, NULL, 404, "", ERROR(404, "notFound", "The specified bucket does not exist.")});
    CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
    assert_fails(store->ops->list(store, "", join, &names, &e), NACRE_FAILED, "out of order");
    assert_fails(store->ops->list(store, "", join, &names, &e), NACRE_TRANSIENT, "not asked for");
    assert_fails(store->ops->list(store, "", join, &names, &e), NACRE_TRANSIENT, "no next page");
    assert_fails(store->ops->list(store, "", join, &names, &e), NACRE_FAILED,
                 "gcloud storage buckets create gs://b");
    play_check(&play);
}

/* Each refusal with its code and what to do. */
static void refusals(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum nacre_code code;
        const char *words;
    } cases[] = {
        {403, ERROR(403, "forbidden", "x@y does not have storage.objects.create access"), NACRE_DENIED,
         "nacre is anonymous here"},
        {401, ERROR(401, "required", "Anonymous caller does not have access"), NACRE_DENIED, "not public"},
        {403, ERROR(403, "accountDisabled", "The billing account is disabled"), NACRE_DENIED,
         "enable billing"},
        {403, ERROR(403, "accessNotConfigured", "not used before"), NACRE_DENIED, "enable the API"},
        {403, ERROR(403, "forbidden", "x does not have serviceusage.services.use access"), NACRE_DENIED,
         "serviceUsageConsumer"},
        {403, ERROR(403, "retentionPolicyNotMet", "Object is subject to the policy"), NACRE_DENIED,
         "retention"},
        {400, ERROR(400, "required", "Bucket is a requester pays bucket but no user project provided."),
         NACRE_DENIED, "set user-project"},
        {403, ERROR(403, "rateLimitExceeded", "slow down"), NACRE_THROTTLED, "rateLimitExceeded"},
        {429, ERROR(429, "rateLimitExceeded", "The object exceeded the rate limit"), NACRE_THROTTLED,
         "rate limit"},
        {503, ERROR(503, "backendError", "again"), NACRE_THROTTLED, "backendError"},
        {500, "", NACRE_TRANSIENT, "HTTP 500"},
        {409, ERROR(409, "conflict", "at the same time"), NACRE_TRANSIENT, "conflict"},
        {404, ERROR(404, "notFound", "The specified bucket does not exist."), NACRE_FAILED,
         "check its spelling"},
        {400, ERROR(400, "invalid", "bad"), NACRE_FAILED, "invalid: bad"},
    };
    struct nacre_err e;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        PLAY(play, {"POST", MULTIPART, NULL, cases[i].status, "Retry-After: 3\r\n", cases[i].body});
        CLEANUP(store_close) struct nacre_object_store *store = open_anonymous(&play);
        assert_fails(store->ops->put(store, "data/x", &digits, &e), cases[i].code, cases[i].words);
        assert_non_null(strstr(e.message, "cannot write gs://b/p/data/x"));
        assert_int_equal(e.retry_after_ms, e.code == NACRE_THROTTLED ? 3000 : 0);
        play_check(&play);
    }
}

static void options(void **state)
{
    struct nacre_err e;
    struct nacre_object_store *store = NULL;
    (void)state;
    assert_fails(open_store(NULL, &store, &e, "anonymus", "true", NULL), NACRE_INVALID, "anonymus");
    assert_fails(open_store(NULL, &store, &e, "anonymous", "yes", NULL), NACRE_INVALID, "true or false");
    assert_fails(open_store(NULL, &store, &e, "anonymous", "true", "credentials", "/x", NULL), NACRE_INVALID,
                 "not both");
    assert_fails(open_store(NULL, &store, &e, "chunk-size", "1000000", NULL), NACRE_INVALID, "262144");
    assert_fails(open_store(NULL, &store, &e, "chunk-size", "0", NULL), NACRE_INVALID, "262144");
    assert_fails(open_store(NULL, &store, &e, "upload-threshold", "-1", NULL), NACRE_INVALID, "262144");
    assert_fails(open_store("ftp://x", &store, &e, NULL), NACRE_INVALID, "endpoint");
    assert_fails(open_store("https://u:p@x", &store, &e, NULL), NACRE_INVALID, "endpoint");
    assert_fails(open_store("https:///", &store, &e, NULL), NACRE_INVALID, "endpoint");
    assert_fails(open_store(NULL, &store, &e, "stall-timeout", "x", NULL), NACRE_INVALID, "stall-timeout");
}

static void check_endpoint(const char *given, const char *variable, const char *expected)
{
    struct nacre_err e;
    CLEANUP(store_close) struct nacre_object_store *store = NULL;
    if (variable)
        setenv("STORAGE_EMULATOR_HOST", variable, 1);
    assert_ok(open_store(given, &store, &e, "anonymous", "true", NULL));
    assert_string_equal(((struct gcs_store *)store)->endpoint, expected);
}

static void endpoints(void **state)
{
    (void)state;
    check_endpoint(NULL, NULL, "https://storage.googleapis.com");
    check_endpoint("https://x.example/", NULL, "https://x.example");
    check_endpoint("x.example:99/storage/v1/", NULL, "https://x.example:99");
    check_endpoint(NULL, "localhost:9023", "http://localhost:9023");
    check_endpoint(NULL, "https://localhost:9023//", "https://localhost:9023");
    check_endpoint("http://y", "localhost:9023", "http://y");
}

static void user_project(void **state)
{
    struct nacre_err e;
    struct nacre_object_info info;
    (void)state;
    PLAY(play, {"GET", OBJECT, "x-goog-user-project: mine", 200, "", "{\"size\":\"9\"}"});
    CLEANUP(store_close) struct nacre_object_store *store = NULL;
    assert_ok(
        open_store(server_url(play.server), &store, &e, "anonymous", "true", "user-project", "mine", NULL));
    assert_ok(store->ops->stat(store, "data/x", &info, &e));
    play_check(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(multipart, clean_environment),
        cmocka_unit_test_setup(only_if_absent, clean_environment),
        cmocka_unit_test_setup(answer_lost, clean_environment),
        cmocka_unit_test_setup(wrong_checksum_in_the_answer, clean_environment),
        cmocka_unit_test_setup(get_whole, clean_environment),
        cmocka_unit_test_setup(get_harmed, clean_environment),
        cmocka_unit_test_setup(get_large_harmed, clean_environment),
        cmocka_unit_test_setup(get_range, clean_environment),
        cmocka_unit_test_setup(stat_and_remove, clean_environment),
        cmocka_unit_test_setup(list_pages, clean_environment),
        cmocka_unit_test_setup(bad_listings, clean_environment),
        cmocka_unit_test_setup(refusals, clean_environment),
        cmocka_unit_test_setup(options, clean_environment),
        cmocka_unit_test_setup(endpoints, clean_environment),
        cmocka_unit_test_setup(user_project, clean_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

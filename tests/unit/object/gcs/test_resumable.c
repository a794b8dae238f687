/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: pieces, what the service kept of them, everything that can go wrong between. */
#include "common/json.h"
#include "fixture.h"
#include "http/encode.h"

#define KIB256 ((size_t)262144)
#define SIZE (2 * KIB256 + 1000) /* three pieces of 256 KiB */
#define BEGIN "/upload/storage/v1/b/b/o?uploadType=resumable"
#define SESSION "/upload/storage/v1/b/b/o?upload_id=secret-1"
#define LOCATION "Location: @" SESSION "\r\n"
#define FIRST "Content-Range: bytes 0-262143/525288"
#define SECOND "Content-Range: bytes 262144-524287/525288"
#define THIRD "Content-Range: bytes 524288-525287/525288"
#define QUERY "Content-Range: bytes */525288"
#define HAS(n) "Range: bytes=0-" #n "\r\n"

/* A connection breaks before the answer. */
#define BROKEN(range)                                                                                        \
    {                                                                                                        \
        "PUT", SESSION, range, 0, .ending = RESET                                                            \
    }

static char content[SIZE];
static char stored[128]; /* the right answer to the last piece */

static int setup(void **state)
{
    struct buf crc = {0};
    for (size_t i = 0; i < SIZE; i++)
        content[i] = (char)(i * 31 % 251);
    uint32_t value = __builtin_bswap32(crc32c_more(0, content, SIZE));
    json_append_base64(&crc, &value, sizeof value);
    snprintf(stored, sizeof stored, "{\"size\":\"%zu\",\"generation\":\"5\",\"crc32c\":%s}", SIZE,
             (char *)crc.data);
    buf_free(&crc);
    return clean_environment(state);
}

static int put(const struct play *play, bool only_if_absent, struct nacre_err *e)
{
    CLEANUP(store_close) struct nacre_object_store *store = open_resumable(play);
    const struct nacre_input input = {.size = SIZE, .data = content};
    return only_if_absent ? store->ops->put_if_absent(store, "data/x", &input, e)
                          : store->ops->put(store, "data/x", &input, e);
}

static void in_pieces(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, "X-Upload-Content-Length: 525288", 200, LOCATION, ""},
         {"PUT", SESSION, FIRST, 308, HAS(262143), ""}, {"PUT", SESSION, SECOND, 308, HAS(524287), ""},
         {"PUT", SESSION, THIRD, 200, "", stored});
    assert_ok(put(&play, false, &e));
    play_check(&play);
    assert_non_null(strstr((char *)play.bodies[0].data, "\"crc32c\":"));
    assert_non_null(strstr(play.targets[0], "&name=p%2Fdata%2Fx"));
    assert_null(strstr(play.targets[0], "ifGenerationMatch"));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(play.bodies[1 + i].size, i < 2 ? KIB256 : 1000);
        assert_memory_equal(play.bodies[1 + i].data, content + i * KIB256, play.bodies[1 + i].size);
    }
    assert_null(strstr(logged(), "secret-1"));
}

/* The service kept less than it was sent: what is missing is sent again, and nothing else. */
static void kept_less(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 308, "", ""},
         {"PUT", SESSION, FIRST, 308, HAS(99999), ""},
         {"PUT", SESSION, "Content-Range: bytes 100000-362143/525288", 308, HAS(362143), ""},
         {"PUT", SESSION, "Content-Range: bytes 362144-525287/525288", 200, "", stored});
    assert_ok(put(&play, false, &e));
    play_check(&play);
    assert_memory_equal(play.bodies[3].data, content + 100000, KIB256);
}

static void asks_after_a_failure(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 503, "", ""},
         {"PUT", SESSION, QUERY, 308, "", ""}, BROKEN(FIRST), {"PUT", SESSION, QUERY, 308, HAS(262143), ""},
         {"PUT", SESSION, SECOND, 429, "", ""}, {"PUT", SESSION, QUERY, 500, "", ""},
         {"PUT", SESSION, QUERY, 308, HAS(524287), ""}, BROKEN(THIRD),
         {"PUT", SESSION, QUERY, 200, "", stored});
    assert_ok(put(&play, true, &e));
    play_check(&play);
    assert_non_null(strstr(play.targets[0], "&ifGenerationMatch=0"));
}

static void session_lost(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 308, HAS(262143), ""},
         {"PUT", SESSION, SECOND, 410, "", ""}, {"POST", BEGIN, NULL, 200, LOCATION, ""},
         {"PUT", SESSION, FIRST, 404, "", ""}, {"POST", BEGIN, NULL, 200, LOCATION, ""},
         {"PUT", SESSION, FIRST, 308, HAS(262143), ""}, {"PUT", SESSION, SECOND, 308, HAS(524287), ""},
         {"PUT", SESSION, THIRD, 201, "", stored});
    assert_ok(put(&play, false, &e));
    play_check(&play);
}

static void sessions_are_bounded(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 410, "", ""},
         {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 410, "", ""},
         {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 410, "", ""},
         {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 410, "", ""},
         {"DELETE", SESSION, NULL, 499, "", ""});
    assert_fails(put(&play, false, &e), NACRE_TRANSIENT, "the session to upload in is gone");
    play_check(&play);
}

/* A service that fails for ever: an end, and nothing is left of the session. */
static void gives_up(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 503, "", ""},
         {"PUT", SESSION, QUERY, 503, "", ""}, {"PUT", SESSION, QUERY, 503, "", ""},
         {"PUT", SESSION, QUERY, 503, "", ""}, {"PUT", SESSION, QUERY, 503, "", ""},
         {"DELETE", SESSION, "Content-Length: 0", 499, "", ""});
    assert_fails(put(&play, false, &e), NACRE_THROTTLED, "gs://b/p/data/x");
    play_check(&play);
    assert_null(strstr(e.message, "secret-1"));
    assert_null(strstr(logged(), "secret-1"));
}

static void nothing_is_kept(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 308, "", ""},
         {"PUT", SESSION, FIRST, 308, "", ""}, {"PUT", SESSION, FIRST, 308, "", ""},
         {"PUT", SESSION, FIRST, 308, "", ""}, {"PUT", SESSION, FIRST, 308, "", ""},
         {"DELETE", SESSION, NULL, 499, "", ""});
    assert_fails(put(&play, false, &e), NACRE_TRANSIENT, "stores nothing");
    play_check(&play);
}

static void refused_for_good(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 403, "", ""},
         {"DELETE", SESSION, NULL, 499, "", ""}, {"POST", BEGIN, NULL, 404, "", ""},
         {"POST", BEGIN, NULL, 412, "", ""}, {"POST", BEGIN, NULL, 200, "", ""});
    assert_fails(put(&play, false, &e), NACRE_DENIED, "gs://b/p/data/x");
    assert_fails(put(&play, false, &e), NACRE_FAILED, "the bucket b does not exist");
    assert_fails(put(&play, true, &e), NACRE_EXISTS, "gs://b/p/data/x");
    assert_fails(put(&play, false, &e), NACRE_TRANSIENT, "no session");
    play_check(&play);
}

static void taken_meanwhile(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 308, HAS(524287), ""},
         {"PUT", SESSION, THIRD, 412, "", ""}, {"DELETE", SESSION, NULL, 404, "", ""});
    assert_fails(put(&play, true, &e), NACRE_EXISTS, "gs://b/p/data/x");
    play_check(&play);
}

/* The last piece went out, its answer was lost and the session with it. What is in the way then may be what
 * this upload wrote: nobody may take it for another's. */
static void own_success_unseen(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 308, HAS(524287), ""},
         BROKEN(THIRD), {"PUT", SESSION, QUERY, 404, "", ""}, {"POST", BEGIN, NULL, 412, "", ""});
    assert_fails(put(&play, true, &e), NACRE_TRANSIENT, "whose answer was lost");
    play_check(&play);
}

static void stored_wrongly(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 308, HAS(524287), ""},
         {"PUT", SESSION, THIRD, 200, "",
          "{\"size\":\"525287\",\"generation\":\"5\",\"crc32c\":\"AAAAAA==\"}"},
         {"GET", "/storage/v1/b/b/o/p%2Fdata%2Fx?fields=", NULL, 200, "",
          "{\"size\":\"525287\",\"generation\":\"5\",\"crc32c\":\"AAAAAA==\"}"},
         {"DELETE", "/storage/v1/b/b/o/p%2Fdata%2Fx?ifGenerationMatch=5", NULL, 204},
         {"DELETE", SESSION, NULL, 404, "", ""});
    assert_fails(put(&play, false, &e), NACRE_TRANSIENT, "stored 525287 bytes");
    play_check(&play);
}

static int stop_in_the_middle(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    (void)ctx, (void)e;
    memcpy(buf, content + offset, len);
    if (offset >= KIB256 && *(int *)ctx)
        __atomic_store_n(&stop_asked, true, __ATOMIC_RELAXED);
    else if (offset + len == SIZE)
        *(int *)ctx = 1; /* the checksum is done */
    return 0;
}

/* Stopped on request: the session is cancelled all the same. */
static void stopped(void **state)
{
    struct nacre_err e;
    int armed = 0;
    (void)state;
    PLAY(play, {"POST", BEGIN, NULL, 200, LOCATION, ""}, {"PUT", SESSION, FIRST, 308, HAS(262143), ""},
         {"PUT", SESSION, SECOND, 308, HAS(262143), ""}, {"DELETE", SESSION, NULL, 499, "", ""});
    CLEANUP(store_close) struct nacre_object_store *store = open_resumable(&play);
    const struct nacre_input input = {.size = SIZE, .read = stop_in_the_middle, .ctx = &armed};
    assert_int_equal(store->ops->put(store, "data/x", &input, &e), -1);
    assert_int_equal(e.code, NACRE_CANCELLED);
    bool deleted = false;
    for (unsigned i = 0; i < server_requests(play.server); i++)
        deleted |= !strncmp(play.targets[i], SESSION, strlen(SESSION)) && !play.bodies[i].size;
    assert_true(deleted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(in_pieces, setup),
        cmocka_unit_test_setup(kept_less, setup),
        cmocka_unit_test_setup(asks_after_a_failure, setup),
        cmocka_unit_test_setup(session_lost, setup),
        cmocka_unit_test_setup(sessions_are_bounded, setup),
        cmocka_unit_test_setup(gives_up, setup),
        cmocka_unit_test_setup(nothing_is_kept, setup),
        cmocka_unit_test_setup(refused_for_good, setup),
        cmocka_unit_test_setup(taken_meanwhile, setup),
        cmocka_unit_test_setup(own_success_unseen, setup),
        cmocka_unit_test_setup(stored_wrongly, setup),
        cmocka_unit_test_setup(stopped, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The wrappers, around a store that does what a script says and writes down what it was asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/timestamp.h"
#include "plugins/load.h"
#include "plugins/store.h"

/* What the store does in turn, one letter per call; past the end all goes well.
 *   . works   t transient   T throttled (asks for 120 ms)   f failed   d denied   a absent   e exists
 *   w works, then says transient   h half of it, then transient */
struct script {
    struct nacre_object_store base;
    const char *next;
    char log[4096];
    char content[256]; /* of the one object */
    bool present;
    bool in_memory, sent_by_read; /* what the last input had */
};

static char turn(struct script *script, const char *call)
{
    size_t used = strlen(script->log);
    snprintf(script->log + used, sizeof script->log - used, "%s ", call);
    return *script->next ? *script->next++ : '.';
}

static int outcome(char letter, struct nacre_err *e)
{
    switch (letter) {
    case '.':
        return 0;
    case 'T':
        err_set(e, NACRE_THROTTLED, "slow down");
        e->retry_after_ms = 120;
        return -1;
    case 'f':
        return err_set(e, NACRE_FAILED, "broken");
    case 'd':
        return err_set(e, NACRE_DENIED, "no");
    case 'a':
        return err_set(e, NACRE_ABSENT, "not there");
    case 'e':
        return err_set(e, NACRE_EXISTS, "there");
    default:
        return err_set(e, NACRE_TRANSIENT, "connection reset");
    }
}

static void take(struct script *script, const struct nacre_input *input)
{
    struct nacre_err e;
    memset(script->content, 0, sizeof script->content);
    script->in_memory = input->data != NULL;
    script->sent_by_read = input->read != NULL;
    assert_int_equal(nacre_input_send(input, 0, script->content, input->size, &e), 0);
    script->present = true;
}

static int script_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                      struct nacre_err *e)
{
    struct script *script = (struct script *)base;
    char letter = turn(script, "put");
    (void)name;
    if (letter == '.' || letter == 'w')
        take(script, input);
    return outcome(letter, e);
}

static int script_put_if_absent(struct nacre_object_store *base, const char *name,
                                const struct nacre_input *input, struct nacre_err *e)
{
    struct script *script = (struct script *)base;
    char letter = turn(script, "new");
    (void)name;
    if ((letter == '.' || letter == 'w') && script->present)
        letter = 'e';
    if (letter == '.' || letter == 'w')
        take(script, input);
    return outcome(letter, e);
}

static int script_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                      nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct script *script = (struct script *)base;
    char call[64];
    (void)name;
    snprintf(call, sizeof call, "get(%d,%d)", (int)offset, length == NACRE_TO_END ? -1 : (int)length);
    char letter = turn(script, call);
    uint64_t size = strlen(script->content);
    if (length == NACRE_TO_END)
        length = size - offset;
    if (letter == 'h')
        length /= 2;
    if ((letter == '.' || letter == 'h' || letter == 'w') && length &&
        sink(ctx, script->content + offset, length, e) < 0)
        return -1;
    return outcome(letter, e);
}

static int script_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
                       struct nacre_err *e)
{
    struct script *script = (struct script *)base;
    (void)name;
    *out = (struct nacre_object_info){.size = strlen(script->content)};
    return outcome(turn(script, "stat"), e);
}

static int script_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry,
                       void *ctx, struct nacre_err *e)
{
    struct script *script = (struct script *)base;
    char letter = turn(script, "list");
    (void)prefix;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    for (size_t i = 0; i < (letter == 'h' ? 3u : letter == '.' || letter == 'w' ? 6u : 0u); i++)
        if (entry(ctx, &(struct nacre_object_info){.name = names[i]}))
            return 0;
    return outcome(letter, e);
}

static int script_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct script *script = (struct script *)base;
    (void)name;
    return outcome(turn(script, "remove"), e);
}

static void script_close(struct nacre_object_store *base)
{
    (void)base;
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops,
    .close = script_close,
    .put = script_put,
    .put_if_absent = script_put_if_absent,
    .get = script_get,
    .stat = script_stat,
    .list = script_list,
    .remove = script_remove,
};

static struct nacre_object_store *wrap(struct script *script, const char *wrapper, const char *next,
                                       const struct nacre_option *options, size_t count)
{
    struct nacre_err e = {0};
    script->base.ops = &ops;
    script->next = next;
    struct nacre_object_store *store = &script->base;
    if (plugin_wrap_store(wrapper, options, count, &store, &e) < 0)
        fail_msg("%s", e.message);
    return store;
}

static const struct nacre_option quick[] = {{"tries", "4"}, {"base-ms", "1"}, {"cap-ms", "2"}};

static struct nacre_object_store *retry(struct script *script, const char *next)
{
    return wrap(script, "retry", next, quick, 3);
}

static void test_retry_what_may_succeed(void **state)
{
    (void)state;
    static const struct {
        const char *script, *calls;
        enum nacre_code code;
    } cases[] = {
        {"", "put ", NACRE_OK},
        {"tt", "put put put ", NACRE_OK},
        {"ttt", "put put put put ", NACRE_OK},
        {"tttt", "put put put put ", NACRE_TRANSIENT},
        {"f", "put ", NACRE_FAILED},
        {"td", "put put ", NACRE_DENIED},
        {"w", "put put ", NACRE_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script script = {0};
        struct nacre_err e = {0};
        CLEANUP(store_close) struct nacre_object_store *store = retry(&script, cases[i].script);
        int result = store_put(store, "x", "content", 7, &e);
        assert_int_equal(result, cases[i].code ? -1 : 0);
        assert_int_equal(result < 0 ? e.code : NACRE_OK, cases[i].code);
        assert_string_equal(script.log, cases[i].calls);
        if (cases[i].code == NACRE_TRANSIENT)
            assert_non_null(strstr(e.message, "tried 4 times"));
    }
}

static void test_retry_waits_as_asked(void **state)
{
    (void)state;
    struct script script = {0};
    struct nacre_err e = {0};
    struct nacre_object_info info;
    CLEANUP(store_close) struct nacre_object_store *store = retry(&script, "TT");
    int64_t start = timestamp_elapsed();
    assert_int_equal(store_stat(store, "x", &info, &e), 0);
    int64_t took = (timestamp_elapsed() - start) / 1000000;
    assert_in_range(took, 240, 2000);
}

/* The waits are random below a bound that doubles up to the cap. */
static void test_retry_backs_off(void **state)
{
    (void)state;
    const struct nacre_option options[] = {{"tries", "9"}, {"base-ms", "10"}, {"cap-ms", "40"}};
    struct script script = {0};
    struct nacre_err e = {0};
    struct nacre_object_info info;
    CLEANUP(store_close) struct nacre_object_store *store = wrap(&script, "retry", "tttttttt", options, 3);
    int64_t start = timestamp_elapsed();
    assert_int_equal(store_stat(store, "x", &info, &e), 0);
    int64_t took = (timestamp_elapsed() - start) / 1000000;
    assert_in_range(took, 10, 270 + 500); /* at most 10 + 20 + 6 * 40; all zero is one in 10^10 */
}

static void test_retry_resumes_a_get(void **state)
{
    (void)state;
    struct script script = {.content = "0123456789abcdef"};
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf got = {0};
    {
        CLEANUP(store_close) struct nacre_object_store *store = retry(&script, "hthhh");
        assert_int_equal(store_get(store, "x", 100, &got, &e), 0);
        assert_string_equal((char *)got.data, "0123456789abcdef");
        assert_string_equal(script.log, "get(0,-1) get(8,-1) get(8,-1) get(12,-1) get(14,-1) get(15,-1) ");
    }
    char range[11] = {0};
    *script.log = 0;
    CLEANUP(store_close) struct nacre_object_store *store = retry(&script, "tttht");
    assert_int_equal(store_get_range(store, "x", 3, 10, range, &e), 0);
    assert_string_equal(range, "3456789abc");
    assert_string_equal(script.log, "get(3,10) get(3,10) get(3,10) get(3,10) get(8,5) get(8,5) ");
}

static int refuse(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    (void)ctx, (void)data, (void)len;
    return err_set(e, NACRE_TRANSIENT, "the sink's own");
}

/* A sink's error ends the get even when it looks like one to repeat. */
static void test_retry_leaves_the_sink_alone(void **state)
{
    (void)state;
    struct script script = {.content = "0123456789abcdef"};
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = retry(&script, "");
    assert_int_equal(store->ops->get(store, "x", 0, NACRE_TO_END, refuse, NULL, &e), -1);
    assert_string_equal(e.message, "the sink's own");
    assert_string_equal(script.log, "get(0,-1) ");
}

static void test_retry_ambiguous_put_if_absent(void **state)
{
    (void)state;
    static const struct {
        const char *script, *there, *calls;
        int result;
    } cases[] = {
        {"w", NULL, "new new stat get(0,-1) ", 0}, /* the first attempt had succeeded */
        {"wtt", NULL, "new new new new stat get(0,-1) ", 0},
        {"t", "other", "new new stat ", -1},             /* of another size: another's */
        {"t", "contexx", "new new stat get(0,-1) ", -1}, /* of the same size, another's */
        {"t", NULL, "new new ", 0},
        {"", "content", "new ", -1}, /* the same content, but nothing of ours failed: taken */
        {"w..h", NULL, "new new stat get(0,-1) get(3,-1) ", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script script = {.present = cases[i].there};
        struct nacre_err e = {0};
        if (cases[i].there)
            strcpy(script.content, cases[i].there);
        CLEANUP(store_close) struct nacre_object_store *store = retry(&script, cases[i].script);
        int result = store_put_if_absent(store, "x", "content", 7, &e);
        assert_string_equal(script.log, cases[i].calls);
        assert_int_equal(result, cases[i].result);
        if (result < 0)
            assert_int_equal(e.code, NACRE_EXISTS);
    }
}

static void test_retry_ambiguous_remove(void **state)
{
    (void)state;
    struct script script = {0};
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = retry(&script, "ta");
    assert_int_equal(store_remove(store, "x", &e), 0);
    script.next = "a";
    assert_int_equal(store_remove(store, "x", &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
}

static int join_names(void *ctx, const struct nacre_object_info *info)
{
    strcat(ctx, info->name);
    return 0;
}

static void test_retry_resumes_a_list(void **state)
{
    (void)state;
    struct script script = {0};
    struct nacre_err e = {0};
    char names[64] = "";
    CLEANUP(store_close) struct nacre_object_store *store = retry(&script, "thw");
    assert_int_equal(store_list(store, "", join_names, names, &e), 0);
    assert_string_equal(names, "abcdef");
    assert_string_equal(script.log, "list list list list ");
}

/* In a child, since the stop flag stays set. */
static void test_retry_stops_when_asked(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        const struct nacre_option options[] = {{"base-ms", "600000"}, {"cap-ms", "600000"}};
        struct script script = {0};
        struct nacre_err e = {0};
        struct nacre_object_info info;
        struct nacre_object_store *store = wrap(&script, "retry", "tttttttttttt", options, 2);
        cancel_on_signals();
        alarm(20);
        pid_t parent = getpid();
        if (fork() == 0) {
            usleep(200000);
            kill(parent, SIGTERM);
            _exit(0);
        }
        int result = store_stat(store, "x", &info, &e);
        _exit(result == -1 && e.code == NACRE_CANCELLED && strstr(e.message, "connection reset") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

struct upload {
    struct nacre_object_store *store;
    char name[8];
    int result;
};

static void *upload_megabyte(void *ctx)
{
    struct upload *upload = ctx;
    struct nacre_err e;
    static const char data[1 << 20];
    upload->result = store_put(upload->store, upload->name, data, sizeof data, &e);
    return NULL;
}

static struct nacre_object_store *limited(const char *key, const char *rate)
{
    struct nacre_err e = {0};
    struct nacre_object_store *store = NULL;
    const struct nacre_option option = {key, rate};
    if (plugin_open_store("memory://limit", NULL, 0, &store, &e) < 0 ||
        plugin_wrap_store("limit", &option, 1, &store, &e) < 0)
        fail_msg("%s", e.message);
    return store;
}

/* Four uploads of 1 MiB through two handles at 4 MiB/s take a second, less the burst; downloads are not
 * limited by it. */
static void test_limit(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *one = limited("upload-bytes-per-second", "4194304");
    CLEANUP(store_close) struct nacre_object_store *two = limited("upload-bytes-per-second", "4194304");
    struct upload uploads[4] = {{one, "a", 0}, {two, "b", 0}, {one, "c", 0}, {two, "d", 0}};
    pthread_t threads[4];
    int64_t start = timestamp_elapsed();
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, upload_megabyte, &uploads[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(uploads[i].result, 0);
    }
    assert_true((timestamp_elapsed() - start) / 1000000 >= 700);

    CLEANUP(buf_free) struct buf got = {0};
    assert_int_equal(store_get(one, "a", 2 << 20, &got, &e), 0);

    CLEANUP(store_close) struct nacre_object_store *down = limited("download-bytes-per-second", "2097152");
    buf_clear(&got);
    start = timestamp_elapsed();
    assert_int_equal(store_get(down, "a", 2 << 20, &got, &e), 0);
    assert_int_equal(got.size, 1 << 20);
    assert_true((timestamp_elapsed() - start) / 1000000 >= 200);
}

/* What is in memory can be summed up without being counted: only what is sent goes through read(). */
static void test_limit_counts_once(void **state)
{
    (void)state;
    const struct nacre_option option = {"upload-bytes-per-second", "1048576"};
    struct script script = {0};
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = wrap(&script, "limit", "", &option, 1);
    assert_int_equal(store_put(store, "x", "content", 7, &e), 0);
    assert_string_equal(script.content, "content");
    assert_true(script.in_memory && script.sent_by_read);
    assert_int_equal(store_put_if_absent(store, "y", "", 0, &e), -1); /* the script has one object only */
    assert_int_equal(e.code, NACRE_EXISTS);
}

static struct nacre_object_store *faulty(struct script *script, const struct nacre_option *options,
                                         size_t count)
{
    return wrap(script, "fault", "", options, count);
}

static void test_fault_which_calls(void **state)
{
    (void)state;
    const struct nacre_option options[] = {{"fail-every", "3"},
                                           {"fail-op", "put,stat"},
                                           {"fail-count", "2"},
                                           {"code", "throttled"},
                                           {"retry-after-ms", "7"}};
    struct script script = {0};
    struct nacre_object_info info;
    CLEANUP(store_close) struct nacre_object_store *store = faulty(&script, options, 5);
    for (int call = 1; call <= 12; call++) {
        struct nacre_err e = {0};
        CLEANUP(buf_free) struct buf got = {0};
        int result = call % 2 ? store_put(store, "x", "y", 1, &e) : store_stat(store, "x", &info, &e);
        assert_int_equal(result, call == 3 || call == 6 ? -1 : 0);
        if (result < 0) {
            assert_int_equal(e.code, NACRE_THROTTLED);
            assert_int_equal(e.retry_after_ms, 7);
        }
        assert_int_equal(store_get(store, "x", 10, &got, &e), 0); /* not of the chosen */
    }
}

/* The same seed gives the same faults, another one others. */
static void test_fault_by_seed(void **state)
{
    (void)state;
    char patterns[3][65] = {{0}};
    for (int i = 0; i < 3; i++) {
        const struct nacre_option options[] = {{"fail-percent", "40"}, {"seed", i == 2 ? "8" : "7"}};
        struct script script = {0};
        struct nacre_err e;
        CLEANUP(store_close) struct nacre_object_store *store = faulty(&script, options, 2);
        for (int call = 0; call < 64; call++)
            patterns[i][call] = store_put(store, "x", "y", 1, &e) < 0 ? 'x' : '.';
    }
    assert_string_equal(patterns[0], patterns[1]);
    assert_string_not_equal(patterns[0], patterns[2]);
    assert_non_null(strchr(patterns[0], 'x'));
    assert_non_null(strchr(patterns[0], '.'));
}

static void test_fault_how(void **state)
{
    (void)state;
    struct script script = {0};
    struct nacre_err e = {0};
    {
        const struct nacre_option after[] = {{"fail-every", "1"}, {"fail-when", "after"}};
        CLEANUP(store_close) struct nacre_object_store *store = faulty(&script, after, 2);
        assert_int_equal(store_put(store, "x", "0123456789", 10, &e), -1);
        assert_true(script.present);
    }
    CLEANUP(buf_free) struct buf got = {0};
    {
        const struct nacre_option middle[] = {
            {"fail-every", "1"}, {"fail-when", "middle"}, {"fail-name", "x"}};
        CLEANUP(store_close) struct nacre_object_store *store = faulty(&script, middle, 3);
        assert_int_equal(store_get(store, "x", 100, &got, &e), -1);
        assert_int_equal(e.code, NACRE_TRANSIENT);
        assert_string_equal((char *)got.data, "01234");
        buf_clear(&got);
        assert_int_equal(store_get(store, "y", 100, &got, &e), 0);
        char names[64] = "";
        assert_int_equal(store_list(store, "x", join_names, names, &e), -1);
        assert_string_equal(names, "abc");
    }
    {
        const struct nacre_option cut[] = {{"truncate-get", "2"}};
        CLEANUP(store_close) struct nacre_object_store *store = faulty(&script, cut, 1);
        for (int i = 0; i < 2; i++) {
            buf_clear(&got);
            assert_int_equal(store_get(store, "x", 100, &got, &e), 0);
            assert_int_equal(got.size, i ? 5 : 10);
        }
    }
    const struct nacre_option flip[] = {{"flip-byte", "1"}};
    CLEANUP(store_close) struct nacre_object_store *store = faulty(&script, flip, 1);
    buf_clear(&got);
    assert_int_equal(store_get(store, "x", 100, &got, &e), 0);
    int bits = 0;
    for (int i = 0; i < 10; i++)
        bits += __builtin_popcount((unsigned)(got.data[i] ^ "0123456789"[i]));
    assert_int_equal(bits, 1);
}

static void test_fault_ends(void **state)
{
    (void)state;
    struct script script = {0};
    struct nacre_err e = {0};
    const struct nacre_option gone[] = {{"fail-after-ops", "2"}, {"code", "denied"}};
    CLEANUP(store_close) struct nacre_object_store *store = faulty(&script, gone, 2);
    assert_int_equal(store_put(store, "x", "1", 1, &e), 0);
    assert_int_equal(store_put(store, "x", "1", 1, &e), 0);
    assert_int_equal(store_put(store, "x", "1", 1, &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    assert_int_equal(store_remove(store, "x", &e), -1);
}

static void test_fault_full(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = NULL;
    const struct nacre_option full = {"fail-after-bytes", "25"};
    assert_int_equal(plugin_open_store("memory://full", NULL, 0, &store, &e), 0);
    assert_int_equal(plugin_wrap_store("fault", &full, 1, &store, &e), 0);
    assert_int_equal(store_put(store, "x", "0123456789", 10, &e), 0);
    assert_int_equal(store_put(store, "y", "0123456789", 10, &e), 0);
    assert_int_equal(store_put(store, "x", "9876543210", 10, &e), -1);
    assert_int_equal(e.code, NACRE_NO_SPACE);
    CLEANUP(buf_free) struct buf got = {0};
    assert_int_equal(store_get(store, "x", 100, &got, &e), 0);
    assert_string_equal((char *)got.data, "0123456789");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_what_may_succeed),
        cmocka_unit_test(test_retry_waits_as_asked),
        cmocka_unit_test(test_retry_backs_off),
        cmocka_unit_test(test_retry_resumes_a_get),
        cmocka_unit_test(test_retry_leaves_the_sink_alone),
        cmocka_unit_test(test_retry_ambiguous_put_if_absent),
        cmocka_unit_test(test_retry_ambiguous_remove),
        cmocka_unit_test(test_retry_resumes_a_list),
        cmocka_unit_test(test_retry_stops_when_asked),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limit_counts_once),
        cmocka_unit_test(test_fault_which_calls),
        cmocka_unit_test(test_fault_by_seed),
        cmocka_unit_test(test_fault_how),
        cmocka_unit_test(test_fault_ends),
        cmocka_unit_test(test_fault_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

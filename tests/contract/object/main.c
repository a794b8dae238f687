/* SPDX-License-Identifier: Apache-2.0 */
/* The suite that every object store must pass, alone and under wrappers.
 *
 *   object_contract [--processes] [--faults] [--big MIB] [--wrap NAME[:KEY=VALUE,…]]… URL [KEY=VALUE…]
 *   object_contract --probe put|put-if-absent|get|stat|list|remove … URL [KEY=VALUE…]
 *
 * The second form is for scripts that start a service: it makes one call, with the object "probe" of a few
 * bytes, and prints "ok", or the error's code and message.
 *
 * The first --wrap is the innermost. URL may end in XXXXXX: then (file:// only) a temporary directory is made
 * and removed. Each test works in a space of its own, URL/RANDOM-test, so that it finds nothing there.
 * Objects are left behind where the store outlives the process. */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract.h"

struct contract contract = {.big_bytes = 24 << 20};
static char space_prefix[32];
static const char *probe; /* the call to make instead of the suite */

static int option_add(struct layer *layer, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || layer->option_count == OPTIONS_MAX)
        return -1;
    *equals = 0;
    layer->options[layer->option_count++] = (struct nacre_option){text, equals + 1};
    return 0;
}

static int wrap_add(char *text)
{
    if (contract.wrap_count == WRAPS_MAX)
        return -1;
    struct layer *layer = &contract.wraps[contract.wrap_count++];
    char *rest = text;
    layer->name = strsep(&rest, ":");
    for (char *option; rest && (option = strsep(&rest, ","));)
        if (option_add(layer, option) < 0)
            return -1;
    return 0;
}

static void fatal(const char *what, const struct nacre_err *e)
{
    fprintf(stderr, "object_contract: %s: %s\n", what, e->message);
    _exit(99);
}

struct nacre_object_store *open_space(const char *space)
{
    struct nacre_err e = {0};
    struct nacre_object_store *store = NULL;
    char url[1024];
    snprintf(url, sizeof url, "%s/%s%s", contract.url, space_prefix, space);
    if (plugin_open_store(url, contract.store.options, contract.store.option_count, &store, &e) < 0)
        fatal(url, &e);
    for (size_t i = 0; i < contract.wrap_count; i++) {
        struct layer *wrap = &contract.wraps[i];
        if (plugin_wrap_store(wrap->name, wrap->options, wrap->option_count, &store, &e) < 0)
            fatal(wrap->name, &e);
    }
    return store;
}

/* Eight bytes at a time from a counter (splitmix64), so that any offset can be made without the ones before.
 */
void content(uint64_t seed, uint64_t offset, void *out, size_t len)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < len;) {
        uint64_t at = offset + i, z = seed * 0x9e3779b97f4a7c15u + at / 8 + 1;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        for (size_t k = at % 8; k < 8 && i < len; k++, i++)
            bytes[i] = (uint8_t)(z >> 8 * k);
    }
}

struct nacre_input content_in_memory(uint64_t seed, size_t size)
{
    void *data = malloc(size + 1);
    assert_non_null(data);
    content(seed, 0, data, size);
    return (struct nacre_input){.size = size, .data = data};
}

static int read_content(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    (void)e;
    content(*(const uint64_t *)ctx, offset, buf, len);
    return 0;
}

struct nacre_input content_streamed(const uint64_t *seed, uint64_t size)
{
    return (struct nacre_input){.size = size, .read = read_content, .ctx = (void *)seed};
}

int check_content(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct checker *checker = ctx;
    uint8_t expected[8192];
    (void)e;
    for (const uint8_t *at = data; len;) {
        size_t part = len < sizeof expected ? len : sizeof expected;
        content(checker->seed, checker->offset, expected, part);
        checker->different |= memcmp(at, expected, part) != 0;
        checker->offset += part;
        at += part;
        len -= part;
    }
    return 0;
}

void assert_content(struct nacre_object_store *store, const char *name, uint64_t seed, uint64_t size)
{
    struct nacre_err e = {0};
    struct checker checker = {.seed = seed};
    assert_ok(store->ops->get(store, name, 0, NACRE_TO_END, check_content, &checker, &e), e);
    assert_int_equal(checker.offset, size);
    assert_false(checker.different);
}

void assert_remove_absent(struct nacre_object_store *store, const char *name)
{
    struct nacre_err e = {0};
    int result = store->ops->remove(store, name, &e);
    if (!contract.faults || result < 0) {
        assert_int_equal(result, -1);
        assert_int_equal(e.code, NACRE_ABSENT);
    }
}

void put_content(struct nacre_object_store *store, const char *name, uint64_t seed, size_t size)
{
    struct nacre_err e = {0};
    struct nacre_input input = content_in_memory(seed, size);
    int result = store->ops->put(store, name, &input, &e);
    free((void *)input.data);
    assert_ok(result, e);
}

struct thread {
    pthread_t id;
    int (*body)(void *arg, int index);
    void *arg;
    int index;
    int result;
};

static void *thread_run(void *ctx)
{
    struct thread *thread = ctx;
    thread->result = thread->body(thread->arg, thread->index);
    return NULL;
}

int run_threads(int count, int (*body)(void *arg, int index), void *arg)
{
    struct thread threads[32] = {0};
    int failed = 0;
    assert_in_range(count, 1, 32);
    for (int i = 0; i < count; i++) {
        threads[i] = (struct thread){.body = body, .arg = arg, .index = i};
        assert_int_equal(pthread_create(&threads[i].id, NULL, thread_run, &threads[i]), 0);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        failed += threads[i].result != 0;
    }
    return failed;
}

pid_t start_role(const char *role, const char *a, const char *b, int *report)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char *argv[64] = {contract.argv[0], "--role",  (char *)role, (char *)a,
                      (char *)b,        "--space", space_prefix};
    int argc = 7;
    for (int i = 1; i < contract.argc && argc < 63; i++)
        argv[argc++] = contract.argv[i];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (ends[1] != 3) {
            dup2(ends[1], 3);
            close(ends[1]);
        }
        if (ends[0] != 3)
            close(ends[0]);
        execv("/proc/self/exe", argv);
        _exit(98);
    }
    close(ends[1]);
    *report = ends[0];
    return pid;
}

int wait_role(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_role(char **words)
{
    if (!strcmp(words[0], "put-if-absent"))
        return role_put_if_absent(words[1], words[2]);
    if (!strcmp(words[0], "slow-put"))
        return role_slow_put(words[1], words[2]);
    return strcmp(words[0], "keep-putting") ? 97 : role_keep_putting(words[1], words[2]);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* Parses all but the roles; the text of argv is cut up in place, so a copy is given. */
static int parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--processes"))
            contract.processes = true;
        else if (!strcmp(argv[i], "--faults"))
            contract.faults = true;
        else if (!strcmp(argv[i], "--big") && i + 1 < argc)
            contract.big_bytes = strtoull(argv[++i], NULL, 10) << 20;
        else if (!strcmp(argv[i], "--probe") && i + 1 < argc)
            probe = argv[++i];
        else if (!strcmp(argv[i], "--space") && i + 1 < argc)
            snprintf(space_prefix, sizeof space_prefix, "%s", argv[++i]);
        else if (!strcmp(argv[i], "--wrap") && i + 1 < argc) {
            if (wrap_add(argv[++i]) < 0)
                return -1;
        } else if (!contract.url)
            contract.url = argv[i];
        else if (option_add(&contract.store, argv[i]) < 0)
            return -1;
    }
    return contract.url ? 0 : -1;
}

static int ignore_entry(void *ctx, const struct nacre_object_info *info)
{
    (void)ctx, (void)info;
    return 0;
}

static int probe_call(struct nacre_object_store *store, struct nacre_err *e)
{
    struct nacre_object_info info;
    CLEANUP(buf_free) struct buf got = {0};
    if (!strcmp(probe, "put"))
        return store_put(store, "probe", "a probe", 7, e);
    if (!strcmp(probe, "put-if-absent"))
        return store_put_if_absent(store, "probe", "a probe", 7, e);
    if (!strcmp(probe, "get"))
        return store_get(store, "probe", 100, &got, e);
    if (!strcmp(probe, "stat"))
        return store_stat(store, "probe", &info, e);
    if (!strcmp(probe, "list"))
        return store_list(store, "", ignore_entry, NULL, e);
    return strcmp(probe, "remove") ? err_set(e, NACRE_INVALID, "no such call")
                                   : store_remove(store, "probe", e);
}

static int run_probe(void)
{
    struct nacre_err e = {0};
    struct nacre_object_store *store = NULL;
    int result =
        plugin_open_store(contract.url, contract.store.options, contract.store.option_count, &store, &e);
    if (result == 0)
        result = probe_call(store, &e);
    printf("%s%s%s\n", result == 0 ? "ok" : err_code_name(e.code), result == 0 ? "" : ": ",
           result == 0 ? "" : e.message);
    store_close(store);
    return 0;
}

/* One group per part, since cmocka's macro wants the array itself. */
static int run_group(const char *name, const struct CMUnitTest *tests, size_t count)
{
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

int main(int argc, char **argv)
{
    char *role[3] = {0};
    if (argc > 5 && !strcmp(argv[1], "--role")) {
        memcpy(role, argv + 2, sizeof role);
        argv[4] = argv[0];
        argv += 4;
        argc -= 4;
    }
    static char **copies; /* pointed into to the end */
    copies = calloc((size_t)argc + 1, sizeof *copies);
    static char **originals;
    originals = calloc((size_t)argc + 1, sizeof *originals);
    for (int i = 0; copies && originals && i < argc; i++) {
        copies[i] = strdup(argv[i]);
        originals[i] = argv[i];
    }
    if (!copies || !originals || parse(argc, copies) < 0) {
        fprintf(stderr, "usage: object_contract [--processes] [--faults] [--big MIB] "
                        "[--wrap NAME[:KEY=VALUE,...]]... URL [KEY=VALUE...]\n");
        return 2;
    }
    contract.argc = argc;
    contract.argv = originals;
    if (role[0])
        /* At once: eight processes that end together, each looking for leaks, made the sanitizer itself
         * crash. */
        _exit(run_role(role));
    if (probe)
        return run_probe();

    snprintf(space_prefix, sizeof space_prefix, "%08" PRIx32 "-", (uint32_t)getpid() * 2654435761u);
    char *directory = NULL;
    size_t size = strlen(contract.url);
    if (!strncmp(contract.url, "file:///", 8) && size > 6 && !strcmp(contract.url + size - 6, "XXXXXX")) {
        directory = mkdtemp(contract.url + strlen("file://"));
        if (!directory) {
            perror(contract.url);
            return 99;
        }
        for (int i = 1; i < argc; i++) /* children use the directory that was made */
            if (!strncmp(originals[i], "file:///", 8))
                originals[i] = contract.url;
    }
    int failed = run_group("basic", basic_tests, basic_test_count) +
                 run_group("hashed", hashed_tests, hashed_test_count) +
                 run_group("list", list_tests, list_test_count) +
                 run_group("races", race_tests, race_test_count) +
                 run_group("crashes", crash_tests, crash_test_count);
    if (directory)
        nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return failed ? 1 : 0;
}

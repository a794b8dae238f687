/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapper `cache`, around a file store that counts what it is asked: what is kept, what is not, what
 * becomes of damage, and what many processes make of one directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/err.h"
#include "common/log.h"
#include "plugins/load.h"
#include "plugins/store.h"

/* Between the cache and the file store. */
struct counting {
    struct nacre_object_store base;
    struct nacre_object_store *inner;
};
static unsigned gets;
static char last_get[NACRE_OBJECT_NAME_MAX + 32];

static int count_get(struct nacre_object_store *base, const char *name, uint64_t offset, uint64_t length,
                     nacre_sink *sink, void *ctx, struct nacre_err *e)
{
    struct nacre_object_store *inner = ((struct counting *)base)->inner;
    gets++;
    snprintf(last_get, sizeof last_get, "%d+%d", (int)offset, length == NACRE_TO_END ? -1 : (int)length);
    return inner->ops->get(inner, name, offset, length, sink, ctx, e);
}

static int count_put(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                     struct nacre_err *e)
{
    struct nacre_object_store *inner = ((struct counting *)base)->inner;
    return inner->ops->put(inner, name, input, e);
}

static int count_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct nacre_object_store *inner = ((struct counting *)base)->inner;
    return inner->ops->remove(inner, name, e);
}

static void count_close(struct nacre_object_store *base)
{
    struct nacre_object_store *inner = ((struct counting *)base)->inner;
    inner->ops->close(inner);
    free(base);
}

static const struct nacre_object_store_ops ops = {
    .size = sizeof ops, .close = count_close, .put = count_put, .get = count_get, .remove = count_remove};

static char dir[64];

/* The store of the directory, with a cache of max_bytes (NULL = as it is by itself) in <dir>/cache/here. */
static struct nacre_object_store *open_cached(const char *cache, const char *max_bytes)
{
    struct nacre_err e = {0};
    char url[128], directory[128];
    snprintf(url, sizeof url, "file://%s/store", dir);
    snprintf(directory, sizeof directory, "%s/%s", dir, cache);
    const struct nacre_option options[] = {
        {"directory", directory}, {"id", "here"}, {"max-bytes", max_bytes}};
    struct counting *counting = calloc(1, sizeof *counting);
    assert_non_null(counting);
    counting->base.ops = &ops;
    struct nacre_object_store *store = &counting->base;
    if (plugin_open_store(url, NULL, 0, &counting->inner, &e) < 0 ||
        plugin_wrap_store("cache", options, max_bytes ? 3 : 2, &store, &e) < 0)
        fail_msg("%s", e.message);
    return store;
}

/* Content number n, of `size` bytes. */
static void fill(unsigned n, uint8_t *out, size_t size)
{
    uint64_t x = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)x;
    }
}

struct object {
    char name[128], hex[65];
    uint8_t *data;
    size_t size;
};

/* Content n below a directory such as "index"; "data" gets its shard. */
static struct object object_of(const char *where, unsigned n, size_t size)
{
    struct object o = {.size = size, .data = malloc(size + 1)};
    uint8_t hash[EVP_MAX_MD_SIZE];
    assert_non_null(o.data);
    fill(n, o.data, size);
    assert_int_equal(EVP_Digest(o.data, size, hash, NULL, EVP_sha256(), NULL), 1);
    hex_encode(hash, 32, o.hex);
    snprintf(o.name, sizeof o.name, !strcmp(where, "data") ? "r/%s/%.2s/%s" : "r/%s%.0s/%s", where, o.hex,
             o.hex);
    return o;
}

static void object_free_at(struct object *o)
{
    free(o->data);
}
#define OBJECT(o, ...) __attribute__((cleanup(object_free_at))) struct object o = object_of(__VA_ARGS__)

static void ok(int result, const struct nacre_err *e)
{
    if (result < 0)
        fail_msg("%s", e->message);
}

/* Puts it straight into the store. */
static void put_behind(const struct object *o, const void *data, size_t size)
{
    struct nacre_err e;
    char url[128];
    snprintf(url, sizeof url, "file://%s/store", dir);
    CLEANUP(store_close) struct nacre_object_store *store = NULL;
    ok(plugin_open_store(url, NULL, 0, &store, &e), &e);
    ok(store_put(store, o->name, data, size, &e), &e);
}

/* Reads the whole through the cache; returns how many requests that took. */
static unsigned read_whole(struct nacre_object_store *store, const struct object *o)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf got = {0};
    unsigned before = gets;
    ok(store_get(store, o->name, 64 << 20, &got, &e), &e);
    assert_int_equal(got.size, o->size);
    if (o->size)
        assert_memory_equal(got.data, o->data, o->size);
    return gets - before;
}

/* Reads a range, as of what is to be kept or not. */
static unsigned read_range(struct nacre_object_store *store, const struct object *o, bool kept, size_t offset,
                           size_t size)
{
    struct nacre_err e;
    unsigned before = gets;
    CLEANUP(mem_free) uint8_t *got = calloc(1, size + 1);
    ok((kept ? store_get_range_kept : store_get_range)(store, o->name, offset, size, got, &e), &e);
    assert_memory_equal(got, o->data + offset, size);
    return gets - before;
}

static void entry_path(const struct object *o, char out[192])
{
    snprintf(out, 192, "%s/cache/here/%s", dir, o->hex);
}

static bool is_kept(const struct object *o)
{
    char path[192];
    entry_path(o, path);
    return access(path, F_OK) == 0;
}

static uint64_t cache_bytes(unsigned *files)
{
    char path[128];
    uint64_t bytes = 0;
    struct stat st;
    *files = 0;
    snprintf(path, sizeof path, "%s/cache/here", dir);
    DIR *list = opendir(path);
    assert_non_null(list);
    for (const struct dirent *entry; (entry = readdir(list));)
        if (entry->d_name[0] != '.' && fstatat(dirfd(list), entry->d_name, &st, 0) == 0) {
            bytes += (uint64_t)st.st_size;
            ++*files;
        }
    closedir(list);
    return bytes;
}

/* --- */

static void test_what_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *where;
        bool kept;
    } cases[] = {{"index", true}, {"snapshots", true}, {"keys", false},   {"locks", false},
                 {"data", false}, {"data/xx", false},  {"myindex", false}};
    CLEANUP(store_close) struct nacre_object_store *store = open_cached("cache", NULL);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        OBJECT(read, cases[i].where, i, 100000);
        put_behind(&read, read.data, read.size);
        assert_int_equal(read_whole(store, &read), 1);
        assert_int_equal(read_whole(store, &read), !cases[i].kept);
        assert_int_equal(read_range(store, &read, false, 65000, 1000), !cases[i].kept);
        assert_int_equal(is_kept(&read), cases[i].kept);
        /* and what is written */
        struct nacre_err e;
        OBJECT(written, cases[i].where, i + 100, 70000);
        ok(store_put(store, written.name, written.data, written.size, &e), &e);
        assert_int_equal(read_whole(store, &written), !cases[i].kept);
    }
    struct nacre_err e;
    CLEANUP(buf_free) struct buf got = {0};
    ok(store_put(store, "r/config", "c", 1, &e), &e);
    unsigned before = gets;
    ok(store_get(store, "r/config", 10, &got, &e), &e);
    ok(store_get(store, "r/config", 10, &got, &e), &e);
    assert_int_equal(gets - before, 2);
}

static void test_packs_of_trees(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(store_close) struct nacre_object_store *store = open_cached("cache", NULL);
    OBJECT(pack, "data", 1, 300000);
    put_behind(&pack, pack.data, pack.size);
    assert_int_equal(read_range(store, &pack, false, 100, 1000), 1);
    assert_false(is_kept(&pack));
    assert_int_equal(read_range(store, &pack, true, 100, 1000), 1);
    assert_string_equal(last_get, "0+-1"); /* the whole */
    assert_int_equal(read_range(store, &pack, true, 299000, 1000), 0);
    assert_int_equal(read_range(store, &pack, true, 65536, 131072), 0);
    assert_int_equal(read_range(store, &pack, false, 100, 1000), 1); /* as of data: the store is asked */
    OBJECT(written, "data", 2, 100000);
    ok(store_put_kept(store, written.name, written.data, written.size, &e), &e);
    assert_int_equal(read_range(store, &written, true, 5, 1000), 0);
    /* another handle, and so another process, finds the same */
    CLEANUP(store_close) struct nacre_object_store *other = open_cached("cache", NULL);
    assert_int_equal(read_range(other, &written, true, 5, 1000), 0);
    ok(store_remove(other, written.name, &e), &e);
    assert_false(is_kept(&written));
    char byte = 0;
    assert_int_equal(store_get_range_kept(store, written.name, 0, 1, &byte, &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
}

/* A store that sends something else: that is what the caller gets to see, and nothing of it stays. */
static void test_a_store_that_lies(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_cached("cache", NULL);
    OBJECT(index, "index", 1, 1000);
    OBJECT(pack, "data", 2, 200000);
    index.data[500] ^= 1; /* the names stay */
    pack.data[150000] ^= 1;
    put_behind(&index, index.data, index.size);
    put_behind(&pack, pack.data, pack.size);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read_whole(store, &index), 1);
        assert_int_equal(read_range(store, &pack, true, 10, 10), 2); /* the whole, then what was wanted */
        assert_int_equal(read_range(store, &pack, true, 149999, 3), 2);
    }
    unsigned files;
    cache_bytes(&files);
    assert_int_equal(files, 0);
    index.data[500] ^= 1; /* once it is right, it is kept */
    put_behind(&index, index.data, index.size);
    assert_int_equal(read_whole(store, &index), 1);
    assert_int_equal(read_whole(store, &index), 0);
}

static void patch(const char *path, off_t offset, uint8_t mask)
{
    uint8_t byte;
    CLEANUP(fd_close) int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= mask;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

static void test_damage_is_mended(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_cached("cache", NULL);
    OBJECT(o, "index", 1, 150000);
    char path[192];
    struct stat st;
    put_behind(&o, o.data, o.size);
    read_whole(store, &o);
    entry_path(&o, path);
    assert_int_equal(stat(path, &st), 0);
    /* Every byte of what stands behind the object, and some of the object. */
    for (off_t at = 0; at < st.st_size; at += at < 149000 ? 4999 : at < 150000 ? 500 : 1) {
        patch(path, at, (uint8_t)(1 << at % 8));
        assert_int_equal(read_whole(store, &o), 1);
        if (at < 150000 && at >= 65536)
            assert_string_equal(last_get, at < 131072 ? "65536+-1" : "131072+-1"); /* from the damage on */
        if (!is_kept(&o))
            assert_int_equal(read_whole(store, &o), 1);
        assert_int_equal(read_whole(store, &o), 0);
    }
    for (off_t size = 0; size < st.st_size; size += size < 149000 ? 7001 : 37) {
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(read_whole(store, &o), 1);
        assert_int_equal(read_whole(store, &o), 0);
    }
}

/* What else may lie in an entry's place. */
static void test_odd_files(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_cached("cache", NULL);
    OBJECT(one, "index", 1, 50000);
    OBJECT(two, "index", 2, 50000);
    char first[192], second[192];
    entry_path(&one, first);
    entry_path(&two, second);
    put_behind(&one, one.data, one.size);
    put_behind(&two, two.data, two.size);
    read_whole(store, &one);
    read_whole(store, &two);
    assert_int_equal(rename(first, second), 0); /* another object's */
    assert_int_equal(read_whole(store, &two), 1);
    assert_int_equal(read_whole(store, &two), 0);
    assert_int_equal(read_whole(store, &one), 1);
    unlink(first);
    assert_int_equal(symlink(second, first), 0);
    assert_int_equal(read_whole(store, &one), 1);
    assert_int_equal(read_whole(store, &one), 0); /* the link was replaced */
    unlink(first);
    assert_int_equal(mkfifo(first, 0600), 0);
    assert_int_equal(read_whole(store, &one), 1);
    assert_int_equal(read_whole(store, &one), 0);
    unlink(first);
    assert_int_equal(mkdir(first, 0700), 0); /* cannot be replaced; the cache gives up, the caller does not */
    assert_int_equal(read_whole(store, &one), 1);
    assert_int_equal(read_whole(store, &one), 1);
    assert_int_equal(read_whole(store, &two), 0);
}

static void test_bounds(void **state)
{
    (void)state;
    const uint64_t limit = 1 << 20;
    CLEANUP(store_close) struct nacre_object_store *store = open_cached("cache", "1048576");
    unsigned files;
    OBJECT(often, "index", 1000, 40000);
    put_behind(&often, often.data, often.size);
    read_whole(store, &often);
    for (unsigned i = 0; i < 100; i++) {
        OBJECT(o, i % 2 ? "index" : "snapshots", i, 40000);
        put_behind(&o, o.data, o.size);
        read_whole(store, &o);
        assert_int_equal(read_whole(store, &o), 0);
        assert_int_equal(read_whole(store, &often), 0); /* read all the time, and so never removed */
        assert_in_range(cache_bytes(&files), 1, limit);
    }
    assert_in_range(files, 15, 26);
    OBJECT(large, "index", 2000, 300000); /* more than a quarter of the room */
    put_behind(&large, large.data, large.size);
    read_whole(store, &large);
    assert_false(is_kept(&large));
    OBJECT(last, "index", 99, 40000);
    assert_int_equal(read_whole(store, &last), 0);
    /* What a killed process left counts, and goes when its time comes. */
    char path[192];
    snprintf(path, sizeof path, "%s/cache/here/new-left", dir);
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, 500000), 0);
    for (unsigned i = 200; i < 240; i++) {
        OBJECT(o, "index", i, 40000);
        put_behind(&o, o.data, o.size);
        read_whole(store, &o);
    }
    assert_int_equal(access(path, F_OK), -1);
    assert_in_range(cache_bytes(&files), 1, limit);
}

static unsigned warnings;
static void count_warnings(void *ctx, enum nacre_log_level level, const char *message)
{
    (void)ctx, (void)message;
    warnings += level <= NACRE_LOG_WARNING;
}

/* No directory, or no room on the disk: all goes on without, and it is said once. */
static void test_without(void **state)
{
    (void)state;
    struct nacre_err e;
    char path[128];
    log_set_receiver(count_warnings, NULL);
    snprintf(path, sizeof path, "%s/file", dir);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    warnings = 0;
    {
        CLEANUP(store_close) struct nacre_object_store *store = open_cached("file", NULL);
        for (unsigned i = 0; i < 3; i++) {
            OBJECT(o, "index", i, 1000);
            ok(store_put(store, o.name, o.data, o.size, &e), &e);
            assert_int_equal(read_whole(store, &o), 1);
            assert_int_equal(read_range(store, &o, true, 10, 100), 1);
        }
    }
    assert_int_equal(warnings, 1);

    CLEANUP(store_close) struct nacre_object_store *store = open_cached("cache", NULL);
    OBJECT(before, "index", 10, 1000);
    ok(store_put(store, before.name, before.data, before.size, &e), &e);
    OBJECT(o, "index", 11, 200000);
    OBJECT(pack, "data", 12, 200000);
    put_behind(&o, o.data, o.size);
    put_behind(&pack, pack.data, pack.size);
    struct rlimit limit, small = {100000, 100000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small.rlim_max = limit.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    unsigned requests[] = {read_whole(store, &o), read_whole(store, &o), read_range(store, &pack, true, 1, 9),
                           read_whole(store, &before)};
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(requests[0], 1);
    assert_int_equal(requests[1], 1);
    assert_int_equal(requests[2], 1);
    assert_int_equal(requests[3], 0); /* what it has, it gives */
    assert_int_equal(warnings, 2);
    unsigned files;
    cache_bytes(&files);
    assert_int_equal(files, 1);
    log_set_receiver(NULL, NULL);
}

/* --- many processes --- */

#define OBJECTS 40
#define PROCESSES 4

/* Reads and writes at random until it is killed or has done enough. */
static void live(unsigned seed, unsigned rounds)
{
    struct nacre_err e;
    static const char *const where[] = {"index", "snapshots", "data"};
    struct nacre_object_store *store = open_cached("cache", "2000000");
    for (unsigned i = 0; i < rounds; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned n = seed / 65536 % OBJECTS;
        OBJECT(o, where[n % 3], n, 1000 + n * 4000);
        unsigned act = seed / 7 % 8;
        if (act == 0)
            ok((n % 3 == 2 ? store_put_kept : store_put)(store, o.name, o.data, o.size, &e), &e);
        else if (n % 3 == 2)
            read_range(store, &o, true, o.size / act, o.size - o.size / act);
        else
            read_whole(store, &o);
    }
    store_close(store);
}

static void test_many_processes(void **state)
{
    (void)state;
    pid_t pids[PROCESSES] = {0};
    for (unsigned n = 0; n < OBJECTS; n++) {
        static const char *const where[] = {"index", "snapshots", "data"};
        OBJECT(o, where[n % 3], n, 1000 + n * 4000);
        put_behind(&o, o.data, o.size);
    }
    for (unsigned started = 0; started < 40; started++) {
        unsigned slot = started % PROCESSES;
        int status;
        if (pids[slot]) {
            kill(pids[slot], SIGKILL);
            waitpid(pids[slot], &status, 0);
            assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
                        (WIFEXITED(status) && !WEXITSTATUS(status)));
        }
        pids[slot] = fork();
        assert_true(pids[slot] >= 0);
        if (!pids[slot]) {
            live(started + 1, started < 36 ? 100000 : 300);
            _exit(0);
        }
        usleep(25000);
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    }
    unsigned files;
    assert_in_range(cache_bytes(&files), 1, 2000000 + PROCESSES * 2000000 / 16);
    live(99, 300); /* and nothing that they left is in the way */
}

static void test_options(void **state)
{
    (void)state;
    struct counting counting = {.base.ops = &ops};
    struct nacre_err e = {0};
    static const struct nacre_option wrong[][2] = {{{"id", "x"}, {"max-bytes", "1"}},
                                                   {{"directory", "/tmp"}, {"id", ".."}},
                                                   {{"directory", "/tmp"}, {"id", "a/b"}},
                                                   {{"directory", "/tmp"}, {"id", ""}},
                                                   {{"directory", "/tmp"}, {"max-bytes", "x"}}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct nacre_object_store *store = &counting.base;
        assert_int_equal(plugin_wrap_store("cache", wrong[i], 2, &store, &e), -1);
        assert_int_equal(e.code, NACRE_INVALID);
        assert_ptr_equal(store, &counting.base);
    }
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/nacre-cache-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_kept),     TEST(test_packs_of_trees), TEST(test_a_store_that_lies),
        TEST(test_damage_is_mended), TEST(test_odd_files),      TEST(test_bounds),
        TEST(test_without),          TEST(test_many_processes), TEST(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

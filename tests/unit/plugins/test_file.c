/* SPDX-License-Identifier: Apache-2.0 */
/* What the file store promises beyond the contract: modes, links, other programs' files, nothing left behind,
 * full disks, very large directories, and file systems that cannot have nameless files. Linked with the
 * store's own parts, so that the last can be had on any file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "object/file/file.h"
#include "plugins/store.h"

extern const struct nacre_object_store_plugin nacre_object_store_plugin;

static char *root;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int make_root(void **state)
{
    (void)state;
    root = strdup("/tmp/nacre-file-XXXXXX");
    return root && mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(root);
    return 0;
}

static int try_open(const char *url, struct nacre_object_store **out, struct nacre_err *e)
{
    const struct nacre_config config = {.size = sizeof config, .cancelled = cancel_requested};
    return nacre_object_store_plugin.open(url, &config, out, e);
}

static struct nacre_object_store *open_below(const char *below)
{
    struct nacre_err e = {0};
    struct nacre_object_store *store = NULL;
    char url[600];
    snprintf(url, sizeof url, "file://%s%s", root, below);
    if (try_open(url, &store, &e) < 0)
        fail_msg("%s", e.message);
    return store;
}

static const char *path_of(const char *below)
{
    static char path[2][600];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, below);
    return path[turn];
}

static void write_file(const char *below, const char *text)
{
    int fd = open(path_of(below), O_WRONLY | O_CREAT | O_TRUNC, 0400);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void put(struct nacre_object_store *store, const char *name, const char *text)
{
    struct nacre_err e = {0};
    if (store_put(store, name, text, strlen(text), &e) < 0)
        fail_msg("%s", e.message);
}

static void assert_text(struct nacre_object_store *store, const char *name, const char *text)
{
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf got = {0};
    if (store_get(store, name, 1 << 20, &got, &e) < 0)
        fail_msg("%s", e.message);
    assert_int_equal(got.size, strlen(text));
    assert_memory_equal(got.data ? (char *)got.data : "", text, got.size);
}

/* How many entries a directory has. */
static int entries(const char *below)
{
    DIR *stream = opendir(path_of(below));
    assert_non_null(stream);
    int count = -2; /* "." and ".." */
    while (readdir(stream))
        count++;
    closedir(stream);
    return count;
}

static mode_t mode_of(const char *below)
{
    struct stat st;
    assert_int_equal(lstat(path_of(below), &st), 0);
    return st.st_mode;
}

static void test_modes_and_made_directories(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_below("/a/b c/repository");
    assert_int_equal(entries(""), 0); /* opening makes nothing */
    put(store, "data/ab/pack", "x");
    assert_int_equal(mode_of("a/b c/repository/data/ab/pack"), S_IFREG | 0600);
    assert_int_equal(mode_of("a/b c/repository/data/ab"), S_IFDIR | 0700);
    assert_int_equal(mode_of("a/b c/repository"), S_IFDIR | 0700);
    assert_int_equal(mode_of("a"), S_IFDIR | 0700);
}

static void test_urls(void **state)
{
    (void)state;
    struct nacre_err e;
    struct nacre_object_store *store = NULL;
    static const char *const bad[] = {"file://",      "file://host/x", "file:relative",
                                      "file://%2fx",  "file:///a%",    "file:///a%2",
                                      "file:///a%zz", "file:///a%00b", "memory://x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(try_open(bad[i], &store, &e), -1);
        assert_int_equal(e.code, NACRE_INVALID);
    }
    CLEANUP(store_close) struct nacre_object_store *encoded = open_below("/with%20space%2f//");
    put(encoded, "x", "1");
    assert_int_equal(mode_of("with space/x"), S_IFREG | 0600);
    write_file("plain", "no directory");
    char url[600];
    snprintf(url, sizeof url, "file://%s/plain", root);
    assert_int_equal(try_open(url, &store, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
    assert_non_null(strstr(e.message, "Not a directory"));
}

static void test_links(void **state)
{
    (void)state;
    struct nacre_err e;
    struct nacre_object_info info;
    assert_int_equal(mkdir(path_of("real"), 0700), 0);
    assert_int_equal(mkdir(path_of("outside"), 0700), 0);
    write_file("outside/secret", "secret");
    assert_int_equal(symlink("real", path_of("link")), 0);
    CLEANUP(store_close) struct nacre_object_store *store = open_below("/link");
    put(store, "x", "1"); /* the root itself may be a link */
    assert_int_equal(mode_of("real/x"), S_IFREG | 0600);

    assert_int_equal(symlink("../outside/secret", path_of("real/config")), 0);
    assert_int_equal(symlink("../outside", path_of("real/data")), 0);
    CLEANUP(buf_free) struct buf got = {0};
    assert_int_equal(store_get(store, "config", 100, &got, &e), -1);
    assert_int_equal(got.size, 0);
    assert_int_equal(store_stat(store, "config", &info, &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
    assert_int_equal(store_remove(store, "config", &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
    assert_int_equal(store_get(store, "data/secret", 100, &got, &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    assert_non_null(strstr(e.message, "symbolic link"));
    assert_int_equal(store_put(store, "data/new", "x", 1, &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    assert_int_equal(store_remove(store, "data/secret", &e), -1);
    assert_int_equal(entries("outside"), 1);
    put(store, "config", "mine"); /* takes the link's place, not its target's */
    assert_text(store, "config", "mine");
    CLEANUP(store_close) struct nacre_object_store *outside = open_below("/outside");
    assert_text(outside, "secret", "secret");
}

static int count_entry(void *ctx, const struct nacre_object_info *info)
{
    (void)info;
    ++*(int *)ctx;
    return 0;
}

static int count(struct nacre_object_store *store)
{
    struct nacre_err e = {0};
    int result = 0;
    if (store->ops->list(store, "", count_entry, &result, &e) < 0)
        fail_msg("%s", e.message);
    return result;
}

static void test_files_of_others(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = open_below("");
    assert_int_equal(mkdir(path_of("keys"), 0700), 0);
    assert_int_equal(mkdir(path_of("lost+found"), 0700), 0);
    write_file("keys/abc", "from restic"); /* mode 0400 */
    write_file("keys/with space", "no object");
    write_file("lost+found/x", "no object");
    assert_int_equal(mkfifo(path_of("keys/fifo"), 0600), 0);
    assert_int_equal(count(store), 1);
    assert_text(store, "keys/abc", "from restic");
    CLEANUP(buf_free) struct buf got = {0};
    assert_int_equal(store_get(store, "keys/fifo", 100, &got, &e), -1); /* and does not wait for a writer */
    assert_int_equal(e.code, NACRE_ABSENT);
    assert_int_equal(store_remove(store, "keys/abc", &e), 0);
    assert_int_equal(count(store), 0);
}

static int fail_read(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    (void)ctx;
    if (offset)
        return err_set(e, NACRE_FAILED, "source");
    memset(buf, 'x', len);
    return 0;
}

/* With nameless files (the usual way) and with named ones. */
static void nothing_is_left(bool named)
{
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = open_below(named ? "/named" : "/nameless");
    const char *directory = named ? "named/d" : "nameless/d";
    ((struct file_store *)store)->no_tmpfile = named;
    put(store, "d/a", "first");
    put(store, "d/a", "second");
    assert_text(store, "d/a", "second");
    assert_int_equal(store_put_if_absent(store, "d/a", "third", 5, &e), -1);
    assert_int_equal(e.code, NACRE_EXISTS);
    assert_int_equal(store_put_if_absent(store, "d/b", "b", 1, &e), 0);
    assert_int_equal(entries(directory), 2);
    const struct nacre_input bad = {.size = 3 << 20, .read = fail_read};
    assert_int_equal(store->ops->put(store, "d/a", &bad, &e), -1);
    assert_int_equal(store->ops->put(store, "d/c", &bad, &e), -1);
    assert_int_equal(store->ops->put_if_absent(store, "d/c", &bad, &e), -1);
    assert_int_equal(entries(directory), 2);
    assert_text(store, "d/a", "second");
}

static void test_nothing_is_left(void **state)
{
    (void)state;
    nothing_is_left(false);
    nothing_is_left(true);
}

struct race {
    struct nacre_object_store *store;
    pthread_barrier_t start;
    int wins[8], others[8];
};
struct racer {
    struct race *race;
    int index;
};

static void *race_named(void *ctx)
{
    struct racer *racer = ctx;
    for (int round = 0; round < 50; round++) {
        struct nacre_err e;
        char name[32];
        snprintf(name, sizeof name, "locks/%d", round);
        pthread_barrier_wait(&racer->race->start);
        if (store_put_if_absent(racer->race->store, name, name, strlen(name), &e) == 0)
            racer->race->wins[racer->index]++;
        else if (e.code != NACRE_EXISTS)
            racer->race->others[racer->index]++;
    }
    return NULL;
}

static void test_race_with_named_files(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_below("");
    ((struct file_store *)store)->no_tmpfile = true;
    struct race race = {.store = store};
    struct racer racers[8];
    pthread_t threads[8];
    pthread_barrier_init(&race.start, NULL, 8);
    for (int i = 0; i < 8; i++) {
        racers[i] = (struct racer){&race, i};
        pthread_create(&threads[i], NULL, race_named, &racers[i]);
    }
    int wins = 0, others = 0;
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        wins += race.wins[i];
        others += race.others[i];
    }
    pthread_barrier_destroy(&race.start);
    assert_int_equal(wins, 50);
    assert_int_equal(others, 0);
    assert_int_equal(entries("locks"), 50);
}

static int die_in_the_middle(void *ctx, uint64_t offset, void *buf, size_t len, struct nacre_err *e)
{
    (void)ctx, (void)e;
    if (offset)
        raise(SIGKILL);
    memset(buf, 'x', len);
    return 0;
}

/* A writer that is killed leaves nothing (nameless), or what no listing shows (named). */
static void test_killed_writer(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        const char *below = named ? "/named" : "/nameless", *directory = named ? "named/d" : "nameless/d";
        CLEANUP(store_close) struct nacre_object_store *store = open_below(below);
        put(store, "d/old", "old");
        pid_t pid = fork();
        if (pid == 0) {
            struct nacre_err e;
            ((struct file_store *)store)->no_tmpfile = named;
            const struct nacre_input input = {.size = 3 << 20, .read = die_in_the_middle};
            store->ops->put(store, "d/old", &input, &e);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(entries(directory), named ? 2 : 1);
        assert_int_equal(count(store), 1);
        assert_text(store, "d/old", "old");
    }
}

static void test_stale_files(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_below("");
    put(store, "d/x", "1");
    write_file("d/" FILE_TEMPORARY "old", "half");
    write_file("d/" FILE_TEMPORARY "held", "half");
    write_file("d/" FILE_TEMPORARY "new", "half");
    const struct timespec old[2] = {{.tv_sec = time(NULL) - (time_t)2 * 24 * 3600},
                                    {.tv_sec = time(NULL) - (time_t)2 * 24 * 3600}};
    assert_int_equal(utimensat(AT_FDCWD, path_of("d/" FILE_TEMPORARY "old"), old, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, path_of("d/" FILE_TEMPORARY "held"), old, 0), 0);
    int held = open(path_of("d/" FILE_TEMPORARY "held"), O_RDONLY);
    assert_int_equal(flock(held, LOCK_EX), 0);
    assert_int_equal(count(store), 1);
    assert_int_equal(access(path_of("d/" FILE_TEMPORARY "old"), F_OK), -1);
    assert_int_equal(access(path_of("d/" FILE_TEMPORARY "held"), F_OK), 0);
    assert_int_equal(access(path_of("d/" FILE_TEMPORARY "new"), F_OK), 0);
    close(held);
    assert_int_equal(count(store), 1);
    assert_int_equal(entries("d"), 2);
}

struct ordered {
    int count, wrong;
    char last[64];
};

static int check_order(void *ctx, const struct nacre_object_info *info)
{
    struct ordered *ordered = ctx;
    ordered->wrong += strcmp(info->name, ordered->last) <= 0;
    snprintf(ordered->last, sizeof ordered->last, "%s", info->name);
    ordered->count++;
    return 0;
}

/* More names in one directory than are held at once, with directories among them. */
static void test_large_directory(void **state)
{
    (void)state;
    enum { FILES = 40000 };
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = open_below("");
    put(store, "d/first", "1");
    int directory = open(path_of("d"), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < FILES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%05d", i * 7919 % FILES);
        int fd = openat(directory, name, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    close(directory);
    for (int i = 0; i < FILES; i += 1000) {
        char name[64];
        snprintf(name, sizeof name, "d/%05d-below/x", i);
        put(store, name, "");
    }
    struct ordered ordered = {0};
    assert_int_equal(store->ops->list(store, "d/", check_order, &ordered, &e), 0);
    assert_int_equal(ordered.wrong, 0);
    assert_int_equal(ordered.count, FILES + FILES / 1000 + 1);
    struct ordered some = {0};
    assert_int_equal(store->ops->list(store, "d/399", check_order, &some, &e), 0);
    assert_int_equal(some.count, 100);
    assert_int_equal(some.wrong, 0);
}

static void refuse_big(struct nacre_object_store *store, size_t size)
{
    struct nacre_err e;
    void *big = calloc(1, size);
    assert_non_null(big);
    assert_int_equal(store_put(store, "d/old", big, size, &e), -1);
    assert_int_equal(e.code, NACRE_NO_SPACE);
    assert_non_null(strstr(e.message, "d/old"));
    assert_non_null(strstr(e.message, "make room"));
    assert_int_equal(store_put_if_absent(store, "d/new", big, size, &e), -1);
    assert_int_equal(e.code, NACRE_NO_SPACE);
    free(big);
}

static void test_file_size_limit(void **state)
{
    (void)state;
    CLEANUP(store_close) struct nacre_object_store *store = open_below("");
    put(store, "d/old", "still whole");
    struct rlimit before, limit;
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    refuse_big(store, 3 << 20);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(entries("d"), 1);
    assert_text(store, "d/old", "still whole");
}

/* A file system of 2 MiB, in a mount namespace of its own. */
static void test_full_disk(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        print_message("needs root\n");
        skip();
    }
    assert_int_equal(mount("none", root, "tmpfs", 0, "size=2m"), 0);
    CLEANUP(store_close) struct nacre_object_store *store = open_below("");
    struct nacre_err e = {0};
    put(store, "d/old", "still whole");
    for (int named = 0; named < 2; named++) {
        ((struct file_store *)store)->no_tmpfile = named;
        refuse_big(store, 3 << 20);
        assert_int_equal(entries("d"), 1);
        assert_text(store, "d/old", "still whole");
    }
    void *fits = calloc(1, 1 << 20);
    assert_int_equal(store_put(store, "d/fits", fits, 1 << 20, &e), 0);
    free(fits);
    store_close(MOVE(store));
    assert_int_equal(umount2(root, MNT_DETACH), 0);
}

/* What restic keeps has these names; a file where a directory should be is no reason to lose either. */
static void test_file_in_the_way(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(store_close) struct nacre_object_store *store = open_below("");
    put(store, "data", "a file");
    assert_int_equal(store_put(store, "data/00/x", "1", 1, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
    put(store, "index/x", "1");
    assert_int_equal(store_put(store, "index", "1", 1, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
    assert_int_equal(store_put_if_absent(store, "index", "1", 1, &e), -1);
    assert_text(store, "data", "a file");
    assert_text(store, "index/x", "1");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        TEST(test_modes_and_made_directories),
        TEST(test_urls),
        TEST(test_links),
        TEST(test_files_of_others),
        TEST(test_nothing_is_left),
        TEST(test_race_with_named_files),
        TEST(test_killed_writer),
        TEST(test_stale_files),
        TEST(test_large_directory),
        TEST(test_file_size_limit),
        TEST(test_file_in_the_way),
        TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and refusing modules, in plugin directories made for each test. argv: the build tree's plugin
 * directory and the directory of the modules that are bad on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "plugins/load.h"
#include "plugins/store.h"

static const char *good_plugins;
static const char *bad_modules;
static char *directory;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static char *path_below(const char *name)
{
    static char path[2][600];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", directory, name);
    return path[turn];
}

/* Each test has a new directory, since a module stays open under its path. */
static int make_directory(void **state)
{
    (void)state;
    directory = strdup("/tmp/nacre-load-XXXXXX");
    if (!directory || !mkdtemp(directory) || mkdir(path_below("object"), 0755) < 0 ||
        mkdir(path_below("volume"), 0755) < 0)
        return -1;
    chmod(directory, 0755);
    return setenv("NACRE_PLUGIN_PATH", directory, 1);
}

static int remove_directory(void **state)
{
    (void)state;
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(directory);
    return 0;
}

/* Copies a module, or its first `most` bytes. */
static void install(const char *from_directory, const char *from, const char *to, size_t most)
{
    char path[1024], buffer[65536];
    snprintf(path, sizeof path, "%s/%s", from_directory, from);
    int in = open(path, O_RDONLY), out = open(path_below(to), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(in >= 0 && out >= 0);
    ssize_t got;
    while (most && (got = read(in, buffer, most < sizeof buffer ? most : sizeof buffer)) > 0) {
        assert_int_equal(write(out, buffer, (size_t)got), got);
        most -= (size_t)got;
    }
    fchmod(out, 0644);
    close(in);
    close(out);
}

static void install_bad(const char *name)
{
    char from[64], to[64];
    snprintf(from, sizeof from, "bad_%s.so", name);
    snprintf(to, sizeof to, "object/%s.so", name);
    install(bad_modules, from, to, SIZE_MAX);
}

/* Opens URL expecting a code and words in the message. */
static void refuse(const char *url, enum nacre_code code, const char *word, const char *another)
{
    struct nacre_err e = {0};
    struct nacre_object_store *store = NULL;
    assert_int_equal(plugin_open_store(url, NULL, 0, &store, &e), -1);
    assert_null(store);
    if (e.code != code || !strstr(e.message, word) || !strstr(e.message, another))
        fail_msg("expected %s with \"%s\" and \"%s\", got %s: %s", err_code_name(code), word, another,
                 err_code_name(e.code), e.message);
}

static void test_opens(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = NULL;
    install(good_plugins, "object/memory.so", "object/memory.so", SIZE_MAX);
    install(good_plugins, "object/retry.so", "object/retry.so", SIZE_MAX);
    assert_int_equal(plugin_open_store("memory://x", NULL, 0, &store, &e), 0);
    const struct nacre_option tries = {"tries", "3"};
    assert_int_equal(plugin_wrap_store("retry", &tries, 1, &store, &e), 0);
    assert_int_equal(store_put(store, "a", "b", 1, &e), 0);
}

static void test_unknown_scheme(void **state)
{
    (void)state;
    refuse("gs://bucket", NACRE_ABSENT, "\"gs\"", "there is none in");
    install(good_plugins, "object/memory.so", "object/memory.so", SIZE_MAX);
    install(good_plugins, "object/retry.so", "object/retry.so", SIZE_MAX);
    refuse("gs://bucket", NACRE_ABSENT, "\"gs\"", "memory, retry");
    refuse("retry://x", NACRE_ABSENT, "\"retry\"", "memory, retry"); /* a wrapper is no store */
    refuse("", NACRE_INVALID, "is not a storage URL", "SCHEME://");
    refuse("/srv/backups", NACRE_INVALID, "is not a storage URL", "/srv/backups");
    refuse("../../tmp/evil://x", NACRE_INVALID, "is not a storage URL", "SCHEME://");
    refuse("MEMORY://x", NACRE_INVALID, "is not a storage URL", "SCHEME://");
}

static void test_unknown_options(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    CLEANUP(store_close) struct nacre_object_store *store = NULL;
    install(good_plugins, "object/memory.so", "object/memory.so", SIZE_MAX);
    install(good_plugins, "object/retry.so", "object/retry.so", SIZE_MAX);
    const struct nacre_option option = {"triess", "3"};
    assert_int_equal(plugin_open_store("memory://x", &option, 1, &store, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
    assert_non_null(strstr(e.message, "\"memory\" knows no option \"triess\""));
    assert_int_equal(plugin_open_store("memory://x", NULL, 0, &store, &e), 0);
    struct nacre_object_store *before = store;
    assert_int_equal(plugin_wrap_store("retry", &option, 1, &store, &e), -1);
    assert_non_null(
        strstr(e.message, "\"retry\" knows no option \"triess\" (it knows: tries, base-ms, cap-ms)"));
    assert_ptr_equal(store, before);
    static const char *const values[] = {"", "0", "1001", "x", "3x", "-1", " 3", "99999999999999999999"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const struct nacre_option bad = {"tries", values[i]};
        assert_int_equal(plugin_wrap_store("retry", &bad, 1, &store, &e), -1);
        assert_int_equal(e.code, NACRE_INVALID);
        assert_non_null(strstr(e.message, "expected a number from 1 to 1000"));
        assert_ptr_equal(store, before);
    }
    assert_int_equal(plugin_wrap_store("memory", NULL, 0, &store, &e), -1);
    assert_non_null(strstr(e.message, "not a wrapper"));
    assert_int_equal(plugin_wrap_store("../retry", NULL, 0, &store, &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
}

static void test_permissions(void **state)
{
    (void)state;
    static const struct {
        const char *path, *what;
        mode_t mode, before;
    } cases[] = {
        {"object/memory.so", "plugin", 0664, 0644},     {"object/memory.so", "plugin", 0646, 0644},
        {"object", "the plugin directory", 0775, 0755}, {"object", "the plugin directory", 0757, 0755},
        {"", "the plugin directory", 0777, 0755},
    };
    install(good_plugins, "object/memory.so", "object/memory.so", SIZE_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chmod(path_below(cases[i].path), cases[i].mode);
        refuse("memory://x", NACRE_DENIED, cases[i].what, "chmod go-w");
        chmod(path_below(cases[i].path), cases[i].before);
    }
    if (geteuid() == 0) {
        assert_int_equal(chown(path_below("object/memory.so"), 12345, (gid_t)-1), 0);
        refuse("memory://x", NACRE_DENIED, "belongs to user 12345", "chown");
        assert_int_equal(chown(path_below("object/memory.so"), 0, (gid_t)-1), 0);
        assert_int_equal(chown(path_below("object"), 12345, (gid_t)-1), 0);
        refuse("memory://x", NACRE_DENIED, "belongs to user 12345", "chown");
        assert_int_equal(chown(path_below("object"), 0, (gid_t)-1), 0);
    }
    struct nacre_err e = {0};
    struct nacre_object_store *store = NULL;
    assert_int_equal(plugin_open_store("memory://x", NULL, 0, &store, &e), 0);
    store_close(store);
}

static void test_bad_modules(void **state)
{
    (void)state;
    install_bad("abi");
    refuse("abi://x", NACRE_UNSUPPORTED, "is of ABI version 2", "build the plugin again");
    install_bad("size");
    refuse("size://x", NACRE_INVALID, "incomplete table", "size.so");
    install_bad("name");
    refuse("name://x", NACRE_INVALID, "calls itself \"another\"", "name.so");
    install_bad("symbol");
    refuse("symbol://x", NACRE_INVALID, "has no symbol", NACRE_OBJECT_STORE_SYMBOL);
    install_bad("empty");
    refuse("empty://x", NACRE_INVALID, "nothing to open", "empty.so");
    install_bad("ops");
    refuse("ops://x", NACRE_UNSUPPORTED, "lacks functions", "ops.so");
    refuse("memory://x", NACRE_ABSENT, "\"memory\"", "one of them cannot be loaded");
}

static void test_bad_driver(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    struct nacre_driver *driver = NULL;
    assert_int_equal(plugin_open_driver("driver", NULL, 0, &driver, &e), -1);
    assert_int_equal(e.code, NACRE_ABSENT);
    install(bad_modules, "bad_driver.so", "volume/driver.so", SIZE_MAX);
    assert_int_equal(plugin_open_driver("driver", NULL, 0, &driver, &e), -1);
    assert_int_equal(e.code, NACRE_UNSUPPORTED);
    assert_non_null(strstr(e.message, "lacks functions"));
    assert_null(driver);
    const struct nacre_option option = {"nonsense", "1"};
    assert_int_equal(plugin_open_driver("driver", &option, 1, &driver, &e), -1);
    assert_int_equal(e.code, NACRE_INVALID);
    assert_non_null(strstr(e.message, "nonsense"));
    driver_close(NULL);
}

/* A module cut short at any length, or with any header byte changed to nonsense, is an error, not a crash. */
static void test_damaged_modules(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4, 20, 64, 100, 1000, 4096, 8192, 12288, 15000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[32], url[32];
        snprintf(name, sizeof name, "object/cut%zu.so", i);
        snprintf(url, sizeof url, "cut%zu://x", i);
        install(good_plugins, "object/memory.so", name, sizes[i]);
        struct nacre_err e = {0};
        struct nacre_object_store *store = NULL;
        assert_int_equal(plugin_open_store(url, NULL, 0, &store, &e), -1);
        assert_true(*e.message);
    }
    assert_int_equal(mkdir(path_below("object/directory.so"), 0755), 0);
    refuse("directory://x", NACRE_INVALID, "is not a shared module", "directory.so");
    assert_int_equal(mkfifo(path_below("object/fifo.so"), 0600), 0);
    refuse("fifo://x", NACRE_INVALID, "is not a shared module", "fifo.so");
    assert_int_equal(symlink("/nonexistent", path_below("object/dangling.so")), 0);
    refuse("dangling://x", NACRE_ABSENT, "cannot open plugin", "dangling.so");
}

struct listed {
    char text[4096];
    int stop_after;
};

static int note(void *ctx, const struct plugin_info *info)
{
    struct listed *listed = ctx;
    size_t used = strlen(listed->text);
    snprintf(listed->text + used, sizeof listed->text - used, "%s/%s[%s]%s;", info->kind, info->name,
             info->schemes, info->problem ? "!" : "");
    assert_true(!!info->problem == !*info->version || !info->problem);
    return listed->stop_after && --listed->stop_after == 0;
}

static void test_each(void **state)
{
    (void)state;
    struct nacre_err e = {0};
    struct listed none = {0}, all = {0}, some = {.stop_after = 2};
    assert_int_equal(plugin_each(note, &none, &e), 0);
    assert_string_equal(none.text, "");
    install_bad("abi");
    install_bad("symbol");
    install(good_plugins, "object/memory.so", "object/cut.so", 4096);
    install(good_plugins, "object/memory.so", "object/memory.so", SIZE_MAX);
    install(good_plugins, "object/retry.so", "object/retry.so", SIZE_MAX);
    install(good_plugins, "object/retry.so", "object/not a name.so", SIZE_MAX);
    install(good_plugins, "object/retry.so", "object/README", SIZE_MAX);
    install(bad_modules, "bad_driver.so", "volume/driver.so", SIZE_MAX);
    assert_int_equal(plugin_each(note, &all, &e), 0);
    assert_string_equal(all.text,
                        "object/abi[]!;object/cut[]!;object/memory[memory];object/retry[];object/symbol[]!;"
                        "volume/driver[];");
    assert_int_equal(plugin_each(note, &some, &e), 0);
    assert_string_equal(some.text, "object/abi[]!;object/cut[]!;");
}

/* Two directories: the first has its say; one that is not there is passed over. */
static void test_search_path(void **state)
{
    (void)state;
    char path[2000];
    struct nacre_err e = {0};
    struct nacre_object_store *store = NULL;
    install(good_plugins, "object/memory.so", "object/memory.so", 4096);
    snprintf(path, sizeof path, "/nonexistent::%s", good_plugins);
    setenv("NACRE_PLUGIN_PATH", path, 1);
    assert_int_equal(plugin_open_store("memory://x", NULL, 0, &store, &e), 0);
    store_close(store);
    snprintf(path, sizeof path, "%s:%s", directory, good_plugins);
    setenv("NACRE_PLUGIN_PATH", path, 1);
    refuse("memory://x", NACRE_INVALID, "cut short", directory);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    good_plugins = argv[1];
    bad_modules = argv[2];
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(test_opens),           TEST(test_unknown_scheme), TEST(test_unknown_options),
        TEST(test_permissions),     TEST(test_bad_modules),    TEST(test_bad_driver),
        TEST(test_damaged_modules), TEST(test_each),           TEST(test_search_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

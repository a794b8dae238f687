/* SPDX-License-Identifier: Apache-2.0 */
/* Trees: restic's own bytes must come back from parsing and writing them again; names in every form; speed;
 * what must be refused. */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>

#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "common/utf8.h"
#include "repository/blob_load.h"
#include "repository/tree.h"
#include "repository/tree_name.h"

static int rewrite_node(void *ctx, const struct node *node, struct nacre_err *e)
{
    (void)e;
    tree_node(ctx, node);
    return 0;
}

static void rewrite(const struct buf *json, struct buf *out)
{
    struct nacre_err e;
    tree_begin(out);
    assert_ok(tree_parse(json->data, json->size, rewrite_node, out, &e));
    tree_end(out);
    assert_false(buf_failed(out));
}

static void make_file(const char *directory, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    close(fd);
}

/* A directory with everything a file system has. */
static void make_files(const char *d)
{
    char path[600];
    const char *const names[] = {"plain",
                                 "a<b>&\"q\\",
                                 "bad\xff\x7f\n\x01name",
                                 "uni\xe2\x80\xa8\xc2\xad\xc3\xa9\xf0\x9f\x98\x80",
                                 "trail\xe2\x82",
                                 "\a\b\f\r\t\v",
                                 "space ",
                                 "'"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make_file(d, names[i]);
    /* Every character up to U+FFF and a sample of the rest, in names of 40. */
    for (uint32_t rune = 1; rune < 0x110000;) {
        char name[200];
        size_t size = 0;
        for (int i = 0; i < 40 && rune < 0x110000; i++, rune += rune < 0x1000 ? 1 : 211)
            if (rune != '/' && (rune < 0xd800 || rune > 0xdfff))
                size += utf8_encode(rune, name + size);
        name[size] = 0;
        make_file(d, name);
    }
    snprintf(path, sizeof path, "%s/empty", d);
    assert_int_equal(close(open(path, O_WRONLY | O_CREAT, 04755)), 0);
    snprintf(path, sizeof path, "%s/link", d);
    assert_int_equal(symlink("target <&>", path), 0);
    snprintf(path, sizeof path, "%s/fifo", d);
    assert_int_equal(mkfifo(path, 0600), 0);
    if (!geteuid()) {
        snprintf(path, sizeof path, "%s/device", d);
        assert_int_equal(mknod(path, S_IFBLK | 0600, makedev(7, 1)), 0);
        snprintf(path, sizeof path, "%s/chardevice", d);
        assert_int_equal(mknod(path, S_IFCHR | 0600, makedev(1, 3)), 0);
    }
    snprintf(path, sizeof path, "%s/plain", d);
    setxattr(path, "user.test", "a\0b<", 4, 0); /* where the file system can */
    const struct timeval old[2] = {{-3000000000, 0}, {-1, 500000}};
    assert_int_equal(utimes(path, old), 0);
    snprintf(path, sizeof path, "%s/sub", d);
    assert_int_equal(mkdir(path, 01777), 0);
}

static int count_node(void *ctx, const struct node *node, struct nacre_err *e)
{
    (void)node;
    (void)e;
    ++*(size_t *)ctx;
    return 0;
}

/* Every tree of a repository that restic wrote, byte for byte. */
static void restic_trees_come_back(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    char directory[100], source[100];
    CLEANUP(buf_free) struct buf list = {0}, log = {0};
    snprintf(source, sizeof source, "%s/source", place->dir);
    snprintf(directory, sizeof directory, "%s/files", source);
    assert_int_equal(mkdir(source, 0755) | mkdir(directory, 0755), 0);
    make_files(directory);
    setenv("TZ", "UTC", 1); /* restic writes local time */
    assert_int_equal(restic(place, NULL, "init"), 0);
    if (restic(place, &log, "backup %s", source) != 0)
        fail_msg("%s", log.data);
    assert_int_equal(restic(place, NULL, "backup --stdin --stdin-filename disk.img < %s/plain", directory),
                     0);
    assert_int_equal(restic(place, &list, "-q list blobs"), 0);

    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    assert_ok(repo_open(place->store, &place->options, PASSWORD, &repo, &e));
    assert_ok(index_load(repo, &index, &e));
    size_t trees = 0, nodes = 0;
    for (char *at = (char *)list.data; (at = strstr(at, "tree ")); at += 5) {
        CLEANUP(buf_free) struct buf json = {0}, again = {0};
        struct id id;
        assert_true(strlen(at) > 69);
        at[69] = 0;
        assert_true(id_parse(&id, at + 5));
        at[69] = '\n';
        assert_ok(blob_load(repo, index, BLOB_TREE, &id, &json, &e));
        rewrite(&json, &again);
        if (json.size != again.size || memcmp(json.data, again.data, json.size) != 0)
            fail_msg("restic wrote\n%s and nacre\n%s", json.data, again.data);
        assert_ok(tree_load(repo, index, &id, count_node, &nodes, &e));
        trees++;
    }
    assert_true(trees >= 4 && nodes > 230);
}

static void check_quoted(const char *raw, size_t size, const char *quoted)
{
    CLEANUP(buf_free) struct buf out = {0}, back = {0};
    tree_name_quote(&out, raw, size);
    assert_string_equal((char *)out.data, quoted);
    assert_true(tree_name_unquote((char *)out.data, out.size, &back));
    assert_int_equal(back.size, size);
    assert_memory_equal(back.data, raw, size);
}

static void quotes_names(void **state)
{
    (void)state;
    check_quoted("plain", 5, "plain");
    check_quoted("a\"b\\c'd", 7, "a\\\"b\\\\c'd");
    check_quoted("\a\b\f\n\r\t\v", 7, "\\a\\b\\f\\n\\r\\t\\v");
    check_quoted("\x01\x1f\x7f\x80\xff", 5, "\\x01\\x1f\\x7f\\x80\\xff");
    check_quoted("\xc2\x80\xc2\xa0\xc2\xad\xc3\xa9", 8, "\\u0080\\u00a0\\u00ad\xc3\xa9");
    check_quoted("\xef\xbf\xbd", 3, "\xef\xbf\xbd");    /* U+FFFD itself */
    check_quoted("\xed\xa0\x80", 3, "\\xed\\xa0\\x80"); /* a surrogate is no UTF-8 */
    check_quoted("\xc0\xaf\xf5", 3, "\\xc0\\xaf\\xf5"); /* overlong; too large */
    check_quoted("\xf3\xa0\x80\x81", 4, "\\U000e0001"); /* a tag character */
    check_quoted("\xf0\x9f\x98\x80\xe2", 5, "\xf0\x9f\x98\x80\\xe2");
}

static void unquotes_names(void **state)
{
    (void)state;
    const struct {
        const char *text, *raw; /* NULL: refused */
    } cases[] = {
        {"\\141\\x41\\u0042\\U00000043", "aABC"},
        {"\\377\\xFf", "\xff\xff"},
        {"\\u20ac\\U0001F600", "\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"'", "'"},
        {"\\'", NULL},
        {"\"", NULL},
        {"\\", NULL},
        {"\\x4", NULL},
        {"\\xg0", NULL},
        {"\\400", NULL},
        {"\\08", NULL},
        {"\\ud800", NULL},
        {"\\U00110000", NULL},
        {"\\u12", NULL},
        {"a\nb", NULL},
        {"\\q", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_free) struct buf out = {0};
        bool good = tree_name_unquote(cases[i].text, strlen(cases[i].text), &out);
        if (good != (cases[i].raw != NULL))
            fail_msg("%s", cases[i].text);
        if (good)
            assert_string_equal((char *)out.data, cases[i].raw);
    }
}

static int keep_link(void *ctx, const struct node *node, struct nacre_err *e)
{
    (void)e;
    buf_string(ctx, node->linktarget ? node->linktarget : "(none)");
    buf_char(ctx, ';');
    return 0;
}

static void keeps_raw_link_targets(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(buf_free) struct buf tree = {0}, links = {0};
    tree_begin(&tree);
    tree_node(&tree,
              &(struct node){.name = "l", .name_size = 1, .type = NODE_SYMLINK, .linktarget = "t\xffz"});
    tree_node(&tree, &(struct node){.name = "m", .name_size = 1, .type = NODE_SYMLINK, .linktarget = "ok"});
    tree_end(&tree);
    assert_non_null(strstr((char *)tree.data, "\"linktarget\":\"t\\ufffdz\",\"linktarget_raw\":\"dP96\""));
    assert_null(strstr(strstr((char *)tree.data, "ok"), "raw"));
    assert_ok(tree_parse(tree.data, tree.size, keep_link, &links, &e));
    const char reversed[] = "{\"nodes\":[{\"name\":\"l\",\"linktarget_raw\":\"dP96\",\"linktarget\":\"t\"}]}";
    assert_ok(tree_parse(reversed, strlen(reversed), keep_link, &links, &e));
    assert_string_equal((char *)links.data, "t\xffz;ok;t\xffz;");
}

static int keep_time(void *ctx, const struct node *node, struct nacre_err *e)
{
    (void)e;
    *(int64_t *)ctx = node->mtime_ns;
    return 0;
}

static void reads_odd_times(void **state)
{
    (void)state;
    struct nacre_err e;
    const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"0001-01-01T00:00:00Z", NODE_TIME_NONE},   {"1601-01-01T00:00:00Z", INT64_MIN + 1},
        {"0000-01-01T00:00:00Z", INT64_MIN + 1},    {"9999-12-31T23:59:59.999999999Z", INT64_MAX},
        {"1970-01-01T01:00:00.5+01:00", 500000000}, {"1969-12-31T23:59:59Z", -1000000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[200];
        int64_t ns = 1;
        snprintf(json, sizeof json, "{\"nodes\":[{\"name\":\"x\",\"mtime\":\"%s\"}]}", cases[i].text);
        assert_ok(tree_parse(json, strlen(json), keep_time, &ns, &e));
        assert_int_equal(ns, cases[i].ns);
    }
}

static void refuses(void **state)
{
    (void)state;
    const struct {
        const char *json, *why;
    } cases[] = {
        {"", "not JSON"},
        {"{\"nodes\":[", "not JSON"},
        {"{\"nodes\":[]}{", "not JSON"},
        {"[]", "unexpectedly an array"},
        {"{}", "\"nodes\" is missing"},
        {"{\"nodes\":[],\"nodes\":[]}", "unexpectedly"},
        {"{\"nodes\":{}}", "unexpectedly"},
        {"{\"nodes\":[1]}", "unexpectedly a number"},
        {"{\"nodes\":[{}]}", "no name"},
        {"{\"nodes\":[{\"name\":\"\"}]}", "no name"},
        {"{\"nodes\":[{\"name\":\".\"}]}", "cannot be"},
        {"{\"nodes\":[{\"name\":\"..\"}]}", "cannot be"},
        {"{\"nodes\":[{\"name\":\"a/b\"}]}", "cannot be"},
        {"{\"nodes\":[{\"name\":\"a\\\\x2fb\"}]}", "cannot be"},
        {"{\"nodes\":[{\"name\":\"a\\u0000b\"}]}", "cannot be"},
        {"{\"nodes\":[{\"name\":\"a\\\\000\"}]}", "cannot be"},
        {"{\"nodes\":[{\"name\":\"a\\\\q\"}]}", "not quoted"},
        {"{\"nodes\":[{\"name\":7}]}", "unexpectedly a number"},
        {"{\"nodes\":[{\"name\":\"b\"},{\"name\":\"a\"}]}", "out of order"},
        {"{\"nodes\":[{\"name\":\"b\"},{\"name\":\"b\"}]}", "out of order"},
        {"{\"nodes\":[{\"name\":\"ab\"},{\"name\":\"a\"}]}", "out of order"},
        {"{\"nodes\":[{\"name\":\"a\",\"size\":-1}]}", "not a whole number"},
        {"{\"nodes\":[{\"name\":\"a\",\"size\":1.5}]}", "not a whole number"},
        {"{\"nodes\":[{\"name\":\"a\",\"size\":18446744073709551616}]}", "not a whole number"},
        {"{\"nodes\":[{\"name\":\"a\",\"uid\":4294967296}]}", "more than 4294967295"},
        {"{\"nodes\":[{\"name\":\"a\",\"mtime\":\"yesterday\"}]}", "not a time"},
        {"{\"nodes\":[{\"name\":\"a\",\"content\":[\"00\"]}]}", "not an id"},
        {"{\"nodes\":[{\"name\":\"a\",\"content\":[[]]}]}", "unexpectedly"},
        {"{\"nodes\":[{\"name\":\"a\",\"content\":\"x\"}]}", "unexpectedly"},
        {"{\"nodes\":[{\"name\":\"a\",\"subtree\":\"x\"}]}", "not an id"},
        {"{\"nodes\":[{\"name\":\"a\",\"linktarget\":\"x\\u0000\"}]}", "NUL"},
        {"{\"nodes\":[{\"name\":\"a\",\"linktarget_raw\":\"AA==\"}]}", "NUL"},
        {"{\"nodes\":[{\"name\":\"a\",\"extended_attributes\":[{\"value\":\"\"}]}]}", "no name"},
        {"{\"nodes\":[{\"name\":\"a\",\"extended_attributes\":[{\"name\":\"x\",\"value\":\"=\"}]}]}",
         "base64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nacre_err e = {0};
        size_t count = 0;
        int result = tree_parse(cases[i].json, strlen(cases[i].json), count_node, &count, &e);
        if (result != -1 || e.code != NACRE_CORRUPT || !strstr(e.message, cases[i].why))
            fail_msg("%s: %d, %s", cases[i].json, result, e.message);
    }
}

static void bounds_depth(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(buf_free) struct buf json = {0};
    size_t count = 0;
    buf_string(&json, "{\"other\":");
    for (int i = 0; i < 1000000; i++)
        buf_char(&json, '[');
    assert_fails(tree_parse(json.data, json.size, count_node, &count, &e), NACRE_CORRUPT, "nested deeper");
}

/* What it does not know must not disturb what it knows. */
static void passes_over_the_unknown(void **state)
{
    (void)state;
    struct nacre_err e;
    const char json[] =
        "{\"version\":{\"nodes\":[{\"name\":\"no\"}]},\"nodes\":[{\"generic_attributes\":{\"name\":\"no\","
        "\"content\":"
        "[1]},\"name\":\"a\",\"type\":\"dir\",\"extended_attributes\":[{\"user\":{\"name\":\"no\"},\"name\":"
        "\"x\","
        "\"value\":null,\"user\":[1]}],\"user\":\"u\",\"error\":\"e\",\"size\":null,\"content\":null},"
        "{\"name\":\"b\",\"type\":\"irregular\"}],\"more\":[[],{}]}";
    CLEANUP(buf_free) struct buf again = {0};
    tree_begin(&again);
    assert_ok(tree_parse(json, strlen(json), rewrite_node, &again, &e));
    tree_end(&again);
    assert_string_equal((char *)again.data, "{\"nodes\":[{\"name\":\"a\",\"type\":\"dir\",\"mtime\":\"0001-"
                                            "01-01T00:00:00Z\",\"atime\":\"0001-01-01T00:00:00Z\","
                                            "\"ctime\":\"0001-01-01T00:00:00Z\",\"uid\":0,\"gid\":0,\"user\":"
                                            "\"u\",\"extended_attributes\":[{\"name\":\"x\","
                                            "\"value\":\"\"}],\"content\":null},{\"name\":\"b\",\"type\":"
                                            "\"irregular\",\"mtime\":\"0001-01-01T00:00:00Z\","
                                            "\"atime\":\"0001-01-01T00:00:00Z\",\"ctime\":\"0001-01-01T00:00:"
                                            "00Z\",\"uid\":0,\"gid\":0,\"content\":null}]}\n");
}

static int check_content(void *ctx, const struct node *node, struct nacre_err *e)
{
    (void)e;
    assert_int_equal(node->content_count, 65536);
    assert_memory_equal(node->content, ctx, 65536 * sizeof(struct id));
    return 0;
}

static void is_fast_on_large_content(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(mem_free) struct id *ids = malloc(65536 * sizeof *ids);
    CLEANUP(buf_free) struct buf tree = {0};
    for (uint32_t i = 0; i < 65536; i++)
        id_hash(&ids[i], &i, sizeof i);
    tree_begin(&tree);
    tree_node(
        &tree,
        &(struct node){
            .name = "disk.img", .name_size = 8, .type = NODE_FILE, .content = ids, .content_count = 65536});
    tree_end(&tree);
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t start = timestamp_elapsed();
        assert_ok(tree_parse(tree.data, tree.size, check_content, ids, &e));
        int64_t took = timestamp_elapsed() - start;
        best = took < best ? took : best;
    }
    double rate = (double)tree.size / ((double)best / 1e9) / 1e6;
    print_message("parsing content: %.0f MB/s\n", rate);
    assert_true(rate > 10); /* loose: a loaded machine under a sanitizer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(restic_trees_come_back, place_setup, place_teardown),
        cmocka_unit_test(quotes_names),
        cmocka_unit_test(unquotes_names),
        cmocka_unit_test(keeps_raw_link_targets),
        cmocka_unit_test(reads_odd_times),
        cmocka_unit_test(refuses),
        cmocka_unit_test(bounds_depth),
        cmocka_unit_test(passes_over_the_unknown),
        cmocka_unit_test(is_fast_on_large_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

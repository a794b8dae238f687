/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of the configuration's text: each is held against the whole text that must come out, so that a byte
 * that moved anywhere is seen; and what cannot be edited is refused and stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "cli/settings_edit.h"

static struct nacre_err e;

static const struct nacre_option two[] = {{"url", "s3://bucket/pre fix"}, {"access-mode", "ReadOnly"}};

static int apply(struct buf *text, enum settings_verb verb, const char *location,
                 const struct nacre_option *options, size_t count)
{
    const struct settings_edit edit = {verb, location, options, count};
    e = (struct nacre_err){0};
    return settings_edit_text(text, "c.yaml", &edit, &e);
}

static void becomes(const char *before, enum settings_verb verb, const char *location,
                    const struct nacre_option *options, size_t count, const char *after)
{
    struct buf text = {0};
    buf_string(&text, before);
    if (apply(&text, verb, location, options, count) < 0)
        fail_msg("%s\nrefused: %s", before, e.message);
    assert_string_equal((const char *)text.data, after);
    buf_free(&text);
}

static void refuses(const char *before, enum settings_verb verb, const char *location,
                    const struct nacre_option *options, size_t count, enum nacre_code code,
                    const char *message)
{
    struct buf text = {0};
    buf_string(&text, before);
    if (apply(&text, verb, location, options, count) == 0)
        fail_msg("%s\nbecame:\n%s", before, (const char *)text.data);
    assert_string_equal(text.data ? (const char *)text.data : "", before);
    assert_int_equal(e.code, code);
    if (!strstr(e.message, message))
        fail_msg("\"%s\" does not say \"%s\"", e.message, message);
    buf_free(&text);
}

#define ADD(before, after) becomes(before, SETTINGS_ADD, "new", two, 2, after)
#define REMOVE(before, name, after) becomes(before, SETTINGS_REMOVE, name, NULL, 0, after)
#define SET(before, key, value, after)                                                                       \
    becomes(before, SETTINGS_SET, "a", &(struct nacre_option){key, value}, 1, after)
#define DROP(before, key, after)                                                                             \
    becomes(before, SETTINGS_DROP, "a", &(struct nacre_option){key, ""}, 1, after)

static void adds(void **state)
{
    (void)state;
    ADD("", "locations:\n  new:\n    url: \"s3://bucket/pre fix\"\n    access-mode: ReadOnly\n");
    ADD("# only a comment", "# only a comment\nlocations:\n  new:\n    url: \"s3://bucket/pre fix\"\n"
                            "    access-mode: ReadOnly\n");
    ADD("clusters: {}\n# end\n", "clusters: {}\n# end\nlocations:\n  new:\n    url: \"s3://bucket/pre fix\"\n"
                                 "    access-mode: ReadOnly\n");
    ADD("locations: # none\nclusters:\n  e: {conf: x}\n",
        "locations: # none\n  new:\n    url: \"s3://bucket/pre fix\"\n    access-mode: ReadOnly\nclusters:\n"
        "  e: {conf: x}\n");
    ADD("locations:\n    a: {url: \"file:///ä\"} # ä\n    # about b\n    b:\n       url: \"file:///b\" # "
        "b\n\n# end\n",
        "locations:\n    a: {url: \"file:///ä\"} # ä\n    # about b\n    b:\n       url: \"file:///b\" # b\n"
        "    new:\n      url: \"s3://bucket/pre fix\"\n      access-mode: ReadOnly\n\n# end\n");
    ADD("{locations: {a: {url: 'file:///a'}}}",
        "{locations: {a: {url: 'file:///a'}, new: {url: \"s3://bucket/pre fix\", access-mode: ReadOnly}}}");
    ADD("locations: {}\n", "locations: {new: {url: \"s3://bucket/pre fix\", access-mode: ReadOnly}}\n");
    ADD("locations:\r\n  a: {url: 'file:///a'}\r\n",
        "locations:\r\n  a: {url: 'file:///a'}\r\n  new:\r\n    url: \"s3://bucket/pre fix\"\r\n"
        "    access-mode: ReadOnly\r\n");
    ADD("locations:\n  a: {url: 'file:///a'}",
        "locations:\n  a: {url: 'file:///a'}\n  new:\n    url: \"s3://bucket/pre fix\"\n"
        "    access-mode: ReadOnly\n");
}

#define THREE                                                                                                \
    "# top\nlocations:\n  # first\n  a:\n    url: file:///a # here\n    # inside\n    prefix: x\n"           \
    "  b: {url: file:///b}   # second\n\n  # third\n  c:\n    url: file:///c\n# end\nclusters:\n"

static void removes(void **state)
{
    (void)state;
    REMOVE(THREE, "a",
           "# top\nlocations:\n  # first\n  b: {url: file:///b}   # second\n\n  # third\n  c:\n"
           "    url: file:///c\n# end\nclusters:\n");
    REMOVE(THREE, "b",
           "# top\nlocations:\n  # first\n  a:\n    url: file:///a # here\n    # inside\n    prefix: x\n"
           "\n  # third\n  c:\n    url: file:///c\n# end\nclusters:\n");
    REMOVE(THREE, "c",
           "# top\nlocations:\n  # first\n  a:\n    url: file:///a # here\n    # inside\n    prefix: x\n"
           "  b: {url: file:///b}   # second\n\n  # third\n# end\nclusters:\n");
    REMOVE("locations:\n  a: {url: file:///a}\n", "a", "locations:\n");
    REMOVE("locations: {a: {url: 'x://'}, b: {url: 'y://'}}\n", "a", "locations: {b: {url: 'y://'}}\n");
    REMOVE("locations: {a: {url: 'x://'}, b: {url: 'y://'}}\n", "b", "locations: {a: {url: 'x://'}}\n");
    REMOVE("locations: {a: {url: 'x://'}}\n", "a", "locations: {}\n");
}

static void sets(void **state)
{
    (void)state;
    SET("locations:\n  a:\n    url: file:///a # here\n", "url", "file:///b",
        "locations:\n  a:\n    url: \"file:///b\" # here\n");
    SET("locations:\n  a:\n    url: file:///a # here\n  b: {url: 'x://'}\n", "repository", "x/y",
        "locations:\n  a:\n    url: file:///a # here\n    repository: x/y\n  b: {url: 'x://'}\n");
    SET("locations: {a: {url: 'x://ö', prefix: 'y'}}\n", "prefix", "say \"\\ ho\"",
        "locations: {a: {url: 'x://ö', prefix: \"say \\\"\\\\ ho\\\"\"}}\n");
    SET("locations:\n  a: {\n    url: 'x://',   # why\n  }\n", "k", "null",
        "locations:\n  a: {\n    url: 'x://', k: \"null\",   # why\n  }\n");
    SET("locations: {a: {url: 'x://', k: \"two\n   lines\"}}\n", "k", "-",
        "locations: {a: {url: 'x://', k: \"-\"}}\n");
    /* A key that is like another's beginning, and the same key elsewhere. */
    SET("clusters: {a: {url: no}}\nlocations:\n  aa: {url: 'x://1'}\n  a: {url: 'x://2', url-x: 3}\n", "url",
        "x://4",
        "clusters: {a: {url: no}}\nlocations:\n  aa: {url: 'x://1'}\n  a: {url: \"x://4\", url-x: 3}\n");
}

static void drops(void **state)
{
    (void)state;
    DROP("locations:\n  a:\n    k: 1 # one\n    # two\n    url: x://\n", "k",
         "locations:\n  a:\n    # two\n    url: x://\n");
    DROP("locations: {a: {k: 1, url: 'x://'}}\n", "k", "locations: {a: {url: 'x://'}}\n");
    DROP("locations: {a: {url: 'x://#1' , k: '#'}}\n", "k", "locations: {a: {url: 'x://#1'}}\n");
    DROP("locations: {a: {url: 'x://'}}\n", "k", "locations: {a: {url: 'x://'}}\n");
}

static void refusals(void **state)
{
    (void)state;
    const struct nacre_option k = {"k", "v"}, url = {"url", "nowhere"}, bad = {"k", "a\nb"};
    refuses(THREE, SETTINGS_ADD, "b", two, 2, NACRE_EXISTS, "c.yaml:8 already");
    refuses(THREE, SETTINGS_REMOVE, "d", NULL, 0, NACRE_ABSENT, "\"d\" is not in c.yaml");
    refuses(THREE, SETTINGS_SET, "a", &url, 1, NACRE_INVALID, "needs a url");
    refuses(THREE, SETTINGS_SET, "a", &bad, 1, NACRE_INVALID, "control character");
    refuses(THREE, SETTINGS_DROP, "a", &url, 1, NACRE_INVALID, "needs a url");
    refuses("nonsense: 1\n", SETTINGS_ADD, "a", two, 2, NACRE_INVALID, "unknown key");
    /* An alias: a change of one would be one of both. */
    refuses("locations:\n  a: &x {url: 'x://'}\n  b: *x\n", SETTINGS_SET, "b", &k, 1, NACRE_UNSUPPORTED,
            "set in location b (line 3): k: \"v\"");
    refuses("locations:\n  a: &x {url: 'x://'}\n  b: *x\n", SETTINGS_SET, "a", &k, 1, NACRE_UNSUPPORTED,
            "By hand");
    refuses("locations:\n  a: &x {url: 'x://'}\n  b: *x\n", SETTINGS_REMOVE, "a", NULL, 0, NACRE_INVALID,
            "after this change");
    refuses("locations:\n  a:\n    url: x://\n    k: |\n      text\n", SETTINGS_REMOVE, "a", NULL, 0,
            NACRE_UNSUPPORTED, "remove location a (line 2)");
    refuses("locations:\n  a:\n    url: x://\n    k: >\n      text\n", SETTINGS_SET, "a", &k, 1,
            NACRE_UNSUPPORTED, "By hand");
    refuses("locations: ~\n", SETTINGS_ADD, "a", two, 2, NACRE_UNSUPPORTED,
            "add below locations: a: {url: \"s3://bucket/pre fix\", access-mode: \"ReadOnly\"}");
    refuses("---\nclusters: {}\n...\n", SETTINGS_ADD, "a", two, 2, NACRE_INVALID, "after this change");
    refuses("\xef\xbb\xbflocations: {a: {url: 'x://'}}\n", SETTINGS_REMOVE, "a", NULL, 0, NACRE_UNSUPPORTED,
            "By hand");
    refuses("locations:\n  ? a\n  : url: x://\n  b: {url: 'y://'}\n", SETTINGS_REMOVE, "a", NULL, 0,
            NACRE_UNSUPPORTED, "By hand");
    refuses("locations: {a: {k: 1, # mine\n url: 'x://'}}\n", SETTINGS_DROP, "a", &k, 1, NACRE_UNSUPPORTED,
            "By hand");
}

static char directory[] = "/tmp/test_settings_edit.XXXXXX", file[64];

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(file, sizeof file, "%s/config.yaml", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(directory);
}

static void keeps_mode(void **state)
{
    (void)state;
    struct stat st;
    struct settings_edit edit = {SETTINGS_ADD, "a", two, 2};
    assert_int_equal(settings_edit_file(file, &edit, 1, &e), 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(chmod(file, 0640), 0);
    edit.location = "b";
    assert_int_equal(settings_edit_file(file, &edit, 1, &e), 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    /* All or nothing: the second edit fails. */
    const struct settings_edit both[] = {{SETTINGS_REMOVE, "a", NULL, 0}, {SETTINGS_REMOVE, "c", NULL, 0}};
    assert_int_equal(settings_edit_file(file, both, 2, &e), -1);
    CLEANUP(settings_free) struct settings *s = NULL;
    assert_int_equal(settings_load(file, &s, &e), 0);
    assert_int_equal(s->location_count, 2);
}

/* None of the changes that eight processes make at once is lost, also where the first makes the file. */
static void races(void **state)
{
    (void)state;
    enum { WRITERS = 8 };
    pid_t pids[WRITERS];
    unlink(file);
    struct settings_edit edit = {SETTINGS_ADD, "first", two, 2};
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i])
            continue;
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        edit.location = name;
        _exit(settings_edit_file(file, &edit, 1, &e) < 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    CLEANUP(settings_free) struct settings *s = NULL;
    assert_int_equal(settings_load(file, &s, &e), 0);
    assert_int_equal(s->location_count, WRITERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds),  cmocka_unit_test(removes),  cmocka_unit_test(sets),
        cmocka_unit_test(drops), cmocka_unit_test(refusals), cmocka_unit_test(keeps_mode),
        cmocka_unit_test(races),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

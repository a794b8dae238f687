/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a command line against the table: what is understood, and what is refused with which hint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/location.h"

#define WORDS_MAX 32

static struct cli cli;
static struct nacre_err e;
static char *words[WORDS_MAX];
static int word_count;

/* Parses the words of a line, cut at spaces. */
static int parse(const char *line)
{
    static char copy[512];
    cli_free(&cli);
    cli = (struct cli){0};
    e = (struct nacre_err){0};
    snprintf(copy, sizeof copy, "%s", line);
    word_count = 0;
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        words[word_count++] = word;
    return cli_parse(&cli, word_count, words, &e);
}

static void accepts(const char *line)
{
    if (parse(line) < 0)
        fail_msg("%s: %s", line, e.message);
}

static void refuses(const char *line, const char *message)
{
    if (parse(line) == 0)
        fail_msg("%s: was accepted", line);
    assert_int_equal(e.code, NACRE_INVALID);
    if (!strstr(e.message, message))
        fail_msg("%s: \"%s\" does not say \"%s\"", line, e.message, message);
}

static const struct option *option(const char *name)
{
    return command_option(cli.command, name, strlen(name));
}

static void finds_commands(void **state)
{
    (void)state;
    accepts("version");
    assert_string_equal(cli.command->name, "version");
    accepts("backup create nightly --volume rbd/east/p/i");
    assert_string_equal(cli.command->group, "backup");
    assert_string_equal(cli.command->name, "create");
    assert_string_equal(cli_argument(&cli, 0), "nightly");
    assert_null(cli_argument(&cli, 1));
    accepts("-v -o json backup get");
    assert_true(cli.verbose);
    assert_int_equal(cli.format, CLI_JSON);
}

static void reads_options(void **state)
{
    (void)state;
    accepts("backup create n --volume a/b/c --volume=d/e/f --location=x=y --full");
    assert_int_equal(cli_count(&cli, option("volume")), 2);
    assert_string_equal(cli_value_at(&cli, option("volume"), 1), "d/e/f");
    assert_null(cli_value_at(&cli, option("volume"), 2));
    assert_string_equal(cli_value(&cli, &option_location), "x=y");
    assert_true(cli_flag(&cli, option("full")));
    assert_null(cli_value(&cli, &option_repository));

    accepts("dump b -Oout -qo yaml");
    assert_string_equal(cli_value(&cli, option("out")), "out");
    assert_true(cli.quiet);
    assert_int_equal(cli.format, CLI_YAML);

    accepts("dump b -O -");
    assert_string_equal(cli_value(&cli, option("out")), "-");

    accepts("dump -- -b --location");
    assert_int_equal(cli.argument_count, 2);
    assert_string_equal(cli_argument(&cli, 1), "--location");
    accepts("volume list hostpath/local -vvvvvvvvvvvvvvv");
}

static void reads_switches(void **state)
{
    (void)state;
    accepts("backup create n --wait");
    assert_true(cli_switch(&cli, option("wait"), false));
    assert_int_equal(cli.argument_count, 1);
    accepts("backup create --wait=false n");
    assert_false(cli_switch(&cli, option("wait"), true));
    accepts("backup create n");
    assert_true(cli_switch(&cli, option("wait"), true));
    refuses("backup create n --wait=maybe", "true|false");
}

static void hints(void **state)
{
    (void)state;
    refuses("backup crate x", "did you mean backup create?");
    refuses("bakup create x", "did you mean backup?");
    refuses("backup create x --locaton l", "did you mean --location?");
    refuses("backup create x --volumes l", "did you mean --volume?");
    refuses("frobnicate", "nacre help");
    refuses("backup create x --frobnicate", "unknown option --frobnicate");
    refuses("--location l backup get", "options follow it");
    refuses("backup create x -Z", "unknown option -Z");
}

static void counts_arguments(void **state)
{
    (void)state;
    refuses("", "which command");
    refuses("backup", "backup: which command");
    refuses("backup create", "NAME is missing");
    refuses("backup create a b", "unexpected argument b");
    refuses("snapshot diff v@a", "LATER is missing");
    refuses("repo list", "packs|blobs");
    refuses("repo list sacks", "expected one of");
    accepts("repo list locks");
    accepts("repo cat config");
    accepts("repo cat blob 1234");
    accepts("backup get a b c d e");
}

static void checks_values(void **state)
{
    (void)state;
    refuses("backup get --location", "--location needs a value");
    refuses("backup get --location=a --location=b", "given twice");
    refuses("backup get -o xml", "table|json|yaml");
    refuses("backup create n --full=yes", "takes no value");
    refuses("backup create n --compression best", "off|auto|max");
    refuses("dump b -O", "--out needs a value");
}

static void help_wins(void **state)
{
    (void)state;
    accepts("--help");
    assert_true(cli.help);
    assert_null(cli.command);
    accepts("backup --help");
    assert_non_null(cli.group);
    accepts("backup create --help");
    assert_non_null(cli.command);
    accepts("backup create -h");
    assert_true(cli.help);
    accepts("backup create --frobnicate --help");
    assert_true(cli.help);
    refuses("backup create --frobnicate -- --help", "unknown option");
}

static void reads_pairs(void **state)
{
    (void)state;
    struct nacre_option *pairs;
    size_t count;
    char *text;
    accepts("volume create v --property a=1 --property b=x=y --property c=");
    assert_int_equal(cli_pairs(&cli, option("property"), &pairs, &count, &text, &e), 0);
    assert_int_equal(count, 3);
    assert_string_equal(pairs[1].key, "b");
    assert_string_equal(pairs[1].value, "x=y");
    assert_string_equal(pairs[2].value, "");
    free(pairs);
    free(text);
    accepts("volume create v --property a");
    assert_int_equal(cli_pairs(&cli, option("property"), &pairs, &count, &text, &e), -1);
    assert_non_null(strstr(e.message, "KEY=VALUE"));
    accepts("volume create v --property a=1 --property a=2");
    assert_int_equal(cli_pairs(&cli, option("property"), &pairs, &count, &text, &e), -1);
    assert_non_null(strstr(e.message, "twice"));
}

static void reads_quantities(void **state)
{
    (void)state;
    uint64_t value = 7;
    accepts("volume create v --size 10GiB");
    assert_int_equal(cli_size(&cli, option("size"), &value, &e), 0);
    assert_int_equal(value, 10ull << 30);
    accepts("volume create v --size ten");
    assert_int_equal(cli_size(&cli, option("size"), &value, &e), -1);
    assert_non_null(strstr(e.message, "--size ten"));
    accepts("volume create v");
    value = 7;
    assert_int_equal(cli_size(&cli, option("size"), &value, &e), 0);
    assert_int_equal(value, 7);
    accepts("backup create n --read-concurrency 0");
    assert_int_equal(cli_number(&cli, option("read-concurrency"), 1, 256, &value, &e), -1);
    assert_non_null(strstr(e.message, "1 to 256"));
}

static void exit_codes(void **state)
{
    (void)state;
    static const int expected[] = {
        [NACRE_OK] = 0,
        [NACRE_FAILED] = 1,
        [NACRE_INVALID] = 2,
        [NACRE_ABSENT] = 4,
        [NACRE_EXISTS] = 1,
        [NACRE_DENIED] = 1,
        [NACRE_CORRUPT] = 7,
        [NACRE_TRANSIENT] = 1,
        [NACRE_THROTTLED] = 1,
        [NACRE_NO_SPACE] = 1,
        [NACRE_BUSY] = 1,
        [NACRE_LOCKED] = 5,
        [NACRE_WRONG_PASSWORD] = 6,
        [NACRE_UNSUPPORTED] = 1,
        [NACRE_CANCELLED] = 1,
        [NACRE_PARTIAL] = 3,
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(cli_exit_code((enum nacre_code)i), expected[i]);
}

/* The table itself: what the parser and help take for granted. */
static void table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        assert_non_null(c->run);
        assert_true(c->least <= c->most);
        assert_non_null(c->summary);
        assert_non_null(c->details);
        assert_ptr_equal(command_find(c->group, c->name), c);
        if (c->group)
            assert_non_null(command_group_find(c->group));
        for (const struct option *const *o = c->options; o && *o; o++) {
            /* The one that its name finds, so no two of a command, nor a global one, share name or letter. */
            assert_ptr_equal(command_option(c, (*o)->name, strlen((*o)->name)), *o);
            if ((*o)->letter)
                assert_ptr_equal(command_option_letter(c, (*o)->letter), *o);
            assert_non_null((*o)->help);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_commands),   cmocka_unit_test(reads_options),
        cmocka_unit_test(reads_switches),   cmocka_unit_test(hints),
        cmocka_unit_test(counts_arguments), cmocka_unit_test(checks_values),
        cmocka_unit_test(help_wins),        cmocka_unit_test(reads_pairs),
        cmocka_unit_test(reads_quantities), cmocka_unit_test(exit_codes),
        cmocka_unit_test(table_is_sound),
    };
    int failed = cmocka_run_group_tests_name("cli-parse", tests, NULL, NULL);
    cli_free(&cli);
    return failed;
}

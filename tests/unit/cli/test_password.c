/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords: where they come from, in which order, and what is refused. Standard input is no terminal here.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/location.h"
#include "cli/password.h"

static char directory[] = "/tmp/nacre-password-XXXXXX";

static const char *file(const char *name, const char *content)
{
    static char path[2][128];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", directory, name);
    FILE *f = fopen(path[turn], "w");
    fputs(content, f);
    fclose(f);
    return path[turn];
}

/* Options: file_option and command_option as given; NULL = not. */
static int get(const char *file_value, const char *command_value, const char *settings_file,
               const char *settings_command, struct buf *out, struct nacre_err *e)
{
    struct cli_option given[2];
    struct cli cli = {.options = given};
    if (file_value)
        given[cli.option_count++] = (struct cli_option){&option_password_file, file_value};
    if (command_value)
        given[cli.option_count++] = (struct cli_option){&option_password_command, command_value};
    const struct password_sources sources = {.file_option = &option_password_file,
                                             .command_option = &option_password_command,
                                             .file_variable = "NACRE_TEST_FILE",
                                             .variable = "NACRE_TEST_PASSWORD",
                                             .file = settings_file,
                                             .command = settings_command,
                                             .prompt = "password"};
    return password_get(&cli, &sources, out, e);
}

static void gives(const char *f, const char *c, const char *sf, const char *sc, const char *expected)
{
    struct buf out = {0};
    struct nacre_err e = {0};
    if (get(f, c, sf, sc, &out, &e) < 0)
        fail_msg("%s", e.message);
    assert_string_equal((const char *)out.data, expected);
    assert_int_equal(out.size, strlen(expected));
    buf_wipe_free(&out);
}

static void refuses(const char *f, const char *c, enum nacre_code code, const char *message)
{
    struct buf out = {0};
    struct nacre_err e = {0};
    assert_int_equal(get(f, c, NULL, NULL, &out, &e), -1);
    assert_int_equal(e.code, code);
    if (!strstr(e.message, message))
        fail_msg("\"%s\" does not say \"%s\"", e.message, message);
    buf_wipe_free(&out);
}

static void files(void **state)
{
    (void)state;
    gives(file("a", "secret\n"), NULL, NULL, NULL, "secret");
    gives(file("a", "secret"), NULL, NULL, NULL, "secret");
    gives(file("a", "secret\r\n"), NULL, NULL, NULL, "secret");
    gives(file("a", " two words \n"), NULL, NULL, NULL, " two words ");
    refuses(file("a", "\n"), NULL, NACRE_INVALID, "is empty");
    refuses(file("a", ""), NULL, NACRE_INVALID, "is empty");
    refuses("/nonexistent/x", NULL, NACRE_INVALID, "password file /nonexistent/x");
    char big[PASSWORD_BYTES_MAX + 2];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    refuses(file("a", big), NULL, NACRE_INVALID, "longer than");
    big[PASSWORD_BYTES_MAX] = 0;
    gives(file("a", big), NULL, NULL, NULL, big);
    refuses(file("a", "x"), "echo y", NACRE_INVALID, "exclude each other");
}

static void password_commands(void **state)
{
    (void)state;
    gives(NULL, "printf 'a b\\n'", NULL, NULL, "a b");
    refuses(NULL, "exit 3", NACRE_FAILED, "exit code 3");
    refuses(NULL, "kill -9 $$", NACRE_FAILED, "signal 9");
    refuses(NULL, "true", NACRE_INVALID, "is empty");
    refuses(NULL, "/nonexistent-command 2>/dev/null", NACRE_FAILED, "exit code 127");
    refuses(NULL, "printf 'a\\0b'", NACRE_INVALID, "NUL");
    refuses(NULL, "head -c 100000 /dev/zero | tr '\\0' x", NACRE_INVALID, "longer than");
}

static void order(void **state)
{
    (void)state;
    const char *settings = file("s", "settings");
    gives(NULL, NULL, settings, NULL, "settings");
    gives(NULL, NULL, NULL, "echo settings-command", "settings-command");
    setenv("NACRE_TEST_PASSWORD", "variable", 1);
    gives(NULL, NULL, settings, NULL, "variable");
    /* It was wiped: nobody who looks at the environment finds it. */
    assert_string_equal(getenv("NACRE_TEST_PASSWORD"), "");
    gives(NULL, NULL, settings, NULL, "settings");
    setenv("NACRE_TEST_PASSWORD", "variable", 1);
    setenv("NACRE_TEST_FILE", file("v", "file-variable"), 1);
    gives(NULL, NULL, settings, NULL, "file-variable");
    gives(NULL, "echo option", settings, NULL, "option");
    unsetenv("NACRE_TEST_FILE");
    unsetenv("NACRE_TEST_PASSWORD");
    refuses(NULL, NULL, NACRE_INVALID, "not a terminal; pass --password-file");
}

static int begin(void **state)
{
    (void)state;
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    close(null);
    return mkdtemp(directory) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "s", "v"};
    for (size_t i = 0; i < 3; i++)
        unlink(file(names[i], ""));
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files), cmocka_unit_test(password_commands),
                                       cmocka_unit_test(order)};
    return cmocka_run_group_tests_name("cli-password", tests, begin, end);
}

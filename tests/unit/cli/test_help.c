/* SPDX-License-Identifier: Apache-2.0 */
/* Help: every command and option of the table is in it, and no line is wider than a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "capture.h"
#include "cli/cli.h"

/* Lines of at most 80 columns; a character is what is no continuation byte. */
static void fits(const char *text, const char *what)
{
    size_t columns = 0;
    for (; *text; text++) {
        columns = *text == '\n' ? 0 : columns + (((unsigned char)*text & 0xc0) != 0x80);
        if (columns > 80)
            fail_msg("help of %s: a line is wider than 80 columns", what);
    }
}

static void of_commands(void **state)
{
    (void)state;
    for (size_t i = 0; commands[i]; i++) {
        struct capture capture;
        capture_begin(&capture);
        cli_help_command(commands[i]);
        char *text = capture_end(&capture);
        fits(text, commands[i]->name);
        for (const struct option *const *o = commands[i]->options; o && *o; o++) {
            char wanted[64];
            snprintf(wanted, sizeof wanted, " --%s", (*o)->name);
            if (!strstr(text, wanted))
                fail_msg("help of %s lacks%s", commands[i]->name, wanted);
        }
        assert_non_null(strstr(text, "--config FILE"));
        free(text);
    }
}

static void of_all(void **state)
{
    (void)state;
    struct capture capture;
    capture_begin(&capture);
    cli_help_main();
    char *text = capture_end(&capture);
    fits(text, "nacre");
    for (size_t i = 0; commands[i]; i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "  %s%s%s", commands[i]->group ? commands[i]->group : "",
                 commands[i]->group ? " " : "", commands[i]->name);
        if (!strstr(text, wanted))
            fail_msg("help lacks%s", wanted);
    }
    free(text);
    for (size_t i = 0; command_groups[i]; i++) {
        capture_begin(&capture);
        cli_help_group(command_groups[i]);
        text = capture_end(&capture);
        fits(text, command_groups[i]->name);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_commands), cmocka_unit_test(of_all)};
    return cmocka_run_group_tests_name("cli-help", tests, NULL, NULL);
}

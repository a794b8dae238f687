/* SPDX-License-Identifier: Apache-2.0 */
/* Where messages go: standard error by level, a receiver, another log. */
#include "support.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/log.h"

static char shown[4096]; /* what standard error got */
static char received[4096];

static void receive(void *ctx, enum nacre_log_level level, const char *message)
{
    size_t used = strlen(received);
    assert_ptr_equal(ctx, received);
    snprintf(received + used, sizeof received - used, "%d%s;", level, message);
}

static void log_all(void)
{
    log_error("e%d", 1);
    log_warning("w%s", "2");
    log_info("i3");
    log_debug("d4");
}

/* Standard error of log_all, in `shown`. */
static void capture(void)
{
    fflush(stderr);
    int saved = dup(STDERR_FILENO), pipes[2];
    assert_int_equal(pipe(pipes), 0);
    dup2(pipes[1], STDERR_FILENO);
    close(pipes[1]);
    log_all();
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t size = read(pipes[0], shown, sizeof shown - 1);
    close(pipes[0]);
    shown[size > 0 ? size : 0] = 0;
}

static void levels(void **state)
{
    (void)state;
    capture();
    assert_string_equal(shown, "error: e1\nwarning: w2\n");
    log_set_level(NACRE_LOG_ERROR);
    capture();
    assert_string_equal(shown, "error: e1\n");
    log_set_level(NACRE_LOG_DEBUG);
    capture();
    assert_string_equal(shown, "error: e1\nwarning: w2\ni3\ndebug: d4\n");
    log_set_level(NACRE_LOG_WARNING);
}

static void a_receiver_gets_all_but_debug(void **state)
{
    (void)state;
    received[0] = 0;
    log_set_receiver(receive, received);
    capture();
    log_set_receiver(NULL, NULL);
    assert_string_equal(received, "0e1;1w2;2i3;");
    capture();
    assert_string_equal(received, "0e1;1w2;2i3;");
}

static void clear_screen(void)
{
    fputs("<", stderr);
}

static void redraw_screen(void)
{
    fputs(">", stderr);
}

static void a_progress_bar_steps_aside(void **state)
{
    (void)state;
    log_set_screen(clear_screen, redraw_screen);
    capture();
    log_set_screen(NULL, NULL);
    assert_string_equal(shown, "<error: e1\n><warning: w2\n>");
}

static void take(enum nacre_log_level level, const char *message)
{
    receive(received, level, message);
}

static void forwards(void **state)
{
    (void)state;
    received[0] = 0;
    log_forward(take);
    capture();
    log_forward(NULL);
    assert_string_equal(shown, "");
    assert_string_equal(received, "0e1;1w2;2i3;3d4;");
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    static char text[10000];
    memset(text, 'x', sizeof text - 1);
    received[0] = 0;
    log_forward(take);
    log_error("%s", text);
    log_forward(NULL);
    assert_in_range(strlen(received), NACRE_MESSAGE_SIZE, NACRE_MESSAGE_SIZE + 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(a_receiver_gets_all_but_debug),
        cmocka_unit_test(forwards),
        cmocka_unit_test(a_progress_bar_steps_aside),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that the suite starts beside itself: to be in use by somebody else, and to be killed. A child is
 * this program again, since a connection to a cluster does not survive a fork. It says "begin" when its
 * driver is connected and the action starts. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugins/load.h"
#include "suite.h"

#define ARGUMENTS_MAX 40

pid_t start_program(const char *const *argv)
{
    int out[2];
    char word[8] = "";
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(out[1]);
    ssize_t got = read(out[0], word, 5);
    close(out[0]);
    if (got != 5 || strcmp(word, "begin") != 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fail_msg("%s %s did not begin", argv[0], argv[2] ? argv[2] : "");
    }
    return pid;
}

pid_t start_child(const char *action, const char *const *arguments)
{
    const char *argv[ARGUMENTS_MAX] = {"/proc/self/exe", "--child", action, suite.driver_name};
    static char pairs[16][300];
    size_t count = 4;
    for (size_t i = 0; arguments[i]; i++)
        argv[count++] = arguments[i];
    argv[count++] = "--";
    for (size_t i = 0; i < suite.option_count; i++) {
        snprintf(pairs[i], sizeof pairs[i], "%s=%s", suite.options[i].key, suite.options[i].value);
        argv[count++] = pairs[i];
    }
    argv[count] = NULL;
    return start_program(argv);
}

int wait_child(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void kill_child(pid_t pid)
{
    kill(pid, SIGKILL);
    wait_child(pid);
}

/* Writes n to the first volume, then n to the second, for ever. */
static int write_sequence(const char *first, const char *second)
{
    struct nacre_block *blocks[2];
    const char *paths[2] = {first, second};
    for (int i = 0; i < 2; i++)
        if (suite.block->open(suite.driver, paths[i], NULL, NACRE_BLOCK_WRITE, &blocks[i], &suite.e) < 0)
            return 1;
    for (uint64_t n = 1;; n++)
        for (int i = 0; i < 2; i++)
            if (transfer(blocks[i], NACRE_BLOCK_OP_WRITE, 0, sizeof n, &n) != NACRE_OK)
                return 1;
}

static int hold(const char *path)
{
    struct nacre_block *block;
    if (suite.block->open(suite.driver, path, NULL, NACRE_BLOCK_WRITE, &block, &suite.e) < 0)
        return 1;
    printf("begin\n");
    fflush(stdout);
    for (;;)
        pause();
}

/* Writes, waits for a line while the cluster is taken away, and writes again: that must end with
 * NACRE_TRANSIENT, and closing must end too. */
static int outage(const char *path)
{
    struct nacre_block *block;
    char line[8], byte = 1;
    if (suite.block->open(suite.driver, path, NULL, NACRE_BLOCK_WRITE, &block, &suite.e) < 0 ||
        transfer(block, NACRE_BLOCK_OP_WRITE, 0, 1, &byte) != NACRE_OK)
        return -1;
    printf("begin\n");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return -1;
    enum nacre_code wrote = transfer(block, NACRE_BLOCK_OP_WRITE, MIB / 2, 1, &byte);
    enum nacre_code read_back = transfer(block, NACRE_BLOCK_OP_READ, 0, 1, &byte);
    suite.block->close(block);
    snprintf(suite.e.message, sizeof suite.e.message, "write ended with %d, read with %d", (int)wrote,
             (int)read_back);
    return wrote == NACRE_TRANSIENT && read_back == NACRE_TRANSIENT ? 0 : -1;
}

static int act(const char *action, char **arguments, size_t count)
{
    const struct nacre_option metadata[] = {{"made-by", "child"}};
    const struct nacre_volume_spec spec = {.bytes = 16 * MIB, .metadata = metadata, .metadata_count = 1};
    const struct nacre_volume_spec same = {.metadata = metadata, .metadata_count = 1};
    if (!strcmp(action, "hold"))
        return hold(arguments[0]);
    if (!strcmp(action, "outage"))
        return outage(arguments[0]);
    struct nacre_capacity capacity;
    char prefix[PATH_ROOM];
    snprintf(prefix, sizeof prefix, "%.*s", (int)strcspn(arguments[0], "/"), arguments[0]);
    suite.ops->capacity(suite.driver, prefix, &capacity, &suite.e); /* connects */
    printf("begin\n");
    fflush(stdout);
    if (!strcmp(action, "sequence"))
        return write_sequence(arguments[0], arguments[1]);
    if (!strcmp(action, "create"))
        return suite.ops->create(suite.driver, arguments[0], &spec, &suite.e);
    if (!strcmp(action, "clone"))
        return suite.ops->clone(suite.driver, arguments[0], *arguments[1] ? arguments[1] : NULL, arguments[2],
                                &same, &suite.e);
    if (!strcmp(action, "snapshot"))
        return suite.ops->snapshot_create(suite.driver, arguments[0], arguments[1], &suite.e);
    if (!strcmp(action, "unsnapshot"))
        return suite.ops->snapshot_remove(suite.driver, arguments[0], arguments[1], &suite.e);
    if (!strcmp(action, "group"))
        return suite.ops->group_snapshot_create(suite.driver, (const char *const *)arguments + 1, count - 1,
                                                arguments[0], &suite.e);
    if (!strcmp(action, "remove"))
        return suite.ops->remove(suite.driver, arguments[0], &suite.e);
    return 2;
}

int run_child(int argc, char **argv)
{
    char **arguments = argv + 2;
    size_t count = 0, i;
    while (count < (size_t)argc - 2 && strcmp(arguments[count], "--") != 0)
        count++;
    for (i = count + 3; i < (size_t)argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return 2;
        *equals = '\0';
        suite.options[suite.option_count++] = (struct nacre_option){argv[i], equals + 1};
    }
    if (!count || plugin_open_driver(argv[1], suite.options, suite.option_count, &suite.driver, &suite.e) < 0)
        return 2;
    suite.ops = suite.driver->lifecycle;
    suite.block = suite.driver->block;
    int result = act(argv[0], arguments, count);
    if (result)
        fprintf(stderr, "child %s: %s\n", argv[0], suite.e.message);
    driver_close(suite.driver);
    return result ? 1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The contract suite's entry: reads the arguments, opens the driver, runs every test. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "plugins/load.h"
#include "suite.h"

struct suite suite;

static int usage(void)
{
    fprintf(stderr, "usage: volume [--expect CODE] DRIVER PREFIX [KEY=VALUE...]\n");
    return 2;
}

static int read_options(int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        char *equals = strchr(arguments[i], '=');
        if (!equals || suite.option_count == sizeof suite.options / sizeof *suite.options)
            return usage();
        *equals = '\0';
        suite.options[suite.option_count++] = (struct nacre_option){arguments[i], equals + 1};
    }
    return 0;
}

static int open_driver(void)
{
    if (plugin_open_driver(suite.driver_name, suite.options, suite.option_count, &suite.driver, &suite.e) < 0)
        return -1;
    suite.ops = suite.driver->lifecycle;
    suite.block = suite.driver->block;
    return 0;
}

/* Whether get of a path ends with the code of this name. */
static int expect(const char *name, const char *path)
{
    struct nacre_volume_info *info = NULL;
    struct nacre_err e = {0};
    if (open_driver() < 0)
        e = suite.e;
    else if (suite.ops->get(suite.driver, path, &info, &e) == 0)
        suite.ops->free_info(suite.driver, info);
    driver_close(suite.driver);
    printf("%s: %s\n", err_code_name(e.code), e.message);
    return strcmp(err_code_name(e.code), name) ? 1 : 0;
}

static int set_up(void **state)
{
    (void)state;
    if (open_driver() == 0)
        return 0;
    print_error("%s\n", suite.e.message);
    return -1;
}

static int tear_down(void **state)
{
    (void)state;
    driver_close(suite.driver);
    return 0;
}

static int run_suite(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_lifecycle),
        cmocka_unit_test(test_metadata),       cmocka_unit_test(test_properties),
        cmocka_unit_test(test_capacity),       cmocka_unit_test(test_block),
        cmocka_unit_test(test_zero),           cmocka_unit_test(test_busy),
        cmocka_unit_test(test_busy_elsewhere), cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_clones),         cmocka_unit_test(test_deletion_order),
        cmocka_unit_test(test_extents),        cmocka_unit_test(test_extents_of_clone),
        cmocka_unit_test(test_without_map),    cmocka_unit_test(test_group),
        cmocka_unit_test(test_group_as_base),  cmocka_unit_test(test_group_consistency),
        cmocka_unit_test(test_threads),        cmocka_unit_test(test_killed_create),
        cmocka_unit_test(test_killed_clone),   cmocka_unit_test(test_killed_snapshot),
        cmocka_unit_test(test_killed_group),   cmocka_unit_test(test_killed_remove),
    };
    const char *only = getenv("NACRE_TEST_ONLY"); /* a pattern, for people */
    if (only)
        cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
    const char *code = NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2 && !strcmp(argv[1], "--child"))
        return run_child(argc - 2, argv + 2);
    if (argc > 2 && !strcmp(argv[1], "--expect")) {
        code = argv[2];
        argv += 2;
        argc -= 2;
    }
    if (argc < 3)
        return usage();
    suite.driver_name = argv[1];
    suite.prefix = argv[2];
    if (read_options(argc - 3, argv + 3))
        return 2;
    return code ? expect(code, suite.prefix) : run_suite();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Names of snapshots, groups, and what is removed as a leftover. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cancel.h"
#include "scripted.h"
#include "snapshot/history.h"
#include "snapshot/take.h"

#define REPO "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_REPO "0123456789ab" /* the digits that count are the same */

static void names(void **state)
{
    (void)state;
    char name[NACRE_SNAPSHOT_NAME_MAX + 1], again[NACRE_SNAPSHOT_NAME_MAX + 1], host[9];
    struct snapshot_owner owner;
    snapshot_name_make(REPO, name);
    snapshot_name_make(REPO, again);
    assert_string_not_equal(name, again);
    assert_int_equal(strlen(name),
                     strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"));
    assert_int_equal(0, strncmp(name, "nacre-0123456789ab-2", 20));
    assert_true(snapshot_name_parse(name, REPO, &owner));
    snapshot_host_hash_own(host);
    assert_string_equal(host, owner.host_hash);
    assert_int_equal(getpid(), owner.pid);
    assert_ptr_equal(name, owner.name);
    assert_true(snapshot_name_parse(name, OTHER_REPO, NULL));
    assert_false(snapshot_name_parse(name, "f123456789ab", NULL));
    assert_false(snapshot_name_parse(name, "0123", NULL));
    snapshot_host_hash("a", host);
    assert_string_equal("ca978112", host); /* SHA-256("a") */
}

static void foreign_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "nacre",
        "nacre-",
        "daily",
        "nacre-0123456789ab",
        "nacre-0123456789ab-",
        "nacre-0123456789ab-20260102T030405Z",
        "nacre-0123456789ab-20260102T030405Z-",
        "nacre-0123456789ab-20260102T030405Z-0a1b2c3d",
        "nacre-0123456789ab-20260102T030405Z-0a1b2c3d.",
        "nacre-0123456789ab-20260102T030405Z-0a1b2c3d.x",
        "nacre-0123456789ab-20260102T030405Z-0a1b2c3d.1x",
        "nacre-0123456789ab-20260102T030405Z-0a1b2c3d.1234567890",
        "nacre-0123456789ab-20260102T030405Z-0A1B2C3D.1",
        "nacre-0123456789ab-20260102T030405Z-0a1b2c3.11",
        "nacre-0123456789ab--0a1b2c3d.1",
        "xacre-0123456789ab-20260102T030405Z-0a1b2c3d.1",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(snapshot_name_parse(names[i], REPO, NULL));
    assert_true(snapshot_name_parse("nacre-0123456789ab-20260102T030405Z-0a1b2c3d.17", REPO, NULL));
}

static void grouped(void **state)
{
    (void)state;
    struct scripted east, west;
    struct nacre_err results[4], e = {0};
    bool group[4];
    scripted_init(&east);
    scripted_init(&west);
    const struct snapshot_source sources[] = {
        {&east.base, "a"}, {&west.base, "x"}, {&east.base, "b"}, {&east.base, "c"}};
    assert_int_equal(0, snapshot_take(sources, 4, "s", results, group, &e));
    assert_int_equal(1, east.group_calls);
    assert_int_equal(0, east.create_calls);
    assert_int_equal(0, west.group_calls);
    assert_int_equal(1, west.create_calls);
    assert_true(group[0] && group[2] && group[3] && !group[1]);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(NACRE_OK, results[i].code);
        assert_true(scripted_has((struct scripted *)sources[i].driver, sources[i].path, "s"));
    }
}

static void group_refused(void **state)
{
    (void)state;
    struct scripted driver;
    struct nacre_err results[2], e = {0};
    bool group[2];
    const struct snapshot_source sources[] = {{&driver.base, "a"}, {&driver.base, "b"}};
    scripted_init(&driver);
    driver.group_result = NACRE_UNSUPPORTED;
    driver.create_result = NACRE_NO_SPACE;
    driver.create_fails_for = "a";
    assert_int_equal(0, snapshot_take(sources, 2, "s", results, group, &e));
    assert_int_equal(NACRE_NO_SPACE, results[0].code);
    assert_non_null(strstr(results[0].message, "a"));
    assert_int_equal(NACRE_OK, results[1].code);
    assert_true(!group[0] && !group[1]);
    assert_true(!scripted_has(&driver, "a", "s") && scripted_has(&driver, "b", "s"));
    /* a driver that never can, and one that is older than the function */
    for (unsigned round = 0; round < 2; round++) {
        scripted_init(&driver);
        if (round)
            driver.lifecycle_ops.size = offsetof(struct nacre_lifecycle_ops, group_snapshot_create);
        else
            driver.lifecycle_ops.group_snapshot_create = NULL;
        assert_int_equal(0, snapshot_take(sources, 2, "s", results, group, &e));
        assert_int_equal(2, driver.create_calls);
        assert_int_equal(0, driver.group_calls);
        assert_false(group[0] || group[1]);
    }
}

struct living {
    struct scripted *driver;
    const char *name;
    unsigned asked;
};

static bool is_alive(void *ctx, const struct snapshot_owner *owner)
{
    struct living *living = ctx;
    living->asked++;
    /* one that is taken meanwhile must not be met: its owner was not asked for when it could not be known */
    snprintf(living->driver->snapshots[living->driver->snapshot_count++], sizeof living->driver->snapshots[0],
             "v@nacre-0123456789ab-20270102T030405Z-0a1b2c3d.9");
    return living->name && !strcmp(owner->name, living->name);
}

#define DEAD "nacre-0123456789ab-20260102T030405Z-0a1b2c3d.1"
#define LIVING "nacre-0123456789ab-20260102T030406Z-0a1b2c3d.2"
#define BASE "nacre-0123456789ab-20260102T030407Z-0a1b2c3d.3"
#define FOREIGN "nacre-ffffffffffff-20260102T030407Z-0a1b2c3d.3"

static void leftovers(void **state)
{
    (void)state;
    struct scripted driver;
    struct nacre_err e = {0};
    static const char *const snaps[] = {"daily", DEAD, LIVING, BASE, FOREIGN};
    scripted_init(&driver);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(0, driver.lifecycle_ops.snapshot_create(&driver.base, "v", snaps[i], &e));
    struct living living = {&driver, LIVING, 0};
    snapshot_remove_leftovers(&driver.base, "v", REPO, BASE, is_alive, &living);
    assert_int_equal(2, living.asked);
    assert_int_equal(1, driver.remove_calls);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(i != 1, scripted_has(&driver, "v", snaps[i]));
    assert_true(scripted_has(&driver, "v", "nacre-0123456789ab-20270102T030405Z-0a1b2c3d.9"));
    /* best effort */
    driver.remove_result = NACRE_TRANSIENT;
    snapshot_remove_leftovers(&driver.base, "v", REPO, NULL, is_alive, &living);
    driver.list_result = NACRE_DENIED;
    snapshot_remove_leftovers(&driver.base, "v", REPO, NULL, is_alive, &living);
    assert_true(scripted_has(&driver, "v", BASE));
}

static void history(void **state)
{
    (void)state;
    struct scripted driver;
    struct nacre_err e = {0};
    CLEANUP(history_free) struct history history = {0};
    scripted_init(&driver);
    driver.bytes = 7;
    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(
            0, driver.lifecycle_ops.snapshot_create(&driver.base, i == 5 ? "other" : "v", name, &e));
    }
    assert_int_equal(0, history_load(&driver.base, "v", &history, &e));
    assert_int_equal(19, history.count);
    const struct history_entry *s4 = history_find(&history, "s4"), *s6 = history_find(&history, "s6");
    assert_true(s4 && s6 && s4 + 1 == s6 && s4->id == 5 && s4->bytes == 7);
    assert_null(history_find(&history, "s5"));
    driver.list_result = NACRE_TRANSIENT;
    struct history none;
    assert_int_equal(-1, history_load(&driver.base, "v", &none, &e));
    assert_int_equal(NACRE_TRANSIENT, e.code);
    assert_null(none.items);
}

/* Last: the flag stays set. */
static void cancelled(void **state)
{
    (void)state;
    struct scripted driver;
    struct nacre_err results[1], e = {0};
    bool group[1];
    const struct snapshot_source source = {&driver.base, "a"};
    scripted_init(&driver);
    cancel_request();
    assert_int_equal(0, snapshot_take(&source, 1, "s", results, group, &e));
    assert_int_equal(NACRE_CANCELLED, results[0].code);
    assert_int_equal(0, driver.create_calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),         cmocka_unit_test(foreign_names), cmocka_unit_test(grouped),
        cmocka_unit_test(group_refused), cmocka_unit_test(leftovers),     cmocka_unit_test(history),
        cmocka_unit_test(cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

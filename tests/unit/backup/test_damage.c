/* SPDX-License-Identifier: Apache-2.0 */
/* A repository that lost something, and a store that fails: no snapshot may ever refer to what is not there.
 */
#include "fixture.h"

static void tree_lost(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, second;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    back_up(fx, &options, "v", &first);
    assert_int_equal(0, shell(fx, "rm store/restic/default/index/*"));
    volume_fill(fx, "v", 0, 10, 2);
    back_up(fx, &options, "v", &second);
    assert_true(!second.incremental && second.has_parent);
    assert_non_null(strstr(second.warning, "cannot be used"));
    assert_int_equal(4, second.chunks_read);
    assert_int_equal(4, second.chunks_new);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    expect_dump(fx, &second, "v");
}

static void chunk_lost(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume other, first, second, third;
    volume_make(fx, "other", 2 * CHUNK);
    volume_fill(fx, "other", 0, 2 * CHUNK, 1);
    back_up(fx, &options, "other", &other);
    assert_int_equal(0, shell(fx, "ls -d store/restic/default/index/* > others"));
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 2 * CHUNK, 1); /* the same two chunks, which only other's index knows */
    volume_fill(fx, "v", 5 * CHUNK, CHUNK, 2);
    back_up(fx, &options, "v", &first);
    assert_int_equal(2, first.chunks_known);
    assert_int_equal(0, shell(fx, "rm $(cat others)"));
    volume_fill(fx, "v", 9 * CHUNK, 10, 3);
    back_up(fx, &options, "v", &second);
    assert_true(second.incremental);
    assert_non_null(strstr(second.warning, "2 unchanged chunks were read again"));
    assert_int_equal(3, second.chunks_read);
    assert_int_equal(3, second.chunks_new);
    expect_dump(fx, &second, "v");
    back_up(fx, &options, "v", &third);
    assert_true(third.incremental && !third.warning[0] && third.chunks_read == 0);
    expect_dump(fx, &third, "v");
}

static void store_fails(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, second;
    struct backup_result result = {0};
    struct nacre_err e = {0};
    static const char *const where[] = {"fail-name=restic/default/data/", "fail-name=restic/default/index/",
                                        "fail-name=restic/default/snapshots/"};
    volume_make(fx, "v", 64 * CHUNK);
    volume_make(fx, "w", 64 * CHUNK);
    volume_fill(fx, "v", 0, 20 * CHUNK, 1);
    back_up(fx, &options, "v", &first);
    volume_fill(fx, "v", 0, 40 * CHUNK, 2);
    volume_fill(fx, "w", 0, 40 * CHUNK, 2);
    options.writer.pack_size = 4u << 20;
    for (size_t i = 0; i < 3; i++) {
        char dir[128];
        memcpy(dir, fx->dir, sizeof dir);
        assert_true(fixture_break_store(fx, "fail-op=put,put_if_absent", where[i], "fail-every=1",
                                        "code=no-space", END));
        assert_int_equal(-1, back_up_all(fx, &options, &result, &e, "v", "w", END));
        assert_int_equal(NACRE_NO_SPACE, e.code);
        assert_int_equal(NACRE_NO_SPACE, result.volumes[1].error.code);
        backup_result_free(&result);
        assert_int_equal(1, bases_of(fx, "v", NULL));
        assert_int_equal(0, bases_of(fx, "w", NULL));
        fixture_close(fx);
        fixture_open(fx, dir);
        assert_int_equal(1, snapshot_count(fx));
        expect_sound(fx);
    }
    back_up(fx, &options, "v", &second);
    assert_true(second.incremental);
    assert_string_equal(first.source_snapshot, second.base);
    assert_int_equal(40, second.chunks_read);
    expect_dump(fx, &second, "v");
    expect_sound(fx);
}

/* The state of the first backup again. */
static void go_back(struct fixture *fx)
{
    char dir[128];
    memcpy(dir, fx->dir, sizeof dir);
    fixture_close(fx);
    assert_int_equal(0, shell(fx, "rm -rf store volumes && cp -a saved/store saved/volumes ."));
    fixture_open(fx, dir);
}

/* The store goes away after each possible number of calls; the next run, with the store back, must succeed.
 */
static void store_goes_away(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved;
    bool succeeded = false;
    unsigned opened = 0;
    options.writer.pack_size = 1u << 20;
    volume_make(fx, "v", 32 * CHUNK);
    volume_fill(fx, "v", 0, 8 * CHUNK, 1);
    back_up(fx, &options, "v", &saved);
    volume_fill(fx, "v", 4 * CHUNK, 12 * CHUNK, 2);
    assert_int_equal(0, shell(fx, "mkdir saved && cp -a store volumes saved"));
    for (unsigned ops = 1; ops < 100 && !succeeded; ops++) {
        char dir[128], after[64];
        struct backup_result result = {0};
        struct nacre_err e = {0};
        memcpy(dir, fx->dir, sizeof dir);
        snprintf(after, sizeof after, "fail-after-ops=%u", ops);
        if (!fixture_break_store(fx, after, "code=failed", END)) {
            go_back(fx);
            continue;
        }
        opened++;
        succeeded = !back_up_all(fx, &options, &result, &e, "v", END);
        assert_int_equal(succeeded, result.volumes[0].phase == BACKUP_COMPLETED);
        backup_result_free(&result);
        fixture_close(fx);
        fixture_open(fx, dir);
        assert_int_equal(1, bases_of(fx, "v", NULL));
        CLEANUP(backup_result_free) struct backup_result again = {0};
        assert_int_equal(0, back_up_all(fx, &options, &again, &e, "v", END));
        assert_true(again.volumes[0].incremental);
        assert_int_equal(succeeded ? 0 : 12, again.volumes[0].chunks_read);
        assert_int_equal(1, bases_of(fx, "v", NULL));
        assert_int_equal(0, shell(fx, "rm -f store/restic/default/locks/*")); /* ours, as we live on */
        expect_dump(fx, &again.volumes[0], "v");
        if (ops % 8 == 0 || succeeded)
            expect_sound(fx);
        if (!succeeded)
            go_back(fx);
    }
    assert_true(succeeded);
    assert_true(opened > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tree_lost, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(chunk_lost, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(store_fails, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(store_goes_away, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

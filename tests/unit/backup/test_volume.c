/* SPDX-License-Identifier: Apache-2.0 */
/* One volume: full and incremental backups, with every figure exact, and restic as the judge of every byte.
 */
#include "fixture.h"

#include "repository/tree.h"

static void full(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved;
    char base[NACRE_SNAPSHOT_NAME_MAX + 1];
    volume_make(fx, "v", 40 * CHUNK + 12345); /* ends with a short chunk */
    volume_fill(fx, "v", 3 * CHUNK, 2 * CHUNK, 1);
    volume_fill(fx, "v", 9 * CHUNK + 5, 7, 2);
    volume_zero(fx, "v", 20 * CHUNK, 2 * CHUNK);
    volume_fill(fx, "v", 40 * CHUNK + 12000, 345, 3);
    back_up(fx, &options, "v", &saved);
    assert_int_equal(41, saved.chunks_total);
    assert_int_equal(6, saved.chunks_read);
    assert_int_equal(2, saved.chunks_zero);
    assert_int_equal(4, saved.chunks_new);
    assert_int_equal(35, saved.chunks_hole);
    assert_int_equal(5 * CHUNK + 12345, saved.bytes_read);
    assert_int_equal(3 * CHUNK + 12345, saved.bytes_new);
    assert_true(saved.bytes_uploaded > CHUNK);
    assert_int_equal(40 * CHUNK + 12345, saved.volume_bytes);
    assert_string_equal("hostpath/local/v", saved.volume);
    assert_true(!saved.incremental && !saved.has_parent && !saved.warning[0] && !saved.base[0]);
    assert_int_equal(1, bases_of(fx, "v", base));
    assert_string_equal(base, saved.source_snapshot);
    assert_true(saved.started_ns && saved.started_ns <= saved.finished_ns);
    expect_sound(fx);
    expect_dump(fx, &saved, "v");
}

static void tags(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("named");
    struct backup_volume saved;
    CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
    struct nacre_err e = {0};
    static const char *const more[] = {"schedule=nightly", "plain"};
    options.tags = more;
    options.tag_count = 2;
    volume_make(fx, "v", 3 * CHUNK);
    back_up(fx, &options, "v", &saved);
    assert_int_equal(0, snapshot_load(fx->repo, &saved.snapshot, &snapshot, &e));
    assert_int_equal(1, snapshot->path_count);
    assert_string_equal("/hostpath/local/v", snapshot->paths[0]);
    assert_string_equal("nacre " NACRE_VERSION, snapshot->program_version);
    const char *const expected[][2] = {{"backup", "named"},
                                       {"volume", "hostpath/local/v"},
                                       {"driver", "hostpath"},
                                       {"chunk-size", "262144"},
                                       {"source-snapshot", saved.source_snapshot},
                                       {"volume-bytes", "786432"},
                                       {"metadata.owner", "a test"},
                                       {"schedule", "nightly"}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(expected[i][1], snapshot_tag_value(snapshot, expected[i][0]));
    assert_non_null(snapshot_tag_value(snapshot, "volume-id"));
    assert_non_null(snapshot_tag_value(snapshot, "source-snapshot-id"));
    assert_string_equal("plain", snapshot->tags[snapshot->tag_count - 1]);
}

static void incremental(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, second, third;
    char base[NACRE_SNAPSHOT_NAME_MAX + 1];
    volume_make(fx, "v", 64 * CHUNK + 100);
    volume_fill(fx, "v", 0, 32 * CHUNK, 1);
    volume_fill(fx, "v", 64 * CHUNK, 100, 1);
    back_up(fx, &options, "v", &first);
    volume_fill(fx, "v", 5 * CHUNK + 4096, 10, 2);    /* a touched chunk */
    volume_fill(fx, "v", 8 * CHUNK - 10, 20, 3);      /* two */
    volume_fill(fx, "v", 50 * CHUNK, 10, 4);          /* one that was a hole */
    volume_discard(fx, "v", 20 * CHUNK, 2 * CHUNK);   /* two that become holes */
    volume_discard(fx, "v", 25 * CHUNK + 4096, 4096); /* a part of one */
    options.name = "two";
    options.chunk_size = 0; /* stays as it was */
    back_up(fx, &options, "v", &second);
    assert_true(second.incremental && second.has_parent && !second.warning[0]);
    assert_true(id_equal(&first.snapshot, &second.parent));
    assert_string_equal(first.source_snapshot, second.base);
    assert_int_equal(CHUNK, second.chunk_size);
    assert_int_equal(5, second.chunks_read);
    assert_int_equal(5, second.chunks_new);
    assert_int_equal(2, second.chunks_hole);
    assert_int_equal(65 - 7, second.chunks_unchanged);
    assert_int_equal(5 * CHUNK, second.bytes_read);
    assert_int_equal(1, bases_of(fx, "v", base));
    assert_string_equal(base, second.source_snapshot);
    expect_dump(fx, &second, "v");
    /* nothing changed: nothing is read, and the tree is the same one */
    back_up(fx, &options, "v", &third);
    assert_int_equal(0, third.chunks_read);
    assert_int_equal(65, third.chunks_unchanged);
    assert_int_equal(0, faults.reads);
    assert_true(third.bytes_uploaded == 0);
    assert_true(id_equal(&second.tree, &third.tree));
    assert_int_equal(3, snapshot_count(fx));
    expect_sound(fx);
}

static void base_vanished(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, second;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    back_up(fx, &options, "v", &first);
    source_snapshot_remove(fx, "v", first.source_snapshot);
    volume_fill(fx, "v", 0, 10, 2);
    back_up(fx, &options, "v", &second);
    assert_true(!second.incremental && second.has_parent && !second.base[0]);
    assert_true(id_equal(&first.snapshot, &second.parent));
    assert_non_null(strstr(second.warning, "no longer on the volume"));
    assert_non_null(strstr(second.warning, first.source_snapshot));
    assert_int_equal(4, second.chunks_read);
    assert_int_equal(3, second.chunks_known);
    assert_int_equal(1, second.chunks_new);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    expect_dump(fx, &second, "v");
}

static void base_of_the_same_name(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, second;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    back_up(fx, &options, "v", &first);
    source_snapshot_remove(fx, "v", first.source_snapshot);
    volume_fill(fx, "v", 0, 10, 2);
    source_snapshot(fx, "v", first.source_snapshot); /* an impostor: as the base it would hide the change */
    back_up(fx, &options, "v", &second);
    assert_false(second.incremental);
    assert_non_null(strstr(second.warning, "replaced"));
    assert_int_equal(4, second.chunks_read);
    expect_dump(fx, &second, "v");
    assert_int_equal(1, bases_of(fx, "v", NULL));
}

static void volume_made_again(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, second;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    back_up(fx, &options, "v", &first);
    volume_remove(fx, "v");
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", CHUNK, CHUNK, 9);
    source_snapshot(fx, "v", first.source_snapshot);
    back_up(fx, &options, "v", &second);
    assert_true(!second.incremental && !second.has_parent);
    assert_non_null(strstr(second.warning, "another volume"));
    assert_int_equal(1, second.chunks_read);
    expect_dump(fx, &second, "v");
}

static void change_cannot_be_told(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, second;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    back_up(fx, &options, "v", &first);
    faults.base_result = NACRE_UNSUPPORTED;
    volume_fill(fx, "v", 0, 10, 2);
    back_up(fx, &options, "v", &second);
    assert_true(!second.incremental && second.has_parent);
    assert_non_null(strstr(second.warning, "told to fail"));
    assert_int_equal(4, second.chunks_read);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    expect_dump(fx, &second, "v");
}

static void full_on_request(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, second;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    back_up(fx, &options, "v", &first);
    options.full = true;
    back_up(fx, &options, "v", &second);
    assert_true(!second.incremental && second.has_parent && !second.warning[0]);
    assert_int_equal(4, second.chunks_known);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    assert_true(id_equal(&first.tree, &second.tree));
}

static void chunk_size_stays(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    options.chunk_size = 2 * CHUNK;
    back_up(fx, &options, "v", &saved);
    options.chunk_size = 0;
    back_up(fx, &options, "v", &saved);
    assert_int_equal(2 * CHUNK, saved.chunk_size);
    assert_true(saved.incremental);
    options.chunk_size = CHUNK;
    back_up(fx, &options, "v", &saved);
    assert_int_equal(CHUNK, saved.chunk_size);
    assert_true(!saved.incremental && !saved.has_parent);
    assert_non_null(strstr(saved.warning, "524288"));
    assert_int_equal(1, bases_of(fx, "v", NULL));
    options.chunk_size = 0;
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental && saved.chunk_size == CHUNK);
    expect_dump(fx, &saved, "v");
    volume_make(fx, "w", 1);
    back_up(fx, &options, "w", &saved);
    assert_int_equal(BACKUP_CHUNK_DEFAULT, saved.chunk_size);
}

static void resized(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume saved;
    volume_make(fx, "v", 16 * CHUNK + 77);
    volume_fill(fx, "v", 0, 16 * CHUNK + 77, 1);
    back_up(fx, &options, "v", &saved);
    volume_truncate(fx, "v", 20 * CHUNK + 5); /* grows; its short chunk becomes a whole one */
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental);
    assert_int_equal(1, saved.chunks_read);
    assert_int_equal(16, saved.chunks_unchanged);
    assert_int_equal(4, saved.chunks_hole);
    expect_dump(fx, &saved, "v");
    volume_truncate(fx, "v", 7 * CHUNK + 99); /* shrinks */
    back_up(fx, &options, "v", &saved);
    assert_true(saved.incremental);
    assert_int_equal(7, saved.chunks_unchanged);
    assert_int_equal(1, saved.chunks_read);
    expect_dump(fx, &saved, "v");
    volume_truncate(fx, "v", 0);
    back_up(fx, &options, "v", &saved);
    assert_int_equal(0, saved.chunks_total);
    expect_dump(fx, &saved, "v");
    volume_truncate(fx, "v", 3 * CHUNK);
    back_up(fx, &options, "v", &saved);
    assert_int_equal(3, saved.chunks_hole);
    expect_dump(fx, &saved, "v");
    expect_sound(fx);
}

static void snapshot_given(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    struct backup_volume first, given, later;
    volume_make(fx, "v", 16 * CHUNK);
    volume_fill(fx, "v", 0, 4 * CHUNK, 1);
    source_snapshot(fx, "v", "before");
    volume_fill(fx, "v", 0, 10, 2);
    back_up(fx, &options, "v", &first);
    /* older than the base: read in full, nothing is taken, the base stays */
    back_up(fx, &options, "v@before", &given);
    assert_string_equal("before", given.source_snapshot);
    assert_string_equal("hostpath/local/v", given.volume);
    assert_false(given.incremental);
    assert_non_null(strstr(given.warning, "not older"));
    assert_int_equal(4, given.chunks_read);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    assert_int_equal(0, shell(fx, "$R dump latest /disk.img | cmp - volumes/v/snapshots/before/data"));
    /* newer: compared with the newest backup whose snapshot is still there */
    volume_fill(fx, "v", 9 * CHUNK, 10, 3);
    source_snapshot(fx, "v", "after");
    back_up(fx, &options, "v@after", &given);
    assert_true(given.incremental);
    assert_string_equal("before", given.base);
    assert_int_equal(2, given.chunks_read);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    source_snapshot_remove(fx, "v", "after");
    source_snapshot_remove(fx, "v", "before");
    back_up(fx, &options, "v", &later);
    assert_true(later.incremental);
    assert_string_equal(first.source_snapshot, later.base);
    assert_int_equal(1, later.chunks_read);
    assert_int_equal(1, bases_of(fx, "v", NULL));
    expect_dump(fx, &later, "v");
}

static void remove_before(void *ctx, unsigned number)
{
    if (number == 2)
        source_snapshot_remove(ctx, "v", "before");
}

/* A cluster may give zeros for what it has no longer: nothing of it may pass for a backup. */
static void snapshot_removed_while_read(void **state)
{
    struct fixture *fx = *state;
    struct backup_options options = options_of("one");
    CLEANUP(backup_result_free) struct backup_result result = {0};
    struct nacre_err e = {0};
    volume_make(fx, "v", 64 * CHUNK);
    volume_fill(fx, "v", 0, 64 * CHUNK, 1);
    source_snapshot(fx, "v", "before");
    faults.on_read = remove_before;
    faults.ctx = fx;
    assert_int_equal(-1, back_up_all(fx, &options, &result, &e, "v@before", END));
    assert_int_equal(NACRE_ABSENT, e.code);
    assert_non_null(strstr(e.message, "removed"));
    assert_int_equal(0, snapshot_count(fx));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(tags, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(incremental, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(base_vanished, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(base_of_the_same_name, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(volume_made_again, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(change_cannot_be_told, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(full_on_request, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(chunk_size_stays, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(resized, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(snapshot_given, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(snapshot_removed_while_read, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: restic's JSON comes back as it was; finding, listing; what must be refused. */
#include "support.h"

#include "common/err.h"
#include "repository/snapshot.h"
#include "repository/snapshot_json.h"

#define TREE "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"

static struct repo *open_repo(struct place *place)
{
    struct nacre_err e;
    struct repo *repo = NULL;
    assert_ok(repo_open(place->store, &place->options, PASSWORD, &repo, &e));
    return repo;
}

static int take_id(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    (void)size;
    (void)modified_ns;
    *(struct id *)ctx = *id;
    return 1;
}

static void restic_json_comes_back(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(buf_free) struct buf json = {0}, again = {0};
    setenv("TZ", "UTC", 1);
    assert_int_equal(restic(place, NULL, "init"), 0);
    assert_int_equal(
        restic(place, NULL,
               "backup --tag 'a<b>' --tag 'x=1' --exclude '*.o' --exclude '&' --host 'h\"q' %s/repo/config",
               place->dir),
        0);
    CLEANUP(repo_free) struct repo *repo = open_repo(place);
    struct id id;
    CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
    assert_ok(repo_file_list(repo, REPO_SNAPSHOT, take_id, &id, &e));
    assert_ok(repo_file_load(repo, REPO_SNAPSHOT, &id, &json, &e));
    assert_ok(snapshot_load(repo, &id, &snapshot, &e));
    snapshot_json(&again, snapshot);
    assert_string_equal((char *)again.data, (char *)json.data);
    assert_string_equal(snapshot_tag_value(snapshot, "x"), "1");
    assert_null(snapshot_tag_value(snapshot, "a"));
    assert_int_equal(snapshot->exclude_count, 2);
}

static void tag_keys_of_any_bytes(void **state)
{
    (void)state;
    CLEANUP(buf_free) struct buf key = {0};
    snapshot_tag_key_append(&key, "100% a=b %3D");
    assert_string_equal((char *)key.data, "100%25 a%3Db %253D");
    snapshot_tag_key_decode((char *)key.data);
    assert_string_equal((char *)key.data, "100% a=b %3D");
    char plain[] = "50% off%2", end[] = "%3";
    snapshot_tag_key_decode(plain);
    snapshot_tag_key_decode(end);
    assert_string_equal(plain, "50% off%2");
    assert_string_equal(end, "%3");
}

/* What newer versions write, and 0.14 does not. */
static void newer_fields_come_back(void **state)
{
    (void)state;
    struct nacre_err e;
    const char json[] =
        "{\"time\":\"2024-02-29T23:59:60.5Z\",\"parent\":\"" TREE "\",\"tree\":\"" TREE
        "\",\"paths\":null,\"unknown\":{\"tree\":7},\"uid\":4294967295,\"original\":\"" TREE
        "\",\"program_version\":\"restic 0.18.0\",\"summary\":{\"backup_start\":\"x\",\"data_added\":7}}";
    CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
    CLEANUP(buf_free) struct buf again = {0};
    assert_ok(snapshot_parse(json, strlen(json), &snapshot, &e));
    assert_true(snapshot->has_parent && snapshot->has_original);
    assert_int_equal(snapshot->uid, UINT32_MAX);
    snapshot_json(&again, snapshot);
    assert_string_equal(
        (char *)again.data,
        "{\"time\":\"2024-03-01T00:00:00.5Z\",\"parent\":\"" TREE "\",\"tree\":\"" TREE
        "\",\"paths\":[],\"uid\":4294967295,\"original\":\"" TREE
        "\",\"program_version\":\"restic 0.18.0\",\"summary\":{\"backup_start\":\"x\",\"data_added\":7}}");
}

static void refuses(void **state)
{
    (void)state;
    const struct {
        const char *json, *why;
    } cases[] = {
        {"", "not JSON"},
        {"[]", "object was expected"},
        {"{\"time\":\"2024-01-01T00:00:00Z\"}", "names no tree"},
        {"{\"tree\":\"" TREE "\"}", "\"time\" is not a time"},
        {"{\"time\":\"0001-01-01T00:00:00Z\",\"tree\":\"" TREE "\"}", "\"time\" is not a time"},
        {"{\"time\":7,\"tree\":\"" TREE "\"}", "\"time\" is not a string"},
        {"{\"time\":\"2024-01-01T00:00:00Z\",\"tree\":\"" TREE "0\"}", "\"tree\" is not an id"},
        {"{\"time\":\"2024-01-01T00:00:00Z\",\"tree\":\"" TREE "\",\"paths\":[7]}", "not a string"},
        {"{\"time\":\"2024-01-01T00:00:00Z\",\"tree\":\"" TREE "\",\"tags\":{}}", "not a list"},
        {"{\"time\":\"2024-01-01T00:00:00Z\",\"tree\":\"" TREE "\",\"uid\":-1}", "\"uid\""},
        {"{\"time\":\"2024-01-01T00:00:00Z\",\"tree\":\"" TREE "\",\"gid\":4294967296}", "\"gid\""},
        {"{\"time\":\"2024-01-01T00:00:00Z\",\"tree\":\"" TREE "\",\"summary\":7}", "\"summary\""},
        {"{\"time\":\"2024-01-01T00:00:00Z\",\"tree\":\"" TREE "\",\"hostname\":\"a\\u0000\"}", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nacre_err e = {0};
        struct snapshot *snapshot = NULL;
        int result = snapshot_parse(cases[i].json, strlen(cases[i].json), &snapshot, &e);
        if (result != -1 || e.code != NACRE_CORRUPT || !strstr(e.message, cases[i].why))
            fail_msg("%s: %d, %s", cases[i].json, result, e.message);
    }
}

static void save_one(struct repo *repo, int64_t time_ns, const char *tag, struct id *id)
{
    struct nacre_err e;
    CLEANUP(snapshot_free) struct snapshot *snapshot = snapshot_new();
    snapshot->time_ns = time_ns;
    assert_ok(snapshot_add_tag(snapshot, tag, &e));
    assert_true(id_parse(&snapshot->tree, TREE));
    assert_ok(snapshot_save(repo, snapshot, &e));
    *id = snapshot->id;
}

static void lists_and_finds(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(snapshot_free) struct snapshot *latest = NULL, *found = NULL, *none = NULL;
    struct id ids[3];
    char hex[ID_HEX_SIZE];
    assert_ok(repo_init(place->store, &place->options, PASSWORD, 2, &repo, &e));
    assert_fails(snapshot_find(repo, "latest", &none, &e), NACRE_ABSENT, "no snapshots");
    save_one(repo, 3000, "k=third", &ids[2]);
    save_one(repo, 1000, "k=first", &ids[0]);
    save_one(repo, 2000, "k=second", &ids[1]);

    struct snapshot_list list = {0};
    assert_ok(snapshot_list_load(repo, &list, &e));
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(id_equal(&list.items[i]->id, &ids[i]));
    snapshot_list_free(&list);

    assert_ok(snapshot_find(repo, "latest", &latest, &e));
    assert_string_equal(snapshot_tag_value(latest, "k"), "third");
    id_format(&ids[1], hex);
    hex[12] = 0;
    assert_ok(snapshot_find(repo, hex, &found, &e));
    assert_string_equal(snapshot_tag_value(found, "k"), "second");
    assert_ok(snapshot_remove(repo, &ids[1], &e));
    assert_fails(snapshot_find(repo, hex, &none, &e), NACRE_ABSENT, hex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(restic_json_comes_back, place_setup, place_teardown),
        cmocka_unit_test(tag_keys_of_any_bytes),
        cmocka_unit_test(newer_fields_come_back),
        cmocka_unit_test(refuses),
        cmocka_unit_test_setup_teardown(lists_and_finds, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

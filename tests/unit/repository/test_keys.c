/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: adding, removing, changing passwords, with restic as the other party; and what a damaged or
 * hostile key file may do. */
#include "support.h"

#include "common/json.h"
#include "common/timestamp.h"
#include "repository/key_file.h"
#include "repository/keys.h"

static struct repo *make(struct place *place)
{
    struct nacre_err e;
    struct repo *repo = NULL;
    assert_ok(repo_init(place->store, &place->options, PASSWORD, 0, &repo, &e));
    return repo;
}

static int opens(struct place *place, const char *password)
{
    struct nacre_err e;
    struct repo *repo = NULL;
    int result = repo_open(place->store, &place->options, password, &repo, &e);
    if (result < 0)
        assert_int_equal(e.code, NACRE_WRONG_PASSWORD);
    repo_free(repo);
    return result;
}

struct seen {
    size_t count, current;
    int64_t created_ns;
};

static int see(void *ctx, const struct key_info *info)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->current += info->current;
    seen->created_ns = info->created_ns;
    assert_true(*info->username && *info->hostname);
    return 0;
}

static void adds_and_removes(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct seen seen = {0};
    struct id added;
    assert_ok(key_add(repo, "second", &added, &e));
    assert_int_equal(opens(place, PASSWORD), 0);
    assert_int_equal(opens(place, "second"), 0);
    assert_int_equal(opens(place, "third"), -1);
    assert_ok(key_each(repo, see, &seen, &e));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.current, 1);
    assert_true(timestamp_now() - seen.created_ns < 600 * INT64_C(1000000000));
    assert_fails(key_remove(repo, repo_key_file(repo), &e), NACRE_INVALID, "another password");
    assert_ok(key_remove(repo, &added, &e));
    assert_fails(key_remove(repo, &added, &e), NACRE_ABSENT, "key file");
    assert_int_equal(opens(place, "second"), -1);
    assert_int_equal(opens(place, PASSWORD), 0);
    assert_fails(key_add(repo, "", &added, &e), NACRE_INVALID, "empty password");
    assert_int_equal(place_count(place, "keys"), 1);
}

static void changes_the_password(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    CLEANUP(buf_free) struct buf text = {0};
    struct id id;
    assert_ok(key_change_password(repo, "new", &id, &e));
    assert_int_equal(place_count(place, "keys"), 1);
    assert_int_equal(opens(place, PASSWORD), -1);
    assert_int_equal(opens(place, "new"), 0);
    assert_int_not_equal(restic(place, NULL, "cat config"), 0);
    assert_ok(repo_file_load(repo, REPO_KEY, &id, &text, &e)); /* the handle goes on working */
}

static void shares_keys_with_restic(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    CLEANUP(buf_free) struct buf text = {0};
    struct seen seen = {0};
    struct id id;
    assert_int_equal(shell(NULL, "printf of-restic > %s/p", place->dir), 0);
    assert_int_equal(restic(place, NULL, "key add --new-password-file %s/p", place->dir), 0);
    assert_int_equal(opens(place, "of-restic"), 0);
    assert_ok(key_each(repo, see, &seen, &e));
    assert_int_equal(seen.count, 2);
    assert_ok(key_add(repo, "by-us", &id, &e));
    assert_int_equal(shell(NULL, "printf by-us > %s/q", place->dir), 0);
    assert_int_equal(shell(NULL, "%s -r %s --no-cache -p %s/q cat config > /dev/null",
                           getenv("RESTIC") ? getenv("RESTIC") : "restic", place->repo_dir, place->dir),
                     0);
    assert_int_equal(restic(place, &text, "key list"), 0);
}

static void passes_over_damaged_key_files(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place);
    struct seen seen = {0};
    char path[512];
    struct id id;
    place_file(place, "keys", path);
    assert_ok(key_add(repo, "second", &id, &e));
    write_whole(path, "{\"kdf\":\"scrypt\"", 15);
    assert_int_equal(opens(place, "second"), 0);
    assert_ok(key_each(repo, see, &seen, &e));
    assert_int_equal(seen.count, 1);
}

/* out = json with one piece of its text replaced. */
static void edit(struct buf *out, const struct buf *json, const char *from, const char *to)
{
    buf_clear(out);
    const char *at = strstr((const char *)json->data, from);
    if (!at)
        fail_msg("no %s in %s", from, json->data);
    buf_append(out, json->data, (size_t)((const uint8_t *)at - json->data));
    buf_string(out, to);
    buf_string(out, at + strlen(from));
}

static void bounds_what_a_key_file_asks_for(void **state)
{
    (void)state;
    struct nacre_err e;
    struct seal_key master, opened;
    CLEANUP(buf_free) struct buf json = {0}, bad = {0};
    assert_ok(seal_key_random(&master, &e));
    assert_ok(key_file_make("p", &master, &json, &e));
    assert_ok(key_open(json.data, json.size, "p", &opened, &e));
    assert_memory_equal(&master, &opened, sizeof master);
    assert_fails(key_open(json.data, json.size, "q", &opened, &e), NACRE_WRONG_PASSWORD, "decrypt");

    static const char *const too_much[] = {"\"N\":1048576,\"r\":8,\"p\":1", "\"N\":32768,\"r\":8,\"p\":1025",
                                           "\"N\":2,\"r\":1,\"p\":2147483647",
                                           "\"N\":1073741824,\"r\":2147483647,\"p\":2147483647"};
    for (size_t i = 0; i < sizeof too_much / sizeof *too_much; i++) {
        edit(&bad, &json, "\"N\":32768,\"r\":8,\"p\":1", too_much[i]);
        assert_fails(key_open(bad.data, bad.size, "p", &opened, &e), NACRE_INVALID, "scrypt parameters");
    }
    static const char *const wrong[][2] = {{"\"N\":32768", "\"N\":32767"},
                                           {"\"N\":32768", "\"N\":0"},
                                           {"\"N\":32768", "\"N\":-2"},
                                           {"\"N\":32768", "\"N\":\"2\""},
                                           {"\"r\":8", "\"r\":0"},
                                           {"\"p\":1", "\"p\":0"},
                                           {"\"scrypt\"", "\"argon2\""},
                                           {"\"salt\":\"", "\"salt\":\"AAAA"},
                                           {"\"data\":\"", "\"data\":\"*"},
                                           {"\"data\"", "\"dato\""},
                                           {"\"salt\"", "\"p\""}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        edit(&bad, &json, wrong[i][0], wrong[i][1]);
        assert_fails(key_open(bad.data, bad.size, "p", &opened, &e), NACRE_CORRUPT, "");
    }
    for (size_t size = 0; size < json.size; size++)
        assert_fails(key_open(json.data, size, "p", &opened, &e), NACRE_CORRUPT, "");
}

#define K "AAECAwQFBgcICQoLDA0ODw=="
#define ENCRYPT "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void reads_only_whole_master_keys(void **state)
{
    (void)state;
    struct nacre_err e;
    struct seal_key key;
    static const char *const good[] = {
        "{\"mac\":{\"k\":\"" K "\",\"r\":\"" K "\"},\"encrypt\":\"" ENCRYPT "\"}",
        "{ \"encrypt\" : \"" ENCRYPT "\", \"x\":[{\"k\":1}], \"mac\" : {\"r\":\"" K "\",\"y\":null,\"k\":\"" K
        "\"} }"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        memset(&key, 0, sizeof key);
        assert_ok(key_master_parse(good[i], strlen(good[i]), &key, &e));
        for (int k = 0; k < 32; k++)
            assert_int_equal(key.encrypt[k], k);
        for (int k = 0; k < 16; k++)
            assert_true(key.mac_k[k] == k && key.mac_r[k] == k);
    }
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "\"" K "\"",
        "{\"mac\":{\"k\":\"" K "\"},\"encrypt\":\"" ENCRYPT "\"}",
        "{\"mac\":{\"k\":\"" K "\",\"r\":\"" ENCRYPT "\"},\"encrypt\":\"" ENCRYPT "\"}",
        "{\"mac\":{\"k\":\"" K "\",\"r\":7},\"encrypt\":\"" ENCRYPT "\"}",
        "{\"mac\":7,\"other\":{\"k\":\"" K "\",\"r\":\"" K "\"},\"encrypt\":\"" ENCRYPT "\"}",
        "{\"mac\":{\"k\":\"" K "\",\"r\":\"" K "\"},\"encrypt\":\"" ENCRYPT "\"} x",
        "{\"mac\":{\"k\":\"" K "\",\"r\":\"" K "\"},\"encrypt\":\"" ENCRYPT "\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(key_master_parse(bad[i], strlen(bad[i]), &key, &e), NACRE_CORRUPT, "master key");
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(adds_and_removes),
        WITH_PLACE(changes_the_password),
        WITH_PLACE(shares_keys_with_restic),
        WITH_PLACE(passes_over_damaged_key_files),
        cmocka_unit_test(bounds_what_a_key_file_asks_for),
        cmocka_unit_test(reads_only_whole_master_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Making and opening repositories: ours by restic, restic's by us, and everything that can be wrong. */
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#include "repository/frame.h"
#include "repository/repo_internal.h"
#include "repository/unpacked.h"

static struct repo *make(struct place *place, unsigned version)
{
    struct nacre_err e;
    struct repo *repo = NULL;
    assert_ok(repo_init(place->store, &place->options, PASSWORD, version, &repo, &e));
    return repo;
}

static struct repo *open_again(struct place *place)
{
    struct nacre_err e;
    struct repo *repo = NULL;
    assert_ok(repo_open(place->store, &place->options, PASSWORD, &repo, &e));
    return repo;
}

static void opens_what_it_made(void **state)
{
    struct place *place = *state;
    for (unsigned version = 1; version <= 2; version++) {
        char path[32];
        snprintf(path, sizeof path, "deep/r%u", version);
        place->options.path = path;
        CLEANUP(repo_free) struct repo *made = make(place, version);
        CLEANUP(repo_free) struct repo *opened = open_again(place);
        assert_int_equal(repo_version(opened), version);
        assert_string_equal(repo_id(opened), repo_id(made));
        assert_int_equal(repo_polynomial(opened), repo_polynomial(made));
        assert_true(id_equal(repo_key_file(opened), repo_key_file(made)));
        assert_memory_equal(repo_seal_key(opened), repo_seal_key(made), sizeof(struct seal_key));
    }
}

static void restic_opens_ours(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(buf_free) struct buf config = {0}, check = {0}, ours = {0};
    CLEANUP(repo_free) struct repo *repo = make(place, 0);
    assert_int_equal(restic(place, &config, "cat config"), 0);
    assert_non_null(strstr((char *)config.data, repo_id(repo)));
    assert_non_null(strstr((char *)config.data, "\"version\": 2"));
    if (restic(place, &check, "check --read-data") != 0)
        fail_msg("%s", check.data);
    assert_ok(repo_config_json(repo, &ours, &e));
    assert_non_null(strstr((char *)ours.data, repo_id(repo)));
    assert_int_equal(restic(place, NULL, "cat masterkey"), 0);
    assert_int_equal(place_count(place, "keys"), 1);
    assert_int_equal(shell(NULL, "echo hello > %s/f", place->dir), 0);
    assert_int_equal(restic(place, NULL, "backup %s/f", place->dir), 0);
    assert_int_equal(restic(place, NULL, "check --read-data"), 0);
}

static int take_id(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    assert_true(size > SEAL_OVERHEAD && modified_ns > 0);
    *(struct id *)ctx = *id;
    return 0;
}

static void reads_files_of_restic(struct place *place, int version)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf json = {0};
    struct id id = {{0}}, found;
    char hex[ID_HEX_SIZE];
    assert_int_equal(restic(place, NULL, "init --repository-version %d", version), 0);
    assert_int_equal(shell(NULL, "echo hello > %s/f", place->dir), 0);
    assert_int_equal(restic(place, NULL, "backup --tag a,b %s/f", place->dir), 0);
    CLEANUP(repo_free) struct repo *repo = open_again(place);
    assert_int_equal(repo_version(repo), version);
    assert_ok(repo_file_list(repo, REPO_SNAPSHOT, take_id, &id, &e));
    assert_ok(repo_file_load(repo, REPO_SNAPSHOT, &id, &json, &e));
    assert_non_null(strstr((char *)json.data, "\"tags\":[\"a\",\"b\"]"));
    id_format(&id, hex);
    hex[7] = 0;
    assert_ok(repo_file_find(repo, REPO_SNAPSHOT, hex, &found, &e));
    assert_true(id_equal(&id, &found));
    buf_clear(&json);
    assert_ok(repo_file_list(repo, REPO_INDEX, take_id, &id, &e));
    assert_ok(repo_file_load(repo, REPO_INDEX, &id, &json, &e));
    assert_non_null(strstr((char *)json.data, "\"packs\":["));
    assert_ok(repo_file_list(repo, REPO_PACK, take_id, &id, &e));
    id_format(&id, hex);
    hex[3] = 0;
    assert_ok(repo_file_find(repo, REPO_PACK, hex, &found, &e));
    assert_true(id_equal(&id, &found));
}

static void reads_version_1_of_restic(void **state)
{
    reads_files_of_restic(*state, 1);
}

static void reads_version_2_of_restic(void **state)
{
    reads_files_of_restic(*state, 2);
}

static void says_what_cannot_be_opened(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct repo *repo = NULL;
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &repo, &e), NACRE_ABSENT,
                 "make one with nacre repo init");
    repo_free(make(place, 0));
    assert_fails(repo_open(place->store, &place->options, "wrong", &repo, &e), NACRE_WRONG_PASSWORD,
                 "wrong password (key file ");
    assert_non_null(strstr(e.message, "pass --password-file"));
    assert_non_null(strstr(e.message, place->repo_dir));
    assert_fails(repo_open(place->store, &place->options, "", &repo, &e), NACRE_WRONG_PASSWORD, "");
    place->options.path = "/x";
    assert_fails(repo_open(place->store, &place->options, "", &repo, &e), NACRE_INVALID, "path");
    assert_null(repo);
}

static void says_what_is_damaged(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct repo *repo = NULL;
    char key[512], config[512], hidden[600];
    repo_free(make(place, 0));
    place_file(place, "keys", key);
    snprintf(config, sizeof config, "%s/config", place->repo_dir);
    snprintf(hidden, sizeof hidden, "%s/hidden", place->dir);

    flip_byte(config, 20);
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &repo, &e), NACRE_CORRUPT, "config");
    assert_int_equal(truncate(config, 12), 0);
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &repo, &e), NACRE_CORRUPT, "12 bytes");

    CLEANUP(buf_free) struct buf json = {0};
    read_whole(key, &json);
    write_whole(key, "{}", 2);
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &repo, &e), NACRE_CORRUPT, "key file");
    char *salt = strstr((char *)json.data, "\"salt\":\"") + 8;
    *salt = *salt == 'A' ? 'B' : 'A';
    write_whole(key, json.data, json.size);
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &repo, &e), NACRE_CORRUPT, "altered");
    assert_int_equal(rename(key, hidden), 0);
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &repo, &e), NACRE_CORRUPT, "no key file");
    assert_null(repo);
}

/* Replaces the config by one with this text, sealed with the right key. */
static void plant_config(struct place *place, const struct repo *repo, const char *json)
{
    struct nacre_err e;
    uint8_t sealed[1024];
    char path[512];
    snprintf(path, sizeof path, "%s/config", place->repo_dir);
    assert_ok(seal(repo_seal_key(repo), json, strlen(json), sealed, &e));
    write_whole(path, sealed, strlen(json) + SEAL_OVERHEAD);
}

static void refuses_what_the_config_must_not_say(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct repo *opened = NULL;
    CLEANUP(repo_free) struct repo *repo = make(place, 0);
    char json[512];
    plant_config(place, repo, "{\"version\":3,\"anything\":[]}");
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &opened, &e), NACRE_UNSUPPORTED,
                 "format version 3 is newer");
    snprintf(json, sizeof json, "{\"version\":2,\"id\":\"%s\",\"chunker_polynomial\":\"3\"}", repo_id(repo));
    plant_config(place, repo, json);
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &opened, &e), NACRE_CORRUPT,
                 "polynomial");
    plant_config(place, repo, "{\"version\":2,\"id\":\"../../x\",\"chunker_polynomial\":\"2caf187075724d\"}");
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &opened, &e), NACRE_CORRUPT, "id");
    plant_config(place, repo, "[]");
    assert_fails(repo_open(place->store, &place->options, PASSWORD, &opened, &e), NACRE_CORRUPT, "config");
    assert_null(opened);
}

static void init_touches_nothing_that_is_there(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct repo *repo = NULL;
    char config[512];
    struct id id;
    CLEANUP(repo_free) struct repo *made = make(place, 0);
    assert_fails(repo_init(place->store, &place->options, "other", 0, &repo, &e), NACRE_EXISTS, "already");
    assert_int_equal(place_count(place, "keys"), 1);
    repo_free(open_again(place));

    /* The config is lost, data are there. */
    assert_ok(repo_file_save(made, REPO_SNAPSHOT, "{}", 2, &id, &e));
    snprintf(config, sizeof config, "%s/config", place->repo_dir);
    assert_int_equal(unlink(config), 0);
    assert_fails(repo_init(place->store, &place->options, PASSWORD, 0, &repo, &e), NACRE_EXISTS,
                 "lost its config");
    assert_int_equal(place_count(place, "keys"), 1);
    assert_fails(repo_init(place->store, &place->options, PASSWORD, 3, &repo, &e), NACRE_UNSUPPORTED, "3");
    assert_null(repo);
}

static void init_mends_an_interrupted_one(void **state)
{
    struct place *place = *state;
    char config[512];
    repo_free(make(place, 0));
    snprintf(config, sizeof config, "%s/config", place->repo_dir);
    assert_int_equal(unlink(config), 0); /* killed between key file and config */
    repo_free(make(place, 0));
    assert_int_equal(place_count(place, "keys"), 1);
    assert_int_equal(restic(place, NULL, "cat config"), 0);
    repo_free(open_again(place));
}

static void opens_in_spite_of_a_foreign_key_file(void **state)
{
    struct place *place = *state;
    char config[512], saved[600], key[512];
    CLEANUP(buf_free) struct buf orphan = {0};
    repo_free(make(place, 0));
    place_file(place, "keys", key);
    read_whole(key, &orphan);
    snprintf(config, sizeof config, "%s/config", place->repo_dir);
    snprintf(saved, sizeof saved, "%s", key);
    assert_int_equal(unlink(config), 0);
    repo_free(make(place, 0));
    write_whole(saved, orphan.data, orphan.size); /* newer, same password, other master key */
    assert_int_equal(place_count(place, "keys"), 2);
    repo_free(open_again(place));
    write_whole(saved, "garbage", 7);
    repo_free(open_again(place));
}

struct racer {
    struct place *place;
    pthread_barrier_t *barrier;
    struct repo *repo;
    struct nacre_err e;
    int result;
};

static void *race(void *ctx)
{
    struct racer *racer = ctx;
    pthread_barrier_wait(racer->barrier);
    racer->result =
        repo_init(racer->place->store, &racer->place->options, PASSWORD, 0, &racer->repo, &racer->e);
    return NULL;
}

static void one_of_racing_inits_wins(void **state)
{
    enum { RACERS = 6 };
    struct place *place = *state;
    struct racer racers[RACERS] = {{0}};
    pthread_t threads[RACERS];
    pthread_barrier_t barrier;
    struct repo *winner = NULL;
    pthread_barrier_init(&barrier, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.place = place, .barrier = &barrier};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    for (int i = 0; i < RACERS; i++) {
        if (racers[i].result == 0) {
            assert_null(winner);
            winner = racers[i].repo;
        } else {
            assert_int_equal(racers[i].e.code, NACRE_EXISTS);
        }
    }
    assert_non_null(winner);
    assert_int_equal(place_count(place, "keys"), 1);
    CLEANUP(repo_free) struct repo *opened = open_again(place);
    assert_string_equal(repo_id(opened), repo_id(winner));
    repo_free(winner);
}

static void saves_and_loads_files(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    for (unsigned version = 1; version <= 2; version++) {
        char path[32], file[512], directory[64];
        snprintf(path, sizeof path, "v%u", version);
        place->options.path = path;
        CLEANUP(repo_free) struct repo *repo = make(place, version);
        CLEANUP(buf_free) struct buf json = {0}, loaded = {0}, stored = {0};
        buf_string(&json, "{\"text\":\"");
        for (int i = 0; i < 50000; i++)
            buf_string(&json, "all the same ");
        buf_string(&json, "\"}");
        struct id id, other = {{1}};
        assert_ok(repo_file_save(repo, REPO_SNAPSHOT, json.data, json.size, &id, &e));
        assert_ok(repo_file_load(repo, REPO_SNAPSHOT, &id, &loaded, &e));
        assert_int_equal(loaded.size, json.size);
        assert_memory_equal(loaded.data, json.data, json.size);
        snprintf(directory, sizeof directory, "v%u/snapshots", version);
        place_file(place, directory, file);
        read_whole(file, &stored);
        assert_true(version == 1 ? stored.size == json.size + SEAL_OVERHEAD : stored.size < json.size / 100);
        flip_byte(file, 40);
        assert_fails(repo_file_load(repo, REPO_SNAPSHOT, &id, &loaded, &e), NACRE_CORRUPT, "altered");
        assert_fails(repo_file_load(repo, REPO_SNAPSHOT, &other, &loaded, &e), NACRE_ABSENT, "snapshot 01");
        assert_ok(repo_file_remove(repo, REPO_SNAPSHOT, &id, &e));
        assert_fails(repo_file_remove(repo, REPO_SNAPSHOT, &id, &e), NACRE_ABSENT, "");
    }
}

static void finds_by_the_first_digits(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct id id, found, first = {{0}};
    CLEANUP(repo_free) struct repo *repo = make(place, 0);
    for (int i = 0; i < 17; i++) { /* two of them begin alike */
        char json[32];
        snprintf(json, sizeof json, "{\"n\":%d}", i);
        assert_ok(repo_file_save(repo, REPO_INDEX, json, strlen(json), i ? &id : &first, &e));
    }
    char hex[ID_HEX_SIZE];
    id_format(&first, hex);
    assert_ok(repo_file_find(repo, REPO_INDEX, hex, &found, &e));
    assert_true(id_equal(&first, &found));
    size_t several = 0;
    for (int i = 0; i < 16; i++) {
        char digit[2] = {"0123456789abcdef"[i], 0};
        several += repo_file_find(repo, REPO_INDEX, digit, &found, &e) < 0 && e.code == NACRE_INVALID;
    }
    assert_true(several > 0);
    assert_fails(repo_file_find(repo, REPO_INDEX, "", &found, &e), NACRE_INVALID, "");
    assert_fails(repo_file_find(repo, REPO_INDEX, "xyz", &found, &e), NACRE_INVALID, "hexadecimal");
    assert_fails(repo_file_find(repo, REPO_INDEX, "../../config", &found, &e), NACRE_INVALID, "");
    assert_fails(repo_file_find(repo, REPO_LOCK, "ab", &found, &e), NACRE_ABSENT, "no lock ab");
}

static void passes_over_foreign_names(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    struct id id = {{0}};
    CLEANUP(repo_free) struct repo *repo = make(place, 0);
    assert_int_equal(
        shell(NULL,
              "cd %s && mkdir -p data/ab snapshots && touch snapshots/readme data/stray data/ab/x "
              "data/ab/cd$(printf %%062d 0)",
              place->repo_dir),
        0);
    assert_ok(repo_file_list(repo, REPO_SNAPSHOT, take_id, &id, &e));
    assert_ok(repo_file_list(repo, REPO_PACK, take_id, &id, &e));
    assert_true(id_equal(&id, &(struct id){{0}}));
}

static void bounds_what_a_frame_becomes(void **state)
{
    (void)state;
    struct nacre_err e;
    CLEANUP(buf_free) struct buf plain = {0}, frame = {0}, out = {0};
    const size_t size = 3 << 20;
    size_t used = 0;
    memset(buf_reserve(&plain, size), 'a', size);
    buf_commit(&plain, size);
    buf_char(&frame, 2);
    assert_ok(frame_compress(plain.data, size, 3, buf_reserve(&frame, frame_bound(size)), frame_bound(size),
                             &used, &e));
    buf_commit(&frame, used);
    assert_ok(unpacked_decode(frame.data, frame.size, size, &out, &e));
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, plain.data, size);
    assert_fails(unpacked_decode(frame.data, frame.size, size - 1, &out, &e), NACRE_CORRUPT, "grows beyond");
    assert_fails(unpacked_decode(frame.data, frame.size - 1, size, &out, &e), NACRE_CORRUPT, "cut short");
    assert_fails(unpacked_decode(frame.data, 1, size, &out, &e), NACRE_CORRUPT, "cut short");
    buf_char(&frame, 0);
    assert_fails(unpacked_decode(frame.data, frame.size, size, &out, &e), NACRE_CORRUPT, "follow");
    assert_fails(unpacked_decode("", 0, size, &out, &e), NACRE_CORRUPT, "empty");
    assert_fails(unpacked_decode("x", 1, size, &out, &e), NACRE_CORRUPT, "0x78");
    assert_fails(unpacked_decode("[1,2]", 5, 4, &out, &e), NACRE_CORRUPT, "more than 4");

    assert_ok(frame_decompress(frame.data + 1, used, plain.data, size, &e));
    assert_fails(frame_decompress(frame.data + 1, used, plain.data, size - 1, &e), NACRE_CORRUPT, "zstd");
    CLEANUP(mem_free) uint8_t *larger = malloc(size + 1);
    assert_fails(frame_decompress(frame.data + 1, used, larger, size + 1, &e), NACRE_CORRUPT, "announced");
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(opens_what_it_made),
        WITH_PLACE(restic_opens_ours),
        WITH_PLACE(reads_version_1_of_restic),
        WITH_PLACE(reads_version_2_of_restic),
        WITH_PLACE(says_what_cannot_be_opened),
        WITH_PLACE(says_what_is_damaged),
        WITH_PLACE(refuses_what_the_config_must_not_say),
        WITH_PLACE(init_touches_nothing_that_is_there),
        WITH_PLACE(init_mends_an_interrupted_one),
        WITH_PLACE(opens_in_spite_of_a_foreign_key_file),
        WITH_PLACE(one_of_racing_inits_wins),
        WITH_PLACE(saves_and_loads_files),
        WITH_PLACE(finds_by_the_first_digits),
        WITH_PLACE(passes_over_foreign_names),
        cmocka_unit_test(bounds_what_a_frame_becomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: volumes and their metadata. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timestamp.h"
#include "plugins/load.h"
#include "suite.h"

static int ignore_volume(void *ctx, const struct nacre_volume_info *info)
{
    (void)info;
    ++*(size_t *)ctx;
    return 0;
}

static int ignore_snapshot(void *ctx, const struct nacre_snapshot_info *info)
{
    (void)info;
    ++*(size_t *)ctx;
    return 0;
}

static void check_absent(const char *path)
{
    struct nacre_driver *d = suite.driver;
    struct nacre_volume_info *info;
    struct nacre_block *block;
    size_t count = 0;
    char value[8];
    const struct nacre_volume_spec spec = {.bytes = 0};
    must_fail(NACRE_ABSENT, suite.ops->get(d, path, &info, &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->remove(d, path, &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->expand(d, path, MIB, &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->clone(d, path, NULL, path_of("target"), &spec, &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->clone(d, path, "s", path_of("target"), &spec, &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->set_metadata(d, path, "k", "v", &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->get_metadata(d, path, "k", value, sizeof value, &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->snapshot_create(d, path, "s", &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->snapshot_remove(d, path, "s", &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->snapshot_list(d, path, ignore_snapshot, &count, &suite.e));
    must_fail(NACRE_ABSENT, suite.block->open(d, path, NULL, NACRE_BLOCK_READ, &block, &suite.e));
    must_fail(NACRE_ABSENT, suite.block->open(d, path, NULL, NACRE_BLOCK_WRITE, &block, &suite.e));
    must_fail(NACRE_ABSENT, suite.block->open(d, path, "s", NACRE_BLOCK_READ, &block, &suite.e));
    assert_int_equal(count, 0);
    assert_false(volume_exists(path_of("target")));
}

void test_refusals(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver, *other = NULL;
    const struct nacre_volume_spec spec = {.bytes = MIB};
    const struct nacre_option unknown[] = {{"no-such-property", "1"}};
    const struct nacre_volume_spec odd = {.bytes = MIB, .properties = unknown, .property_count = 1};
    struct nacre_option options[17];
    char long_name[PATH_ROOM];

    check_absent(path_of("nobody"));
    const char *const bad[] = {"", "/", "a//b", "../x", "a/b/c/d/e", "sp ace", "at@sign", "/lead", "trail/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        must_fail(NACRE_INVALID, suite.ops->create(d, bad[i], &spec, &suite.e));
    must_fail(NACRE_INVALID, suite.ops->create(d, path_of("odd"), &odd, &suite.e));
    assert_non_null(strstr(suite.e.message, "no-such-property"));
    assert_false(volume_exists(path_of("odd")));

    const char *path = path_of("names");
    make_volume(path, MIB);
    memset(long_name, 'x', 129);
    long_name[129] = '\0';
    const char *const bad_snaps[] = {"", "a/b", "a b", "a@b", "ä", long_name};
    for (size_t i = 0; i < sizeof bad_snaps / sizeof *bad_snaps; i++) {
        struct nacre_block *block;
        must_fail(NACRE_INVALID, suite.ops->snapshot_create(d, path, bad_snaps[i], &suite.e));
        must_fail(NACRE_INVALID, suite.ops->snapshot_remove(d, path, bad_snaps[i], &suite.e));
        must_fail(NACRE_INVALID,
                  suite.block->open(d, path, bad_snaps[i], NACRE_BLOCK_READ, &block, &suite.e));
    }
    long_name[128] = '\0';
    must(suite.ops->snapshot_create(d, path, long_name, &suite.e));
    must(suite.ops->snapshot_remove(d, path, long_name, &suite.e));
    unmake_volume(path);

    memcpy(options, suite.options, sizeof suite.options);
    options[suite.option_count] = (struct nacre_option){"no-such-option", "1"};
    must_fail(NACRE_INVALID,
              plugin_open_driver(suite.driver_name, options, suite.option_count + 1, &other, &suite.e));
    assert_non_null(strstr(suite.e.message, "no-such-option"));
}

struct listing {
    const char *wanted[2];
    int seen[2];
    char last[PATH_ROOM];
    bool stop;
    size_t count;
};

static int list_entry(void *ctx, const struct nacre_volume_info *info)
{
    struct listing *l = ctx;
    assert_true(strcmp(l->last, info->path) < 0);
    snprintf(l->last, sizeof l->last, "%s", info->path);
    assert_non_null(info->id);
    l->count++;
    for (int i = 0; i < 2; i++)
        if (!strcmp(info->path, l->wanted[i])) {
            l->seen[i]++;
            assert_int_equal(info->bytes, 5 * MIB);
        }
    return l->stop;
}

static void check_listing(const char *one, const char *two, int times)
{
    char prefix[PATH_ROOM];
    snprintf(prefix, sizeof prefix, "%s", suite.prefix);
    if (*prefix)
        prefix[strlen(prefix) - 1] = '\0';
    struct listing all = {.wanted = {one, two}}, first = {.wanted = {one, two}, .stop = true};
    must(suite.ops->list(suite.driver, prefix, list_entry, &all, &suite.e));
    assert_int_equal(all.seen[0], times);
    assert_int_equal(all.seen[1], times);
    must(suite.ops->list(suite.driver, prefix, list_entry, &first, &suite.e));
    assert_int_equal(first.count, all.count ? 1 : 0);
}

void test_lifecycle(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver;
    const char *one = path_of("one"), *two = path_of("two");
    const struct nacre_volume_spec spec = {.bytes = 5 * MIB};
    struct nacre_volume_info *info;
    char id[256];
    int64_t before = timestamp_now() - 5000000000;

    make_volume(one, 5 * MIB);
    make_volume(two, 5 * MIB);
    must_fail(NACRE_EXISTS, suite.ops->create(d, one, &spec, &suite.e));
    must_fail(NACRE_EXISTS, suite.ops->clone(d, two, NULL, one, &spec, &suite.e));
    must(suite.ops->get(d, one, &info, &suite.e));
    assert_string_equal(info->path, one);
    assert_int_equal(info->bytes, 5 * MIB);
    assert_true(info->used_bytes == NACRE_UNKNOWN || info->used_bytes <= MIB);
    assert_true(info->created_ns > before && info->created_ns < before + 60000000000);
    assert_null(info->in_use_by);
    assert_null(strpbrk(info->id, " \t\n"));
    snprintf(id, sizeof id, "%s", info->id);
    suite.ops->free_info(d, info);
    must(suite.ops->get(d, two, &info, &suite.e));
    assert_string_not_equal(info->id, id);
    suite.ops->free_info(d, info);
    check_listing(one, two, 1);

    must(suite.ops->expand(d, one, 5 * MIB, &suite.e));
    must_fail(NACRE_INVALID, suite.ops->expand(d, one, 4 * MIB, &suite.e));
    must(suite.ops->expand(d, one, 7 * MIB, &suite.e));
    must(suite.ops->get(d, one, &info, &suite.e));
    assert_int_equal(info->bytes, 7 * MIB);
    assert_string_equal(info->id, id);
    suite.ops->free_info(d, info);

    must(suite.ops->remove(d, one, &suite.e));
    check_absent(one);
    make_volume(one, 5 * MIB);
    must(suite.ops->get(d, one, &info, &suite.e));
    assert_string_not_equal(info->id, id);
    suite.ops->free_info(d, info);
    must(suite.ops->remove(d, one, &suite.e));
    must(suite.ops->remove(d, two, &suite.e));
    check_listing(one, two, 0);
    size_t count = 0;
    must_fail(*suite.prefix ? NACRE_ABSENT : NACRE_INVALID,
              suite.ops->list(d, "nowhere", ignore_volume, &count, &suite.e));
}

static const char *find(const struct nacre_option *options, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(options[i].key, key))
            return options[i].value;
    return NULL;
}

void test_metadata(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver;
    const char *path = path_of("metadata");
    const struct nacre_option first[] = {
        {"owner", "Ägir & söner"}, {"json", "{\"a\": [1, 2]}"}, {"nacre.own", "hidden"}, {"empty", ""}};
    const struct nacre_volume_spec spec = {.bytes = MIB, .metadata = first, .metadata_count = 4};
    struct nacre_volume_info *info;
    char value[64], key[32];

    must(suite.ops->create(d, path, &spec, &suite.e));
    must(suite.ops->get(d, path, &info, &suite.e));
    assert_int_equal(info->metadata_count, 3);
    assert_string_equal(find(info->metadata, info->metadata_count, "owner"), first[0].value);
    assert_string_equal(find(info->metadata, info->metadata_count, "json"), first[1].value);
    assert_string_equal(find(info->metadata, info->metadata_count, "empty"), "");
    suite.ops->free_info(d, info);
    must(suite.ops->get_metadata(d, path, "nacre.own", value, sizeof value, &suite.e));
    assert_string_equal(value, "hidden");
    must_fail(NACRE_ABSENT, suite.ops->get_metadata(d, path, "none", value, sizeof value, &suite.e));
    must_fail(NACRE_INVALID, suite.ops->get_metadata(d, path, "nacre.own", value, 6, &suite.e));
    must(suite.ops->get_metadata(d, path, "nacre.own", value, 7, &suite.e));
    must_fail(NACRE_INVALID, suite.ops->set_metadata(d, path, "", "x", &suite.e));

    must(suite.ops->set_metadata(d, path, "owner", "other", &suite.e));
    must(suite.ops->get_metadata(d, path, "owner", value, sizeof value, &suite.e));
    assert_string_equal(value, "other");
    must(suite.ops->set_metadata(d, path, "owner", NULL, &suite.e));
    must(suite.ops->set_metadata(d, path, "owner", NULL, &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->get_metadata(d, path, "owner", value, sizeof value, &suite.e));
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key-%03d", i);
        snprintf(value, sizeof value, "value %d", i);
        must(suite.ops->set_metadata(d, path, key, value, &suite.e));
    }
    must(suite.ops->get(d, path, &info, &suite.e));
    assert_int_equal(info->metadata_count, 102);
    assert_string_equal(find(info->metadata, info->metadata_count, "key-077"), "value 77");
    suite.ops->free_info(d, info);
    unmake_volume(path);
    make_volume(path, MIB);
    must_fail(NACRE_ABSENT, suite.ops->get_metadata(d, path, "key-001", value, sizeof value, &suite.e));
    unmake_volume(path);
}

/* What get says a volume was made with makes one that is the same. */
void test_properties(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver;
    const char *one = path_of("first"), *two = path_of("second");
    const struct nacre_option special[] = {{"features", "layering,exclusive-lock"},
                                           {"object-size", "1048576"},
                                           {"stripe-unit", "65536"},
                                           {"stripe-count", "4"}};
    struct nacre_volume_spec spec = {.bytes = 8 * MIB};
    struct nacre_volume_info *info, *again;
    if (!strcmp(suite.driver_name, "rbd")) {
        spec.properties = special;
        spec.property_count = 4;
    }
    must(suite.ops->create(d, one, &spec, &suite.e));
    must(suite.ops->get(d, one, &info, &suite.e));
    for (size_t i = 0; i < spec.property_count; i++)
        assert_string_equal(find(info->properties, info->property_count, special[i].key), special[i].value);
    spec.properties = info->properties;
    spec.property_count = info->property_count;
    must(suite.ops->create(d, two, &spec, &suite.e));
    must(suite.ops->get(d, two, &again, &suite.e));
    assert_int_equal(again->property_count, info->property_count);
    for (size_t i = 0; i < info->property_count; i++)
        assert_string_equal(find(again->properties, again->property_count, info->properties[i].key),
                            info->properties[i].value);
    suite.ops->free_info(d, info);
    suite.ops->free_info(d, again);

    const struct nacre_option wrong[] = {{"features", "layering,flying"}, {"object-size", "5000"},
                                         {"features", "fast-diff"},       {"data-pool", "no-such-pool"},
                                         {"stripe-unit", "65537"},        {"stripe-count", "x"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct nacre_volume_spec bad = {.bytes = MIB, .properties = &wrong[i], .property_count = 1};
        bool pool = !strcmp(suite.driver_name, "rbd") && !strcmp(wrong[i].key, "data-pool");
        must_fail(pool ? NACRE_ABSENT : NACRE_INVALID,
                  suite.ops->create(d, path_of("wrong"), &bad, &suite.e));
        assert_false(volume_exists(path_of("wrong")));
    }
    unmake_volume(one);
    unmake_volume(two);
}

void test_capacity(void **state)
{
    (void)state;
    struct nacre_capacity capacity;
    char prefix[PATH_ROOM];
    snprintf(prefix, sizeof prefix, "%.*s", (int)strcspn(suite.prefix, "/"), suite.prefix);
    must(suite.ops->capacity(suite.driver, prefix, &capacity, &suite.e));
    assert_true(capacity.available_bytes > 100 * MIB);
    assert_true(capacity.total_bytes >= capacity.available_bytes);
    assert_true(capacity.used_bytes <= capacity.total_bytes);
}

static atomic_int failures, winners;

static void *make_many(void *arg)
{
    char path[PATH_ROOM];
    struct nacre_err e;
    for (int i = 0; i < 4; i++) {
        const struct nacre_volume_spec spec = {.bytes = MIB};
        snprintf(path, sizeof path, "%s-%d", (const char *)arg, i);
        failures += suite.ops->create(suite.driver, path, &spec, &e) < 0;
        failures += suite.ops->snapshot_create(suite.driver, path, "s", &e) < 0;
        failures += suite.ops->set_metadata(suite.driver, path, "k", "v", &e) < 0;
        failures += suite.ops->snapshot_remove(suite.driver, path, "s", &e) < 0;
        failures += suite.ops->remove(suite.driver, path, &e) < 0;
    }
    return NULL;
}

static void *make_one(void *arg)
{
    struct nacre_err e;
    const struct nacre_volume_spec spec = {.bytes = MIB};
    if (suite.ops->create(suite.driver, arg, &spec, &e) == 0)
        winners++;
    else
        failures += e.code != NACRE_EXISTS;
    return NULL;
}

/* One handle, many threads; and of racing creators of one name exactly one wins. */
void test_threads(void **state)
{
    (void)state;
    pthread_t threads[6];
    char paths[6][PATH_ROOM], one[PATH_ROOM];
    for (int i = 0; i < 6; i++) {
        snprintf(paths[i], sizeof paths[i], "%s-%d", path_of("thread"), i);
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, paths[i]), 0);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failures, 0);
    snprintf(one, sizeof one, "%s", path_of("race"));
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_one, one), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failures, 0);
    assert_int_equal(winners, 1);
    unmake_volume(one);
}

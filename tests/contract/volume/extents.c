/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: extents, against a model that remembers every byte of every snapshot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define START (40 * MIB)
#define END (52 * MIB)
#define ROUNDS 8
#define GRAIN UINT64_C(65536) /* no driver reports a change coarser than this */
#define OBJECT (4 * MIB)      /* nor data */

struct version {
    uint8_t *data;
    uint64_t bytes;
    char name[16];
};

struct check {
    const struct version *now, *base;
    uint64_t from, to, at;
    size_t count;
};

static bool same(const struct check *c, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        if (c->now->data[i] != (c->base && i < c->base->bytes ? c->base->data[i] : 0))
            return false;
    return true;
}

static int check_extent(void *ctx, const struct nacre_extent *x)
{
    struct check *c = ctx;
    assert_true(x->length > 0);
    assert_true(x->offset >= c->at && x->offset >= c->from);
    assert_true(x->offset + x->length <= c->to);
    if (!same(c, c->at, x->offset))
        fail_msg("a change in [%llu, %llu) is not reported", (unsigned long long)c->at,
                 (unsigned long long)x->offset);
    for (uint64_t i = x->offset; !x->data && i < x->offset + x->length; i++)
        assert_int_equal(c->now->data[i], 0);
    c->at = x->offset + x->length;
    c->count++;
    return 0;
}

static int stop_at_once(void *ctx, const struct nacre_extent *x)
{
    (void)x;
    return ++*(int *)ctx;
}

static void check_range(struct nacre_block *block, const struct version *now, const struct version *base,
                        uint64_t from, uint64_t length)
{
    uint64_t to = length < now->bytes - from ? from + length : now->bytes;
    struct check c = {.now = now, .base = base, .from = from, .to = to, .at = from};
    must(suite.block->extents(block, base ? base->name : NULL, from, length, check_extent, &c, &suite.e));
    assert_true(same(&c, c.at, to));
}

static void check_pair(const char *path, const struct version *now, const struct version *base)
{
    struct nacre_block *block = open_block(path, now->name, NACRE_BLOCK_READ);
    int stopped = 0;
    check_range(block, now, base, 0, now->bytes);
    check_range(block, now, base, 0, UINT64_MAX);
    check_range(block, now, base, 5 * MIB + 12288, 9 * MIB + 512);
    check_range(block, now, base, 4 * MIB, 4 * MIB);
    check_range(block, now, base, 1234567, 1);
    must(suite.block->extents(block, base ? base->name : NULL, 0, now->bytes, stop_at_once, &stopped,
                              &suite.e));
    assert_true(stopped <= 1);
    must_fail(NACRE_ABSENT,
              suite.block->extents(block, "never", 0, now->bytes, stop_at_once, &stopped, &suite.e));
    suite.block->close(block);
}

/* Random writes and zeros of the volume and the model. touched: one byte per GRAIN. */
static void scribble(const char *path, uint8_t *model, uint64_t bytes, uint8_t *touched)
{
    struct nacre_block *block = open_block(path, NULL, NACRE_BLOCK_WRITE);
    for (int i = 0; i < 25; i++) {
        uint64_t length = roll(4) ? 4096 * (1 + roll(20)) : 1 + roll(3 * MIB),
                 at = roll((uint32_t)(bytes - 1));
        bool zero = roll(3) == 0;
        if (length > bytes - at)
            length = bytes - at;
        if (zero)
            memset(model + at, 0, length);
        else
            fill_random(model + at, length);
        assert_int_equal(
            transfer(block, zero ? NACRE_BLOCK_OP_ZERO : NACRE_BLOCK_OP_WRITE, at, length, model + at),
            NACRE_OK);
        for (uint64_t grain = at / GRAIN; grain <= (at + length - 1) / GRAIN; grain++)
            touched[grain] = 1;
    }
    suite.block->close(block);
}

struct cover {
    const uint8_t *touched;
    uint64_t grain;
};

static int only_touched(void *ctx, const struct nacre_extent *x)
{
    const struct cover *c = ctx;
    for (uint64_t i = x->offset / c->grain; i <= (x->offset + x->length - 1) / c->grain; i++)
        if (!c->touched[i])
            fail_msg("[%llu, +%llu) %s is reported, and nobody wrote at %llu", (unsigned long long)x->offset,
                     (unsigned long long)x->length, x->data ? "data" : "zeros",
                     (unsigned long long)(i * c->grain));
    return 0;
}

/* An object that becomes longer may be reported from where its data ended in base. */
static void allow_growth_of_objects(const struct version *base, uint8_t *touched)
{
    for (uint64_t at = 0; at < base->bytes; at += OBJECT) {
        uint64_t end = base->bytes - at < OBJECT ? base->bytes : at + OBJECT;
        if (!memchr(touched + at / GRAIN, 1, OBJECT / GRAIN))
            continue;
        while (end > at && base->data[end - 1] == 0)
            end--;
        memset(touched + end / GRAIN, 1, (at + OBJECT) / GRAIN - end / GRAIN);
    }
}

void test_extents(void **state)
{
    (void)state;
    const char *path = path_of("extents");
    struct version versions[ROUNDS + 1] = {0};
    uint8_t *model = calloc(1, END), touched[END / GRAIN] = {0}, objects[END / OBJECT] = {0};
    uint64_t bytes = START;
    make_volume(path, bytes);
    for (int i = 0; i <= ROUNDS; i++) {
        memset(touched, 0, sizeof touched);
        if (i == 4) {
            bytes = END;
            must(suite.ops->expand(suite.driver, path, bytes, &suite.e));
        }
        if (i) /* the first is an empty volume */
            scribble(path, model, bytes, touched);
        for (size_t grain = 0; grain < sizeof touched; grain++)
            objects[grain * GRAIN / OBJECT] |= touched[grain];
        struct version *v = &versions[i];
        snprintf(v->name, sizeof v->name, "v%d", i);
        v->bytes = bytes;
        v->data = malloc(bytes);
        memcpy(v->data, model, bytes);
        must(suite.ops->snapshot_create(suite.driver, path, v->name, &suite.e));
        struct nacre_block *block = open_block(path, v->name, NACRE_BLOCK_READ);
        struct cover change = {touched, GRAIN}, data = {objects, OBJECT};
        must(suite.block->extents(block, NULL, 0, bytes, only_touched, &data, &suite.e));
        if (i && strcmp(suite.driver_name, "rbd") == 0)
            allow_growth_of_objects(&versions[i - 1], touched);
        if (i && bytes == versions[i - 1].bytes)
            must(
                suite.block->extents(block, versions[i - 1].name, 0, bytes, only_touched, &change, &suite.e));
        suite.block->close(block);
    }
    for (int i = 0; i <= ROUNDS; i++) {
        check_content(path, versions[i].name, versions[i].data, versions[i].bytes);
        check_pair(path, &versions[i], NULL);
        for (int k = 0; k < i; k++)
            check_pair(path, &versions[i], &versions[k]);
    }
    /* The live volume is as the last snapshot. */
    struct nacre_block *block = open_block(path, NULL, NACRE_BLOCK_READ);
    check_range(block, &versions[ROUNDS], &versions[2], 0, bytes);
    suite.block->close(block);
    unmake_volume(path);
    for (int i = 0; i <= ROUNDS; i++)
        free(versions[i].data);
    free(model);
}

/* A clone holds its source's data, though it wrote none of it. */
void test_extents_of_clone(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver;
    const char *source = path_of("parent"), *clone = path_of("child");
    const struct nacre_volume_spec larger = {.bytes = END};
    uint8_t *model = calloc(1, END), touched[END / GRAIN] = {0};
    struct version c1 = {.bytes = END, .name = "c1"}, c2 = {.bytes = END, .name = "c2"};
    make_volume(source, START);
    scribble(source, model, START, touched);
    must(suite.ops->snapshot_create(d, source, "s", &suite.e));
    must(suite.ops->clone(d, source, "s", clone, &larger, &suite.e));
    must(suite.ops->snapshot_create(d, clone, "c1", &suite.e));
    c1.data = malloc(END);
    memcpy(c1.data, model, END);
    check_pair(clone, &c1, NULL);
    scribble(clone, model, END, touched);
    must(suite.ops->snapshot_create(d, clone, "c2", &suite.e));
    c2.data = model;
    check_content(clone, "c1", c1.data, END);
    check_content(clone, "c2", c2.data, END);
    check_pair(clone, &c2, NULL);
    check_pair(clone, &c2, &c1);
    unmake_volume(source);
    check_pair(clone, &c2, NULL);
    check_pair(clone, &c2, &c1);
    unmake_volume(clone);
    free(c1.data);
    free(model);
}

/* Without a map of objects all data and every change is found, only slower. But such volumes cannot be taken
 * together. */
void test_without_map(void **state)
{
    (void)state;
    if (strcmp(suite.driver_name, "rbd") != 0)
        skip(); /* needs a feature that can be left out */
    struct nacre_driver *d = suite.driver;
    const char *path = path_of("no-map"), *other = path_of("no-map-2");
    const char *const both[] = {path, other};
    const struct nacre_option features[] = {{"features", "layering"}};
    const struct nacre_volume_spec spec = {.bytes = START, .properties = features, .property_count = 1};
    uint8_t touched[END / GRAIN] = {0};
    struct version empty = {.data = calloc(1, START), .bytes = START, .name = "s1"};
    struct version now = {.data = calloc(1, START), .bytes = START, .name = "s2"};
    must(suite.ops->create(d, path, &spec, &suite.e));
    must(suite.ops->create(d, other, &spec, &suite.e));
    must(suite.ops->snapshot_create(d, path, "s1", &suite.e));
    scribble(path, now.data, START, touched);
    must(suite.ops->snapshot_create(d, path, "s2", &suite.e));
    check_pair(path, &now, NULL);
    check_pair(path, &now, &empty);
    struct version later = {.data = calloc(1, START), .bytes = START, .name = "s3"};
    memcpy(later.data, now.data, START);
    scribble(path, later.data, START, touched);
    must(suite.ops->snapshot_create(d, path, "s3", &suite.e));
    check_pair(path, &later, &now);
    check_pair(path, &later, &empty);
    must_fail(NACRE_UNSUPPORTED, suite.ops->group_snapshot_create(d, both, 2, "g", &suite.e));
    unmake_volume(path);
    unmake_volume(other);
    free(empty.data);
    free(now.data);
    free(later.data);
}

/* Snapshots that were taken in a group are as any others: read, cloned, compared, removed in any order. */
void test_group_as_base(void **state)
{
    (void)state;
    struct nacre_driver *d = suite.driver;
    const char *one = path_of("member-1"), *two = path_of("member-2"), *clone = path_of("of-member");
    const char *const both[] = {one, two};
    const struct nacre_volume_spec plain = {0};
    uint8_t *model = calloc(1, END), touched[END / GRAIN] = {0};
    struct version g1 = {.bytes = START, .name = "g1"}, g2 = {.bytes = END, .name = "g2"},
                   single = {.bytes = END, .name = "single"};
    make_volume(one, START);
    make_volume(two, MIB);
    scribble(one, model, START, touched);
    must(suite.ops->group_snapshot_create(d, both, 2, "g1", &suite.e));
    g1.data = malloc(END);
    memcpy(g1.data, model, END);
    must(suite.ops->expand(d, one, END, &suite.e));
    scribble(one, model, END, touched);
    must(suite.ops->group_snapshot_create(d, both, 2, "g2", &suite.e));
    g2.data = malloc(END);
    memcpy(g2.data, model, END);
    scribble(one, model, END, touched);
    must(suite.ops->snapshot_create(d, one, "single", &suite.e));
    single.data = model;
    check_content(one, "g1", g1.data, START);
    check_content(one, "g2", g2.data, END);
    check_pair(one, &g1, NULL);
    check_pair(one, &g2, NULL);
    check_pair(one, &g2, &g1);
    check_pair(one, &single, &g1);
    check_pair(one, &single, &g2);
    must(suite.ops->clone(d, one, "g1", clone, &plain, &suite.e));
    check_content(clone, NULL, g1.data, START);
    assert_int_equal(count_snapshots(one), 3);

    must(suite.ops->snapshot_remove(d, one, "g1", &suite.e));
    must_fail(NACRE_ABSENT, suite.ops->snapshot_remove(d, one, "g1", &suite.e));
    must(suite.ops->snapshot_create(d, one, "g1", &suite.e)); /* another of that name is another */
    check_content(one, "g1", model, END);
    check_content(one, "g2", g2.data, END);
    must(suite.ops->remove(d, two, &suite.e));
    check_content(one, "g2", g2.data, END);
    must(suite.ops->remove(d, one, &suite.e));
    check_content(clone, NULL, g1.data, START);
    unmake_volume(clone);
    free(g1.data);
    free(g2.data);
    free(model);
}

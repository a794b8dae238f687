/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: reading and writing, and who may. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

#define OPS 256
#define OP_SIZE (96 << 10)

static atomic_int running, failed;

static void many_done(struct nacre_block_op *op, enum nacre_code result, const char *message)
{
    if (result) {
        fprintf(stderr, "%s\n", message);
        failed++;
    }
    free(op);
    running--;
}

/* OPS operations at once, of one kind, over the whole volume. */
/* NOLINTNEXTLINE(readability-non-const-parameter): reading changes it */
static void start_many(struct nacre_block *block, enum nacre_block_op_kind kind, uint8_t *data)
{
    running = OPS;
    failed = 0;
    for (size_t i = 0; i < OPS; i++) {
        struct nacre_block_op *op = calloc(1, sizeof *op);
        size_t at = (i * 37 % OPS) * OP_SIZE; /* every one, in no order */
        *op = (struct nacre_block_op){kind, at, OP_SIZE, data + at, many_done, NULL};
        must(suite.block->submit(block, op, &suite.e));
    }
}

static void check_refused(struct nacre_block *block, enum nacre_block_op_kind kind, uint64_t offset,
                          uint64_t length)
{
    static uint8_t buffer[8192];
    struct nacre_block_op op = {kind, offset, length, buffer, many_done, NULL};
    must_fail(NACRE_INVALID, suite.block->submit(block, &op, &suite.e));
}

void test_block(void **state)
{
    (void)state;
    const char *path = path_of("block");
    const uint64_t bytes = (uint64_t)OPS * OP_SIZE;
    uint8_t *data = malloc(bytes), *back = malloc(bytes), *zeros = calloc(1, bytes), byte = 7;
    fill_random(data, bytes);
    make_volume(path, bytes);
    check_content(path, NULL, zeros, bytes);
    struct nacre_block *block = open_block(path, NULL, NACRE_BLOCK_WRITE);
    assert_int_equal(suite.block->bytes(block), bytes);
    start_many(block, NACRE_BLOCK_OP_WRITE, data);
    suite.block->close(block); /* waits for all of them */
    assert_int_equal(running, 0);
    assert_int_equal(failed, 0);
    check_content(path, NULL, data, bytes);

    block = open_block(path, NULL, NACRE_BLOCK_READ);
    start_many(block, NACRE_BLOCK_OP_READ, back);
    check_refused(block, NACRE_BLOCK_OP_READ, bytes, 1);
    check_refused(block, NACRE_BLOCK_OP_READ, bytes - 10, 11);
    check_refused(block, NACRE_BLOCK_OP_READ, UINT64_MAX, 2);
    check_refused(block, NACRE_BLOCK_OP_READ, 4, UINT64_MAX - 2);
    check_refused(block, NACRE_BLOCK_OP_WRITE, 0, 1);
    check_refused(block, NACRE_BLOCK_OP_ZERO, 0, 1);
    suite.block->close(block);
    assert_int_equal(running, 0);
    assert_int_equal(failed, 0);
    assert_memory_equal(data, back, bytes);

    block = open_block(path, NULL, NACRE_BLOCK_WRITE);
    assert_int_equal(transfer(block, NACRE_BLOCK_OP_READ, 3, 0, back), NACRE_OK);
    assert_int_equal(transfer(block, NACRE_BLOCK_OP_WRITE, bytes - 1, 1, &byte), NACRE_OK);
    assert_int_equal(transfer(block, NACRE_BLOCK_OP_WRITE, 4097, 3, zeros), NACRE_OK);
    must(suite.block->flush(block, &suite.e));
    suite.block->close(block);
    data[bytes - 1] = byte;
    memset(data + 4097, 0, 3);
    check_content(path, NULL, data, bytes);
    unmake_volume(path);
    free(data);
    free(back);
    free(zeros);
}

void test_zero(void **state)
{
    (void)state;
    const char *path = path_of("zero");
    const uint64_t bytes = 20 * MIB + 512;
    uint8_t *data = malloc(bytes);
    fill_random(data, bytes);
    make_volume(path, bytes);
    write_at(path, 0, data, bytes);
    must(suite.ops->snapshot_create(suite.driver, path, "full", &suite.e));
    uint8_t *full = malloc(bytes);
    memcpy(full, data, bytes);
    const uint64_t ranges[][2] = {{0, 1},
                                  {4095, 2},
                                  {8192, 4096},
                                  {65536 - 5, 131072 + 9},
                                  {4 * MIB, 4 * MIB},
                                  {9 * MIB - 1, MIB + 2},
                                  {13 * MIB + 77, 5 * MIB},
                                  {bytes - 600, 600}};
    struct nacre_block *block = open_block(path, NULL, NACRE_BLOCK_WRITE);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        assert_int_equal(transfer(block, NACRE_BLOCK_OP_ZERO, ranges[i][0], ranges[i][1], NULL), NACRE_OK);
        memset(data + ranges[i][0], 0, ranges[i][1]);
    }
    suite.block->close(block);
    check_content(path, NULL, data, bytes);
    check_content(path, "full", full, bytes);
    block = open_block(path, NULL, NACRE_BLOCK_WRITE);
    assert_int_equal(transfer(block, NACRE_BLOCK_OP_ZERO, 0, bytes, NULL), NACRE_OK);
    suite.block->close(block);
    memset(data, 0, bytes);
    check_content(path, NULL, data, bytes);
    unmake_volume(path);
    free(data);
    free(full);
}

static void check_in_use(const char *path)
{
    struct nacre_volume_info *info;
    struct nacre_block *second;
    must_fail(NACRE_BUSY, suite.block->open(suite.driver, path, NULL, NACRE_BLOCK_WRITE, &second, &suite.e));
    must_fail(NACRE_BUSY, suite.ops->remove(suite.driver, path, &suite.e));
    must(suite.ops->get(suite.driver, path, &info, &suite.e));
    assert_non_null(info->in_use_by);
    assert_true(strlen(info->in_use_by) > 3);
    suite.ops->free_info(suite.driver, info);
    second = open_block(path, NULL, NACRE_BLOCK_READ);
    suite.block->close(second);
}

static void check_free(const char *path)
{
    struct nacre_volume_info *info;
    must(suite.ops->get(suite.driver, path, &info, &suite.e));
    assert_null(info->in_use_by);
    suite.ops->free_info(suite.driver, info);
    suite.block->close(open_block(path, NULL, NACRE_BLOCK_WRITE));
}

void test_busy(void **state)
{
    (void)state;
    const char *path = path_of("busy");
    struct nacre_block *block;
    make_volume(path, MIB);
    must(suite.ops->snapshot_create(suite.driver, path, "s", &suite.e));
    must_fail(NACRE_INVALID, suite.block->open(suite.driver, path, "s", NACRE_BLOCK_WRITE, &block, &suite.e));
    must_fail(NACRE_ABSENT, suite.block->open(suite.driver, path, "t", NACRE_BLOCK_READ, &block, &suite.e));
    block = open_block(path, NULL, NACRE_BLOCK_WRITE);
    check_in_use(path);
    suite.block->close(block);
    check_free(path);
    unmake_volume(path);
}

/* Another process has it open, and is killed: the next who wants to write need not know. */
void test_busy_elsewhere(void **state)
{
    (void)state;
    const char *path = path_of("elsewhere");
    make_volume(path, MIB);
    pid_t pid = start_child("hold", (const char *const[]){path, NULL});
    check_in_use(path);
    kill_child(pid);
    suite.block->close(open_block(path, NULL, NACRE_BLOCK_WRITE));
    check_free(path);
    pid = start_child("hold", (const char *const[]){path, NULL});
    kill_child(pid);
    must(suite.ops->remove(suite.driver, path, &suite.e));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes, transfers and numbers for the tests. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suite.h"

const char *path_of(const char *name)
{
    static char paths[16][PATH_ROOM];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, PATH_ROOM, "%s%s-%ld", suite.prefix, name, (long)getpid());
    return path;
}

void make_volume(const char *path, uint64_t bytes)
{
    must(suite.ops->create(suite.driver, path, &(struct nacre_volume_spec){.bytes = bytes}, &suite.e));
}

void unmake_volume(const char *path)
{
    if (suite.ops->remove(suite.driver, path, &suite.e) < 0)
        assert_int_equal(suite.e.code, NACRE_ABSENT);
}

bool volume_exists(const char *path)
{
    struct nacre_volume_info *info;
    if (suite.ops->get(suite.driver, path, &info, &suite.e) == 0) {
        suite.ops->free_info(suite.driver, info);
        return true;
    }
    assert_int_equal(suite.e.code, NACRE_ABSENT);
    return false;
}

struct nacre_block *open_block(const char *path, const char *snap, enum nacre_block_mode mode)
{
    struct nacre_block *block = NULL;
    must(suite.block->open(suite.driver, path, snap, mode, &block, &suite.e));
    return block;
}

struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    bool is_done;
    enum nacre_code code;
};

static void transfer_done(struct nacre_block_op *op, enum nacre_code result, const char *message)
{
    struct waiting *w = op->ctx;
    pthread_mutex_lock(&w->mutex);
    w->code = result;
    w->is_done = true;
    if (result)
        fprintf(stderr, "transfer: %s\n", message);
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->mutex);
}

enum nacre_code transfer(struct nacre_block *block, enum nacre_block_op_kind kind, uint64_t offset,
                         uint64_t length, void *buffer)
{
    struct waiting w = {.mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    struct nacre_block_op op = {kind, offset, length, buffer, transfer_done, &w};
    struct nacre_err e;
    if (suite.block->submit(block, &op, &e) < 0)
        return e.code;
    pthread_mutex_lock(&w.mutex);
    while (!w.is_done)
        pthread_cond_wait(&w.done, &w.mutex);
    pthread_mutex_unlock(&w.mutex);
    return w.code;
}

void write_at(const char *path, uint64_t offset, const void *data, uint64_t length)
{
    struct nacre_block *block = open_block(path, NULL, NACRE_BLOCK_WRITE);
    assert_int_equal(transfer(block, NACRE_BLOCK_OP_WRITE, offset, length, (void *)data), NACRE_OK);
    must(suite.block->flush(block, &suite.e));
    suite.block->close(block);
}

void check_content(const char *path, const char *snap, const uint8_t *data, uint64_t bytes)
{
    struct nacre_block *block = open_block(path, snap, NACRE_BLOCK_READ);
    uint8_t *buffer = malloc(bytes);
    assert_non_null(buffer);
    assert_int_equal(suite.block->bytes(block), bytes);
    for (uint64_t at = 0; at < bytes; at += 4 * MIB) {
        uint64_t length = bytes - at < 4 * MIB ? bytes - at : 4 * MIB;
        assert_int_equal(transfer(block, NACRE_BLOCK_OP_READ, at, length, buffer + at), NACRE_OK);
    }
    suite.block->close(block);
    for (uint64_t i = 0; i < bytes; i++)
        if (buffer[i] != data[i])
            fail_msg("%s@%s differs at %llu of %llu", path, snap ? snap : "", (unsigned long long)i,
                     (unsigned long long)bytes);
    free(buffer);
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

uint32_t roll(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % below;
}

void fill_random(void *buffer, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)buffer)[i] = (uint8_t)(1 + roll(255)); /* never zero: so that a hole differs */
}

struct search {
    const char *name;
    uint64_t id;
    size_t count;
};

static int look(void *ctx, const struct nacre_snapshot_info *info)
{
    struct search *search = ctx;
    search->count++;
    if (search->name && !strcmp(info->name, search->name))
        search->id = info->id;
    return 0;
}

size_t count_snapshots(const char *path)
{
    struct search search = {0};
    must(suite.ops->snapshot_list(suite.driver, path, look, &search, &suite.e));
    return search.count;
}

uint64_t snapshot_id(const char *path, const char *snap)
{
    struct search search = {snap, NACRE_UNKNOWN, 0};
    must(suite.ops->snapshot_list(suite.driver, path, look, &search, &suite.e));
    return search.id;
}

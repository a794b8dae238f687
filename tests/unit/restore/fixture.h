/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with hostpath volumes and a repository in a file store, both through the real plugins; images
 * made of chunks; and between the engine and the store one that counts and fails on demand. */
#ifndef TEST_RESTORE_FIXTURE_H
#define TEST_RESTORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/err.h"
#include "plugins/load.h"
#include "plugins/store.h"
#include "repository/tree.h"
#include "repository/writer.h"
#include "restore/restore.h"

#define PASSWORD "test"
#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (1024ull * MIB)

struct fixture {
    char dir[128];
    struct nacre_object_store *store; /* counting, around file */
    struct repo *repo;
    struct index *index;
    struct writer *writer;
    struct nacre_driver *driver; /* hostpath */
};

/* What the engine did to packs, and what is done to it. */
struct counts {
    atomic_uint gets;          /* of packs */
    _Atomic uint64_t bytes;    /* asked of them */
    atomic_int fail_get_in;    /* this many gets of packs succeed, the next fails; negative = none */
    enum nacre_code fail_code; /* with this */
    void (*on_get)(void *ctx); /* before each get of a pack */
    void *ctx;
};
extern struct counts counts;

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* In a child process that was started with the directory: what setup made, opened again. */
void fixture_adopt(struct fixture *fx, const char *dir);
void fixture_close(struct fixture *fx); /* keeps the directory */
/* Opens what lies in <dir>/store/<path>, instead of the repository that setup made. */
void fixture_open_repo(struct fixture *fx, const char *path);
void fixture_reload_index(struct fixture *fx);

void must(int result, const struct nacre_err *e);
#define must_fail(call, expected, ...) must_fail_with((call), &e, (expected), __VA_ARGS__, (char *)NULL)
/* Failed with that code; the message holds each of the texts (NULL-terminated). */
void must_fail_with(int result, const struct nacre_err *e, enum nacre_code code, ...)
    __attribute__((sentinel));

/* A chunk of an image; seed 0 = zeros, else bytes that depend on seed alone. */
struct chunk {
    uint32_t length;
    uint64_t seed;
    uint64_t repeat; /* 0 = once */
};
#define END                                                                                                  \
    {                                                                                                        \
        0                                                                                                    \
    }
void chunk_bytes(const struct chunk *chunk, uint8_t *out);

/* Saves a file's blobs; appends their ids to ids; returns its size. `chunks` ends with END. */
uint64_t save_blobs(struct fixture *fx, const struct chunk *chunks, struct buf *ids);
/* A file's or directory's node. */
struct node file_node(const char *name, const struct buf *ids, uint64_t size);
struct node dir_node(const char *name, const struct id *subtree);
void save_tree(struct fixture *fx, const struct node *nodes, size_t count, struct id *out);
/* save_snapshot(fx, &root, "key=value", …): a snapshot of a root tree with tags, saved. snapshot_free. */
#define save_snapshot(...) save_snapshot_with(__VA_ARGS__, (const char *)NULL)
struct snapshot *save_snapshot_with(struct fixture *fx, const struct id *root, ...) __attribute__((sentinel));
/* All at once: a root with disk.img of these chunks. Also writes <dir>/expected, the file itself. */
struct snapshot *save_image(struct fixture *fx, const struct chunk *chunks);
void write_expected(struct fixture *fx, const struct chunk *chunks);

/* hostpath volumes. */
struct volume_ref volume_ref_of(const char *name);
void volume_make(struct fixture *fx, const char *name, uint64_t bytes);
void volume_write(struct fixture *fx, const char *name, uint64_t offset, uint32_t length, uint64_t seed);
/* "" = no such key, and "absent" when there is no volume. */
const char *volume_metadata(struct fixture *fx, const char *name, const char *key, char out[256]);
uint64_t volume_allocated(struct fixture *fx, const char *name);

/* Restores the image into the volume. */
int restore_to(struct fixture *fx, const struct snapshot *snapshot, const char *volume, bool overwrite,
               struct restore_stats *stats, struct nacre_err *e);

/* Runs a shell command in the directory, $R = restic with the repository: its exit status. */
int shell(const struct fixture *fx, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* <dir>/expected and the volume are equal. */
void expect_equal(struct fixture *fx, const char *volume);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with hostpath volumes and a repository in a file store, both through the real plugins; and a
 * driver between them and the engine that misbehaves on demand. */
#ifndef TEST_BACKUP_FIXTURE_H
#define TEST_BACKUP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backup/backup.h"
#include "plugins/load.h"
#include "plugins/store.h"
#include "repository/snapshot.h"

#define CHUNK (256ull << 10) /* the smallest that is allowed: tests stay small */
#define PASSWORD "test"
#define END ((const char *)NULL) /* closes a list of strings */

struct fixture {
    char dir[128];
    struct nacre_object_store *store;
    struct repo *repo;
    struct nacre_driver *hostpath;
    struct nacre_driver *driver; /* hostpath with the faults below */
};

/* Faults of every driver of this process, between the engine and hostpath. All zero = none. */
struct faults {
    uint64_t fail_read_at;                       /* the read that covers this byte fails; UINT64_MAX = none */
    enum nacre_code base_result;                 /* what extents against a base gives */
    enum nacre_code remove_result;               /* what removing a snapshot gives */
    void (*on_read)(void *ctx, unsigned number); /* before each read, counted from 1 */
    void (*on_mapped)(void *ctx);                /* after extents against a base */
    void *ctx;
    unsigned reads;
};
extern struct faults faults;

/* dir NULL = a new one. The repository is made when there is none. */
void fixture_open(struct fixture *fx, const char *dir);
void fixture_close(struct fixture *fx);   /* keeps the directory */
void fixture_destroy(struct fixture *fx); /* removes it */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Puts the wrapper `fault` around the store and opens the repository again through it; false when that
 * already fails. "key=value", ..., END. */
bool fixture_break_store(struct fixture *fx, ...) __attribute__((sentinel));

void volume_make(struct fixture *fx, const char *name, uint64_t bytes);
void volume_fill(struct fixture *fx, const char *name, uint64_t offset, uint64_t length, uint64_t seed);
void volume_zero(struct fixture *fx, const char *name, uint64_t offset,
                 uint64_t length); /* allocated zeros */
void volume_discard(struct fixture *fx, const char *name, uint64_t offset, uint64_t length);
void volume_truncate(struct fixture *fx, const char *name, uint64_t bytes);
void volume_remove(struct fixture *fx, const char *name);
void source_snapshot(struct fixture *fx, const char *name, const char *snap);
void source_snapshot_remove(struct fixture *fx, const char *name, const char *snap);

/* How many snapshots of nacre's a volume has; the newest one's name goes to name when it is not NULL. */
unsigned bases_of(struct fixture *fx, const char *volume, char *name);

struct backup_options options_of(const char *name);
/* One volume, which must succeed; its figures in *out. */
void back_up(struct fixture *fx, const struct backup_options *options, const char *volume,
             struct backup_volume *out);
/* Any. `volumes` may have snapshots ("v@s"). */
int back_up_all(struct fixture *fx, const struct backup_options *options, struct backup_result *result,
                struct nacre_err *e, ...) __attribute__((sentinel));

/* Runs a shell command in the fixture's directory with restic's environment set: its exit status. $R is
 * restic with its repository. */
int shell(const struct fixture *fx, const char *format, ...) __attribute__((format(printf, 2, 3)));
void expect_sound(const struct fixture *fx); /* restic check --read-data */
/* restic gives back what the volume has now. */
void expect_dump(const struct fixture *fx, const struct backup_volume *saved, const char *volume);
size_t snapshot_count(struct fixture *fx); /* in the repository */
size_t lock_count(struct fixture *fx);

#endif

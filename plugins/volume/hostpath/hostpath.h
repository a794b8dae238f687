/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the hostpath driver share. The layout on disk is in README.md.
 *
 * Locks are open-file-description locks on single bytes of a volume's `lock` file: they hold between threads
 * (each opens the file for itself) and processes, and end with their owner, however it ends.
 *
 * LOCK_STATE    exclusive while the sidecar or the snapshots change, or a writer opens.
 * LOCK_WRITER   exclusive while a block handle is open for writing.
 * LOCK_WRITES   shared around each single write; exclusive while a snapshot is copied.
 * LOCK_GATE     shared while a write takes LOCK_WRITES; exclusive by who wants that exclusively, so that a
 *               stream of writes cannot keep it waiting.
 * Order: LOCK_STATE of all volumes by name, then LOCK_GATE and LOCK_WRITES of all by name. */
#ifndef HOSTPATH_H
#define HOSTPATH_H

#include <jansson.h>
#include <nacre/volume.h>

#include "common/cleanup.h"
#include "common/err.h"

#define HOSTPATH_NAME_MAX 128

struct hostpath {
    struct nacre_driver base;
    int root;        /* the root directory */
    char *root_path; /* for messages */
    char *cluster;
    bool (*cancelled)(void);
};

static inline struct hostpath *hostpath_of(struct nacre_driver *driver)
{
    return (struct hostpath *)driver;
}

/* layout.c */

enum lock_byte { LOCK_GATE, LOCK_WRITES, LOCK_STATE, LOCK_WRITER };

/* An existing volume: its directory, and its lock file once a lock was taken. */
struct volume {
    const struct hostpath *host; /* borrowed */
    char name[HOSTPATH_NAME_MAX + 1];
    int dir;
    int lock; /* -1 = not open */
};

#define VOLUME_NONE ((struct volume){.dir = -1, .lock = -1})

bool hostpath_name_valid(const char *name);
int hostpath_check_snapshot_name(const char *snap, struct nacre_err *e);

/* NACRE_ABSENT when it does not exist. *out is closed with volume_close. */
int volume_open(const struct hostpath *host, const char *name, struct volume *out, struct nacre_err *e);
void volume_close(struct volume *v);

static inline void volume_close_at(struct volume *v)
{
    volume_close(v);
}

/* volume_open, and LOCK_STATE until volume_close; the volume is there as long as that is held. */
int volume_open_locked(const struct hostpath *host, const char *name, struct volume *out,
                       struct nacre_err *e);

/* Opens the lock file. Its own description: its locks conflict with those of every other. */
int volume_open_lock_file(const struct volume *v, int *out, struct nacre_err *e);

/* type: F_RDLCK, F_WRLCK or F_UNLCK. lock_try: 1 = taken, 0 = somebody has it, -1 = errno. lock_wait waits
 * and cannot be cancelled: for what is held shortly. lock_poll waits until it is taken or cancelled. */
int lock_try(int fd, enum lock_byte byte, short type);
int lock_wait(int fd, enum lock_byte byte, short type, struct nacre_err *e);
int lock_poll(int fd, enum lock_byte byte, short type, bool (*cancelled)(void), struct nacre_err *e);

/* Who has the volume open for writing: false = nobody. out gets words for people. */
bool volume_writer(const struct volume *v, char *out, size_t size);

/* Between this and closing *out, entries of the root may be made, renamed and removed; what killed processes
 * left there is swept first. */
int hostpath_begin(const struct hostpath *host, int *out, struct nacre_err *e);

/* Removes an entry of a directory with all below it; an absent one is no error. */
int remove_tree(int parent, const char *name, struct nacre_err *e);
/* Removes every entry whose name begins with '+', except `lock`. Best effort. */
void sweep(int dir);

/* "<prefix><16 random hex digits>". */
#define ASIDE_NAME_SIZE 32
int aside_name(const char *prefix, char out[ASIDE_NAME_SIZE], struct nacre_err *e);

/* sidecar.c */

/* A JSON object in a file: whole or absent, durable once stored. NACRE_CORRUPT when it is not one. */
int sidecar_load(int dir, const char *file, json_t **out, struct nacre_err *e);
int sidecar_store(int dir, const char *file, json_t *object, struct nacre_err *e);

static inline void json_free(json_t *json)
{
    json_decref(json);
}
CLEANUP_DEFINE(json_t *, json_free)

/* A new volume's sidecar, with a random id. */
int volume_sidecar_new(const struct nacre_volume_spec *spec, json_t **out, struct nacre_err *e);
/* That of a volume, checked: "id" is a string, "metadata" an object of strings, … */
int volume_sidecar_load(const struct volume *v, json_t **out, struct nacre_err *e);
int volume_sidecar_store(const struct volume *v, json_t *sidecar, struct nacre_err *e);
/* Sets a key of the metadata, or removes it (value NULL). */
int volume_sidecar_set(json_t *sidecar, const char *key, const char *value, struct nacre_err *e);

/* copy.c */

/* Makes `to`, an empty file, equal to `from`, of `size` bytes: by reflink, else by copying what is not a
 * hole; durable when it returns 0. */
int copy_file(int from, int to, uint64_t size, bool (*cancelled)(void), struct nacre_err *e);

/* snapshot.c */

/* Keeps nacre's writers away from the volume until volume_thaw. */
int volume_freeze(struct volume *v, struct nacre_err *e);
void volume_thaw(struct volume *v);

/* The data file of a snapshot, read-only, and (when info is given) what is known of it; info->name = snap. */
int snapshot_open(const struct volume *v, const char *snap, int *out, struct nacre_snapshot_info *info,
                  struct nacre_err *e);

int hostpath_snapshot_create(struct nacre_driver *driver, const char *path, const char *snap,
                             struct nacre_err *e);
int hostpath_snapshot_list(struct nacre_driver *driver, const char *path, nacre_snapshot_entry *entry,
                           void *ctx, struct nacre_err *e);
int hostpath_snapshot_remove(struct nacre_driver *driver, const char *path, const char *snap,
                             struct nacre_err *e);
int hostpath_group_snapshot_create(struct nacre_driver *driver, const char *const *paths, size_t count,
                                   const char *snap, struct nacre_err *e);

/* lifecycle.c, block.c */
extern const struct nacre_lifecycle_ops hostpath_lifecycle;
extern const struct nacre_block_ops hostpath_block;

/* extents.c */

/* The contract of nacre_block_ops.extents, for a file of `size` bytes; base < 0 = none. */
int extents_of(int fd, uint64_t size, int base, uint64_t offset, uint64_t length, bool (*cancelled)(void),
               nacre_extent_entry *entry, void *ctx, struct nacre_err *e);

#endif

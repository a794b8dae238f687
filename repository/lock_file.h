/* SPDX-License-Identifier: Apache-2.0 */
/* What a lock's file says, and when it no longer counts. */
#ifndef REPOSITORY_LOCK_FILE_H
#define REPOSITORY_LOCK_FILE_H

#include <nacre/plugin.h>

#include "common/buf.h"
#include "repository/self.h"

#define LOCK_STALE_NS (INT64_C(1800) * 1000000000)

struct lock_file {
    int64_t time_ns; /* when it was taken or last refreshed, by its holder's clock */
    bool exclusive;
    char hostname[SELF_SIZE], username[SELF_SIZE]; /* cut when longer */
    int pid;                                       /* 0 = not said */
    uint32_t uid, gid;
    char pid_namespace[SELF_SIZE]; /* what pid counts in; "" = not said (restic does not) */
};

/* A lock of this process, as of now. */
void lock_file_self(struct lock_file *out, bool exclusive);
void lock_file_format(const struct lock_file *file, struct buf *out);
int lock_file_parse(const void *json, size_t size, struct lock_file *out, struct nacre_err *e);

/* True when its process on this host, in this process's own name space of numbers, is gone, or when it has
 * not been refreshed for 30 minutes both by its own time and by modified_ns, the store's (0 = unknown): a
 * holder whose clock is slow must not lose its lock. A lock from the future is not stale, whatever it means.
 */
bool lock_file_stale(const struct lock_file *file, int64_t modified_ns, int64_t now_ns);

/* "root@host (pid 12)". */
#define LOCK_HOLDER_SIZE 640
void lock_file_holder(const struct lock_file *file, char out[LOCK_HOLDER_SIZE]);

#endif

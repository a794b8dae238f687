/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the file store: the handle, and walking from the root to an object's directory. */
#ifndef OBJECT_FILE_H
#define OBJECT_FILE_H

#include <nacre/object_store.h>

#include <pthread.h>
#include <stdatomic.h>

#include "common/cleanup.h"

struct file_store {
    struct nacre_object_store base;
    char *root; /* absolute, without a trailing slash except for "/" itself */
    pthread_mutex_t mutex;
    atomic_int root_fd;     /* -1 until the directory is there */
    atomic_bool no_tmpfile; /* this file system has no nameless files, or /proc is missing */
    char **durable;         /* directories whose own entries are known to be on disk */
    size_t durable_count;   /* under the mutex, like durable */
};

/* A name that no object can have: what is half written where a nameless file cannot be. */
#define FILE_TEMPORARY "~nacre-"

/* Opens the root; NACRE_ABSENT when it is not there, or made when `create`. The descriptor is the store's. */
int file_root(struct file_store *store, bool create, int *fd, struct nacre_err *e);

/* Opens the directory that holds `name`, and points *last at its last segment. create: makes what is missing,
 * and sees to it that the directory survives a loss of power. NACRE_INVALID for what is no name. The caller
 * closes *fd when it is not -1, also on failure. */
int file_parent(struct file_store *store, const char *name, bool create, int *fd, const char **last,
                struct nacre_err *e);

/* One step down; no symbolic link is followed. -1 with errno set; ELOOP for a link. */
int file_directory(int at, const char *segment);

/* 0, or -1 with errno set. Some file systems cannot sync a directory; that is not an error. */
int file_sync_directory(int fd);

/* "cannot <verb> <path of the object>: <why>", and for a full disk what to do. */
int file_errno(const struct file_store *store, struct nacre_err *e, int error_number, const char *verb,
               const char *name);

int file_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
             struct nacre_err *e);
int file_put_if_absent(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                       struct nacre_err *e);
int file_get(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
             nacre_sink *sink, void *ctx, struct nacre_err *e);
int file_stat(struct nacre_object_store *store, const char *name, struct nacre_object_info *out,
              struct nacre_err *e);
int file_list(struct nacre_object_store *store, const char *prefix, nacre_list_entry *entry, void *ctx,
              struct nacre_err *e);
int file_remove(struct nacre_object_store *store, const char *name, struct nacre_err *e);

#endif

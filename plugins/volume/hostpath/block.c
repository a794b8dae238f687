/* SPDX-License-Identifier: Apache-2.0 */
/* Block handles: a data file, and a few threads of its own that are started when there is work for them.
 *
 * The size is that at the time of opening. Each worker has its own description of the lock file, because the
 * shared lock that it holds around a write (see hostpath.h) belongs to a description. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hostpath.h"

#define WORKERS_MAX 8
#define ZEROS_SIZE (256u << 10)

struct job {
    struct job *next;
    struct nacre_block_op *op;
};

struct nacre_block {
    struct volume v; /* for writing: its lock file holds LOCK_WRITER */
    char *snap;      /* NULL = the volume itself */
    int data;
    bool writable;
    uint64_t bytes;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct job *first, **last; /* under mutex, as the following */
    pthread_t workers[WORKERS_MAX];
    int worker_count, idle;
    bool closing;
};

static int transfer(int fd, bool writing, char *data, uint64_t length, uint64_t offset)
{
    while (length) {
        size_t step = length < (1u << 30) ? (size_t)length : (1u << 30);
        ssize_t done = writing ? pwrite(fd, data, step, (off_t)offset) : pread(fd, data, step, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        if (done == 0) {
            if (writing) {
                errno = ENOSPC;
                return -1;
            }
            memset(data, 0, length); /* cut off by somebody: beyond the end are zeros */
            return 0;
        }
        data += done;
        offset += (uint64_t)done;
        length -= (uint64_t)done;
    }
    return 0;
}

static int zero(int fd, uint64_t length, uint64_t offset)
{
    if (!length ||
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return -1;
    char *zeros = calloc(1, ZEROS_SIZE);
    if (!zeros) {
        errno = ENOMEM;
        return -1;
    }
    int result = 0;
    while (result == 0 && length) {
        uint64_t step = length < ZEROS_SIZE ? length : ZEROS_SIZE;
        result = transfer(fd, true, zeros, step, offset);
        offset += step;
        length -= step;
    }
    int error = errno;
    free(zeros);
    errno = error;
    return result;
}

/* Around a write: a snapshot that is being taken goes first. */
static int write_begin(const struct nacre_block *block, int *lock, struct nacre_err *e)
{
    if (*lock < 0 && volume_open_lock_file(&block->v, lock, e) < 0)
        return -1;
    if (lock_wait(*lock, LOCK_GATE, F_RDLCK, e) < 0)
        return -1;
    int result = lock_wait(*lock, LOCK_WRITES, F_RDLCK, e);
    lock_try(*lock, LOCK_GATE, F_UNLCK);
    return result;
}

static void run(const struct nacre_block *block, struct nacre_block_op *op, int *lock)
{
    struct nacre_err e = {.code = NACRE_OK};
    bool changes = op->kind != NACRE_BLOCK_OP_READ;
    if (!changes || write_begin(block, lock, &e) == 0) {
        int result = op->kind == NACRE_BLOCK_OP_ZERO
                         ? zero(block->data, op->length, op->offset)
                         : transfer(block->data, changes, op->buffer, op->length, op->offset);
        int error = errno;
        if (changes)
            lock_try(*lock, LOCK_WRITES, F_UNLCK);
        if (result < 0)
            err_errno(&e, error, "hostpath/%s/%s%s%s: cannot %s %" PRIu64 " bytes at %" PRIu64,
                      block->v.host->cluster, block->v.name, block->snap ? "@" : "",
                      block->snap ? block->snap : "", changes ? "write" : "read", op->length, op->offset);
    }
    op->done(op, e.code, e.code ? e.message : "");
}

static void *worker(void *arg)
{
    struct nacre_block *block = arg;
    CLEANUP(fd_close) int lock = -1;
    pthread_mutex_lock(&block->mutex);
    for (;;) {
        while (!block->first && !block->closing) {
            block->idle++;
            pthread_cond_wait(&block->work, &block->mutex);
            block->idle--;
        }
        struct job *job = block->first;
        if (!job)
            break;
        block->first = job->next;
        if (!block->first)
            block->last = &block->first;
        pthread_mutex_unlock(&block->mutex);
        struct nacre_block_op *op = job->op;
        free(job);
        run(block, op, &lock);
        pthread_mutex_lock(&block->mutex);
    }
    pthread_mutex_unlock(&block->mutex);
    return NULL;
}

static int submit(struct nacre_block *block, struct nacre_block_op *op, struct nacre_err *e)
{
    if (op->offset > block->bytes || op->length > block->bytes - op->offset)
        return err_set(e, NACRE_INVALID,
                       "hostpath/%s/%s: %" PRIu64 " bytes at %" PRIu64 " are beyond its end at %" PRIu64,
                       block->v.host->cluster, block->v.name, op->length, op->offset, block->bytes);
    if (op->kind != NACRE_BLOCK_OP_READ && !block->writable)
        return err_set(e, NACRE_INVALID, "hostpath/%s/%s is open for reading only", block->v.host->cluster,
                       block->v.name);
    struct job *job = malloc(sizeof *job);
    if (!job)
        return err_no_memory(e, "a block operation");
    *job = (struct job){.op = op};
    pthread_mutex_lock(&block->mutex);
    if (!block->idle && block->worker_count < WORKERS_MAX) {
        int error = pthread_create(&block->workers[block->worker_count], NULL, worker, block);
        if (error && !block->worker_count) {
            pthread_mutex_unlock(&block->mutex);
            free(job);
            return err_errno(e, error, "cannot start a thread");
        }
        block->worker_count += !error;
    }
    *block->last = job;
    block->last = &job->next;
    pthread_cond_signal(&block->work);
    pthread_mutex_unlock(&block->mutex);
    return 0;
}

static void close_block(struct nacre_block *block)
{
    pthread_mutex_lock(&block->mutex);
    block->closing = true;
    pthread_cond_broadcast(&block->work);
    pthread_mutex_unlock(&block->mutex);
    for (int i = 0; i < block->worker_count; i++)
        pthread_join(block->workers[i], NULL);
    pthread_cond_destroy(&block->work);
    pthread_mutex_destroy(&block->mutex);
    if (block->data >= 0)
        close(block->data);
    volume_close(&block->v);
    free(block->snap);
    free(block);
}

/* LOCK_WRITER, and our name in the lock file for those who find it taken. */
static int become_writer(struct volume *v, struct nacre_err *e)
{
    int taken = lock_try(v->lock, LOCK_WRITER, F_WRLCK);
    if (taken < 0)
        return err_errno(e, errno, "hostpath/%s/%s: cannot lock it", v->host->cluster, v->name);
    char text[160], host[65] = "this host";
    if (!taken) {
        if (!volume_writer(v, text, sizeof text))
            snprintf(text, sizeof text, "another process");
        return err_set(e, NACRE_BUSY, "hostpath/%s/%s is open for writing by %s", v->host->cluster, v->name,
                       text);
    }
    gethostname(host, sizeof host - 1);
    int size = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (ftruncate(v->lock, 0) < 0 || pwrite(v->lock, text, (size_t)size, 0) != size)
        return err_errno(e, errno, "hostpath/%s/%s: cannot write its lock file", v->host->cluster, v->name);
    return lock_try(v->lock, LOCK_STATE, F_UNLCK) > 0
               ? 0
               : err_errno(e, errno, "hostpath/%s/%s: cannot unlock it", v->host->cluster, v->name);
}

static int open_data(struct nacre_block *block, const char *path, enum nacre_block_mode mode,
                     const struct hostpath *host, struct nacre_err *e)
{
    block->writable = mode == NACRE_BLOCK_WRITE;
    if (block->writable && block->snap)
        return err_set(e, NACRE_INVALID, "hostpath/%s/%s@%s: a snapshot cannot be written", host->cluster,
                       path, block->snap);
    if (block->writable) {
        if (volume_open_locked(host, path, &block->v, e) < 0 || become_writer(&block->v, e) < 0)
            return -1;
    } else if (volume_open(host, path, &block->v, e) < 0) {
        return -1;
    }
    if (block->snap) {
        if (snapshot_open(&block->v, block->snap, &block->data, NULL, e) < 0)
            return -1;
    } else {
        block->data = openat(block->v.dir, "data",
                             (block->writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    }
    struct stat status;
    if (block->data < 0 || fstat(block->data, &status) < 0)
        return err_errno(e, errno, "hostpath/%s/%s: cannot open its data", host->cluster, path);
    if (!S_ISREG(status.st_mode))
        return err_set(e, NACRE_CORRUPT, "hostpath/%s/%s: its data is not a file", host->cluster, path);
    block->bytes = (uint64_t)status.st_size;
    return 0;
}

static int open_block(struct nacre_driver *driver, const char *path, const char *snap,
                      enum nacre_block_mode mode, struct nacre_block **out, struct nacre_err *e)
{
    struct nacre_block *block = calloc(1, sizeof *block);
    if (!block)
        return err_no_memory(e, "a block handle");
    block->v = VOLUME_NONE;
    block->data = -1;
    block->last = &block->first;
    pthread_mutex_init(&block->mutex, NULL);
    pthread_cond_init(&block->work, NULL);
    block->snap = snap ? strdup(snap) : NULL;
    int result = snap && !block->snap ? err_no_memory(e, "a block handle")
                                      : open_data(block, path, mode, hostpath_of(driver), e);
    if (result < 0)
        close_block(block);
    else
        *out = block;
    return result;
}

static uint64_t bytes(struct nacre_block *block)
{
    return block->bytes;
}

static int extents(struct nacre_block *block, const char *base, uint64_t offset, uint64_t length,
                   nacre_extent_entry *entry, void *ctx, struct nacre_err *e)
{
    CLEANUP(fd_close) int base_data = -1;
    if (base && snapshot_open(&block->v, base, &base_data, NULL, e) < 0)
        return -1;
    if (extents_of(block->data, block->bytes, base_data, offset, length, block->v.host->cancelled, entry, ctx,
                   e) < 0)
        return err_wrap(e, "hostpath/%s/%s", block->v.host->cluster, block->v.name);
    return 0;
}

static int flush(struct nacre_block *block, struct nacre_err *e)
{
    if (!block->writable || fsync(block->data) == 0)
        return 0;
    return err_errno(e, errno, "hostpath/%s/%s: cannot make its data durable", block->v.host->cluster,
                     block->v.name);
}

const struct nacre_block_ops hostpath_block = {
    .size = sizeof(struct nacre_block_ops),
    .open = open_block,
    .close = close_block,
    .bytes = bytes,
    .extents = extents,
    .submit = submit,
    .flush = flush,
};

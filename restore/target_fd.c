/* SPDX-License-Identifier: Apache-2.0 */
/* A file or block device as a target. The kernel's cache is asynchronous enough: each fetcher writes for
 * itself.
 *
 * Zeros are holes punched. What cannot punch (some devices and file systems) is asked to zero the range, and
 * what cannot do that either is written with zeros: BLKDISCARD alone would not do, as a device need not read
 * as zeros after it. */
#include "restore/target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>

#include "common/err.h"

#define ZERO_STEP (1u << 30)
#define ZERO_WRITE (1u << 20)

static int fd_write(struct random_target *base, void *plain, const uint8_t *data, uint64_t offset,
                    uint64_t length, struct nacre_err *e)
{
    (void)plain;
    int fd = ((struct fd_target *)base)->fd;
    while (length) {
        ssize_t written = pwrite(fd, data, length, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return err_errno(e, written ? errno : ENOSPC,
                             "writing %" PRIu64 " bytes at %" PRIu64 " of the target", length, offset);
        data += written;
        offset += (uint64_t)written;
        length -= (uint64_t)written;
    }
    return 0;
}

static int write_zeros(struct random_target *base, uint64_t offset, uint64_t length, struct nacre_err *e)
{
    static const uint8_t zeros[ZERO_WRITE];
    for (uint64_t step; length; offset += step, length -= step) {
        step = length < sizeof zeros ? length : sizeof zeros;
        if (fd_write(base, NULL, zeros, offset, step, e) < 0)
            return -1;
    }
    return 0;
}

static int fd_zero(struct random_target *base, uint64_t offset, uint64_t length, struct nacre_err *e)
{
    int fd = ((struct fd_target *)base)->fd;
    for (uint64_t step; length && !run_failed(base->target.run); offset += step, length -= step) {
        step = length < ZERO_STEP ? length : ZERO_STEP;
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)step) == 0 ||
            fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)step) == 0)
            continue;
        if (write_zeros(base, offset, step, e) < 0)
            return -1;
    }
    return 0;
}

static int fd_read(struct random_target *base, uint64_t offset, uint64_t length, void *data,
                   struct nacre_err *e)
{
    int fd = ((struct fd_target *)base)->fd;
    for (uint8_t *at = data; length;) {
        ssize_t got = pread(fd, at, length, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_errno(e, got ? errno : EIO, "reading %" PRIu64 " bytes at %" PRIu64 " of the target",
                             length, offset);
        at += got;
        offset += (uint64_t)got;
        length -= (uint64_t)got;
    }
    return 0;
}

static int fd_extents(struct random_target *base, uint64_t offset, uint64_t length, nacre_extent_entry *entry,
                      void *ctx, struct nacre_err *e)
{
    const struct fd_target *target = (struct fd_target *)base;
    uint64_t end = offset + length;
    while (offset < end) {
        off_t data = target->regular ? lseek(target->fd, (off_t)offset, SEEK_DATA) : (off_t)offset;
        if (data < 0 && errno == ENXIO)
            return 0; /* nothing but a hole follows */
        off_t hole = data < 0 || !target->regular ? (off_t)end : lseek(target->fd, data, SEEK_HOLE);
        if (data < 0 || hole < 0)
            return err_errno(e, errno, "looking for data at %" PRIu64 " of the target", offset);
        if ((uint64_t)data >= end)
            return 0;
        if ((uint64_t)hole > end)
            hole = (off_t)end;
        const struct nacre_extent extent = {(uint64_t)data, (uint64_t)(hole - data), true};
        if (entry(ctx, &extent))
            return 0;
        offset = (uint64_t)hole;
    }
    return 0;
}

static const struct random_target_ops fd_ops = {
    .write = fd_write, .zero = fd_zero, .read = fd_read, .extents = fd_extents};

void fd_target_init(struct fd_target *target, struct run *run, int fd, bool regular)
{
    random_init(&target->random, run, &fd_ops, run->options->target_is_zero);
    target->fd = fd;
    target->regular = regular;
}

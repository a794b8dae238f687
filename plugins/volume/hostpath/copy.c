/* SPDX-License-Identifier: Apache-2.0 */
/* One file made equal to another: a reflink costs nothing and is of one moment; a copy reads only what is not
 * a hole. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "hostpath.h"

#define PIECE ((size_t)1 << 20)

static int copy_range(int from, int to, char *buffer, off_t at, off_t end, bool (*cancelled)(void),
                      struct nacre_err *e)
{
    while (at < end) {
        if (cancelled && cancelled())
            return err_set(e, NACRE_CANCELLED, "interrupted");
        size_t want = end - at < (off_t)PIECE ? (size_t)(end - at) : PIECE;
        ssize_t got = pread(from, buffer, want, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "cannot read the data to copy");
        if (got == 0)
            return 0; /* cut off meanwhile by somebody: what follows reads as zeros */
        for (ssize_t done = 0; done < got;) {
            ssize_t put = pwrite(to, buffer + done, (size_t)(got - done), at + done);
            if (put < 0 && errno != EINTR)
                return err_errno(e, errno, "cannot write the copy");
            done += put > 0 ? put : 0;
        }
        at += got;
    }
    return 0;
}

static int copy_sparse(int from, int to, uint64_t size, bool (*cancelled)(void), struct nacre_err *e)
{
    if (ftruncate(to, (off_t)size) < 0)
        return err_errno(e, errno, "cannot make a file of %llu bytes", (unsigned long long)size);
    CLEANUP(mem_free) char *buffer = malloc(PIECE);
    if (!buffer)
        return err_no_memory(e, "a copy");
    for (off_t at = 0; at < (off_t)size;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return 0;
        off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
        if (data < 0 || hole < 0) { /* a file system that does not know: all is data */
            data = at;
            hole = (off_t)size;
        }
        if (hole > (off_t)size)
            hole = (off_t)size;
        if (copy_range(from, to, buffer, data, hole, cancelled, e) < 0)
            return -1;
        at = hole > at ? hole : (off_t)size;
    }
    return 0;
}

int copy_file(int from, int to, uint64_t size, bool (*cancelled)(void), struct nacre_err *e)
{
    if (ioctl(to, FICLONE, from) < 0) {
        if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
            return err_errno(e, errno, "cannot share the data");
        if (copy_sparse(from, to, size, cancelled, e) < 0)
            return -1;
    }
    return fsync(to) < 0 ? err_errno(e, errno, "cannot write the copy") : 0;
}

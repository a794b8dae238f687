/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a secret without a copy of it in a buffer of the C library. */
#include "secret_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"

#define SECRET_MAX ((size_t)64 << 10)

static int fail(struct nacre_err *e, const char *path, const char *why)
{
    return err_set(e, NACRE_INVALID, "%s %s", path, why);
}

int secret_file_read(const char *path, struct buf *out, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf text = {0};
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *room = buf_reserve(&text, SECRET_MAX + 1);
    size_t size = 0, start = 0;
    ssize_t got = 0;
    if (fd < 0)
        return err_set(e, NACRE_INVALID, "%s cannot be read: %s", path, strerrordesc_np(errno));
    if (!room)
        return err_no_memory(e, path);
    while (size <= SECRET_MAX && (got = read(fd, room + size, SECRET_MAX + 1 - size)) > 0)
        size += (size_t)got;
    buf_commit(&text, size);
    if (got < 0)
        return err_set(e, NACRE_INVALID, "%s cannot be read: %s", path, strerrordesc_np(errno));
    if (size > SECRET_MAX)
        return fail(e, path, "is too long to be a secret");
    while (size && isspace((unsigned char)room[size - 1]))
        size--;
    while (start < size && isspace((unsigned char)room[start]))
        start++;
    if (start == size)
        return fail(e, path, "is empty");
    if (memchr(room + start, '\0', size - start))
        return fail(e, path, "is no text");
    buf_append(out, room + start, size - start);
    return buf_failed(out) ? err_no_memory(e, path) : 0;
}

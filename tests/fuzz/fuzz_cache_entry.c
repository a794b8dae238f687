/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the cache: whatever lies there is refused, or is an object of which every range can be read up to
 * the first damage. The name is fixed, so inputs that are right are those in the corpus. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char name[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* What is sent must be what lies there. */
struct checking {
    const uint8_t *at;
    uint64_t left;
};

static int check(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    struct checking *checking = ctx;
    (void)e;
    if (len > checking->left || memcmp(checking->at, data, len) != 0)
        abort();
    checking->at += len;
    checking->left -= len;
    return 0;
}

static void read_range(const struct cache_entry *entry, const uint8_t *data, uint64_t offset, uint64_t length)
{
    struct nacre_err e;
    struct checking checking = {data + offset, length};
    uint64_t sent;
    if (cache_entry_send(entry, offset, length, check, &checking, &sent, &e) < 0 || sent > length ||
        sent != length - checking.left)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cache_entry entry;
    int fd = memfd_create("entry", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (!cache_entry_open_file(fd, name, &entry)) {
        close(fd);
        return 0;
    }
    if (entry.size > size)
        abort();
    read_range(&entry, data, 0, entry.size);
    read_range(&entry, data, entry.size / 3, entry.size / 2);
    read_range(&entry, data, entry.size, 0);
    cache_entry_close(&entry);
    return 0;
}

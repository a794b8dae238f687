/* SPDX-License-Identifier: Apache-2.0 */
/* Files without a name, and what they add up to. */
#include "gcs.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

int content_open(void)
{
    int fd = server.directory ? open(server.directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                              : memfd_create("object", MFD_CLOEXEC);
    if (fd < 0)
        perror("gcs: no file for an object");
    return fd;
}

bool content_flush(const struct content *c)
{
    return !server.durable || fdatasync(c->fd) == 0;
}

uint32_t checksum(const void *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFF;
    const unsigned char *bytes = data;
    while (size) { /* isa-l takes an int */
        size_t piece = size < 1 << 30 ? size : 1 << 30;
        crc = crc32_iscsi((unsigned char *)bytes, (int)piece, crc);
        bytes += piece;
        size -= piece;
    }
    return ~crc;
}

static bool digest(const void *data, size_t size, struct content *c)
{
    unsigned length = 0;
    c->crc32c = checksum(data, size);
    return EVP_Digest(data, size, c->md5, &length, EVP_md5(), NULL) == 1;
}

bool content_digest(struct content *c)
{
    if (!c->size)
        return digest("", 0, c);
    uint64_t page = c->offset & ~(uint64_t)4095;
    size_t length = (size_t)(c->offset + c->size - page);
    uint8_t *map = mmap(NULL, length, PROT_READ, MAP_SHARED | MAP_POPULATE, c->fd, (off_t)page);
    if (map == MAP_FAILED)
        return false;
    bool good = digest(map + (c->offset - page), c->size, c);
    munmap(map, length);
    return good;
}

bool content_copy(int to, uint64_t at, const struct content *from)
{
    off_t offset = (off_t)from->offset;
    off_t end = (off_t)(from->offset + from->size);
    if (lseek(to, (off_t)at, SEEK_SET) < 0)
        return false;
    while (offset < end) {
        ssize_t n = sendfile(to, from->fd, &offset, (size_t)(end - offset));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
    }
    return true;
}

void base64(const void *data, size_t size, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, data, (int)size);
}

void crc32c_base64(uint32_t crc, char out[9])
{
    uint8_t bytes[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc};
    base64(bytes, sizeof bytes, out);
}

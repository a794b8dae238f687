/* SPDX-License-Identifier: Apache-2.0 */
/* Spellings that the services' interfaces share: percent, base64, digests of inputs, dates. */
#ifndef OBJECT_HTTP_ENCODE_H
#define OBJECT_HTTP_ENCODE_H

#include <nacre/object_store.h>

#include "common/buf.h"

#define MD5_SIZE 16
#define SHA256_SIZE 32

/* RFC 3986: all but letters, digits and -._~ become %XX; keep_slash leaves '/' as it is. */
void encode_percent(struct buf *out, const char *text, bool keep_slash);

/* Standard alphabet, padded; and base64url without padding, as JWTs have it. */
void encode_base64(struct buf *out, const void *data, size_t size);
void encode_base64url(struct buf *out, const void *data, size_t size);

/* "Sun, 06 Nov 1994 08:49:37 GMT" of a Unix time, and back (-1 when it is no such date). */
#define HTTP_DATE_SIZE 32
void encode_http_date(int64_t seconds, char out[HTTP_DATE_SIZE]);
int64_t decode_http_date(const char *text);

/* Digests of [offset, offset + size) of an input, read in pieces of 1 MiB at most; those that are NULL are
 * not computed. crc32c: the CRC of Castagnoli, as iSCSI and Google have it (RFC 3720). -1 with the input's
 * error. */
struct digests {
    uint8_t *md5;    /* MD5_SIZE */
    uint8_t *sha256; /* SHA256_SIZE */
    uint32_t *crc32c;
};
int digest_input(const struct nacre_input *input, uint64_t offset, uint64_t size, const struct digests *out,
                 struct nacre_err *e);

/* Goes on with a CRC-32C: start with 0. */
uint32_t crc32c_more(uint32_t crc, const void *data, size_t size);

bool hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t out[SHA256_SIZE]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Spellings and digests. OpenSSL computes all but the CRC, which is ISA-L's. */
#include "http/encode.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/err.h"

#define PIECE ((size_t)1 << 20)

void encode_percent(struct buf *out, const char *text, bool keep_slash)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool plain = (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
                     strchr("-._~", *c) || (keep_slash && *c == '/');
        if (plain)
            buf_char(out, (char)*c);
        else
            buf_printf(out, "%%%02X", *c);
    }
}

void encode_base64(struct buf *out, const void *data, size_t size)
{
    if (size > INT32_MAX / 2) {
        out->failed = true;
        return;
    }
    size_t room = 4 * ((size + 2) / 3) + 1;
    unsigned char *at = buf_reserve(out, room);
    if (at)
        buf_commit(out, (size_t)EVP_EncodeBlock(at, data, (int)size));
}

void encode_base64url(struct buf *out, const void *data, size_t size)
{
    size_t start = out->size;
    encode_base64(out, data, size);
    if (buf_failed(out))
        return;
    while (out->size > start && out->data[out->size - 1] == '=')
        out->data[--out->size] = '\0';
    for (size_t i = start; i < out->size; i++)
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
}

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void encode_http_date(int64_t seconds, char out[HTTP_DATE_SIZE])
{
    struct tm tm = {0};
    time_t time = (time_t)seconds;
    gmtime_r(&time, &tm);
    snprintf(out, HTTP_DATE_SIZE, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * (size_t)tm.tm_wday,
             tm.tm_mday, months + 3 * (size_t)tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int64_t decode_http_date(const char *text)
{
    struct tm tm = {0};
    char month[4];
    int used = -1;
    /* "Sun, " is not looked at: it follows from the rest. */
    if (strlen(text) < 5 ||
        sscanf(text + 5, "%2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", /* NOLINT(cert-err34-c): bounded digits */
               &tm.tm_mday, month, &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
        used < 0)
        return -1;
    const char *at = strstr(months, month);
    if (strlen(month) != 3 || !at || (at - months) % 3)
        return -1;
    tm.tm_mon = (int)(at - months) / 3;
    tm.tm_year -= 1900;
    return (int64_t)timegm(&tm);
}

uint32_t crc32c_more(uint32_t crc, const void *data, size_t size)
{
    unsigned char *at = (unsigned char *)data; /* not written to */
    crc = ~crc;
    while (size) {
        size_t part = size < PIECE ? size : PIECE;
        crc = crc32_iscsi(at, (int)part, crc);
        at += part;
        size -= part;
    }
    return ~crc;
}

bool hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t out[SHA256_SIZE])
{
    unsigned written = 0;
    return key_size <= INT32_MAX && HMAC(EVP_sha256(), key, (int)key_size, data, size, out, &written) &&
           written == SHA256_SIZE;
}

static void digest_free(EVP_MD_CTX *digest)
{
    EVP_MD_CTX_free(digest);
}
CLEANUP_DEFINE(EVP_MD_CTX *, digest_free)

/* A digest begun, or NULL when it is not wanted or there is no memory. */
static EVP_MD_CTX *begin(const uint8_t *wanted, const EVP_MD *kind)
{
    EVP_MD_CTX *digest = wanted ? EVP_MD_CTX_new() : NULL;
    if (digest && !EVP_DigestInit_ex(digest, kind, NULL)) {
        EVP_MD_CTX_free(digest);
        return NULL;
    }
    return digest;
}

int digest_input(const struct nacre_input *input, uint64_t offset, uint64_t size, const struct digests *out,
                 struct nacre_err *e)
{
    CLEANUP(mem_free) uint8_t *room = NULL;
    CLEANUP(digest_free) EVP_MD_CTX *md5 = begin(out->md5, EVP_md5());
    CLEANUP(digest_free) EVP_MD_CTX *sha256 = begin(out->sha256, EVP_sha256());
    uint32_t crc = 0;
    if (!input->data && size)
        room = malloc(PIECE);
    if ((out->md5 && !md5) || (out->sha256 && !sha256) || (!input->data && size && !room))
        return err_no_memory(e, "a checksum");
    for (uint64_t done = 0; done < size;) {
        size_t part = size - done < PIECE ? (size_t)(size - done) : PIECE;
        const uint8_t *data = room;
        if (input->data)
            data = (const uint8_t *)input->data + offset + done;
        else if (input->read(input->ctx, offset + done, room, part, e) < 0)
            return -1;
        if ((md5 && !EVP_DigestUpdate(md5, data, part)) || (sha256 && !EVP_DigestUpdate(sha256, data, part)))
            return err_set(e, NACRE_FAILED, "openssl cannot compute a checksum");
        if (out->crc32c)
            crc = crc32c_more(crc, data, part);
        done += part;
    }
    if ((md5 && !EVP_DigestFinal_ex(md5, out->md5, NULL)) ||
        (sha256 && !EVP_DigestFinal_ex(sha256, out->sha256, NULL)))
        return err_set(e, NACRE_FAILED, "openssl cannot compute a checksum");
    if (out->crc32c)
        *out->crc32c = crc;
    return 0;
}

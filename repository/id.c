/* SPDX-License-Identifier: Apache-2.0 */
/* Ids: hashing, and the hex form.
 *
 * The hash is libcrypto's plain SHA256_* rather than EVP: these calls allocate nothing and cannot fail, so
 * that id_hash has no error to report and no wrong id to return. They run the same accelerated code. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "repository/id.h"

#include <openssl/sha.h>
#include <string.h>

#include "common/buf.h"

void id_hash(struct id *out, const void *data, size_t size)
{
    SHA256_CTX context;
    SHA256_Init(&context);
    if (size)
        SHA256_Update(&context, data, size);
    SHA256_Final(out->bytes, &context);
}

bool id_parse(struct id *out, const char *hex)
{
    return strnlen(hex, ID_HEX_SIZE) == ID_HEX_SIZE - 1 && hex_decode(hex, out->bytes, ID_SIZE);
}

void id_format(const struct id *id, char out[ID_HEX_SIZE])
{
    hex_encode(id->bytes, ID_SIZE, out);
}

int id_compare(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_SIZE);
}

bool id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_SIZE) == 0;
}

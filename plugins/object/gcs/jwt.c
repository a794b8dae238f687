/* SPDX-License-Identifier: Apache-2.0 */
/* The JWT by which a service account proves itself (RFC 7519, RS256 = RSASSA-PKCS1-v1_5 with SHA-256). Its
 * claims: https://developers.google.com/identity/protocols/oauth2/service-account. Openssl signs. */
#include <inttypes.h>
#include <openssl/rsa.h>

#include "access.h"
#include "common/err.h"
#include "common/json.h"
#include "http/encode.h"

#define LIFE_S 3600 /* the most that is accepted */

static void add_part(struct buf *out, const struct buf *json)
{
    out->failed |= json->failed;
    if (!json->failed)
        encode_base64url(out, json->data, json->size);
}

/* "HEADER.CLAIMS", as it is signed. */
static void unsigned_jwt(const struct credentials *c, int64_t now, struct buf *out)
{
    CLEANUP(buf_free) struct buf header = {0};
    CLEANUP(buf_free) struct buf claims = {0};
    buf_string(&header, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
    if (c->key_id) {
        buf_string(&header, ",\"kid\":");
        json_append_string(&header, c->key_id);
    }
    buf_char(&header, '}');
    buf_string(&claims, "{\"iss\":");
    json_append_string(&claims, c->email);
    buf_printf(&claims, ",\"scope\":\"%s\",\"aud\":", ACCESS_SCOPE);
    json_append_string(&claims, c->token_url);
    buf_printf(&claims, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}", now, now + LIFE_S);
    add_part(out, &header);
    buf_char(out, '.');
    add_part(out, &claims);
}

static void digest_free(EVP_MD_CTX *digest)
{
    EVP_MD_CTX_free(digest);
}
CLEANUP_DEFINE(EVP_MD_CTX *, digest_free)

int access_jwt(const struct credentials *c, int64_t now, struct buf *out, struct nacre_err *e)
{
    CLEANUP(digest_free) EVP_MD_CTX *digest = EVP_MD_CTX_new();
    CLEANUP(buf_free) struct buf signature = {0};
    size_t start = out->size, size = (size_t)EVP_PKEY_get_size(c->key);
    unsigned_jwt(c, now, out);
    void *room = buf_reserve(&signature, size);
    if (!digest || !room || buf_failed(out))
        return err_no_memory(e, "a signature");
    if (EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, c->key) != 1 ||
        EVP_DigestSign(digest, room, &size, out->data + start, out->size - start) != 1)
        return err_set(e, NACRE_FAILED, "openssl cannot sign with the private key");
    buf_commit(&signature, size);
    buf_char(out, '.');
    encode_base64url(out, signature.data, signature.size);
    return buf_failed(out) ? err_no_memory(e, "a signature") : 0;
}

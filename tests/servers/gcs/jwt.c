/* SPDX-License-Identifier: Apache-2.0 */
/* Verifies what a service account signs: RS256 (RFC 7518), claims as Google wants them. */
#include "gcs.h"

#include <openssl/evp.h>
#include <string.h>
#include <time.h>

#define SKEW 300
#define LIFE_MAX 3600

/* base64url without padding (RFC 7515). */
static bool decode(const char *text, size_t size, struct buf *out)
{
    CLEANUP(buf_free) struct buf standard = {0};
    for (size_t i = 0; i < size; i++) {
        if (strchr("+/=", text[i]))
            return false;
        buf_char(&standard, text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    }
    while (standard.size % 4 && !buf_failed(&standard))
        buf_char(&standard, '=');
    return !buf_failed(&standard) && json_decode_base64((char *)standard.data, standard.size, out) &&
           !buf_failed(out);
}

static json_t *part(const char *text, size_t size)
{
    struct nacre_err e = {0};
    json_t *out = NULL;
    CLEANUP(buf_free) struct buf raw = {0};
    if (!decode(text, size, &raw) || json_parse_object(raw.data, raw.size, 1 << 16, &out, &e) < 0)
        return NULL;
    return out;
}

static bool signature_holds(const char *text, size_t size, const struct buf *signature, EVP_PKEY *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestVerify(context, signature->data, signature->size, (const unsigned char *)text, size) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

static const char *check_claims(const json_t *claims, const char *audience)
{
    const char *aud = json_string_value(json_object_get(claims, "aud"));
    const char *scope = json_string_value(json_object_get(claims, "scope"));
    json_int_t issued = json_integer_value(json_object_get(claims, "iat"));
    json_int_t ends = json_integer_value(json_object_get(claims, "exp"));
    time_t now = time(NULL);
    if (!aud || strcmp(aud, audience) != 0)
        return "Failed audience check. The right audience is in the service account's token_uri.";
    if (!scope || !*scope)
        return "Missing scope.";
    if (!issued || !ends || ends <= issued || ends > issued + LIFE_MAX || issued > now + SKEW || ends < now)
        return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
               "Check "
               "your iat and exp values in the JWT claim.";
    return NULL;
}

const char *jwt_verify(const char *jwt, EVP_PKEY *(*key_of)(const char *issuer), const char *audience,
                       json_t **claims)
{
    const char *first = strchr(jwt, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    CLEANUP(buf_free) struct buf signature = {0};
    if (!second || !decode(second + 1, strlen(second + 1), &signature))
        return "Invalid JWT: it has not three parts.";
    CLEANUP(json_value_free) json_t *header = part(jwt, (size_t)(first - jwt));
    CLEANUP(json_value_free) json_t *body = part(first + 1, (size_t)(second - first - 1));
    const char *algorithm = json_string_value(json_object_get(header, "alg"));
    const char *issuer = json_string_value(json_object_get(body, "iss"));
    if (!algorithm || strcmp(algorithm, "RS256") != 0 || !issuer)
        return "Invalid JWT: alg must be RS256, and iss is needed.";
    EVP_PKEY *key = key_of(issuer);
    if (!key)
        return "Invalid grant: account not found";
    if (!signature_holds(jwt, (size_t)(second - jwt), &signature, key))
        return "Invalid JWT Signature.";
    const char *wrong = check_claims(body, audience);
    if (!wrong)
        *claims = MOVE(body);
    return wrong;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing with libcrypto's EVP.
 *
 * Algorithms are fetched once for the process and contexts made once per thread: a fetch costs more than
 * sealing a small blob does. A thread's contexts are wiped and freed when it ends; until then they hold the
 * schedule of the key that was used last.
 *
 * Encrypt, then authenticate; open only what was authenticated. The tag is compared in constant time. */
#include "repository/crypto.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"

#define IV_SIZE 16
#define TAG_SIZE 16

/* EVP takes an int; a multiple of the block size keeps the counter in step. */
#define UPDATE_MAX (1 << 30)

struct tools {
    EVP_CIPHER_CTX *stream;
    EVP_CIPHER_CTX *block;
    EVP_MAC_CTX *mac;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t tools_key;
static bool ready;
static EVP_CIPHER *aes_256_ctr, *aes_128_ecb;
static EVP_MAC *poly1305;

static void tools_free(void *pointer)
{
    struct tools *tools = pointer;
    if (!tools)
        return;
    EVP_CIPHER_CTX_free(tools->stream);
    EVP_CIPHER_CTX_free(tools->block);
    EVP_MAC_CTX_free(tools->mac);
    free(tools);
}

static void fetch(void)
{
    aes_256_ctr = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
    aes_128_ecb = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
    poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    ready = aes_256_ctr && aes_128_ecb && poly1305 && pthread_key_create(&tools_key, tools_free) == 0;
}

/* This thread's contexts; NULL with *e set. */
static struct tools *tools_get(struct nacre_err *e)
{
    pthread_once(&once, fetch);
    if (!ready) {
        err_set(e, NACRE_UNSUPPORTED,
                "libcrypto offers no AES-256-CTR, AES-128-ECB or POLY1305; check its configuration");
        return NULL;
    }
    struct tools *tools = pthread_getspecific(tools_key);
    if (tools)
        return tools;
    tools = calloc(1, sizeof *tools);
    if (tools) {
        tools->stream = EVP_CIPHER_CTX_new();
        tools->block = EVP_CIPHER_CTX_new();
        tools->mac = EVP_MAC_CTX_new(poly1305);
    }
    if (!tools || !tools->stream || !tools->block || !tools->mac ||
        pthread_setspecific(tools_key, tools) != 0) {
        tools_free(tools);
        err_no_memory(e, "encryption");
        return NULL;
    }
    return tools;
}

static bool all_zero(const void *data, size_t size)
{
    static const uint8_t zeros[32];
    return CRYPTO_memcmp(data, zeros, size) == 0;
}

/* An all-zero key or IV is never chosen by chance: it is memory that nobody filled. */
static int check_key(const struct seal_key *key, struct nacre_err *e)
{
    if (all_zero(key->encrypt, sizeof key->encrypt) || all_zero(key->mac_k, sizeof key->mac_k) ||
        all_zero(key->mac_r, sizeof key->mac_r))
        return err_set(e, NACRE_CORRUPT, "the encryption key is empty");
    return 0;
}

static int failed(struct nacre_err *e, const char *what)
{
    return err_set(e, NACRE_FAILED, "libcrypto failed to %s", what);
}

/* tag = Poly1305(r ‖ AES-128_k(IV), ciphertext). */
static int authenticate(struct tools *tools, const struct seal_key *key, const uint8_t *iv,
                        const uint8_t *ciphertext, size_t size, uint8_t tag[TAG_SIZE], struct nacre_err *e)
{
    uint8_t one_time[32];
    int block_size = 0;
    size_t tag_size = 0;
    memcpy(one_time, key->mac_r, 16);
    bool good = EVP_EncryptInit_ex2(tools->block, aes_128_ecb, key->mac_k, NULL, NULL) &&
                EVP_CIPHER_CTX_set_padding(tools->block, 0) &&
                EVP_EncryptUpdate(tools->block, one_time + 16, &block_size, iv, IV_SIZE) &&
                block_size == 16 && EVP_MAC_init(tools->mac, one_time, sizeof one_time, NULL) &&
                EVP_MAC_update(tools->mac, ciphertext, size) &&
                EVP_MAC_final(tools->mac, tag, &tag_size, TAG_SIZE) && tag_size == TAG_SIZE;
    OPENSSL_cleanse(one_time, sizeof one_time);
    return good ? 0 : failed(e, "authenticate");
}

/* CTR is its own inverse: this encrypts and decrypts, in place too. */
static int apply_stream(struct tools *tools, const struct seal_key *key, const uint8_t *iv, const uint8_t *in,
                        size_t size, uint8_t *out, struct nacre_err *e)
{
    if (!EVP_EncryptInit_ex2(tools->stream, aes_256_ctr, key->encrypt, iv, NULL))
        return failed(e, "set up AES-256-CTR");
    while (size) {
        int step = size < UPDATE_MAX ? (int)size : UPDATE_MAX, done = 0;
        if (!EVP_EncryptUpdate(tools->stream, out, &done, in, step) || done != step)
            return failed(e, "run AES-256-CTR");
        in += step;
        out += step;
        size -= (size_t)step;
    }
    return 0;
}

int seal(const struct seal_key *key, const void *plain, size_t size, void *out, struct nacre_err *e)
{
    struct tools *tools = tools_get(e);
    uint8_t *iv = out, *ciphertext = iv + IV_SIZE;
    if (!tools || check_key(key, e) < 0 || random_bytes(iv, IV_SIZE, e) < 0)
        return -1;
    if (all_zero(iv, IV_SIZE))
        return err_set(e, NACRE_FAILED, "the random generator returned zeros only");
    if (apply_stream(tools, key, iv, plain, size, ciphertext, e) < 0)
        return -1;
    return authenticate(tools, key, iv, ciphertext, size, ciphertext + size, e);
}

int unseal(const struct seal_key *key, const void *sealed, size_t size, void *out, struct nacre_err *e)
{
    if (size < SEAL_OVERHEAD)
        return err_set(e, NACRE_CORRUPT, "%zu bytes are too few to be sealed data", size);
    struct tools *tools = tools_get(e);
    if (!tools || check_key(key, e) < 0)
        return -1;
    const uint8_t *iv = sealed, *ciphertext = iv + IV_SIZE;
    size_t plain_size = size - SEAL_OVERHEAD;
    if (all_zero(iv, IV_SIZE))
        return err_set(e, NACRE_CORRUPT, "the sealed data begin with an empty nonce");
    uint8_t tag[TAG_SIZE];
    if (authenticate(tools, key, iv, ciphertext, plain_size, tag, e) < 0)
        return -1;
    if (CRYPTO_memcmp(tag, ciphertext + plain_size, TAG_SIZE) != 0)
        return err_set(e, NACRE_CORRUPT,
                       "the authentication tag does not fit: altered, or sealed with another key");
    return apply_stream(tools, key, iv, ciphertext, plain_size, out, e);
}

int random_bytes(void *out, size_t size, struct nacre_err *e)
{
    if (size > INT_MAX || RAND_bytes(out, (int)size) != 1)
        return failed(e, "get random bytes");
    return 0;
}

int seal_key_random(struct seal_key *key, struct nacre_err *e)
{
    if (random_bytes(key, sizeof *key, e) < 0)
        return -1;
    return check_key(key, e);
}

void seal_key_wipe(struct seal_key *key)
{
    OPENSSL_cleanse(key, sizeof *key);
}

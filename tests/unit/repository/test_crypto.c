/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and the chunker's polynomial, against what restic 0.14 wrote: a config file, the master key
 * that `restic cat masterkey` shows for it, and the polynomials of several repositories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "repository/crypto.h"
#include "repository/polynomial.h"

static const char restic_config[] =
    "caf594676de4935873efec9dbdedcfac3952bcb1a09cbe0ffd16fbec403d2add754293a386a4b9f5cd34af5bef71af60a891"
    "ef95ba60d13e9ae589446adafed650d9419374e7475891c1dc3ce76e9ce3a1af2850ae3e1a467fb0a268346357e2e7329f2c"
    "fa44967a339c2f1006b823201452b2281b67228157e9877804943e50d4131e883c195bfc6cbedede2bd36b4175e5d42ab04d"
    "24eabbe76e";
static const char restic_config_plain[] =
    "{\"version\":2,\"id\":\"96d4efbc789be7e13b0c560e9dff6b816ef8c64690bd05865daf700474ee53ec\","
    "\"chunker_polynomial\":\"2caf187075724d\"}";
#define RESTIC_K "pZlPiiUAJbBQo5Ajp/d9NQ=="
#define RESTIC_R "Cf8iCHQb7gMgv64GUARwBg=="
#define RESTIC_ENCRYPT "aYdQuJvmuChb6BCgHeTIq8lgorMe/VS9koxHOwZQBtY="

static void decode(const char *text, void *out, size_t expected)
{
    CLEANUP(buf_free) struct buf bytes = {0};
    assert_true(json_decode_base64(text, strlen(text), &bytes));
    assert_int_equal(bytes.size, expected);
    memcpy(out, bytes.data, bytes.size);
}

static struct seal_key restic_key(void)
{
    struct seal_key key;
    decode(RESTIC_K, key.mac_k, sizeof key.mac_k);
    decode(RESTIC_R, key.mac_r, sizeof key.mac_r);
    decode(RESTIC_ENCRYPT, key.encrypt, sizeof key.encrypt);
    return key;
}

static void opens_what_restic_sealed(void **state)
{
    (void)state;
    struct nacre_err e;
    struct seal_key key = restic_key();
    uint8_t sealed[sizeof restic_config / 2], plain[sizeof sealed];
    assert_true(hex_decode(restic_config, sealed, sizeof sealed));
    assert_int_equal(sizeof sealed - SEAL_OVERHEAD, strlen(restic_config_plain));
    assert_int_equal(unseal(&key, sealed, sizeof sealed, plain, &e), 0);
    assert_memory_equal(plain, restic_config_plain, strlen(restic_config_plain));
    assert_int_equal(unseal(&key, sealed, sizeof sealed, sealed + 16, &e), 0);
    assert_memory_equal(sealed + 16, restic_config_plain, strlen(restic_config_plain));
}

static void round_trips_every_size(void **state)
{
    (void)state;
    struct nacre_err e;
    struct seal_key key;
    assert_int_equal(seal_key_random(&key, &e), 0);
    uint8_t plain[300], sealed[300 + SEAL_OVERHEAD], in_place[300 + SEAL_OVERHEAD], opened[300];
    for (size_t size = 0; size <= sizeof plain; size++) {
        memset(plain, (int)size, sizeof plain);
        assert_int_equal(seal(&key, plain, size, sealed, &e), 0);
        assert_int_equal(unseal(&key, sealed, size + SEAL_OVERHEAD, opened, &e), 0);
        assert_memory_equal(opened, plain, size);
        memcpy(in_place + 16, plain, size);
        assert_int_equal(seal(&key, in_place + 16, size, in_place, &e), 0);
        assert_int_equal(unseal(&key, in_place, size + SEAL_OVERHEAD, opened, &e), 0);
        assert_memory_equal(opened, plain, size);
        assert_memory_not_equal(in_place, sealed, 16); /* a nonce is never used twice */
    }
}

static void notices_every_flipped_bit(void **state)
{
    (void)state;
    struct nacre_err e;
    struct seal_key key;
    assert_int_equal(seal_key_random(&key, &e), 0);
    uint8_t sealed[40 + SEAL_OVERHEAD], opened[40];
    assert_int_equal(seal(&key, restic_config_plain, 40, sealed, &e), 0);
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(opened, 0x55, sizeof opened);
        assert_int_equal(unseal(&key, sealed, sizeof sealed, opened, &e), -1);
        assert_int_equal(e.code, NACRE_CORRUPT);
        for (size_t i = 0; i < sizeof opened; i++)
            assert_int_equal(opened[i], 0x55); /* nothing unproven is handed out */
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(unseal(&key, sealed, sizeof sealed, opened, &e), 0);
    for (size_t size = 0; size < sizeof sealed; size++)
        assert_int_equal(unseal(&key, sealed, size, opened, &e), -1);
}

static void refuses_other_and_empty_keys(void **state)
{
    (void)state;
    struct nacre_err e;
    struct seal_key key = restic_key(), other;
    uint8_t sealed[sizeof restic_config / 2], plain[sizeof sealed];
    assert_true(hex_decode(restic_config, sealed, sizeof sealed));
    assert_int_equal(seal_key_random(&other, &e), 0);
    assert_int_equal(unseal(&other, sealed, sizeof sealed, plain, &e), -1);
    assert_int_equal(e.code, NACRE_CORRUPT);
    for (int part = 0; part < 3; part++) {
        other = key;
        memset(part == 0 ? other.encrypt : part == 1 ? other.mac_k : other.mac_r, 0, part == 0 ? 32 : 16);
        assert_int_equal(unseal(&other, sealed, sizeof sealed, plain, &e), -1);
        assert_int_equal(seal(&other, plain, 1, sealed, &e), -1);
    }
    memset(sealed, 0, 16);
    assert_int_equal(unseal(&key, sealed, sizeof sealed, plain, &e), -1);
    assert_non_null(strstr(e.message, "nonce"));
    seal_key_wipe(&key);
    assert_int_equal(unseal(&key, sealed, sizeof sealed, plain, &e), -1);
    assert_non_null(strstr(e.message, "key is empty"));
}

static void *seal_many(void *ctx)
{
    const struct seal_key *key = ctx;
    struct nacre_err e;
    CLEANUP(mem_free) uint8_t *plain = calloc(1, 100000), *sealed = malloc(100000 + SEAL_OVERHEAD);
    for (size_t i = 0; i < 200; i++) {
        memset(plain, (int)i, 100000);
        if (seal(key, plain, 500 * i, sealed, &e) < 0 ||
            unseal(key, sealed, 500 * i + SEAL_OVERHEAD, plain, &e) < 0 || (i && plain[500 * i - 1] != i))
            return "wrong";
    }
    return NULL;
}

static void seals_in_many_threads(void **state)
{
    (void)state;
    struct seal_key key = restic_key();
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seal_many, &key), 0);
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

static void knows_irreducible_polynomials(void **state)
{
    (void)state;
    static const uint64_t of_restic[] = {0x2caf187075724d, 0x34dce7ba5d905d, 0x2658d2a476027d,
                                         0x247e73b241a02b, 0x26b34eaf14df39, 0x213f0bcf9a1159};
    for (size_t i = 0; i < sizeof of_restic / sizeof *of_restic; i++) {
        assert_true(polynomial_valid(of_restic[i]));
        assert_false(polynomial_valid(of_restic[i] << 1)); /* degree 54, and divisible by x */
        assert_false(polynomial_valid(of_restic[i] >> 1));
        assert_false(polynomial_valid(of_restic[i] ^ 1));
        assert_false(polynomial_valid(of_restic[i] ^ 2));
        assert_false(polynomial_valid(of_restic[i] | (uint64_t)1 << 63));
    }
    assert_false(polynomial_valid(0));
    assert_false(polynomial_valid((uint64_t)1 << 53 | 1));
    /* (x^2 + x + 1)(x^51 + x^6 + x^3 + x + 1): degree 53, a constant term and an odd number of terms, and
     * reducible all the same. */
    uint64_t factor = (uint64_t)1 << 51 | 0x4b, product = factor << 2 ^ factor << 1 ^ factor;
    assert_int_equal(__builtin_popcountll(product) % 2, 1);
    assert_false(polynomial_valid(product));
}

static void makes_polynomials(void **state)
{
    (void)state;
    struct nacre_err e;
    uint64_t a, b;
    assert_int_equal(polynomial_random(&a, &e), 0);
    assert_int_equal(polynomial_random(&b, &e), 0);
    assert_true(polynomial_valid(a) && polynomial_valid(b));
    assert_int_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_restic_sealed),  cmocka_unit_test(round_trips_every_size),
        cmocka_unit_test(notices_every_flipped_bit), cmocka_unit_test(refuses_other_and_empty_keys),
        cmocka_unit_test(seals_in_many_threads),     cmocka_unit_test(knows_irreducible_polynomials),
        cmocka_unit_test(makes_polynomials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

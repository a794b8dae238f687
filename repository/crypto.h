/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing: AES-256-CTR and Poly1305-AES, as restic's repository format defines it (doc/design.rst, "Keys,
 * Encryption and MAC"): IV(16) ‖ ciphertext ‖ tag(16); the one-time key of Poly1305 is r ‖ AES-128_k(IV); the
 * tag covers the ciphertext only. Thread-safe. */
#ifndef REPOSITORY_CRYPTO_H
#define REPOSITORY_CRYPTO_H

#include <nacre/plugin.h>

#define SEAL_OVERHEAD 32

struct seal_key {
    uint8_t encrypt[32];
    uint8_t mac_k[16];
    uint8_t mac_r[16]; /* as stored: not clamped */
};

int seal_key_random(struct seal_key *key, struct nacre_err *e);
void seal_key_wipe(struct seal_key *key);

/* out has size + SEAL_OVERHEAD bytes; plain may be (uint8_t *)out + 16 exactly, or must not overlap. */
int seal(const struct seal_key *key, const void *plain, size_t size, void *out, struct nacre_err *e);

/* out has size - SEAL_OVERHEAD bytes; out may be (uint8_t *)sealed + 16 exactly, or must not overlap.
 * NACRE_CORRUPT when the tag does not fit; out is then not written. */
int unseal(const struct seal_key *key, const void *sealed, size_t size, void *out, struct nacre_err *e);

int random_bytes(void *out, size_t size, struct nacre_err *e);

#endif

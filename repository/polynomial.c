/* SPDX-License-Identifier: Apache-2.0 */
/* Rabin's test of irreducibility, for the one degree that is needed. */
#include "repository/polynomial.h"

#include "common/err.h"
#include "repository/crypto.h"

#define DEGREE 53
#define TOP ((uint64_t)1 << DEGREE)

/* a * b mod f, both of degree < 53. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t f)
{
    uint64_t product = 0;
    for (; b; b >>= 1) {
        if (b & 1)
            product ^= a;
        a <<= 1;
        if (a & TOP)
            a ^= f;
    }
    return product;
}

/* f of degree n is irreducible if and only if x^(2^n) = x mod f and, for every prime q that divides n, f
 * shares no factor with x^(2^(n/q)) - x. 53 is prime, so the only q is 53 itself, and x^2 - x = x(x+1): f
 * must have neither 0 nor 1 as a root, that is, a constant term and an odd number of terms. */
bool polynomial_valid(uint64_t f)
{
    if (f >> DEGREE != 1 || !(f & 1) || __builtin_popcountll(f) % 2 == 0)
        return false;
    uint64_t power = 2;
    for (int i = 0; i < DEGREE; i++)
        power = multiply(power, power, f);
    return power == 2;
}

/* About one in 27 of the candidates with a constant term is irreducible. */
int polynomial_random(uint64_t *out, struct nacre_err *e)
{
    for (int tries = 0; tries < 100000; tries++) {
        uint64_t f;
        if (random_bytes(&f, sizeof f, e) < 0)
            return -1;
        f = (f & (TOP - 1)) | TOP | 1;
        if (polynomial_valid(f)) {
            *out = f;
            return 0;
        }
    }
    return err_set(e, NACRE_FAILED, "found no irreducible polynomial: the random generator is at fault");
}

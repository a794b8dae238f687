/* SPDX-License-Identifier: Apache-2.0 */
/* The polynomial of the file chunker: over GF(2), of degree 53, irreducible. Bit i is the coefficient of x^i.
 * Every repository has one of its own, so that chunk boundaries tell an onlooker nothing. */
#ifndef REPOSITORY_POLYNOMIAL_H
#define REPOSITORY_POLYNOMIAL_H

#include <nacre/plugin.h>

/* True for an irreducible polynomial of degree 53. */
bool polynomial_valid(uint64_t polynomial);
int polynomial_random(uint64_t *out, struct nacre_err *e);

#endif

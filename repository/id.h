/* SPDX-License-Identifier: Apache-2.0 */
/* The name of everything in a repository: a SHA-256. */
#ifndef REPOSITORY_ID_H
#define REPOSITORY_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_SIZE 32
#define ID_HEX_SIZE (2 * ID_SIZE + 1)

struct id {
    uint8_t bytes[ID_SIZE];
};

void id_hash(struct id *out, const void *data, size_t size);
bool id_parse(struct id *out, const char *hex); /* exactly 64 lower-case digits, then NUL */
void id_format(const struct id *id, char out[ID_HEX_SIZE]);
int id_compare(const struct id *a, const struct id *b);
bool id_equal(const struct id *a, const struct id *b);

#endif

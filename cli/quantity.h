/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, durations and plain numbers, as people write and read them. */
#ifndef CLI_QUANTITY_H
#define CLI_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Digits only, within uint64_t. */
bool number_parse(const char *text, uint64_t *out);

/* "1048576", "10GiB", "1.5TiB", "64K": K, M, G, T, P with or without "iB" are powers of 1024 (as restic and
 * rbd read them), "B" is 1. A fraction must come to whole bytes. */
bool size_parse(const char *text, uint64_t *out);
#define SIZE_FORM "a size such as 1048576, 512MiB, 10GiB or 1.5T (powers of 1024)"

/* "90", "90s", "30m", "2h", "7d", "1w", "1h30m", "720h0m0s", in seconds. */
bool duration_parse(const char *text, uint64_t *seconds);
#define DURATION_FORM "a duration such as 30s, 5m, 2h, 7d or 1h30m"

#define QUANTITY_SIZE 32
/* "0 B", "1.5 GiB": three figures and the unit. */
void size_format(uint64_t bytes, char out[QUANTITY_SIZE]);
/* "1 volume", "2 volumes": a number of what the noun says. */
void count_format(uint64_t count, const char *noun, char out[QUANTITY_SIZE]);
/* "1h02m03s", "4m05s", "7s". */
void duration_format(uint64_t seconds, char out[QUANTITY_SIZE]);
/* "2026-01-02 03:04:05" in local time; "-" for 0. */
void time_format_local(int64_t ns, char out[QUANTITY_SIZE]);

#endif

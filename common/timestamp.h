/* SPDX-License-Identifier: Apache-2.0 */
/* Times: nanoseconds since 1970 in an int64_t, and RFC 3339 as restic and Kubernetes write it. */
#ifndef COMMON_TIMESTAMP_H
#define COMMON_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMESTAMP_SIZE 40

int64_t timestamp_now(void);     /* wall clock */
int64_t timestamp_elapsed(void); /* monotonic: for durations and deadlines only */

/* "2026-01-02T03:04:05.000000006Z" in UTC; trailing zeros of the fraction are cut, an empty one with its dot.
 */
void timestamp_format(int64_t ns, char out[TIMESTAMP_SIZE]);
/* Whole seconds, "2026-01-02T03:04:05Z": Kubernetes' own form. */
void timestamp_format_seconds(int64_t ns, char out[TIMESTAMP_SIZE]);
/* RFC 3339 with any fraction and any offset; false on anything else or beyond int64_t (year 1678 to 2262). */
bool timestamp_parse(const char *text, int64_t *ns);

#endif

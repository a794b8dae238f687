/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin is opened with, checked: its options, which come as text, and the environment. */
#ifndef COMMON_OPTION_H
#define COMMON_OPTION_H

#include <nacre/plugin.h>

/* The value of a key, NULL when it is not given. Borrowed from config. */
const char *option_text(const struct nacre_config *config, const char *key);

/* A decimal number from low to high; *value stays as it is when the key is not given. NACRE_INVALID naming
 * the key, what it is set to and what it may be. */
int option_number(const struct nacre_config *config, const char *key, uint64_t low, uint64_t high,
                  uint64_t *value, struct nacre_err *e);

/* "true" or "false"; as option_number. */
int option_flag(const struct nacre_config *config, const char *key, bool *value, struct nacre_err *e);

/* A variable of the environment; NULL also when it is empty. */
const char *option_environment(const char *name);

#endif

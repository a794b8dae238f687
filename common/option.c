/* SPDX-License-Identifier: Apache-2.0 */
/* Options come as text from a configuration file; a number is digits and nothing else. */
#include "common/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

const char *option_text(const struct nacre_config *config, const char *key)
{
    for (size_t i = 0; i < config->option_count; i++)
        if (!strcmp(config->options[i].key, key))
            return config->options[i].value;
    return NULL;
}

int option_number(const struct nacre_config *config, const char *key, uint64_t low, uint64_t high,
                  uint64_t *value, struct nacre_err *e)
{
    const char *text = option_text(config, key);
    if (!text)
        return 0;
    errno = 0;
    uint64_t number = strtoull(text, NULL, 10);
    if (!*text || text[strspn(text, "0123456789")] || errno || number < low || number > high)
        return err_set(e, NACRE_INVALID,
                       "option \"%s\" is \"%.50s\"; expected a number from %" PRIu64 " to %" PRIu64, key,
                       text, low, high);
    *value = number;
    return 0;
}

int option_flag(const struct nacre_config *config, const char *key, bool *value, struct nacre_err *e)
{
    const char *text = option_text(config, key);
    if (!text)
        return 0;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return err_set(e, NACRE_INVALID, "%s is \"%.100s\"; expected true or false", key, text);
    *value = *text == 't';
    return 0;
}

const char *option_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What was given on the command line, by option and in the type that a command wants. */
#include <string.h>

#include "cli/cli.h"
#include "cli/quantity.h"
#include "common/err.h"

const char *cli_argument(const struct cli *cli, size_t at)
{
    return at < cli->argument_count ? cli->arguments[at] : NULL;
}

const char *cli_value_at(const struct cli *cli, const struct option *option, size_t at)
{
    for (size_t i = 0; i < cli->option_count; i++)
        if (cli->options[i].option == option && !at--)
            return cli->options[i].value;
    return NULL;
}

const char *cli_value(const struct cli *cli, const struct option *option)
{
    return cli_value_at(cli, option, 0);
}

size_t cli_count(const struct cli *cli, const struct option *option)
{
    size_t count = 0;
    for (size_t i = 0; i < cli->option_count; i++)
        count += cli->options[i].option == option;
    return count;
}

bool cli_flag(const struct cli *cli, const struct option *option)
{
    return cli_count(cli, option) > 0;
}

bool cli_switch(const struct cli *cli, const struct option *option, bool otherwise)
{
    const char *value = cli_value(cli, option);
    return value ? !strcmp(value, "true") : otherwise;
}

int cli_number(const struct cli *cli, const struct option *option, uint64_t least, uint64_t most,
               uint64_t *out, struct nacre_err *e)
{
    const char *text = cli_value(cli, option);
    if (!text)
        return 0;
    uint64_t value;
    if (!number_parse(text, &value) || value < least || value > most)
        return err_set(e, NACRE_INVALID, "--%s %.64s: expected a whole number from %llu to %llu",
                       option->name, text, (unsigned long long)least, (unsigned long long)most);
    *out = value;
    return 0;
}

int cli_size(const struct cli *cli, const struct option *option, uint64_t *out, struct nacre_err *e)
{
    const char *text = cli_value(cli, option);
    if (text && !size_parse(text, out))
        return err_set(e, NACRE_INVALID, "--%s %.64s: expected " SIZE_FORM, option->name, text);
    return 0;
}

int cli_duration(const struct cli *cli, const struct option *option, uint64_t *seconds, struct nacre_err *e)
{
    const char *text = cli_value(cli, option);
    if (text && !duration_parse(text, seconds))
        return err_set(e, NACRE_INVALID, "--%s %.64s: expected " DURATION_FORM, option->name, text);
    return 0;
}

int cli_pairs(const struct cli *cli, const struct option *option, struct nacre_option **out, size_t *count,
              char **text, struct nacre_err *e)
{
    size_t total = cli_count(cli, option), bytes = 1;
    for (size_t i = 0; i < total; i++)
        bytes += strlen(cli_value_at(cli, option, i)) + 1;
    CLEANUP(mem_free) struct nacre_option *pairs = calloc(total + 1, sizeof *pairs);
    CLEANUP(mem_free) char *copy = malloc(bytes);
    if (!pairs || !copy)
        return err_no_memory(e, "the command line");
    char *at = copy;
    for (size_t i = 0; i < total; i++) {
        const char *value = cli_value_at(cli, option, i);
        size_t key = strcspn(value, "=");
        if (!key || !value[key])
            return err_set(e, NACRE_INVALID, "--%s %.64s: expected KEY=VALUE", option->name, value);
        strcpy(at, value);
        at[key] = 0;
        pairs[i] = (struct nacre_option){at, at + key + 1};
        for (size_t j = 0; j < i; j++)
            if (!strcmp(pairs[j].key, at))
                return err_set(e, NACRE_INVALID, "--%s: key %.64s was given twice", option->name, at);
        at += strlen(value) + 1;
    }
    *out = MOVE(pairs);
    *count = total;
    *text = MOVE(copy);
    return 0;
}

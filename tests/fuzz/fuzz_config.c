/* SPDX-License-Identifier: Apache-2.0 */
/* The config of a repository: what is taken for one must be one, whatever the text. */
#include <stdlib.h>

#include "repository/config.h"
#include "repository/polynomial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct config config, again;
    if (config_parse(data, size, &config, &e) < 0) {
        if (!e.code || !*e.message)
            abort();
        return 0;
    }
    struct id id;
    if (config.version < 1 || config.version > CONFIG_VERSION_MAX || !id_parse(&id, config.id) ||
        !polynomial_valid(config.polynomial))
        abort();
    struct buf text = {0};
    config_format(&config, &text);
    if (config_parse(text.data, text.size, &again, &e) < 0 || again.polynomial != config.polynomial)
        abort();
    buf_free(&text);
    return 0;
}

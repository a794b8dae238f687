/* SPDX-License-Identifier: Apache-2.0 */
/* Key files, and the master key inside them. Deriving is done only where it is cheap. */
#include <stdlib.h>

#include "repository/key_file.h"
#include "repository/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct key_file file;
    struct seal_key key;
    key_master_parse(data, size, &key, &e);
    if (key_file_parse(data, size, &file, &e) < 0) {
        if (!e.code || key_open(data, size, "password", &key, &e) == 0)
            abort();
        return 0;
    }
    if (file.n * file.r * file.p > 1 << 25 || file.n * file.r > 1 << 21 || file.data.size <= SEAL_OVERHEAD)
        abort();
    if (file.n * file.r * file.p <= 64)
        key_open(data, size, "password", &key, &e);
    key_file_free(&file);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Lock files: parsed, judged, shown, and written again without loss. */
#include <stdlib.h>
#include <string.h>

#include "repository/lock_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct lock_file file, again;
    char holder[LOCK_HOLDER_SIZE];
    if (lock_file_parse(data, size, &file, &e) < 0) {
        if (!e.code || !*e.message)
            abort();
        return 0;
    }
    lock_file_holder(&file, holder);
    int64_t later;
    if (!__builtin_add_overflow(file.time_ns, LOCK_STALE_NS / 2, &later) && later > INT64_MIN / 2 &&
        lock_file_stale(&file, file.time_ns, later) && file.pid <= 0)
        abort();
    lock_file_stale(&file, INT64_MIN, INT64_MAX);
    lock_file_stale(&file, INT64_MAX, 0);
    struct buf text = {0};
    lock_file_format(&file, &text);
    if (lock_file_parse(text.data, text.size, &again, &e) < 0 || again.exclusive != file.exclusive ||
        again.pid != file.pid || again.time_ns != file.time_ns)
        abort();
    buf_free(&text);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* XML from a service: paths and texts without surprises, whatever the bytes. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "http/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int see(const char *path)
{
    size_t depth = 1;
    for (const char *c = path; *c; c++)
        depth += *c == '/';
    if (!*path || depth > 16)
        abort();
    return 0;
}

static int see_leaf(void *ctx, const char *path, const char *text, struct nacre_err *e)
{
    (void)e;
    *(size_t *)ctx += strlen(text);
    return see(path);
}

static int see_end(void *ctx, const char *path, struct nacre_err *e)
{
    (void)ctx;
    (void)e;
    return see(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf code = {0};
    size_t text_size = 0;
    if (xml_read(data, size, see_leaf, see_end, &text_size, &e) < 0 && e.code != NACRE_CORRUPT)
        abort();
    if (text_size > 2 * size) /* no entities of its own; two bytes of UTF-16 are at most three of UTF-8 */
        abort();
    xml_find(data, size, "Error/Code", &code);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A page of a listing: what comes out can be used, whatever the bytes. */
#include <stdlib.h>
#include <string.h>

#include "azure/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct page page;
    if (page_parse(data, size, "at/", &page, &e) < 0) {
        if (!e.code || !*e.message || page.count || page.entries)
            abort();
        return 0;
    }
    for (size_t i = 0; i < page.count; i++)
        if (!nacre_object_name_valid(page.entries[i].name) ||
            (i && strcmp(page.entries[i - 1].name, page.entries[i].name) > 0))
            abort();
    page_free(&page);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a listing, as the service sends it:
 * https://learn.microsoft.com/rest/api/storageservices/list-blobs */
#ifndef OBJECT_AZURE_PAGE_H
#define OBJECT_AZURE_PAGE_H

#include <nacre/object_store.h>

struct page_entry {
    char *name; /* relative to the URL's prefix */
    uint64_t size;
    int64_t modified_ns;
};

struct page {
    struct page_entry *entries; /* in byte order of their names */
    size_t count, capacity;
    char *next; /* the marker of the page that follows; NULL or "" after the last */
};

/* Reads a page. Of its blobs those count whose name begins with `prefix` and can be, without it, an object's;
 * directories of accounts that have some do not. NACRE_TRANSIENT when it is no such page: something else
 * answered. */
int page_parse(const void *data, size_t size, const char *prefix, struct page *out, struct nacre_err *e);
void page_free(struct page *page);
static inline void page_free_at(struct page *page)
{
    page_free(page);
}

#endif

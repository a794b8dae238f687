/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a page of a listing. The service sorts names as it likes where an account has directories, so they
 * are sorted here. */
#include "page.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "http/encode.h"
#include "http/xml.h"

#define BLOB "EnumerationResults/Blobs/Blob"
/* The service sends no more than 5,000. */
#define ENTRIES_MAX ((size_t)100000)

struct reader {
    const char *prefix;
    struct page *page;
    struct page_entry entry; /* the blob that is being read */
    bool has_size, directory, is_page;
};

void page_free(struct page *page)
{
    for (size_t i = 0; i < page->count; i++)
        free(page->entries[i].name);
    free(page->entries);
    free(page->next);
    *page = (struct page){0};
}

static int copy(char **out, const char *text, struct nacre_err *e)
{
    free(*out);
    *out = strdup(text);
    return *out ? 0 : err_no_memory(e, "a listing");
}

static int read_size(struct reader *r, const char *text, struct nacre_err *e)
{
    char *end;
    r->entry.size = strtoull(text, &end, 10);
    if (end == text || *end || *text == '-')
        return err_set(e, NACRE_TRANSIENT, "the listing has a size that is no number");
    r->has_size = true;
    return 0;
}

static int on_leaf(void *ctx, const char *path, const char *text, struct nacre_err *e)
{
    struct reader *r = ctx;
    if (!strcmp(path, "EnumerationResults/NextMarker"))
        return copy(&r->page->next, text, e);
    if (strncmp(path, BLOB "/", sizeof BLOB) != 0)
        return 0;
    path += sizeof BLOB;
    if (!strcmp(path, "Name"))
        return copy(&r->entry.name, text, e);
    if (!strcmp(path, "Properties/Content-Length"))
        return read_size(r, text, e);
    if (!strcmp(path, "Properties/Last-Modified")) {
        int64_t seconds = decode_http_date(text);
        r->entry.modified_ns = seconds < 0 || seconds > INT64_MAX / 1000000000 ? 0 : seconds * 1000000000;
    }
    r->directory |= !strcmp(path, "Properties/ResourceType") && !strcmp(text, "directory");
    return 0;
}

static int add(struct reader *r, struct nacre_err *e)
{
    struct page *page = r->page;
    if (page->count == page->capacity) {
        size_t capacity = page->capacity ? 2 * page->capacity : 256;
        struct page_entry *entries =
            capacity > ENTRIES_MAX ? NULL : realloc(page->entries, capacity * sizeof *entries);
        if (!entries)
            return err_no_memory(e, "a listing");
        page->entries = entries;
        page->capacity = capacity;
    }
    page->entries[page->count++] = r->entry;
    r->entry = (struct page_entry){0};
    return 0;
}

static int on_end(void *ctx, const char *path, struct nacre_err *e)
{
    struct reader *r = ctx;
    r->is_page |= !strcmp(path, "EnumerationResults");
    if (strcmp(path, BLOB) != 0)
        return 0;
    size_t prefix_size = strlen(r->prefix);
    char *name = r->entry.name;
    int result = 0;
    if (name && r->has_size && !r->directory && !strncmp(name, r->prefix, prefix_size) &&
        nacre_object_name_valid(name + prefix_size)) {
        memmove(name, name + prefix_size, strlen(name + prefix_size) + 1);
        result = add(r, e);
    }
    free(r->entry.name);
    r->entry = (struct page_entry){0};
    r->has_size = r->directory = false;
    return result;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(((const struct page_entry *)a)->name, ((const struct page_entry *)b)->name);
}

int page_parse(const void *data, size_t size, const char *prefix, struct page *out, struct nacre_err *e)
{
    struct reader r = {.prefix = prefix, .page = out};
    *out = (struct page){0};
    int result = xml_read(data, size, on_leaf, on_end, &r, e);
    free(r.entry.name);
    if (result == 0 && !r.is_page)
        result = err_set(e, NACRE_TRANSIENT, "it is no listing of blobs");
    if (result < 0) {
        if (e->code == NACRE_CORRUPT)
            e->code = NACRE_TRANSIENT;
        page_free(out);
        return err_wrap(e, "the service's listing");
    }
    if (out->count)
        qsort(out->entries, out->count, sizeof *out->entries, by_bytes);
    return 0;
}

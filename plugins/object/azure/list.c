/* SPDX-License-Identifier: Apache-2.0 */
/* Listing, a page at a time.
 *
 * The service goes on in the order of the names' bytes. An account with a hierarchical namespace goes from
 * directory to directory instead, where "a/x" comes before "a-b": within a page that is mended, and no two
 * pages of a repository differ in it. Where they do, this says so rather than to leave something out. */
#include <string.h>

#include "azure.h"
#include "common/err.h"
#include "page.h"

#define PAGE_SIZE "5000"
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/"

struct listing {
    nacre_list_entry *entry;
    void *ctx;
    char last[NACRE_OBJECT_NAME_MAX + 1]; /* reported; "" = none yet */
    bool stopped;
};

static int get_page(const struct azure_store *store, const char *prefix, const char *marker,
                    struct page *page, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf full = {0};
    buf_printf(&full, "%s%s", store->url.prefix, prefix);
    if (buf_failed(&full))
        return err_no_memory(e, "a listing");
    const struct azure_request request = {
        .method = "GET",
        .query = {{"restype", "container"},
                  {"comp", "list"},
                  {"maxresults", PAGE_SIZE},
                  {"prefix", (const char *)full.data},
                  {"marker", marker}},
        .query_count = marker && *marker ? 5 : 4,
        .needs = "l",
    };
    if (azure_perform(store, &request, &response, e) < 0)
        return -1;
    return page_parse(response.body.data, response.body.size, store->url.prefix, page, e);
}

static int report(struct listing *listing, const struct page *page, struct nacre_err *e)
{
    for (size_t i = 0; i < page->count && !listing->stopped; i++) {
        const struct page_entry *entry = &page->entries[i];
        int order = strcmp(entry->name, listing->last);
        if (order < 0)
            return err_set(
                e, NACRE_UNSUPPORTED,
                "the service lists %s after %s, as accounts with a hierarchical namespace do; keep the "
                "repository in an account without, or give each a prefix of its own",
                entry->name, listing->last);
        if (!order)
            continue;
        snprintf(listing->last, sizeof listing->last, "%s", entry->name);
        const struct nacre_object_info info = {entry->name, entry->size, entry->modified_ns};
        listing->stopped = listing->entry(listing->ctx, &info) != 0;
    }
    return 0;
}

int azure_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
               struct nacre_err *e)
{
    const struct azure_store *store = (const struct azure_store *)base;
    struct listing listing = {.entry = entry, .ctx = ctx};
    CLEANUP(mem_free) char *marker = NULL;
    /* No name begins so; the service might refuse what is longer than a name, or odd. */
    if (strlen(prefix) > NACRE_OBJECT_NAME_MAX || prefix[strspn(prefix, NAME_CHARACTERS)])
        return 0;
    do {
        CLEANUP(page_free) struct page page = {0};
        if (get_page(store, prefix, marker, &page, e) < 0 || report(&listing, &page, e) < 0)
            return -1;
        if (marker && page.next && !strcmp(marker, page.next))
            return err_set(e, NACRE_TRANSIENT, "the service's listing does not go on");
        free(marker);
        marker = MOVE(page.next);
    } while (marker && *marker && !listing.stopped);
    return 0;
}

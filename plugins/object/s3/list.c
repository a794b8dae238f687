/* SPDX-License-Identifier: Apache-2.0 */
/* Listing: page after page, each held whole while its entries are reported, so that who is called may call
 * back.
 *
 * The contract is ascending byte order, which S3 promises for its ordinary buckets. Where a service does
 * otherwise (Amazon's directory buckets) the listing fails rather than that it be resumed at a wrong place.
 */
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "page.h"
#include "s3.h"

struct listing {
    struct s3_store *store;
    const char *prefix;
    nacre_list_entry *entry;
    void *ctx;
    bool stopped;
    char last[NACRE_OBJECT_NAME_MAX + 1]; /* reported */
};

/* token: NULL for the first page. */
static void append_query(const struct listing *listing, const char *token, struct buf *query)
{
    if (token) {
        buf_string(query, "continuation-token=");
        encode_percent(query, token, false);
        buf_char(query, '&');
    }
    buf_string(query, "encoding-type=url&list-type=2&max-keys=1000&prefix=");
    encode_percent(query, listing->store->url.prefix, false);
    encode_percent(query, listing->prefix, false);
}

static int fetch_page(struct listing *listing, const char *token, struct s3_page *page, struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf query = {0};
    append_query(listing, token, &query);
    if (buf_failed(&query))
        return err_no_memory(e, "a request");
    struct s3_call call = {
        .method = "GET",
        .query = (const char *)query.data,
        .verb = "list",
        .action = "s3:ListBucket",
        .expected = NACRE_TO_END,
    };
    if (s3_expect(listing->store, &call, &response, e) < 0)
        return -1;
    if (s3_page_read(response.body.data, response.body.size, page, e) < 0)
        return s3_wrap(listing->store, &call, e);
    return 0;
}

static int report(struct listing *listing, const struct s3_page *page, struct nacre_err *e)
{
    size_t prefix = strlen(listing->store->url.prefix);
    for (size_t i = 0; i < page->count && !listing->stopped; i++) {
        const struct s3_entry *entry = &page->entries[i];
        if (strncmp(entry->key, listing->store->url.prefix, prefix) != 0 ||
            strncmp(entry->key + prefix, listing->prefix, strlen(listing->prefix)) != 0 ||
            !nacre_object_name_valid(entry->key + prefix))
            continue; /* not ours */
        const struct nacre_object_info info = {entry->key + prefix, entry->size, entry->modified_ns};
        if (strcmp(info.name, listing->last) <= 0)
            return err_set(
                e, NACRE_UNSUPPORTED,
                "the service lists s3://%s/%s out of order (%s after %s): such a bucket cannot hold "
                "a repository",
                listing->store->url.bucket, listing->store->url.prefix, info.name, listing->last);
        strcpy(listing->last, info.name);
        listing->stopped = listing->entry(listing->ctx, &info) != 0;
    }
    return 0;
}

static int list_pages(struct listing *listing, struct nacre_err *e)
{
    CLEANUP(mem_free) char *token = NULL;
    for (;;) {
        CLEANUP(s3_page_free) struct s3_page page = {0};
        if (fetch_page(listing, token, &page, e) < 0 || report(listing, &page, e) < 0)
            return -1;
        if (listing->stopped || !page.next)
            return 0;
        if (token && !strcmp(token, page.next))
            return err_set(e, NACRE_CORRUPT, "the service gives the same page of a listing again");
        free(token);
        token = MOVE(page.next);
    }
}

int s3_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
            struct nacre_err *e)
{
    struct listing listing = {(struct s3_store *)base, prefix, entry, ctx, .last = ""};
    if (strlen(prefix) > NACRE_OBJECT_NAME_MAX)
        return 0; /* longer than any name */
    return list_pages(&listing, e);
}

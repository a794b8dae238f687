/* SPDX-License-Identifier: Apache-2.0 */
/* Listings, page by page. The service gives names in the order of their UTF-8 bytes; that is checked, since
 * what nacre does with a listing depends on it. Objects whose names nacre cannot have written are others'. */
#include <string.h>

#include "common/err.h"
#include "gcs.h"
#include "http/encode.h"

#define PAGE 1000
#define TOKEN_MAX 4096

struct listing {
    const struct gcs_store *store;
    nacre_list_entry *entry;
    void *ctx;
    char last[NACRE_OBJECT_NAME_MAX + 1];
    bool any;
};

/* 1 = the receiver has had enough. */
static int on_object(void *ctx, const struct answer_object *object, struct nacre_err *e)
{
    struct listing *l = ctx;
    size_t prefix = strlen(l->store->prefix);
    const char *name = object->name + prefix;
    if (strncmp(object->name, l->store->prefix, prefix) != 0)
        return err_set(e, NACRE_TRANSIENT, "the service lists objects that were not asked for");
    if (!nacre_object_name_valid(name))
        return 0;
    if (l->any && strcmp(name, l->last) <= 0)
        return err_set(e, NACRE_FAILED, "the service lists names out of order: %s after %s", name, l->last);
    l->any = true;
    strcpy(l->last, name); /* valid: fits */
    const struct nacre_object_info info = {
        .name = name, .size = object->size, .modified_ns = object->modified_ns};
    return l->entry(l->ctx, &info) ? 1 : 0;
}

static void page_url(const struct gcs_store *store, const char *prefix, const struct buf *token,
                     struct buf *url)
{
    buf_printf(url, "%s/storage/v1/b/", store->endpoint);
    encode_percent(url, store->bucket, false);
    buf_printf(url, "/o?maxResults=%d&fields=nextPageToken,items(name,size,timeCreated,updated)", PAGE);
    if (*store->prefix || *prefix) {
        buf_string(url, "&prefix=");
        encode_percent(url, store->prefix, false);
        encode_percent(url, prefix, false);
    }
    if (token->size) {
        buf_string(url, "&pageToken=");
        encode_percent(url, (const char *)token->data, false);
    }
}

/* One page; *token is that of the next one afterwards, empty when there is none. 1 = enough. */
static int list_page(struct gcs_store *store, const char *prefix, struct listing *l, struct buf *token,
                     struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf url = {0};
    CLEANUP(buf_free) struct buf next = {0};
    page_url(store, prefix, token, &url);
    if (buf_failed(&url))
        return err_no_memory(e, "a URL");
    const struct gcs_request request = {.method = "GET", .url = (const char *)url.data};
    if (gcs_perform(store, &request, &response, e) < 0)
        return -1;
    if (response.status != 200)
        return gcs_fail(store, GCS_LIST, prefix, &response, e);
    int result = answer_page(response.body.data, response.body.size, on_object, l, &next, e);
    if (result < 0)
        return err_wrap(e, "cannot list gs://%s/%s%s", store->bucket, store->prefix, prefix);
    if (next.size > TOKEN_MAX ||
        (next.size && next.size == token->size && !memcmp(next.data, token->data, next.size)))
        return err_set(e, NACRE_TRANSIENT, "cannot list gs://%s/%s%s: the service gives no next page",
                       store->bucket, store->prefix, prefix);
    struct buf old = *token;
    *token = next;
    next = old;
    return result;
}

int gcs_list(struct nacre_object_store *base, const char *prefix, nacre_list_entry *entry, void *ctx,
             struct nacre_err *e)
{
    struct gcs_store *store = (struct gcs_store *)base;
    struct listing l = {.store = store, .entry = entry, .ctx = ctx};
    CLEANUP(buf_free) struct buf token = {0};
    if (strlen(prefix) > NACRE_OBJECT_NAME_MAX)
        return 0; /* no name begins so */
    do {
        int result = list_page(store, prefix, &l, &token, e);
        if (result)
            return result < 0 ? -1 : 0;
        if (buf_failed(&token))
            return err_no_memory(e, "a listing");
    } while (token.size);
    return 0;
}

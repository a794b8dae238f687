/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a page. Keys come percent-encoded (encoding-type=url), because XML cannot hold every byte; a
 * service that does not know this says so by the lack of EncodingType, and then they are as they are. Amazon
 * and radosgw write a blank as '+'. */
#include "page.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/timestamp.h"
#include "http/xml.h"

#define ENTRIES_MAX 10000 /* services give 1000 */

struct reader {
    struct s3_page *page;
    size_t room;
    struct s3_entry entry; /* that is being read */
    bool encoded, truncated, any;
    bool objects; /* rather than uploads */
    char *next;
};

static void entry_clear(struct s3_entry *entry)
{
    free(entry->key);
    free(entry->upload_id);
    *entry = (struct s3_entry){0};
}

void s3_page_free(struct s3_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        entry_clear(&page->entries[i]);
    free(page->entries);
    free(page->next);
    *page = (struct s3_page){0};
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. False when it is not encoded right, or holds a NUL. */
static bool decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++, to++) {
        if (*from != '%') {
            *to = (char)(*from == '+' ? ' ' : *from);
            continue;
        }
        int high = hex_value(from[1]), low = high < 0 ? -1 : hex_value(from[2]);
        if (low < 0 || !(high | low))
            return false;
        *to = (char)(high << 4 | low);
        from += 2;
    }
    *to = '\0';
    return true;
}

static int replace(char **to, const char *text, struct nacre_err *e)
{
    free(*to);
    *to = strdup(text);
    return *to ? 0 : err_no_memory(e, "a listing");
}

static int take_field(struct reader *r, const char *field, const char *text, struct nacre_err *e)
{
    char *end;
    if (!strcmp(field, "Key"))
        return replace(&r->entry.key, text, e);
    if (!strcmp(field, "UploadId"))
        return replace(&r->entry.upload_id, text, e);
    if (!strcmp(field, "Size")) {
        r->entry.size = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || *end)
            return err_set(e, NACRE_CORRUPT, "a listing has a size that is no number");
    } else if (!strcmp(field, "LastModified") || !strcmp(field, "Initiated")) {
        if (!timestamp_parse(text, &r->entry.modified_ns))
            r->entry.modified_ns = 0;
    }
    return 0;
}

static const char *after(const char *text, const char *front)
{
    size_t size = strlen(front);
    return strncmp(text, front, size) ? NULL : text + size;
}

static int take_leaf(void *ctx, const char *path, const char *text, struct nacre_err *e)
{
    struct reader *r = ctx;
    const char *uploads = after(path, "ListMultipartUploadsResult/"), *field;
    const char *rest = uploads ? uploads : after(path, "ListBucketResult/");
    if (!rest)
        return 0;
    r->any = true;
    r->objects = !uploads;
    if ((field = after(rest, uploads ? "Upload/" : "Contents/")))
        return strchr(field, '/') ? 0 : take_field(r, field, text, e);
    if (!strcmp(rest, "EncodingType"))
        r->encoded = !strcmp(text, "url");
    else if (!strcmp(rest, "IsTruncated"))
        r->truncated = !strcmp(text, "true");
    else if (!strcmp(rest, "NextContinuationToken"))
        return replace(&r->next, text, e);
    return 0;
}

static int take_entry(struct reader *r, struct nacre_err *e)
{
    struct s3_page *page = r->page;
    if (!r->entry.key)
        return err_set(e, NACRE_CORRUPT, "a listing has an entry without a key");
    if (page->count == ENTRIES_MAX)
        return err_set(e, NACRE_CORRUPT, "a page of a listing has more than %d entries", ENTRIES_MAX);
    if (page->count == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        struct s3_entry *entries = realloc(page->entries, room * sizeof *entries);
        if (!entries)
            return err_no_memory(e, "a listing");
        page->entries = entries;
        r->room = room;
    }
    page->entries[page->count++] = r->entry;
    r->entry = (struct s3_entry){0};
    return 0;
}

static int take_end(void *ctx, const char *path, struct nacre_err *e)
{
    struct reader *r = ctx;
    if (!strcmp(path, "ListBucketResult/Contents") || !strcmp(path, "ListMultipartUploadsResult/Upload"))
        return take_entry(r, e);
    r->any |= !strcmp(path, "ListBucketResult") || !strcmp(path, "ListMultipartUploadsResult");
    return 0;
}

/* EncodingType may come after the entries, so they are decoded at the end. */
static void decode_keys(struct s3_page *page)
{
    size_t kept = 0;
    for (size_t i = 0; i < page->count; i++) {
        if (decode(page->entries[i].key))
            page->entries[kept++] = page->entries[i];
        else
            entry_clear(&page->entries[i]);
    }
    page->count = kept;
}

int s3_page_read(const void *data, size_t size, struct s3_page *out, struct nacre_err *e)
{
    struct reader r = {.page = out};
    int result = xml_read(data, size, take_leaf, take_end, &r, e);
    if (result == 0 && !r.any)
        result = err_set(e, NACRE_CORRUPT, "the service's answer is no listing");
    entry_clear(&r.entry);
    if (result == 0 && r.encoded)
        decode_keys(out);
    if (result == 0 && r.truncated && r.objects && !r.next)
        result = err_set(e, NACRE_CORRUPT, "the listing goes on, but the service does not say where");
    if (result == 0 && r.truncated)
        out->next = MOVE(r.next);
    free(r.next);
    if (result < 0 && e->code == NACRE_CORRUPT)
        e->code = NACRE_TRANSIENT; /* harmed on the way, as far as anybody can tell */
    return result;
}

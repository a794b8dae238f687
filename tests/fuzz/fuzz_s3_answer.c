/* SPDX-License-Identifier: Apache-2.0 */
/* What services send to the store s3, and the shared files: a page of a listing, keys in XML and in JSON, a
 * profile. Whatever comes is refused with an error, or is of the promised shape. */
#include <stdlib.h>
#include <string.h>

#include "credentials.h"
#include "page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_page(const uint8_t *data, size_t size)
{
    CLEANUP(s3_page_free) struct s3_page page = {0};
    struct nacre_err e = {0};
    if (s3_page_read(data, size, &page, &e) < 0) {
        if (!e.code || !*e.message)
            abort();
        return;
    }
    for (size_t i = 0; i < page.count; i++)
        if (!page.entries[i].key)
            abort();
}

static void check_grant(int (*read)(const void *, size_t, struct grant *, struct nacre_err *),
                        const uint8_t *data, size_t size)
{
    CLEANUP(grant_free) struct grant grant = {0};
    struct nacre_err e = {0};
    int result = read(data, size, &grant, &e);
    if (result < 0 ? !e.code || !*e.message : !grant.access.size || !grant.secret.size)
        abort();
}

/* A profile's values have neither ends of lines nor NULs. */
static void check_profile(const uint8_t *data, size_t size)
{
    CLEANUP(buf_free) struct buf text = {0};
    buf_append(&text, data, size);
    for (int config = 0; config < 2; config++) {
        CLEANUP(profile_free) struct profile profile = {0};
        struct nacre_err e = {0};
        if (profile_parse(&text, "default", config, &profile, &e) < 0)
            abort();
        if (!profile.found && (profile.access_key || profile.secret_key || profile.region))
            abort();
        if (profile.secret_key && (!*profile.secret_key || strchr(profile.secret_key, '\n')))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_page(data, size);
    check_grant(grant_from_xml, data, size);
    check_grant(grant_from_json, data, size);
    check_profile(data, size);
    return 0;
}

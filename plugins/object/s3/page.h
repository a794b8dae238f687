/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a listing: of objects (ListObjectsV2) or of unfinished uploads (ListMultipartUploads). */
#ifndef OBJECT_S3_PAGE_H
#define OBJECT_S3_PAGE_H

#include <nacre/plugin.h>

#include "common/cleanup.h"

struct s3_entry {
    char *key;           /* decoded */
    uint64_t size;       /* of an object */
    int64_t modified_ns; /* of an object, or when the upload was begun; 0 = not said */
    char *upload_id;     /* NULL for an object */
};

struct s3_page {
    struct s3_entry *entries;
    size_t count;
    char *next; /* token of the next page, NULL = this is the last */
};
void s3_page_free(struct s3_page *page);
static inline void s3_page_free_at(struct s3_page *page)
{
    s3_page_free(page);
}

/* Reads the answer to a request with encoding-type=url. Keys that hold a NUL are left out. NACRE_TRANSIENT
 * when it is no such answer, or says that there is more and not where: it may have been harmed on the way.
 * *out is empty before; to be freed on failure, too. */
int s3_page_read(const void *data, size_t size, struct s3_page *out, struct nacre_err *e);

#endif

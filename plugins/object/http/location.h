/* SPDX-License-Identifier: Apache-2.0 */
/* Names of objects in a bucket that is shared with others: everything of ours lies below the URL's prefix. */
#ifndef OBJECT_HTTP_LOCATION_H
#define OBJECT_HTTP_LOCATION_H

#include <nacre/object_store.h>

#include "common/buf.h"
#include "common/cleanup.h"

/* scheme://bucket/prefix. */
struct bucket_url {
    char *bucket;
    char *prefix; /* "" or ending with '/' */
};

/* NACRE_INVALID when the URL has no bucket, credentials, a query, a fragment, or a prefix that is no valid
 * object name (nacre_object_name_valid). Slashes at its end and double ones are dropped. The bucket is not
 * checked further: each service has rules of its own. */
int bucket_url_parse(const char *url, const char *scheme, struct bucket_url *out, struct nacre_err *e);
void bucket_url_free(struct bucket_url *url);

/* NACRE_INVALID when nacre_object_name_valid is false, with the name. */
int object_name_check(const char *name, struct nacre_err *e);

#endif

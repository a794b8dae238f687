/* SPDX-License-Identifier: Apache-2.0 */
/* Shared Key: what of a request is signed, and the signature.
 * https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key */
#ifndef OBJECT_AZURE_SIGN_H
#define OBJECT_AZURE_SIGN_H

#include "common/buf.h"
#include "http/http.h"

#define AZURE_QUERY_MAX 8

/* A parameter of the query, not encoded; names in lower case, each once. */
struct azure_query {
    const char *name;
    const char *value;
};

struct azure_signed {
    const char *method;
    const char *account;
    const char *path; /* of the URL, as it goes out; "/" at least */
    const struct azure_query *query;
    size_t query_count;
    const struct http_headers *headers;
    uint64_t content_length;
};

/* Appends the text that is signed. */
void azure_string_to_sign(const struct azure_signed *what, struct buf *out);

/* Appends the signature in base64, as it stands behind "SharedKey ACCOUNT:"; false when it cannot be made. */
bool azure_sign(const struct azure_signed *what, const struct buf *key, struct buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A credentials file: refused with a message, or complete for its kind. */
#include <stdlib.h>

#include "credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool complete(const struct credentials *c)
{
    switch (c->kind) {
    case CREDENTIALS_SERVICE_ACCOUNT:
        return c->email && c->key && c->token_url;
    case CREDENTIALS_USER:
        return c->client_id && c->client_secret && c->refresh_token && c->token_url;
    case CREDENTIALS_EXTERNAL:
        return c->audience && c->subject_type && c->token_url && c->subject.place;
    case CREDENTIALS_METADATA:
        break;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct credentials *c = NULL;
    if (credentials_parse(data, size, "x", &c, &e) < 0) {
        if (!e.code || !e.message[0] || c)
            abort();
        return 0;
    }
    if (!complete(c))
        abort();
    credentials_free(c);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How requests are authorised: which of the credentials is used, where it comes from, and what it adds.
 *
 * Order: what the options of the location give comes before the environment. Within each: shared access
 * signature, account key, client secret, federated token; at the end the machine's managed identity.
 *
 *   option                              environment
 *   sas-file                            AZURE_STORAGE_SAS_TOKEN, or in AZURE_STORAGE_CONNECTION_STRING
 *   account-key-file                    AZURE_STORAGE_KEY, or in AZURE_STORAGE_CONNECTION_STRING
 *   tenant-id client-id
 *     client-secret-file                AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET
 *   tenant-id client-id
 *     federated-token-file              AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_FEDERATED_TOKEN_FILE
 *   managed-identity (true, client id)  nothing given, AZURE_CLIENT_ID when it is set
 *
 * authority-host (AZURE_AUTHORITY_HOST) is where Entra ID is asked for tokens. */
#ifndef OBJECT_AZURE_CREDENTIAL_H
#define OBJECT_AZURE_CREDENTIAL_H

#include "common/buf.h"
#include "connection.h"
#include "http/http.h"
#include "http/token.h"

enum azure_kind {
    AZURE_SAS,
    AZURE_KEY,
    AZURE_CLIENT_SECRET,
    AZURE_FEDERATED,
    AZURE_MANAGED,
};

struct azure_credential {
    enum azure_kind kind;
    bool found;        /* false: nothing was given, and the managed identity is a guess */
    struct buf secret; /* the account key's bytes; the SAS without '?'; the client's secret */
    char *tenant, *client, *authority, *token_file; /* NULL = not given */
    struct token *token;                            /* for the last three kinds */
    struct http *http;                              /* borrowed */
};

/* Chooses, reads what does not change, and fetches nothing yet. NACRE_INVALID names what is missing. */
int azure_credential_new(const struct nacre_config *config, const struct azure_connection *connection,
                         struct http *http, struct azure_credential **out, struct nacre_err *e);
void azure_credential_free(struct azure_credential *credential); /* wipes; NULL is legal */

/* The value of an option of the location, NULL when it is not given or empty. */
const char *azure_option(const struct nacre_config *config, const char *key);

/* NACRE_INVALID unless the URL is https://…, or http://… of this machine itself: a token or a secret must not
 * cross a network in the clear. */
int azure_check_secure(const char *what, const char *url, struct nacre_err *e);

/* Gets a bearer token: a token_fetch whose ctx is the credential. */
int azure_fetch_token(void *ctx, struct buf *out, int64_t *seconds, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Connection strings, as Azure's portal gives them:
 * https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string */
#ifndef OBJECT_AZURE_CONNECTION_H
#define OBJECT_AZURE_CONNECTION_H

#include <nacre/plugin.h>

/* What of it is of use here; "" or NULL where it says nothing. Texts are the struct's own. */
struct azure_connection {
    char *account, *key, *sas;
    char *endpoint; /* of the blob service: said, or made of protocol, account and suffix */
};

/* NACRE_INVALID for a part that is no NAME=VALUE, with its name at most: the rest may be a secret. Unknown
 * names are passed over. `text` NULL is an empty connection. */
int azure_connection_parse(const char *text, struct azure_connection *out, struct nacre_err *e);
void azure_connection_free(struct azure_connection *connection); /* wipes */
static inline void azure_connection_free_at(struct azure_connection *connection)
{
    azure_connection_free(connection);
}

#endif

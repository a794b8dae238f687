/* SPDX-License-Identifier: Apache-2.0 */
/* A bearer token that all threads of a store share: fetched once, fetched anew before it ends.
 *
 * The first who needs it fetches it, the others wait. From five minutes before its end (or from half its
 * life, when that is shorter) one thread fetches the next while the others go on with the old one; a failed
 * early fetch is a warning and tried again after a minute. A token that the service refused (401) is spoilt:
 * it is not given out again. */
#ifndef OBJECT_HTTP_TOKEN_H
#define OBJECT_HTTP_TOKEN_H

#include "common/buf.h"
#include "common/cleanup.h"

#include <nacre/plugin.h>

struct token;

/* Gets a new token: appends it to out and sets *seconds to its remaining life. Called by one thread at a
 * time. */
typedef int token_fetch(void *ctx, struct buf *out, int64_t *seconds, struct nacre_err *e);

int token_new(token_fetch *fetch, void *ctx, struct token **out, struct nacre_err *e);
void token_free(struct token *token); /* wipes it; NULL is legal */
CLEANUP_DEFINE(struct token *, token_free)

/* Appends a token that is good for at least a minute to out (buf_wipe_free). */
int token_get(struct token *token, struct buf *out, struct nacre_err *e);

/* The service refused this one. True when another than `refused` can be had by token_get: then the request is
 * worth one more try. False when `refused` was fetched less than 10 seconds ago: then the refusal stands. */
bool token_spoilt(struct token *token, const char *refused);

#endif

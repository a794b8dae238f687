/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server of unary calls on gRPC core's C surface: bytes in, bytes or a status out. Knows nothing of
 * CSI. */
#ifndef PROVISIONER_SERVER_H
#define PROVISIONER_SERVER_H

#include <nacre/plugin.h>

#include "common/buf.h"

/* A method: `path` is "/package.Service/Method". handle appends the response message to `response`, or
 * returns -1 with *e set, whose code becomes the status (status.h). Called on a worker thread, many at once.
 * The request is borrowed. */
struct method {
    const char *path;
    int (*handle)(void *ctx, const uint8_t *request, size_t size, struct buf *response, struct nacre_err *e);
};

struct server;

/* Listens on a Unix socket that only the caller may open (0600); one that nobody listens on any more is
 * replaced. NACRE_BUSY when somebody does, NACRE_EXISTS when the path is something else. `methods` (ended by
 * a NULL path) and ctx stay in place until server_stop. Other methods answer UNIMPLEMENTED. Each worker
 * handles one call at a time. */
int server_start(const char *socket_path, const struct method *methods, void *ctx, unsigned workers,
                 struct server **out, struct nacre_err *e);

/* Takes no more calls, lets those at work finish for grace_ms, then cancels them towards their callers, waits
 * for their handlers to return, removes the socket, frees. NULL is legal. */
void server_stop(struct server *server, unsigned grace_ms);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint of a CSI driver: a Unix socket. */
#ifndef PROVISIONER_ENDPOINT_H
#define PROVISIONER_ENDPOINT_H

#include <nacre/plugin.h>
#include <sys/un.h>

#define ENDPOINT_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

/* The path of unix:///path or unix:/path; NACRE_INVALID for all else, and for paths too long for a socket. */
int endpoint_path(const char *endpoint, char out[ENDPOINT_SIZE], struct nacre_err *e);

/* Makes way for a new socket: removes one that nobody listens on. NACRE_BUSY when somebody does, NACRE_EXISTS
 * when the path is no socket. */
int endpoint_clear(const char *path, struct nacre_err *e);

#endif

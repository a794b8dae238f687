/* SPDX-License-Identifier: Apache-2.0 */
/* The socket's path. A driver that was killed leaves its socket, and the next must take its place; a driver
 * that runs must not be cut off by a second one, so whether somebody listens is tried out first. */
#include "provisioner/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"

int endpoint_path(const char *endpoint, char out[ENDPOINT_SIZE], struct nacre_err *e)
{
    const char *path = endpoint;
    if (!strncmp(path, "unix://", 7))
        path += 7;
    else if (!strncmp(path, "unix:", 5))
        path += 5;
    else
        path = "";
    /* What follows is part of a URI for gRPC, which would decode it. */
    if (*path != '/' || path[strcspn(path, "%?#")] || path[strlen(path) - 1] == '/')
        return err_set(e, NACRE_INVALID,
                       "endpoint \"%.200s\" is not unix:///PATH with an absolute path (without %%, ? and #)",
                       endpoint);
    if (strlen(path) >= ENDPOINT_SIZE)
        return err_set(e, NACRE_INVALID, "endpoint \"%.200s\": a socket's path has at most %zu bytes",
                       endpoint, ENDPOINT_SIZE - 1);
    snprintf(out, ENDPOINT_SIZE, "%s", path);
    return 0;
}

int endpoint_clear(const char *path, struct nacre_err *e)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_errno(e, errno, "cannot look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, NACRE_EXISTS, "%s exists and is no socket; it is left alone: name another endpoint",
                       path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, errno, "cannot make a socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN)
        return err_set(e, NACRE_BUSY, "another driver listens on %s; stop it first", path);
    if (errno != ECONNREFUSED)
        return err_errno(e, errno, "cannot try the socket %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(e, errno, "cannot remove the stale socket %s", path);
    return 0;
}

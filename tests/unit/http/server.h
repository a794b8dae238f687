/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP server inside of a test: a thread per connection, every request answered by the test's own function
 * with the very bytes that it wants, also wrong ones. On 127.0.0.1. */
#ifndef HTTP_TEST_SERVER_H
#define HTTP_TEST_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct served {
    const char *method, *target; /* "GET", "/path?query" */
    const char *headers;         /* lines with "\r\n" */
    const char *body;
    size_t body_size;
    unsigned number;     /* of the request, from 0, over all connections */
    unsigned connection; /* from 0 */
};

/* Appends the value of a request's header to out; false when it is not there. */
bool served_header(const struct served *served, const char *name, char *out, size_t size);

struct answer;
void answer_raw(struct answer *answer, const void *data, size_t size);
void answer_text(struct answer *answer, int status, const char *headers, const char *body);
void answer_hang_up(struct answer *answer);           /* closes after what was said */
void answer_reset(struct answer *answer);             /* with a TCP reset */
void answer_wait(struct answer *answer, unsigned ms); /* before going on; ends early when the server stops */

typedef void server_handler(void *ctx, const struct served *served, struct answer *answer);

struct server;
struct server *server_start(server_handler *handler, void *ctx); /* aborts the test when it cannot */
const char *server_url(const struct server *server);             /* "http://127.0.0.1:PORT" */
unsigned server_requests(struct server *server);
unsigned server_connections(struct server *server);
void server_stop(struct server *server);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The server of the tests. */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"

#define CONNECTIONS_MAX 256

struct server {
    server_handler *handler;
    void *ctx;
    int listener;
    char url[64];
    pthread_t acceptor;
    pthread_mutex_t mutex;
    pthread_t threads[CONNECTIONS_MAX];
    int sockets[CONNECTIONS_MAX];
    unsigned connections, requests;
    bool stopping;
};

struct answer {
    struct server *server;
    int fd;
    bool close, reset;
};

static void must_be(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "test server: %s: %s\n", what, strerror(errno));
        abort();
    }
}

bool served_header(const struct served *served, const char *name, char *out, size_t size)
{
    size_t name_size = strlen(name);
    for (const char *line = served->headers; line && *line; line = strstr(line, "\r\n")) {
        line += strspn(line, "\r\n");
        if (strncasecmp(line, name, name_size) != 0 || line[name_size] != ':')
            continue;
        line += name_size + 1;
        line += strspn(line, " ");
        snprintf(out, size, "%.*s", (int)strcspn(line, "\r"), line);
        return true;
    }
    return false;
}

void answer_raw(struct answer *answer, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t sent = send(answer->fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the client went away: the test sees it */
        at += sent;
        size -= (size_t)sent;
    }
}

void answer_text(struct answer *answer, int status, const char *headers, const char *body)
{
    struct buf text = {0};
    buf_printf(&text, "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), headers,
               body);
    answer_raw(answer, text.data, text.size);
    buf_free(&text);
}

void answer_hang_up(struct answer *answer)
{
    answer->close = true;
}

void answer_reset(struct answer *answer)
{
    answer->close = answer->reset = true;
}

void answer_wait(struct answer *answer, unsigned ms)
{
    for (unsigned waited = 0; waited < ms && !__atomic_load_n(&answer->server->stopping, __ATOMIC_RELAXED);
         waited += 10)
        usleep(10000);
}

/* Reads until `text` holds the end of the headers, then the body. False at the end of the connection. */
static bool read_request(int fd, struct buf *in, size_t *head_size, size_t *body_size)
{
    bool asked = false;
    for (;;) {
        char *end = in->size ? strstr((char *)in->data, "\r\n\r\n") : NULL;
        if (end) {
            *head_size = (size_t)(end - (char *)in->data) + 4;
            const char *length = strcasestr((char *)in->data, "\r\nContent-Length:");
            *body_size = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
            if (in->size >= *head_size + *body_size)
                return true;
            const char *expect = strcasestr((char *)in->data, "\r\nExpect: 100-continue");
            if (expect && expect < end && !asked) {
                asked = true;
                must_be(send(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) == 25, "send");
            }
        }
        char *room = buf_reserve(in, 65536);
        must_be(room != NULL, "memory");
        ssize_t got = recv(fd, room, 65536, 0);
        if (got <= 0)
            return false;
        buf_commit(in, (size_t)got);
    }
}

/* One request that is whole in `in`; takes it out. */
static void serve(struct server *server, struct answer *answer, struct buf *in, size_t head_size,
                  size_t body_size, unsigned connection)
{
    char method[16] = "", target[4096] = "";
    char *head = strndup((char *)in->data, head_size);
    char *body = malloc(body_size + 1);
    must_be(head && body, "memory");
    memcpy(body, in->data + head_size, body_size);
    body[body_size] = '\0';
    must_be(sscanf(head, "%15s %4095s", method, target) == 2, "a request");
    struct served served = {.method = method,
                            .target = target,
                            .headers = strstr(head, "\r\n"),
                            .body = body,
                            .body_size = body_size,
                            .connection = connection};
    pthread_mutex_lock(&server->mutex);
    served.number = server->requests++;
    pthread_mutex_unlock(&server->mutex);
    server->handler(server->ctx, &served, answer);
    size_t all = head_size + body_size, rest = in->size - all;
    memmove(in->data, in->data + all, rest);
    in->size = rest;
    in->data[rest] = '\0';
    free(head);
    free(body);
}

struct start {
    struct server *server;
    unsigned number;
};

static void *run_connection(void *arg)
{
    struct start *start = arg;
    struct server *server = start->server;
    struct answer answer = {.server = server, .fd = server->sockets[start->number]};
    struct buf in = {0};
    size_t head_size = 0, body_size = 0;
    while (!answer.close && read_request(answer.fd, &in, &head_size, &body_size))
        serve(server, &answer, &in, head_size, body_size, start->number);
    if (answer.reset)
        setsockopt(answer.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    pthread_mutex_lock(&server->mutex);
    close(answer.fd);
    server->sockets[start->number] = -1;
    pthread_mutex_unlock(&server->mutex);
    buf_free(&in);
    free(start);
    return NULL;
}

static void *run_acceptor(void *arg)
{
    struct server *server = arg;
    for (;;) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct start *start = malloc(sizeof *start);
        must_be(start != NULL, "memory");
        pthread_mutex_lock(&server->mutex);
        must_be(server->connections < CONNECTIONS_MAX, "too many connections");
        *start = (struct start){server, server->connections++};
        server->sockets[start->number] = fd;
        must_be(!pthread_create(&server->threads[start->number], NULL, run_connection, start), "a thread");
        pthread_mutex_unlock(&server->mutex);
    }
}

struct server *server_start(server_handler *handler, void *ctx)
{
    struct server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    must_be(server != NULL, "memory");
    server->handler = handler;
    server->ctx = ctx;
    pthread_mutex_init(&server->mutex, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must_be(server->listener >= 0, "socket");
    must_be(!bind(server->listener, (struct sockaddr *)&address, size), "bind");
    must_be(!listen(server->listener, 64), "listen");
    must_be(!getsockname(server->listener, (struct sockaddr *)&address, &size), "getsockname");
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    must_be(!pthread_create(&server->acceptor, NULL, run_acceptor, server), "a thread");
    return server;
}

const char *server_url(const struct server *server)
{
    return server->url;
}

unsigned server_requests(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    unsigned requests = server->requests;
    pthread_mutex_unlock(&server->mutex);
    return requests;
}

unsigned server_connections(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    unsigned connections = server->connections;
    pthread_mutex_unlock(&server->mutex);
    return connections;
}

void server_stop(struct server *server)
{
    __atomic_store_n(&server->stopping, true, __ATOMIC_RELAXED);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->acceptor, NULL);
    pthread_mutex_lock(&server->mutex);
    for (unsigned i = 0; i < server->connections; i++)
        if (server->sockets[i] >= 0)
            shutdown(server->sockets[i], SHUT_RDWR);
    pthread_mutex_unlock(&server->mutex);
    for (unsigned i = 0; i < server->connections; i++)
        pthread_join(server->threads[i], NULL);
    close(server->listener);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}

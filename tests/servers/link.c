/* SPDX-License-Identifier: Apache-2.0 */
/* link: a slow network. Passes TCP connections on to a server, late and no faster than it is told.
 *
 *   link --to 127.0.0.1:PORT [--port N] [--delay-ms N] [--rate-mbit N] [--guard]
 *
 * What comes in at one side leaves at the other --delay-ms milliseconds later (default 25 each way: 50 for a
 * round trip), and all connections together move at most --rate-mbit million bits a second in each direction
 * (default 200; 0: no limit). A connection's reader waits when what is on its way is as much as delay times
 * rate and half a second of the rate: as on a real line, where the window is full. Prints "listening on
 * 127.0.0.1:PORT".
 *
 * One thread, epoll on a timer and all sockets. A direction of a connection (pipe) has a queue of blocks,
 * each with the time at which it may leave; the rate is a clock per direction of the line, which each block
 * pushes on. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_SIZE 16384
#define EVENTS_MAX 256

struct block {
    struct block *next;
    int64_t leaves; /* nanoseconds of the monotonic clock */
    size_t size, sent;
    uint8_t data[BLOCK_SIZE];
};

/* From one socket to the other. */
struct pipe {
    struct block *first, *last;
    size_t queued;
    bool ended, shut; /* its source said that it was all; that was handed on */
};

struct connection {
    struct connection *next;
    int fd[2];           /* 0: the client's, 1: the server's */
    struct pipe pipe[2]; /* pipe[i] reads from fd[i] and writes to fd[!i] */
    bool dead;
};

static struct connection *connections;
static int64_t delay_ns = 25000000, line_free[2];
static double ns_per_byte = 8000.0 / 200;
static size_t queue_max;
static int epoll;
static struct sockaddr_in target;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void watch(int fd, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(epoll, operation, fd, &event);
}

static void accept_client(int listener)
{
    struct connection *c = calloc(1, sizeof *c);
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!c || client < 0 || far < 0 || connect(far, (struct sockaddr *)&target, sizeof target) < 0) {
        if (client >= 0)
            close(client);
        if (far >= 0)
            close(far);
        free(c);
        return;
    }
    c->fd[0] = client;
    c->fd[1] = far;
    c->next = connections;
    connections = c;
    watch(client, EPOLLIN | EPOLLOUT | EPOLLET, EPOLL_CTL_ADD);
    watch(far, EPOLLIN | EPOLLOUT | EPOLLET, EPOLL_CTL_ADD);
}

/* The time at which size bytes that came now leave the far end: after what is on the line, and the way there.
 */
static int64_t schedule(int direction, size_t size, int64_t at)
{
    if (line_free[direction] < at)
        line_free[direction] = at;
    line_free[direction] += (int64_t)((double)size * ns_per_byte);
    return line_free[direction] + delay_ns;
}

/* Takes what is there, as far as there is room. */
static void take(struct connection *c, int i, int64_t at)
{
    struct pipe *p = &c->pipe[i];
    while (!p->ended && p->queued < queue_max) {
        struct block *b = malloc(sizeof *b);
        ssize_t n = b ? recv(c->fd[i], b->data, sizeof b->data, MSG_DONTWAIT) : -1;
        if (n <= 0) {
            free(b);
            p->ended = n == 0;
            c->dead = c->dead || (n < 0 && errno != EAGAIN && errno != EINTR);
            return;
        }
        b->next = NULL;
        b->sent = 0;
        b->size = (size_t)n;
        b->leaves = schedule(i, b->size, at);
        if (p->last)
            p->last->next = b;
        else
            p->first = b;
        p->last = b;
        p->queued += b->size;
    }
}

static void give(struct connection *c, int i, int64_t at)
{
    struct pipe *p = &c->pipe[i];
    struct block *b;
    while ((b = p->first) && b->leaves <= at) {
        ssize_t n = send(c->fd[!i], b->data + b->sent, b->size - b->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            c->dead = c->dead || (errno != EAGAIN && errno != EINTR);
            return;
        }
        b->sent += (size_t)n;
        if (b->sent < b->size)
            return;
        p->queued -= b->size;
        p->first = b->next;
        if (!p->first)
            p->last = NULL;
        free(b);
    }
    if (p->ended && !p->first && !p->shut) {
        shutdown(c->fd[!i], SHUT_WR);
        p->shut = true;
    }
}

static void connection_free(struct connection *c)
{
    for (int i = 0; i < 2; i++) {
        struct linger reset = {.l_onoff = 1};
        if (c->dead) /* one side broke off: so does the other */
            setsockopt(c->fd[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(c->fd[i]);
        for (struct block *b = c->pipe[i].first, *next; b; b = next) {
            next = b->next;
            free(b);
        }
    }
    free(c);
}

/* Moves all that can move; when the next block leaves, -1 when none is on its way. */
static int64_t move_all(void)
{
    int64_t at = now(), next = -1;
    for (struct connection **place = &connections, *c; (c = *place);) {
        for (int i = 0; i < 2; i++) {
            take(c, i, at);
            give(c, i, at);
            take(c, i, at); /* there may be room again, and its edge is gone */
            const struct block *b = c->pipe[i].first;
            if (b && b->leaves > at && (next < 0 || b->leaves < next))
                next = b->leaves;
        }
        if (c->dead || (c->pipe[0].shut && c->pipe[1].shut)) {
            *place = c->next;
            connection_free(c);
        } else {
            place = &c->next;
        }
    }
    return next;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 256) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        perror("link: cannot listen");
        exit(1);
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static bool read_target(const char *text)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host)
        return false;
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    target = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    return inet_pton(AF_INET, host, &target.sin_addr) == 1;
}

int main(int argc, char **argv)
{
    long port = 0;
    double rate = 200;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--guard")) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            continue;
        }
        if (!strcmp(argv[i], "--port"))
            port = strtol(value, NULL, 10);
        else if (!strcmp(argv[i], "--delay-ms"))
            delay_ns = (int64_t)(strtod(value, NULL) * 1e6);
        else if (!strcmp(argv[i], "--rate-mbit"))
            rate = strtod(value, NULL);
        else if (strcmp(argv[i], "--to") != 0 || !read_target(value)) {
            fprintf(stderr,
                    "usage: link --to 127.0.0.1:PORT [--port N] [--delay-ms N] [--rate-mbit N] [--guard]\n");
            return 2;
        }
        i++;
    }
    if (!target.sin_port)
        return 2;
    ns_per_byte = rate > 0 ? 8000 / rate : 0;
    queue_max = rate > 0 ? (size_t)((0.5e9 + (double)delay_ns) / ns_per_byte) + BLOCK_SIZE : (size_t)64 << 20;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on((uint16_t)port);
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    struct epoll_event events[EVENTS_MAX];
    for (int64_t next = -1;;) {
        int64_t left = next < 0 ? -1 : next - now();
        struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        if (left < 0)
            wait = (struct timespec){0};
        int n = epoll_pwait2(epoll, events, EVENTS_MAX, next < 0 ? NULL : &wait, NULL);
        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                accept_client(listener);
        next = move_all();
    }
}

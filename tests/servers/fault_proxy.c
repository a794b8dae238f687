/* SPDX-License-Identifier: Apache-2.0 */
/* fault-proxy: stands before any HTTP/1.1 server and does to chosen requests what networks and services do.
 *
 *   fault_proxy --to 127.0.0.1:PORT [--port N] [--fail-... (fault.h)] [--log] [--guard]
 *
 * Everything else passes as it is, the Host header too, so that signatures hold. Prints "listening on
 * 127.0.0.1:PORT", and when it is ended by SIGTERM or SIGINT "N requests, N faults". With --log each request
 * is a line on standard error.
 *
 * A thread a connection, which handles one request after another. Expect: 100-continue is answered here;
 * interim answers of the server are dropped. */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"

#define HEAD_MAX 65536
#define TO_CLOSE UINT64_MAX
#define CHUNKED (UINT64_MAX - 1)

static struct faults faults = FAULTS_DEFAULT;
static uint64_t faults_done;
static struct sockaddr_in target;
static bool with_log;

/* What was received of a socket and not yet used. */
struct stream {
    int fd;
    size_t begin, end;
    char data[HEAD_MAX + 1];
};

struct relay {
    struct stream client, server; /* server.fd: -1 while not connected */
    enum fault_kind fault;
};

/* A body on its way: what is done to it, and where. */
struct passing {
    struct stream *from;
    int to;           /* -1: it is dropped */
    uint64_t passed;  /* bytes of content so far */
    uint64_t flip_at; /* UINT64_MAX: nowhere */
    uint64_t cut_at;
};

static bool send_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

static bool fill(struct stream *s)
{
    if (s->begin == s->end)
        s->begin = s->end = 0;
    if (s->end == HEAD_MAX) {
        memmove(s->data, s->data + s->begin, s->end - s->begin);
        s->end -= s->begin;
        s->begin = 0;
        if (s->end == HEAD_MAX)
            return false;
    }
    ssize_t n = recv(s->fd, s->data + s->end, HEAD_MAX - s->end, 0);
    if (n <= 0)
        return false;
    s->end += (size_t)n;
    return true;
}

/* Up to and with `mark`: a head, or a line. NUL follows it in out. */
static bool read_until(struct stream *s, const char *mark, char *out, size_t room)
{
    for (;;) {
        s->data[s->end] = '\0';
        const char *found = memmem(s->data + s->begin, s->end - s->begin, mark, strlen(mark));
        if (found) {
            size_t size = (size_t)(found - s->data) - s->begin + strlen(mark);
            if (size >= room)
                return false;
            memcpy(out, s->data + s->begin, size);
            out[size] = '\0';
            s->begin += size;
            return true;
        }
        if (!fill(s))
            return false;
    }
}

/* The value of a header, where it stands in the head; NULL without. */
static char *header(char *head, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\n%s:", name);
    char *at = strcasestr(head, key);
    return at ? at + strlen(key) + strspn(at + strlen(key), " \t") : NULL;
}

static uint64_t body_size(char *head, uint64_t without)
{
    const char *coding = header(head, "Transfer-Encoding"), *length = header(head, "Content-Length");
    if (coding && !strncasecmp(coding, "chunked", 7))
        return CHUNKED;
    return length ? strtoull(length, NULL, 10) : without;
}

/* Passes size bytes of content on, or all up to the end (TO_CLOSE). False: an end too soon, or the cut. */
static bool pass_bytes(struct passing *p, uint64_t size)
{
    while (size) {
        if (p->from->begin == p->from->end && !fill(p->from))
            return size == TO_CLOSE;
        uint64_t n = p->from->end - p->from->begin;
        char *data = p->from->data + p->from->begin;
        n = n < size ? n : size;
        bool cut = n > p->cut_at - p->passed;
        if (cut)
            n = p->cut_at - p->passed;
        if (p->flip_at >= p->passed && p->flip_at - p->passed < n)
            data[p->flip_at - p->passed] ^= 1;
        if (p->to >= 0 && !send_all(p->to, data, n))
            return false;
        if (cut)
            return false;
        p->passed += n;
        p->from->begin += n;
        size = size == TO_CLOSE ? size : size - n;
    }
    return true;
}

static bool pass_chunks(struct passing *p)
{
    char line[1024];
    for (;;) {
        if (!read_until(p->from, "\r\n", line, sizeof line) ||
            (p->to >= 0 && !send_all(p->to, line, strlen(line))))
            return false;
        uint64_t size = strtoull(line, NULL, 16);
        if (size && !pass_bytes(p, size))
            return false;
        do { /* after a chunk its line's end, after the last one trailers and an empty line */
            if (!read_until(p->from, "\r\n", line, sizeof line) ||
                (p->to >= 0 && !send_all(p->to, line, strlen(line))))
                return false;
        } while (!size && strcmp(line, "\r\n") != 0);
        if (!size)
            return true;
    }
}

static bool pass(struct passing *p, uint64_t size)
{
    return size == CHUNKED ? pass_chunks(p) : pass_bytes(p, size);
}

static bool reset(struct relay *r)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(r->client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    return false;
}

static bool refuse(struct relay *r, bool keep)
{
    char text[512];
    bool slow = r->fault == FAULT_429;
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%s%sContent-Length: 0\r\n\r\n",
             slow ? "429 Too Many Requests" : "503 Service Unavailable", slow ? "Retry-After: 1\r\n" : "",
             keep ? "" : "Connection: close\r\n");
    bool sent = send_all(r->client.fd, text, strlen(text));
    if (keep)
        return sent;
    shutdown(r->client.fd,
             SHUT_WR); /* what still comes is taken, so that the answer is not lost to a reset */
    while (fill(&r->client))
        r->client.begin = r->client.end;
    return false;
}

static bool connect_server(struct relay *r)
{
    if (r->server.fd >= 0)
        return true;
    r->server = (struct stream){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return connect(r->server.fd, (struct sockaddr *)&target, sizeof target) == 0;
}

/* One digit of each checksum that a head names is another. */
static void spoil_checksums(char *head)
{
    static const char *const names[] = {"x-goog-hash",          "Content-MD5", "x-ms-blob-content-md5",
                                        "x-ms-content-crc64",   "ETag",        "x-amz-checksum-crc32c",
                                        "x-amz-checksum-sha256"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *value = header(head, names[i]);
        if (!value)
            continue;
        if (!strncmp(value, "crc32c=", 7))
            value += 7;
        value += *value == '"' ? 1 : 0;
        *value = *value == '0' ? '1' : '0';
    }
}

/* The same of the JSON or XML that tells of an object, as far as it is here already. */
static void spoil_document(struct stream *s)
{
    static const char *const names[] = {"\"crc32c\"", "\"md5Hash\"", "<ETag>"};
    while (s->begin == s->end)
        if (!fill(s))
            return;
    s->data[s->end] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *at = strstr(s->data + s->begin, names[i]);
        at = at ? at + strlen(names[i]) + strspn(at + strlen(names[i]), " :\"") : NULL;
        if (at && *at)
            *at = *at == '0' ? '1' : '0';
    }
}

/* Passes the answer on, spoilt as the fault says. False: this connection is at its end. */
static bool answer(struct relay *r, bool no_body)
{
    char head[HEAD_MAX];
    do
        if (!read_until(&r->server, "\r\n\r\n", head, sizeof head))
            return false;
    while (!strncmp(head, "HTTP/1.1 1", 10));
    if (r->fault == FAULT_LOST_ANSWER)
        return reset(r);
    long status = strtol(head + strcspn(head, " "), NULL, 10);
    uint64_t size = no_body || status == 204 || status == 304 ? 0 : body_size(head, TO_CLOSE);
    const char *connection = header(head, "Connection");
    if (r->fault == FAULT_CHECKSUM) {
        spoil_checksums(head);
        if (size && size < HEAD_MAX)
            spoil_document(&r->server);
    }
    if (r->fault == FAULT_TRUNCATE && !size)
        head[strlen(head) / 2] = '\0';
    if (!send_all(r->client.fd, head, strlen(head)) || (r->fault == FAULT_TRUNCATE && !size))
        return false;
    struct passing p = {.from = &r->server, .to = r->client.fd, .flip_at = UINT64_MAX, .cut_at = UINT64_MAX};
    uint64_t middle = size >= CHUNKED ? 1 : size / 2;
    if (r->fault == FAULT_FLIP)
        p.flip_at = middle;
    if (r->fault == FAULT_TRUNCATE)
        p.cut_at = middle;
    return pass(&p, size) && size != TO_CLOSE && !(connection && !strncasecmp(connection, "close", 5));
}

/* Takes a request's body: passes it to the server, all or half of it, or drops it. */
static bool take_body(struct relay *r, uint64_t size, int to)
{
    struct passing p = {.from = &r->client, .to = to, .flip_at = UINT64_MAX, .cut_at = UINT64_MAX};
    if (r->fault == FAULT_RESET_MIDDLE)
        p.cut_at = size == CHUNKED ? 1 : size / 2;
    return pass(&p, size);
}

static void pause_seconds(unsigned seconds)
{
    struct timespec t = {.tv_sec = seconds};
    nanosleep(&t, NULL);
}

/* One request and its answer. False: the connection ends. */
static bool handle(struct relay *r)
{
    char head[HEAD_MAX];
    uint64_t number;
    if (!read_until(&r->client, "\r\n\r\n", head, sizeof head))
        return false;
    r->fault = fault_draw(&faults, &number);
    if (r->fault)
        __atomic_add_fetch(&faults_done, 1, __ATOMIC_RELAXED);
    if (with_log)
        fprintf(stderr, "%llu %.*s%s%s\n", (unsigned long long)number, (int)strcspn(head, "\r"), head,
                r->fault ? " fault " : "", r->fault ? fault_name(r->fault) : "");
    uint64_t size = body_size(head, 0);
    if (r->fault == FAULT_STALL)
        pause_seconds(faults.stall_seconds);
    if (r->fault == FAULT_RESET_BEFORE)
        return reset(r);
    if (r->fault == FAULT_503 || r->fault == FAULT_429)
        return refuse(r, false);
    if (header(head, "Expect") && !send_all(r->client.fd, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return false;
    if (r->fault == FAULT_RESET_AFTER || r->fault == FAULT_503_AFTER) {
        bool taken = take_body(r, size, -1);
        return r->fault == FAULT_RESET_AFTER ? reset(r) : taken && refuse(r, true);
    }
    if (!connect_server(r) || !send_all(r->server.fd, head, strlen(head)))
        return false;
    bool sent = take_body(r, size, r->server.fd);
    if (r->fault == FAULT_RESET_MIDDLE)
        return reset(r);
    return answer(r, !strncmp(head, "HEAD ", 5)) && sent; /* a server may answer before all was sent */
}

static void *serve(void *at)
{
    struct relay *r = at;
    while (handle(r)) {
    }
    close(r->client.fd);
    if (r->server.fd >= 0)
        close(r->server.fd);
    free(r);
    return NULL;
}

static void *accept_all(void *at)
{
    const int *listener = at;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t thread;
        int fd = accept4(*listener, NULL, NULL, SOCK_CLOEXEC);
        struct relay *r = fd >= 0 ? calloc(1, sizeof *r) : NULL;
        if (!r) {
            if (fd >= 0)
                close(fd);
            continue;
        }
        r->client.fd = fd;
        r->server.fd = -1;
        if (pthread_create(&thread, &detached, serve, r) != 0) {
            close(fd);
            free(r);
        }
    }
    return NULL;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 256) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        perror("fault_proxy: cannot listen");
        exit(1);
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static bool set_option(const char *name, const char *value, long *port)
{
    if (!strcmp(name, "--port")) {
        *port = strtol(value, NULL, 10);
        return true;
    }
    if (strcmp(name, "--to") != 0)
        return fault_option(&faults, name, value) == 1;
    char host[64] = "";
    const char *colon = strrchr(value, ':');
    if (!colon || (size_t)(colon - value) >= sizeof host)
        return false;
    memcpy(host, value, (size_t)(colon - value));
    target.sin_family = AF_INET;
    target.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    return inet_pton(AF_INET, host, &target.sin_addr) == 1;
}

int main(int argc, char **argv)
{
    long port = 0;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--guard")) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
        } else if (!strcmp(argv[i], "--log")) {
            with_log = true;
        } else if (i + 1 == argc || !set_option(argv[i], argv[i + 1], &port)) {
            fprintf(stderr, "fault_proxy: option %s is unknown, or its value is wrong\n", argv[i]);
            return 2;
        } else {
            i++;
        }
    }
    if (!target.sin_port) {
        fprintf(stderr, "fault_proxy: --to 127.0.0.1:PORT is needed\n");
        return 2;
    }
    static int listener; /* outlives main's frame, as the thread does */
    listener = listen_on((uint16_t)port);
    pthread_t thread;
    if (pthread_create(&thread, NULL, accept_all, &listener) != 0)
        return 1;
    int signal_number;
    sigwait(&ends, &signal_number);
    pthread_mutex_lock(&faults.lock);
    printf("%llu requests, %llu faults\n", (unsigned long long)faults.count,
           (unsigned long long)__atomic_load_n(&faults_done, __ATOMIC_RELAXED));
    fflush(stdout);
    _exit(0);
}

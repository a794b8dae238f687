/* SPDX-License-Identifier: Apache-2.0 */
/* The server. Two threads poll the completion queue and never block on work; handlers run on a pool of
 * workers, fed by a queue that is bounded: when it is full a call is answered UNAVAILABLE at once, which
 * callers retry.
 *
 * A call is a small state machine; each of its states is an event that the completion queue gives back:
 *
 *   ARRIVED   the call is here; another is asked for; its message is asked for, and to be told of its end
 *   MESSAGE   the request is here: a worker handles it and sends the answer
 *   FINISHED  the answer is sent
 *   CLOSED    the call is over for the other side, by whatever way
 *
 * It is freed when MESSAGE/FINISHED and CLOSED have both come (two references). Whoever holds a reference may
 * use it; only ARRIVED changes the method, only the worker the answer. */
#include "provisioner/server.h"

#include <errno.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/err.h"
#include "common/log.h"
#include "common/queue.h"
#include "common/timestamp.h"
#include "provisioner/endpoint.h"
#include "provisioner/status.h"

#define POLLERS 2
#define WAITING_MAX 256u /* calls that no worker has taken yet */

enum event_kind { ARRIVED, MESSAGE, FINISHED, CLOSED, EVENT_KINDS, STOPPED = EVENT_KINDS };

struct call;

/* What the completion queue carries: which call, and which of its states. */
struct event {
    enum event_kind kind;
    struct call *call;
};

struct server {
    grpc_server *grpc;
    grpc_completion_queue *completions;
    const struct method *methods;
    void *ctx;
    char path[ENDPOINT_SIZE];
    struct queue *waiting;
    atomic_uint waiting_count;
    pthread_t pollers[POLLERS];
    unsigned poller_count;
    pthread_t *workers;
    unsigned worker_count;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned active; /* calls that have arrived and are not freed; under the mutex */
    bool stopped;    /* all connections are closed; under the mutex */
};

struct call {
    struct server *server;
    atomic_int references;
    struct event events[EVENT_KINDS];
    grpc_call *grpc;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request;
    grpc_byte_buffer *response;
    grpc_slice status_message;
    const struct method *method;
    int cancelled;
};

static void count_active(struct server *server, int change)
{
    pthread_mutex_lock(&server->mutex);
    server->active += (unsigned)change;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

static void call_release(struct call *call)
{
    if (atomic_fetch_sub(&call->references, 1) > 1)
        return;
    if (call->grpc) {
        grpc_call_unref(call->grpc);
        count_active(call->server, -1);
    }
    if (call->request)
        grpc_byte_buffer_destroy(call->request);
    if (call->response)
        grpc_byte_buffer_destroy(call->response);
    grpc_slice_unref(call->status_message);
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
    free(call);
}

/* Asks for the next call. When memory is short one poller's turn is lost, not the server. */
static void await_call(struct server *server)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        log_error("out of memory: fewer calls are accepted at once");
        return;
    }
    call->server = server;
    call->references = 1;
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        call->events[kind] = (struct event){(enum event_kind)kind, call};
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    call->status_message = grpc_empty_slice();
    grpc_call_error problem =
        grpc_server_request_call(server->grpc, &call->grpc, &call->details, &call->metadata,
                                 server->completions, server->completions, &call->events[ARRIVED]);
    if (problem != GRPC_CALL_OK) { /* the server is stopping */
        call->grpc = NULL;
        call_release(call);
    }
}

/* Starts operations that complete as an event of the call. */
static void start(struct call *call, const grpc_op *operations, size_t count, enum event_kind kind)
{
    grpc_call_error problem = grpc_call_start_batch(call->grpc, operations, count, &call->events[kind], NULL);
    if (problem == GRPC_CALL_OK)
        return;
    log_error("a call to %s broke: %s", call->method ? call->method->path : "an unknown method",
              grpc_call_error_to_string(problem));
    grpc_call_cancel(call->grpc, NULL);
    call_release(call); /* the event will not come */
}

/* The answer: a message when the status is OK. Passes the reference on to FINISHED. */
static void answer(struct call *call, grpc_status_code status, const char *message,
                   const struct buf *response)
{
    grpc_op operations[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_STATUS_FROM_SERVER}};
    size_t count = 2;
    if (status == GRPC_STATUS_OK) {
        grpc_slice slice =
            grpc_slice_from_copied_buffer(response->data ? (const char *)response->data : "", response->size);
        call->response = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        operations[2].op = GRPC_OP_SEND_MESSAGE;
        operations[2].data.send_message.send_message = call->response;
        count = 3;
    }
    call->status_message = grpc_slice_from_copied_string(message);
    operations[1].data.send_status_from_server.status = status;
    operations[1].data.send_status_from_server.status_details = &call->status_message;
    start(call, operations, count, FINISHED);
}

static const struct method *find_method(const struct server *server, const grpc_slice *path)
{
    for (const struct method *method = server->methods; method->path; method++)
        if (!grpc_slice_str_cmp(*path, method->path))
            return method;
    return NULL;
}

/* A call is here. The reference of its arrival goes to its message, a second one to its end. */
static void on_arrival(struct call *call, bool success)
{
    if (!success) {
        call->grpc = NULL;
        call_release(call);
        return;
    }
    count_active(call->server, 1);
    await_call(call->server);
    atomic_fetch_add(&call->references, 1);
    const grpc_op end = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                         .data.recv_close_on_server.cancelled = &call->cancelled};
    start(call, &end, 1, CLOSED);
    call->method = find_method(call->server, &call->details.method);
    if (!call->method) {
        char message[256];
        snprintf(message, sizeof message, "this driver has no method %.*s",
                 (int)(GRPC_SLICE_LENGTH(call->details.method) < 200 ? GRPC_SLICE_LENGTH(call->details.method)
                                                                     : 200),
                 (const char *)GRPC_SLICE_START_PTR(call->details.method));
        answer(call, GRPC_STATUS_UNIMPLEMENTED, message, NULL);
        return;
    }
    const grpc_op message = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->request};
    start(call, &message, 1, MESSAGE);
}

/* The request is here: to the workers with it. */
static void on_message(struct call *call, bool success)
{
    struct server *server = call->server;
    if (!success || !call->request) {
        answer(call, GRPC_STATUS_INVALID_ARGUMENT, "the call came without a request message", NULL);
    } else if (atomic_fetch_add(&server->waiting_count, 1) >= WAITING_MAX) {
        atomic_fetch_sub(&server->waiting_count, 1);
        answer(call, GRPC_STATUS_UNAVAILABLE, "too many calls at once; try again", NULL);
    } else if (!queue_push(server->waiting, call)) {
        atomic_fetch_sub(&server->waiting_count, 1);
        answer(call, GRPC_STATUS_UNAVAILABLE, "the driver is stopping", NULL);
    }
}

/* The request's bytes, in one piece: *size of them at the result; NULL when memory is short. */
static uint8_t *request_bytes(const struct call *call, size_t *size)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, call->request))
        return NULL;
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    *size = GRPC_SLICE_LENGTH(slice);
    uint8_t *bytes = malloc(*size + 1);
    if (bytes)
        memcpy(bytes, GRPC_SLICE_START_PTR(slice), *size);
    grpc_slice_unref(slice);
    return bytes;
}

static void handle(struct call *call)
{
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf response = {0};
    size_t size = 0;
    CLEANUP(mem_free) uint8_t *request = request_bytes(call, &size);
    int result = request ? call->method->handle(call->server->ctx, request, size, &response, &e)
                         : err_no_memory(&e, "a request");
    if (request)
        explicit_bzero(request, size); /* it may hold secrets */
    if (result == 0 && buf_failed(&response))
        result = err_no_memory(&e, "a response");
    if (result < 0)
        log_info("%s: %s", call->method->path, e.message);
    answer(call, result < 0 ? status_of(e.code) : GRPC_STATUS_OK, result < 0 ? e.message : "", &response);
}

static void *work(void *ctx)
{
    struct server *server = ctx;
    for (struct call *call; (call = queue_pop(server->waiting));) {
        atomic_fetch_sub(&server->waiting_count, 1);
        handle(call);
    }
    return NULL;
}

static void on_stopped(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->stopped = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

static void *poll_completions(void *ctx)
{
    struct server *server = ctx;
    for (;;) {
        grpc_event completion =
            grpc_completion_queue_next(server->completions, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (completion.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct event *event = completion.tag;
        if (!event) {
            on_stopped(server);
            continue;
        }
        switch (event->kind) {
        case ARRIVED:
            on_arrival(event->call, completion.success);
            break;
        case MESSAGE:
            on_message(event->call, completion.success);
            break;
        default:
            call_release(event->call);
        }
    }
}

static void forward_log(gpr_log_func_args *args)
{
    log_message(args->severity == GPR_LOG_SEVERITY_ERROR ? NACRE_LOG_WARNING : NACRE_LOG_DEBUG,
                args->message);
}

/* Binds the socket so that it never has other permissions than 0600. The mask is the process's: nothing else
 * of this program makes files meanwhile. */
static int listen_on(struct server *server, struct nacre_err *e)
{
    char address[ENDPOINT_SIZE + 16];
    snprintf(address, sizeof address, "unix:%s", server->path);
    if (endpoint_clear(server->path, e) < 0)
        return -1;
    mode_t mask = umask(0177);
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int bound = grpc_server_add_http2_port(server->grpc, address, credentials);
    grpc_server_credentials_release(credentials);
    umask(mask);
    if (!bound)
        return err_set(e, NACRE_FAILED,
                       "cannot listen on %s; does its directory exist, and may this user write there?",
                       server->path);
    return 0;
}

static int start_threads(struct server *server, unsigned workers, struct nacre_err *e)
{
    for (; server->poller_count < POLLERS; server->poller_count++)
        if (pthread_create(&server->pollers[server->poller_count], NULL, poll_completions, server) != 0)
            return err_set(e, NACRE_FAILED, "cannot start a thread");
    for (; server->worker_count < workers; server->worker_count++)
        if (pthread_create(&server->workers[server->worker_count], NULL, work, server) != 0)
            return err_set(e, NACRE_FAILED, "cannot start a thread");
    return 0;
}

int server_start(const char *socket_path, const struct method *methods, void *ctx, unsigned workers,
                 struct server **out, struct nacre_err *e)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return err_no_memory(e, "a server");
    gpr_set_log_function(forward_log);
    grpc_init();
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->changed, NULL);
    server->methods = methods;
    server->ctx = ctx;
    snprintf(server->path, sizeof server->path, "%s", socket_path);
    server->waiting = queue_new(WAITING_MAX);
    server->workers = calloc(workers, sizeof *server->workers);
    server->grpc = grpc_server_create(NULL, NULL);
    server->completions = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->grpc, server->completions, NULL);
    int result = -1;
    if (!server->waiting || !server->workers)
        err_no_memory(e, "a server");
    else
        result = listen_on(server, e);
    grpc_server_start(server->grpc);
    if (result == 0)
        result = start_threads(server, workers, e);
    if (result < 0) {
        server_stop(server, 0);
        return -1;
    }
    for (int i = 0; i < 2 * POLLERS; i++)
        await_call(server);
    *out = server;
    return 0;
}

static bool no_calls(const struct server *server)
{
    return !server->active;
}

static bool is_stopped(const struct server *server)
{
    return server->stopped;
}

/* Waits until `over`, which is asked under the mutex; false when that took longer. */
static bool wait_until(struct server *server, bool (*over)(const struct server *), unsigned milliseconds)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += milliseconds / 1000;
    end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    pthread_mutex_lock(&server->mutex);
    while (!over(server) && pthread_cond_timedwait(&server->changed, &server->mutex, &end) != ETIMEDOUT)
        ;
    bool result = over(server);
    pthread_mutex_unlock(&server->mutex);
    return result;
}

void server_stop(struct server *server, unsigned grace_ms)
{
    if (!server)
        return;
    grpc_server_shutdown_and_notify(server->grpc, server->completions, NULL);
    if (server->poller_count && wait_until(server, no_calls, grace_ms))
        wait_until(server, is_stopped, 200); /* callers close their idle connections */
    grpc_server_cancel_all_calls(server->grpc);
    if (server->waiting)
        queue_close(server->waiting); /* what still waits is handled; then the workers end */
    for (unsigned i = 0; i < server->worker_count; i++)
        pthread_join(server->workers[i], NULL);
    while (server->poller_count && !wait_until(server, is_stopped, 1000))
        grpc_server_cancel_all_calls(server->grpc);
    grpc_completion_queue_shutdown(server->completions);
    if (!server->poller_count)
        poll_completions(server);
    for (unsigned i = 0; i < server->poller_count; i++)
        pthread_join(server->pollers[i], NULL);
    grpc_server_destroy(server->grpc);
    grpc_completion_queue_destroy(server->completions);
    grpc_shutdown_blocking();
    queue_free(server->waiting);
    free(server->workers);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One request after another over libcurl's easy interface.
 *
 * A handle keeps its connections when it is reset, so the pool of handles is the pool of connections: the one
 * given back last is taken first, which keeps few of them warm. libcurl does not let handles of several
 * threads share connections; names looked up and TLS sessions they do share, under a mutex per kind. */
#include <curl/curl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/option.h"
#include "common/timestamp.h"
#include "common/wipe.h"
#include "http/encode.h"
#include "http/http.h"

#define IDLE_MAX 64
#define HEADERS_MAX ((size_t)64 << 10)
#define RETRY_AFTER_MAX_S 86400
#define EXPECT_WAIT_MS 300L

struct http {
    CURLSH *share;
    pthread_mutex_t share_mutex[CURL_LOCK_DATA_LAST];
    pthread_mutex_t pool_mutex;
    CURL *idle[IDLE_MAX];
    size_t idle_count;
    char *ca_file, *proxy; /* NULL = not given */
    long connect_seconds, stall_seconds;
    bool reached; /* an answer came, ever */
    bool (*cancelled)(void);
};

/* One request that is being made. */
struct exchange {
    struct http *http;
    const struct http_request *request;
    struct http_response *response;
    CURL *curl;
    uint64_t sent, received;
    bool begun;
    bool failed; /* error is set: source, sink, bounds, cancelled */
    struct nacre_err error;
    char reason[CURL_ERROR_SIZE];
};

static void share_lock(CURL *curl, curl_lock_data kind, curl_lock_access access, void *ctx)
{
    (void)curl;
    (void)access;
    pthread_mutex_lock(&((struct http *)ctx)->share_mutex[kind]);
}

static void share_unlock(CURL *curl, curl_lock_data kind, void *ctx)
{
    (void)curl;
    pthread_mutex_unlock(&((struct http *)ctx)->share_mutex[kind]);
}

static int read_seconds(const struct nacre_config *config, const char *key, long *out, struct nacre_err *e)
{
    const char *text = option_text(config, key);
    if (!text)
        return 0;
    char *end;
    long value = strtol(text, &end, 10);
    if (!*text || *end || value < 1 || value > 3600)
        return err_set(e, NACRE_INVALID, "%s is \"%.100s\"; expected 1 to 3600 seconds", key, text);
    *out = value;
    return 0;
}

static int read_options(struct http *http, const struct nacre_config *config, struct nacre_err *e)
{
    const char *ca_file = option_text(config, "ca-file"), *proxy = option_text(config, "proxy");
    if (read_seconds(config, "connect-timeout", &http->connect_seconds, e) < 0 ||
        read_seconds(config, "stall-timeout", &http->stall_seconds, e) < 0)
        return -1;
    if (ca_file && access(ca_file, R_OK) != 0)
        return err_set(e, NACRE_INVALID, "ca-file: %s cannot be read", ca_file);
    if (proxy && !strcmp(proxy, "none"))
        proxy = "";
    http->ca_file = ca_file ? strdup(ca_file) : NULL;
    http->proxy = proxy ? strdup(proxy) : NULL;
    if ((ca_file && !http->ca_file) || (proxy && !http->proxy))
        return err_no_memory(e, "an HTTP client");
    return 0;
}

static pthread_once_t started = PTHREAD_ONCE_INIT;
static CURLcode start_result;

static void start_curl(void)
{
    /* Headers and bodies hold keys and tokens. */
    start_result = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_free, wipe_realloc, strdup, calloc);
}

int http_open(const struct nacre_config *config, struct http **out, struct nacre_err *e)
{
    pthread_once(&started, start_curl);
    if (start_result != CURLE_OK)
        return err_set(e, NACRE_FAILED, "libcurl cannot start: %s", curl_easy_strerror(start_result));
    struct http *http = calloc(1, sizeof *http);
    if (!http)
        return err_no_memory(e, "an HTTP client");
    *http = (struct http){.connect_seconds = 20, .stall_seconds = 60, .cancelled = config->cancelled};
    pthread_mutex_init(&http->pool_mutex, NULL);
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&http->share_mutex[i], NULL);
    http->share = curl_share_init();
    if (!http->share || read_options(http, config, e) < 0) {
        if (!http->share)
            err_no_memory(e, "an HTTP client");
        http_free(http);
        return -1;
    }
    curl_share_setopt(http->share, CURLSHOPT_USERDATA, http);
    curl_share_setopt(http->share, CURLSHOPT_LOCKFUNC, share_lock);
    curl_share_setopt(http->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
    curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(http->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    *out = http;
    return 0;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    for (size_t i = 0; i < http->idle_count; i++)
        curl_easy_cleanup(http->idle[i]);
    curl_share_cleanup(http->share);
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_destroy(&http->share_mutex[i]);
    pthread_mutex_destroy(&http->pool_mutex);
    free(http->ca_file);
    free(http->proxy);
    free(http);
}

static CURL *take_handle(struct http *http)
{
    pthread_mutex_lock(&http->pool_mutex);
    CURL *curl = http->idle_count ? http->idle[--http->idle_count] : NULL;
    pthread_mutex_unlock(&http->pool_mutex);
    return curl ? curl : curl_easy_init();
}

static void give_handle(struct http *http, CURL *curl)
{
    curl_easy_reset(curl); /* the connections stay; what was set, secrets included, goes */
    pthread_mutex_lock(&http->pool_mutex);
    if (http->idle_count < IDLE_MAX) {
        http->idle[http->idle_count++] = curl;
        curl = NULL;
    }
    pthread_mutex_unlock(&http->pool_mutex);
    if (curl)
        curl_easy_cleanup(curl);
}

static size_t on_read(char *room, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    const struct http_request *r = x->request;
    uint64_t left = r->body_size - x->sent;
    size_t part = size * count < left ? size * count : (size_t)left;
    if (part && nacre_input_send(r->body, r->body_offset + x->sent, room, part, &x->error) < 0) {
        x->failed = true;
        return CURL_READFUNC_ABORT;
    }
    x->sent += part;
    return part;
}

/* Called before each time that libcurl sends the request. It begins anew, without a word, when a kept
 * connection ends before the answer: but then the service may have done what was asked, and what comes of
 * doing it again is not the answer. A reader may have it so; all else is for who knows that it is tried
 * again. */
/* NOLINTNEXTLINE(readability-non-const-parameter) libcurl's type */
static int on_begin(void *ctx, char *remote, char *local, int remote_port, int local_port)
{
    struct exchange *x = ctx;
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    bool again = x->begun && !x->response->headers.size; /* after an answer it is libcurl's good right */
    x->begun = true;
    if (!again || !strcmp(x->request->method, "GET") || !strcmp(x->request->method, "HEAD"))
        return CURL_PREREQFUNC_OK;
    x->failed = true;
    err_set(&x->error, NACRE_TRANSIENT, "the connection ended before the answer");
    return CURL_PREREQFUNC_ABORT;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct exchange *x = ctx;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->request->body_size)
        return CURL_SEEKFUNC_FAIL;
    x->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    struct buf *headers = &x->response->headers;
    size_t all = size * count, end = all;
    while (end && (line[end - 1] == '\n' || line[end - 1] == '\r'))
        end--;
    if (end > 5 && !memcmp(line, "HTTP/", 5))
        buf_clear(headers); /* of an interim answer, or a proxy's */
    if (headers->size + end > HEADERS_MAX) {
        x->failed = true;
        err_set(&x->error, NACRE_TRANSIENT, "the answer's headers are longer than %zu bytes", HEADERS_MAX);
        return 0;
    }
    buf_append(headers, line, end);
    buf_char(headers, '\n');
    return all;
}

static size_t on_write(char *data, size_t size, size_t count, void *ctx)
{
    struct exchange *x = ctx;
    const struct http_request *r = x->request;
    struct buf *body = &x->response->body;
    size_t all = size * count;
    long status = 0;
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299) {
        size_t room = HTTP_ERROR_MAX - body->size;
        buf_append(body, data, all < room ? all : room);
        return all;
    }
    x->received += all;
    if (x->received > r->expected) {
        x->failed = true;
        err_set(&x->error, NACRE_TRANSIENT, "the answer is longer than it should be");
    } else if (r->sink) {
        x->failed = r->sink(r->sink_ctx, data, all, &x->error) < 0;
    } else if (body->size + all > HTTP_BODY_MAX) {
        x->failed = true;
        err_set(&x->error, NACRE_FAILED, "the answer is longer than %zu bytes", HTTP_BODY_MAX);
    } else {
        buf_append(body, data, all);
    }
    return x->failed ? 0 : all;
}

/* Called at least once a second. */
static int on_progress(void *ctx, curl_off_t total_down, curl_off_t down, curl_off_t total_up, curl_off_t up)
{
    struct exchange *x = ctx;
    (void)total_down;
    (void)down;
    (void)total_up;
    (void)up;
    if (!x->http->cancelled || !x->http->cancelled())
        return 0;
    x->failed = true;
    err_set(&x->error, NACRE_CANCELLED, "stopped on request");
    return 1;
}

static void set_body(CURL *curl, struct exchange *x)
{
    const struct http_request *r = x->request;
    if (!strcmp(r->method, "HEAD")) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (r->body) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, x);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, x);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body_size);
        curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_WAIT_MS);
        curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    } else if (!strcmp(r->method, "PUT") || !strcmp(r->method, "POST")) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, strcmp(r->method, "HEAD") ? r->method : NULL);
}

static void set_network(CURL *curl, const struct http *http, const struct http_request *r)
{
    curl_easy_setopt(curl, CURLOPT_SHARE, http->share);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, http->connect_seconds);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, http->stall_seconds);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
    if (http->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca_file);
    if (r->no_proxy || http->proxy)
        curl_easy_setopt(curl, CURLOPT_PROXY, r->no_proxy ? "" : http->proxy);
}

static void set_all(struct exchange *x, struct curl_slist *lines)
{
    const struct http_request *r = x->request;
    CURL *curl = x->curl;
    set_network(curl, x->http, r);
    set_body(curl, x);
    curl_easy_setopt(curl, CURLOPT_URL, r->url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "nacre/" NACRE_VERSION);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_begin);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, x);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, x->reason);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, r->aws_sigv4);
    curl_easy_setopt(curl, CURLOPT_USERNAME, r->user);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, r->password);
}

/* "GET https://host:1/path", without user and query. */
static void describe(const struct http_request *r, char out[400])
{
    const char *host = strstr(r->url, "://"), *at;
    host = host ? host + 3 : r->url;
    at = memchr(host, '@', strcspn(host, "/?#"));
    snprintf(out, 400, "%s %.*s%.*s", r->method, (int)(host - r->url), r->url,
             (int)strcspn(at ? at + 1 : host, "?#"), at ? at + 1 : host);
}

/* Whether the name's own servers say that it does not exist, rather than that they were not reached. */
static bool name_is_unknown(const char *url)
{
    CLEANUP(mem_free) char *host = NULL;
    struct addrinfo *found = NULL;
    CURLU *parsed = curl_url();
    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK) {
        char *part = NULL;
        if (curl_url_get(parsed, CURLUPART_HOST, &part, 0) == CURLUE_OK)
            host = strdup(part);
        curl_free(part);
    }
    curl_url_cleanup(parsed);
    int error = host ? getaddrinfo(host, NULL, NULL, &found) : 0;
    if (found)
        freeaddrinfo(found);
    return error == EAI_NONAME || error == EAI_NODATA;
}

static enum nacre_code code_of(const struct exchange *x, CURLcode code, const char **advice)
{
    *advice = "";
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        if (__atomic_load_n(&x->http->reached, __ATOMIC_RELAXED) || !name_is_unknown(x->request->url))
            return NACRE_TRANSIENT;
        *advice = "; check the spelling of account, bucket and endpoint";
        return NACRE_FAILED;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_AGAIN:
        return NACRE_TRANSIENT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        *advice =
            "; when the service's certificate is of an authority of your own, give its PEM file as ca-file";
        return NACRE_FAILED;
    case CURLE_URL_MALFORMAT:
        return NACRE_INVALID;
    case CURLE_UNSUPPORTED_PROTOCOL: /* also of an answer that is no HTTP */
        return strncmp(x->request->url, "http", 4) ? NACRE_INVALID : NACRE_TRANSIENT;
    default:
        return NACRE_FAILED;
    }
}

static int fail(const struct exchange *x, CURLcode code, struct nacre_err *e)
{
    char what[400];
    const char *advice;
    describe(x->request, what);
    if (x->failed) {
        *e = x->error;
        return e->code == NACRE_CANCELLED ? -1 : err_wrap(e, "%s", what);
    }
    enum nacre_code meaning = code_of(x, code, &advice);
    return err_set(e, meaning, "%s: %s%s", what, *x->reason ? x->reason : curl_easy_strerror(code), advice);
}

static uint32_t retry_after(const struct http_response *response)
{
    CLEANUP(buf_free) struct buf text = {0};
    if (!http_response_header(response, "Retry-After", &text) || buf_failed(&text))
        return 0;
    char *end;
    const char *value = text.size ? (const char *)text.data : "";
    int64_t seconds = strtol(value, &end, 10);
    if (end == value || *end) {
        seconds = decode_http_date(value);
        seconds = seconds < 0 ? 0 : seconds - (int64_t)time(NULL);
    }
    seconds = seconds < 0 ? 0 : seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : seconds;
    return (uint32_t)seconds * 1000;
}

/* After a complete answer. */
static int finish(struct exchange *x, struct nacre_err *e)
{
    struct http_response *response = x->response;
    const struct http_request *r = x->request;
    long status = 0;
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    response->status = (int)status;
    response->retry_after_ms = retry_after(response);
    __atomic_store_n(&x->http->reached, true, __ATOMIC_RELAXED);
    if (buf_failed(&response->headers) || buf_failed(&response->body))
        return err_no_memory(e, "a service's answer");
    bool success = status >= 200 && status <= 299;
    if (success && r->expected != NACRE_TO_END && x->received != r->expected &&
        strcmp(r->method, "HEAD") != 0)
        return err_set(e, NACRE_TRANSIENT, "the answer ended after %llu of %llu bytes",
                       (unsigned long long)x->received, (unsigned long long)r->expected);
    return 0;
}

static int run(struct exchange *x, struct curl_slist *lines, struct nacre_err *e)
{
    char what[400];
    int64_t began = timestamp_elapsed();
    set_all(x, lines);
    CURLcode code = curl_easy_perform(x->curl);
    int result = code == CURLE_OK ? finish(x, e) : fail(x, code, e);
    describe(x->request, what);
    log_debug("%s: %d, %llu bytes sent, %llu received, %lld ms%s%s", what, x->response->status,
              (unsigned long long)x->sent, (unsigned long long)x->received,
              (long long)((timestamp_elapsed() - began) / 1000000), result < 0 ? ": " : "",
              result < 0 ? e->message : "");
    return result;
}

int http_perform(struct http *http, const struct http_request *request, struct http_response *response,
                 struct nacre_err *e)
{
    struct exchange x = {.http = http, .request = request, .response = response};
    struct curl_slist *lines = NULL;
    bool complete = !request->headers || !request->headers->failed;
    for (size_t i = 0; complete && request->headers && i < request->headers->count; i++) {
        struct curl_slist *longer = curl_slist_append(lines, request->headers->lines[i]);
        complete = longer != NULL;
        lines = longer ? longer : lines;
    }
    *response = (struct http_response){0};
    x.curl = complete ? take_handle(http) : NULL;
    int result = x.curl ? run(&x, lines, e) : err_no_memory(e, "an HTTP request");
    if (x.curl)
        give_handle(http, x.curl);
    for (struct curl_slist *line = lines; line; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(lines);
    if (result < 0)
        http_response_free(response);
    return result;
}

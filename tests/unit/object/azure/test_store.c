/* SPDX-License-Identifier: Apache-2.0 */
/* The store against a service that answers as a test wants: pages, blocks, checksums, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "azure/azure.h"
#include "common/err.h"
#include "http/encode.h"
#include "server.h"

#define SIGNATURE "dG9wc2VjcmV0"
#define SAS "sv=2021-12-02&sp=rl&se=2099-01-01&sig=" SIGNATURE

extern const struct nacre_object_store_plugin nacre_object_store_plugin;

/* Each request's answer is made by `serve`; `seen` is what the test looks at afterwards. */
struct service {
    server_handler *serve;
    struct server *server;
    unsigned blocks, lists, refused;
    char conditions[64];
    bool secret_in_header;
    char sas_file[64];
};

static void serve(void *ctx, const struct served *s, struct answer *answer)
{
    struct service *service = ctx;
    service->secret_in_header |= strstr(s->headers, SIGNATURE) != NULL;
    if (!strstr(s->target, "sig=" SIGNATURE))
        answer_text(answer, 403, "x-ms-error-code: AuthenticationFailed\r\n", "");
    else
        service->serve(service, s, answer);
}

static struct nacre_object_store *open_store(struct service *service, server_handler *handler)
{
    struct nacre_err e = {0};
    struct nacre_object_store *store = NULL;
    *service = (struct service){.serve = handler, .sas_file = "/tmp/nacre-azure-sas-XXXXXX"};
    int fd = mkstemp(service->sas_file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "?" SAS "\n", strlen(SAS) + 2), strlen(SAS) + 2);
    close(fd);
    service->server = server_start(serve, service);
    const struct nacre_option options[] = {{"endpoint", server_url(service->server)},
                                           {"account", "one"},
                                           {"sas-file", service->sas_file},
                                           {"block-size", "65536"}};
    const struct nacre_config config = {.size = sizeof config, .options = options, .option_count = 4};
    if (nacre_object_store_plugin.open("azblob://box/at/", &config, &store, &e) < 0)
        fail_msg("%s", e.message);
    return store;
}

static void close_store(struct service *service, struct nacre_object_store *store)
{
    store->ops->close(store);
    server_stop(service->server);
    unlink(service->sas_file);
    assert_false(service->secret_in_header);
}

static void assert_failed(const struct nacre_err *e, enum nacre_code code, const char *words)
{
    if (e->code != code || !strstr(e->message, words) || strstr(e->message, SIGNATURE))
        fail_msg("%s: %s (expected %s with \"%s\")", err_code_name(e->code), e->message, err_code_name(code),
                 words);
}

/* Answers with the status and the error code that the object's name has: "403-Code". The header Date is of
 * the past when the name ends in "-late". */
static void serve_error(void *ctx, const struct served *s, struct answer *answer)
{
    char headers[256], date[HTTP_DATE_SIZE], *code = NULL;
    const char *at = strstr(s->target, "/at/");
    (void)ctx;
    assert_non_null(at);
    int status = (int)strtol(at + 4, &code, 10);
    assert_int_equal(*code, '-');
    code++;
    encode_http_date((int64_t)time(NULL) - (strstr(at, "-late") ? 3600 : 0), date);
    snprintf(headers, sizeof headers, "Date: %s\r\nx-ms-error-code: %.*s\r\nRetry-After: 3\r\n", date,
             (int)strcspn(code, "-?"), code);
    answer_text(answer, status, headers, "");
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum nacre_code code;
        const char *words;
    } cases[] = {
        {"404-BlobNotFound", NACRE_ABSENT, "BlobNotFound"},
        {"404-ContainerNotFound", NACRE_FAILED, "there is no container box in account one"},
        {"409-ContainerBeingDeleted", NACRE_FAILED, "is being deleted"},
        {"403-AuthenticationFailed", NACRE_DENIED, "signature is not valid"},
        {"403-AuthenticationFailed-late", NACRE_DENIED, "the clock of this machine is 3600 s ahead of"},
        {"403-AuthorizationPermissionMismatch", NACRE_DENIED, "sp=rl, which lacks"},
        {"403-AuthorizationFailure", NACRE_DENIED, "firewall"},
        {"403-AuthorizationResourceTypeMismatch", NACRE_DENIED, "srt=co"},
        {"403-AccountIsDisabled", NACRE_DENIED, "subscription"},
        {"403-KeyBasedAuthenticationNotPermitted", NACRE_DENIED, "managed identity"},
        {"412-LeaseIdMissing", NACRE_BUSY, "lease"},
        {"409-BlobArchived", NACRE_FAILED, "archive"},
        {"409-SomethingNew", NACRE_FAILED, "SomethingNew"},
        {"503-ServerBusy", NACRE_THROTTLED, "ServerBusy"},
        {"500-OperationTimedOut", NACRE_TRANSIENT, "OperationTimedOut"},
        {"500-InternalError", NACRE_TRANSIENT, "InternalError"},
        {"507-SomethingElse", NACRE_NO_SPACE, "SomethingElse"},
    };
    struct service service;
    struct nacre_object_store *store = open_store(&service, serve_error);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nacre_err e = {0};
        struct nacre_object_info info;
        assert_int_equal(store->ops->stat(store, cases[i].name, &info, &e), -1);
        assert_failed(&e, cases[i].code, cases[i].words);
        assert_int_equal(e.retry_after_ms, cases[i].code == NACRE_THROTTLED ? 3000 : 0);
        e = (struct nacre_err){0};
        assert_int_equal(store->ops->remove(store, cases[i].name, &e), -1);
        assert_failed(&e, cases[i].code, cases[i].words);
    }
    close_store(&service, store);
}

/* Seven objects in pages of three, with an empty page, as the service may send. */
static void serve_pages(void *ctx, const struct served *s, struct answer *answer)
{
    struct service *service = ctx;
    static const char pages[4][8] = {"a b/1 c", "", "d e f", "g"};
    CLEANUP(buf_free) struct buf body = {0};
    const char *marker = strstr(s->target, "&marker=");
    size_t number = marker ? strtoul(marker + 8, NULL, 10) : 0;
    service->lists++;
    assert_true(number < 4);
    assert_non_null(strstr(s->target, "/box?restype=container&comp=list"));
    assert_non_null(strstr(s->target, "&prefix=at%2F"));
    buf_string(&body, "<EnumerationResults><Blobs>");
    for (const char *name = pages[number]; *name; name += strcspn(name, " "), name += *name == ' ') {
        buf_string(&body, "<Blob><Name>at/");
        buf_append(&body, name, strcspn(name, " "));
        buf_string(&body, "</Name><Properties><Content-Length>5</Content-Length></Properties></Blob>");
    }
    buf_string(&body, "</Blobs><NextMarker>");
    if (number < 3)
        buf_printf(&body, "%zu &amp;", number + 1);
    buf_string(&body, "</NextMarker></EnumerationResults>");
    answer_text(answer, 200, "", (char *)body.data);
}

static int collect(void *ctx, const struct nacre_object_info *info)
{
    struct buf *names = ctx;
    buf_printf(names, "%s ", info->name);
    return *info->name == 'd';
}

static int collect_all(void *ctx, const struct nacre_object_info *info)
{
    buf_printf(ctx, "%s ", info->name);
    return 0;
}

static void listings(void **state)
{
    (void)state;
    struct service service;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf names = {0};
    struct nacre_object_store *store = open_store(&service, serve_pages);
    assert_int_equal(store->ops->list(store, "", collect_all, &names, &e), 0);
    assert_string_equal((char *)names.data, "a b/1 c d e f g ");
    assert_int_equal(service.lists, 4);
    buf_clear(&names);
    assert_int_equal(store->ops->list(store, "", collect, &names, &e), 0);
    assert_string_equal((char *)names.data, "a b/1 c d ");
    assert_int_equal(service.lists, 7);
    close_store(&service, store);
}

/* A directory's order over two pages cannot be mended: it must not be passed over. */
static void serve_disorder(void *ctx, const struct served *s, struct answer *answer)
{
    (void)ctx;
    answer_text(
        answer, 200, "",
        strstr(s->target, "&marker=")
            ? "<EnumerationResults><Blobs><Blob><Name>at/a-b</Name><Properties><Content-Length>1"
              "</Content-Length></Properties></Blob></Blobs></EnumerationResults>"
            : "<EnumerationResults><Blobs><Blob><Name>at/a/b</Name><Properties><Content-Length>1"
              "</Content-Length></Properties></Blob></Blobs><NextMarker>1</NextMarker></EnumerationResults>");
}

static void disorder(void **state)
{
    (void)state;
    struct service service;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf names = {0};
    struct nacre_object_store *store = open_store(&service, serve_disorder);
    assert_int_equal(store->ops->list(store, "", collect_all, &names, &e), -1);
    assert_failed(&e, NACRE_UNSUPPORTED, "hierarchical namespace");
    close_store(&service, store);
}

/* The second block is refused twice, as by a busy service; the list answers by the name. */
static void serve_blocks(void *ctx, const struct served *s, struct answer *answer)
{
    struct service *service = ctx;
    if (!strcmp(s->method, "HEAD")) {
        answer_text(answer, strstr(s->target, "/lost") ? 200 : 404, "", "");
    } else if (strstr(s->target, "comp=block&")) {
        if (service->blocks == 1 && service->refused++ < 2) {
            answer_text(answer, 503, "x-ms-error-code: ServerBusy\r\n", "");
            return;
        }
        service->blocks++;
        answer_text(answer, 201, "", "");
    } else {
        assert_non_null(strstr(s->target, "comp=blocklist"));
        assert_true(
            served_header(s, "x-ms-blob-content-md5", service->conditions, sizeof service->conditions));
        if (!served_header(s, "If-None-Match", service->conditions, sizeof service->conditions))
            service->conditions[0] = '\0';
        service->lists++;
        bool whole = strstr(s->target, "/whole") != NULL;
        answer_text(answer, whole ? 201 : 400, whole ? "" : "x-ms-error-code: InvalidBlockList\r\n", "");
    }
}

static void blocks(void **state)
{
    (void)state;
    struct service service;
    struct nacre_err e = {0};
    static const char data[200000] = "x";
    const struct nacre_input input = {.size = sizeof data, .data = data};
    struct nacre_object_store *store = open_store(&service, serve_blocks);
    assert_int_equal(store->ops->put(store, "whole", &input, &e), 0);
    assert_int_equal(service.blocks, 4);
    assert_int_equal(service.refused, 3);
    assert_int_equal(service.lists, 1);
    assert_string_equal(service.conditions, "");
    assert_int_equal(store->ops->put_if_absent(store, "whole", &input, &e), 0);
    assert_string_equal(service.conditions, "*");
    /* Another writer's commit dropped our blocks: the name is taken, or it is worth another try. */
    assert_int_equal(store->ops->put_if_absent(store, "lost", &input, &e), -1);
    assert_int_equal(e.code, NACRE_EXISTS);
    assert_int_equal(store->ops->put_if_absent(store, "free", &input, &e), -1);
    assert_failed(&e, NACRE_TRANSIENT, "InvalidBlockList");
    assert_int_equal(store->ops->put(store, "lost", &input, &e), -1);
    assert_failed(&e, NACRE_TRANSIENT, "InvalidBlockList");
    close_store(&service, store);
}

/* Answers writes and reads with a checksum that is right for "good" and wrong for all else; names say how a
 * read goes wrong. */
static void serve_bytes(void *ctx, const struct served *s, struct answer *answer)
{
    (void)ctx;
    char sent[64] = "", text[128];
    if (!strcmp(s->method, "PUT")) {
        assert_true(served_header(s, "Content-MD5", sent, sizeof sent));
        snprintf(text, sizeof text, "Content-MD5: %s\r\n", strstr(s->target, "/good") ? sent : "AAAA");
        answer_text(answer, 201, text, "");
    } else if (strstr(s->target, "/good")) {
        answer_text(answer, 200, "Content-MD5: XUFAKrxLKna5cZ2REBfFkg==\r\n", "hello");
    } else if (strstr(s->target, "/flipped")) {
        answer_text(answer, 200, "Content-MD5: XUFAKrxLKna5cZ2REBfFkg==\r\n", "hellp");
    } else if (strstr(s->target, "/no-range")) {
        answer_text(answer, 200, "", "hello");
    } else if (strstr(s->target, "/cut")) {
        answer_text(answer, 206, "Content-Range: bytes 1-3/100\r\n", "ell");
    } else {
        answer_text(answer, 206, "Content-Range: bytes 1-3/4\r\n", "ell");
    }
}

static int swallow(void *ctx, const void *data, size_t len, struct nacre_err *e)
{
    (void)e;
    buf_append(ctx, data, len);
    return 0;
}

static void checksums(void **state)
{
    (void)state;
    struct service service;
    struct nacre_err e = {0};
    CLEANUP(buf_free) struct buf got = {0};
    const struct nacre_input input = {.size = 5, .data = "hello"};
    struct nacre_object_store *store = open_store(&service, serve_bytes);
    assert_int_equal(store->ops->put(store, "good", &input, &e), 0);
    assert_int_equal(store->ops->put(store, "bad", &input, &e), -1);
    assert_failed(&e, NACRE_TRANSIENT, "other bytes");
    assert_int_equal(store->ops->get(store, "good", 0, NACRE_TO_END, swallow, &got, &e), 0);
    assert_string_equal((char *)got.data, "hello");
    assert_int_equal(store->ops->get(store, "flipped", 0, NACRE_TO_END, swallow, &got, &e), -1);
    assert_failed(&e, NACRE_CORRUPT, "checksum");
    assert_int_equal(store->ops->get(store, "no-range", 1, 3, swallow, &got, &e), -1);
    assert_failed(&e, NACRE_UNSUPPORTED, "range");
    assert_int_equal(store->ops->get(store, "cut", 1, 30, swallow, &got, &e), -1);
    assert_failed(&e, NACRE_TRANSIENT, "3 bytes came of 30");
    assert_int_equal(store->ops->get(store, "short", 1, 30, swallow, &got, &e), -1);
    assert_failed(&e, NACRE_INVALID, "ends before");
    close_store(&service, store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals), cmocka_unit_test(listings),  cmocka_unit_test(disorder),
        cmocka_unit_test(blocks),   cmocka_unit_test(checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

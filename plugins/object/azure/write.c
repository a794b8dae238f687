/* SPDX-License-Identifier: Apache-2.0 */
/* Writing. An object of up to block-size goes out in one request, which either is carried out whole or not at
 * all. A larger one goes out in blocks, which nobody sees until the list of them is committed: the object
 * appears, or is replaced, in that moment. Each block is read from the input as it is sent.
 *
 * The service compares each body with the MD5 that is sent along. With the list the MD5 of the whole object
 * is stored, which readers get with it.
 *
 * A block that fails is sent again here, a few times: the wrapper `retry` could only begin the whole object
 * again. What a writer that died has sent is dropped by the service after a week, or when the object is
 * written.
 *
 * Block ids begin with a number made for this writing, so that racing writers of a name do not mix. */
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "azure.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "http/encode.h"

#define BLOCK_TRIES 5
#define BLOCK_WAIT_MS 250u
#define RETRY_AFTER_MAX_MS 60000u

struct writing {
    const struct azure_store *store;
    const char *name;
    const struct nacre_input *input;
    bool if_absent;
    uint64_t block_size;
    uint64_t nonce;
};

int azure_md5(const struct nacre_input *input, uint64_t offset, uint64_t size, char out[AZURE_MD5_SIZE],
              struct nacre_err *e)
{
    uint8_t md5[MD5_SIZE];
    CLEANUP(buf_free) struct buf text = {0};
    const struct digests digests = {.md5 = md5};
    if (digest_input(input, offset, size, &digests, e) < 0)
        return -1;
    encode_base64(&text, md5, sizeof md5);
    if (buf_failed(&text) || text.size != AZURE_MD5_SIZE - 1)
        return err_no_memory(e, "a checksum");
    memcpy(out, text.data, AZURE_MD5_SIZE);
    return 0;
}

int azure_check_md5(const struct http_response *response, const char *expected, const char *name,
                    struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf stored = {0};
    if (!http_response_header(response, "Content-MD5", &stored))
        return 0; /* it compared, or it would have refused */
    if (!buf_failed(&stored) && stored.size && !strcmp((const char *)stored.data, expected))
        return 0;
    return err_set(e, NACRE_TRANSIENT, "object %s: the service stored other bytes than were sent", name);
}

static void add_condition(const struct writing *w, struct http_headers *headers)
{
    if (w->if_absent)
        http_header_add(headers, "If-None-Match", "*");
}

static int put_whole(const struct writing *w, struct nacre_err *e)
{
    char md5[AZURE_MD5_SIZE];
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(http_response_free) struct http_response response = {0};
    if (azure_md5(w->input, 0, w->input->size, md5, e) < 0)
        return -1;
    http_header_add(&headers, "x-ms-blob-type", "BlockBlob");
    http_header_add(&headers, "Content-Type", "application/octet-stream");
    http_header_add(&headers, "Content-MD5", "%s", md5);
    add_condition(w, &headers);
    const struct azure_request request = {.method = "PUT",
                                          .name = w->name,
                                          .headers = &headers,
                                          .body = w->input,
                                          .body_size = w->input->size,
                                          .needs = w->if_absent ? "c" : "w"};
    if (azure_perform(w->store, &request, &response, e) < 0)
        return -1;
    return azure_check_md5(&response, md5, w->name, e);
}

/* Of equal length for all blocks of a blob, as the service wants. */
#define BLOCK_ID_SIZE 33
static void block_id(const struct writing *w, uint64_t number, char out[BLOCK_ID_SIZE])
{
    uint8_t bytes[24] = {0};
    CLEANUP(buf_free) struct buf text = {0};
    snprintf((char *)bytes, sizeof bytes, "%016" PRIx64 "%06" PRIx64, w->nonce, number);
    encode_base64(&text, bytes, sizeof bytes);
    snprintf(out, BLOCK_ID_SIZE, "%s", buf_failed(&text) ? "" : (const char *)text.data);
}

static uint64_t size_of_block(const struct writing *w, uint64_t number)
{
    uint64_t left = w->input->size - number * w->block_size;
    return left < w->block_size ? left : w->block_size;
}

static int send_block(const struct writing *w, uint64_t number, struct nacre_err *e)
{
    char md5[AZURE_MD5_SIZE], id[BLOCK_ID_SIZE];
    uint64_t offset = number * w->block_size, size = size_of_block(w, number);
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(http_response_free) struct http_response response = {0};
    block_id(w, number, id);
    if (azure_md5(w->input, offset, size, md5, e) < 0)
        return -1;
    http_header_add(&headers, "Content-MD5", "%s", md5);
    const struct azure_request request = {.method = "PUT",
                                          .name = w->name,
                                          .query = {{"comp", "block"}, {"blockid", id}},
                                          .query_count = 2,
                                          .headers = &headers,
                                          .body = w->input,
                                          .body_offset = offset,
                                          .body_size = size,
                                          .needs = w->if_absent ? "c" : "w"};
    if (azure_perform(w->store, &request, &response, e) < 0)
        return -1;
    return azure_check_md5(&response, md5, w->name, e);
}

static int wait_before_again(const struct writing *w, unsigned attempt, struct nacre_err *e)
{
    uint32_t random = 0;
    uint64_t wait = (uint64_t)BLOCK_WAIT_MS << attempt;
    uint64_t asked = e->retry_after_ms < RETRY_AFTER_MAX_MS ? e->retry_after_ms : RETRY_AFTER_MAX_MS;
    if (getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random)
        wait = random % (wait + 1);
    struct nacre_err stopped;
    if (cancel_sleep(wait < asked ? asked : wait, w->store->cancelled, &stopped) == 0)
        return 0;
    *e = stopped;
    return -1;
}

static int put_block(const struct writing *w, uint64_t number, struct nacre_err *e)
{
    for (unsigned attempt = 1;; attempt++) {
        e->retry_after_ms = 0;
        if (send_block(w, number, e) == 0)
            return 0;
        if (attempt == BLOCK_TRIES || (e->code != NACRE_TRANSIENT && e->code != NACRE_THROTTLED))
            return -1;
        log_debug("azure: a block of %s is sent again: %s", w->name, e->message);
        if (wait_before_again(w, attempt, e) < 0)
            return -1;
    }
}

static void make_list(const struct writing *w, uint64_t count, struct buf *out)
{
    char id[BLOCK_ID_SIZE];
    buf_string(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for (uint64_t i = 0; i < count; i++) {
        block_id(w, i, id);
        buf_printf(out, "<Uncommitted>%s</Uncommitted>", id);
    }
    buf_string(out, "</BlockList>");
}

static int commit(const struct writing *w, uint64_t count, const char *md5, struct nacre_err *e)
{
    char list_md5[AZURE_MD5_SIZE];
    CLEANUP(buf_free) struct buf list = {0};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(http_response_free) struct http_response response = {0};
    make_list(w, count, &list);
    if (buf_failed(&list))
        return err_no_memory(e, "a list of blocks");
    const struct nacre_input body = {.size = list.size, .data = list.data};
    if (azure_md5(&body, 0, list.size, list_md5, e) < 0)
        return -1;
    http_header_add(&headers, "Content-MD5", "%s", list_md5);
    http_header_add(&headers, "Content-Type", "application/xml");
    http_header_add(&headers, "x-ms-blob-content-type", "application/octet-stream");
    http_header_add(&headers, "x-ms-blob-content-md5", "%s", md5);
    add_condition(w, &headers);
    const struct azure_request request = {.method = "PUT",
                                          .name = w->name,
                                          .query = {{"comp", "blocklist"}},
                                          .query_count = 1,
                                          .headers = &headers,
                                          .body = &body,
                                          .body_size = list.size,
                                          .needs = w->if_absent ? "c" : "w"};
    return azure_perform(w->store, &request, &response, e);
}

/* Whose blocks were dropped by the commit of a racing writer has lost to it. */
static int explain_commit(const struct writing *w, struct nacre_err *e)
{
    struct nacre_object_info info;
    struct nacre_err ignored;
    if (w->if_absent && e->code == NACRE_TRANSIENT && strstr(e->message, "InvalidBlockList") &&
        azure_stat((struct nacre_object_store *)w->store, w->name, &info, &ignored) == 0)
        e->code = NACRE_EXISTS;
    return -1;
}

static int put_in_blocks(struct writing *w, struct nacre_err *e)
{
    char md5[AZURE_MD5_SIZE];
    uint64_t count = (w->input->size + w->block_size - 1) / w->block_size;
    if (getrandom(&w->nonce, sizeof w->nonce, 0) != (ssize_t)sizeof w->nonce)
        return err_set(e, NACRE_FAILED, "the system gives no random numbers");
    if (azure_md5(w->input, 0, w->input->size, md5, e) < 0)
        return -1;
    for (uint64_t i = 0; i < count; i++)
        if (put_block(w, i, e) < 0)
            return -1;
    return commit(w, count, md5, e) < 0 ? explain_commit(w, e) : 0;
}

static int write_object(struct nacre_object_store *base, const char *name, const struct nacre_input *input,
                        bool if_absent, struct nacre_err *e)
{
    const struct azure_store *store = (const struct azure_store *)base;
    if (object_name_check(name, e) < 0)
        return -1;
    struct writing w = {store, name, input, if_absent, store->block_size, 0};
    if (input->size <= store->block_size)
        return put_whole(&w, e);
    while ((input->size - 1) / w.block_size >= AZURE_BLOCKS_MAX && w.block_size <= AZURE_BLOCK_SIZE_MAX / 2)
        w.block_size *= 2;
    if ((input->size - 1) / w.block_size >= AZURE_BLOCKS_MAX)
        return err_set(e, NACRE_INVALID, "object %s: the service stores no object of %" PRIu64 " bytes", name,
                       input->size);
    return put_in_blocks(&w, e);
}

int azure_put(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
              struct nacre_err *e)
{
    return write_object(store, name, input, false, e);
}

int azure_put_if_absent(struct nacre_object_store *store, const char *name, const struct nacre_input *input,
                        struct nacre_err *e)
{
    return write_object(store, name, input, true, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from Cloud Storage and from the services that give tokens: each parser refuses it, or gives what
 * can be used without another look. */
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static int on_object(void *ctx, const struct answer_object *object, struct nacre_err *e)
{
    (void)ctx;
    (void)e;
    must(object->name && object->size <= INT64_MAX && object->generation <= INT64_MAX);
    return strcmp(object->name, "stop") ? 0 : 1;
}

/* A token goes into a header line. */
static void check_token(int result, const struct buf *token, const struct nacre_err *e)
{
    must(result == 0 || (e->code && e->message[0]));
    must(result < 0 || token->size);
    for (size_t i = 0; result == 0 && i < token->size; i++)
        must(token->data[i] > ' ' && token->data[i] <= '~');
}

static void read_tokens(const uint8_t *data, size_t size)
{
    static char type[] = "urn:ietf:params:oauth:token-type:id_token";
    const struct credentials who = {.subject_type = type};
    struct nacre_err e = {0};
    int64_t seconds = 0;
    struct buf tokens[3] = {{0}};
    check_token(access_read_token(data, size, &tokens[0], &seconds, &e), &tokens[0], &e);
    check_token(access_read_impersonated(data, size, &tokens[1], &seconds, &e), &tokens[1], &e);
    if (access_read_executed(&who, data, size, false, &tokens[2], &e) == 0)
        must(tokens[2].size > 0);
    for (int i = 0; i < 3; i++)
        buf_wipe_free(&tokens[i]);
}

static void read_headers(const uint8_t *data, size_t size)
{
    uint64_t first = 0, last = 0, total = 0;
    uint32_t crc32c;
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = 0;
    if (answer_range(text, &first, &last, &total))
        must(first <= last && last < total && total <= INT64_MAX);
    if (answer_stored(text, &first))
        must(first > 0);
    (void)answer_hash(text, &crc32c);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nacre_err e = {0};
    struct answer_object object;
    struct answer_complaint complaint;
    struct buf next = {0};
    if (answer_object(data, size, &object, &e) == 0)
        must(object.size <= INT64_MAX && !object.name);
    else
        must(e.code == NACRE_TRANSIENT);
    must(answer_page(data, size, on_object, NULL, &next, &e) >= 0 || e.code == NACRE_TRANSIENT);
    buf_free(&next);
    answer_complaint(data, size, &complaint);
    must(strlen(complaint.reason) < sizeof complaint.reason);
    must(strlen(complaint.message) < sizeof complaint.message);
    read_tokens(data, size);
    read_headers(data, size);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A shared token. Times are of the monotonic clock: a wrong wall clock must not age it. */
#include "http/token.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "common/timestamp.h"

#define SECOND INT64_C(1000000000)
#define EARLY (300 * SECOND)
#define MARGIN (60 * SECOND)
#define EARLY_AGAIN (60 * SECOND)
#define FRESH (10 * SECOND)

struct token {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    token_fetch *fetch;
    void *ctx;
    struct buf text;
    int64_t fetched, end;
    int64_t early_again; /* no early fetch before this */
    bool spoilt;
    bool fetching;
    uint64_t failures; /* counts failed fetches; the last one's error: */
    struct nacre_err error;
};

int token_new(token_fetch *fetch, void *ctx, struct token **out, struct nacre_err *e)
{
    struct token *token = calloc(1, sizeof *token);
    if (!token)
        return err_no_memory(e, "a token");
    pthread_mutex_init(&token->mutex, NULL);
    pthread_cond_init(&token->changed, NULL);
    token->fetch = fetch;
    token->ctx = ctx;
    *out = token;
    return 0;
}

void token_free(struct token *token)
{
    if (!token)
        return;
    buf_wipe_free(&token->text);
    pthread_cond_destroy(&token->changed);
    pthread_mutex_destroy(&token->mutex);
    free(token);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool good(const struct token *token, int64_t now)
{
    int64_t life = token->end - token->fetched;
    return token->text.size && !token->spoilt && now < token->end - smaller(MARGIN, life / 4);
}

static bool ends_soon(const struct token *token, int64_t now)
{
    int64_t life = token->end - token->fetched;
    return now >= token->end - smaller(EARLY, life / 2) && now >= token->early_again;
}

/* Fetches with the mutex released; the caller holds it. */
static int fetch_now(struct token *token, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf text = {0};
    int64_t seconds = 0, began = timestamp_elapsed();
    token->fetching = true;
    pthread_mutex_unlock(&token->mutex);
    int result = token->fetch(token->ctx, &text, &seconds, e);
    if (result == 0 && buf_failed(&text))
        result = err_no_memory(e, "a token");
    if (result == 0 && (!text.size || seconds <= 0))
        result = err_set(e, NACRE_FAILED, "the token service gave no usable token");
    pthread_mutex_lock(&token->mutex);
    token->fetching = false;
    if (result == 0) {
        struct buf old = token->text;
        token->text = text;
        text = old;
        token->fetched = began;
        token->end = began + smaller(seconds, INT64_C(365) * 86400) * SECOND;
        token->spoilt = false;
    } else {
        token->failures++;
        token->error = *e;
        token->early_again = timestamp_elapsed() + EARLY_AGAIN;
    }
    pthread_cond_broadcast(&token->changed);
    return result;
}

/* Waits for another thread's fetch; fails as that did. */
static int wait_for_fetch(struct token *token, struct nacre_err *e)
{
    uint64_t before = token->failures;
    while (token->fetching)
        pthread_cond_wait(&token->changed, &token->mutex);
    if (token->failures == before)
        return 0;
    *e = token->error;
    return -1;
}

/* With the mutex held: makes sure that the token is good. */
static int make_good(struct token *token, struct nacre_err *e)
{
    for (;;) {
        int64_t now = timestamp_elapsed();
        if (good(token, now)) {
            if (token->fetching || !ends_soon(token, now))
                return 0;
            struct nacre_err early;
            if (fetch_now(token, &early) < 0)
                log_warning("a new token cannot be had yet, going on with the old one: %s", early.message);
        } else if (token->fetching) {
            if (wait_for_fetch(token, e) < 0)
                return -1;
        } else if (fetch_now(token, e) < 0) {
            return -1;
        } else {
            return 0; /* new, however short its life */
        }
    }
}

int token_get(struct token *token, struct buf *out, struct nacre_err *e)
{
    pthread_mutex_lock(&token->mutex);
    int result = make_good(token, e);
    if (result == 0)
        buf_append(out, token->text.data, token->text.size);
    pthread_mutex_unlock(&token->mutex);
    if (result == 0 && buf_failed(out))
        return err_no_memory(e, "a token");
    return result;
}

bool token_spoilt(struct token *token, const char *refused)
{
    pthread_mutex_lock(&token->mutex);
    bool same = token->text.size && !strcmp((const char *)token->text.data, refused);
    bool fresh = same && timestamp_elapsed() - token->fetched < FRESH;
    if (same && !fresh)
        token->spoilt = true;
    pthread_mutex_unlock(&token->mutex);
    return !fresh;
}

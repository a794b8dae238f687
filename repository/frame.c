/* SPDX-License-Identifier: Apache-2.0 */
/* zstd with one context per thread for blobs, since making one costs as much as compressing a small blob. The
 * context that reads unknown sizes is made for each call instead: a frame may ask for a window of 128 MiB,
 * which must not stay with the thread. */
#include "repository/frame.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "common/cleanup.h"
#include "common/err.h"

#define WINDOW_LOG_WRITE 23 /* 8 MiB: what every reader accepts */
#define WINDOW_LOG_READ 27
#define LEVEL_WIDE 20 /* from here on zstd's own choice of window is wider than that */
#define STEP (1u << 20)

/* What is compressed already (pictures, archives, what is encrypted) takes as long as all else and gives
 * nothing. So a large blob is tried first, at this many places of this size, spread evenly; it is compressed
 * when they get smaller by one part in 64, or when two of its sectors begin alike. What is missed is small
 * beside the blob: of a stretch as long as the distance of two places one is always seen. */
#define TRIAL_SIZE ((size_t)256 << 10) /* from here on */
#define TRIAL_PLACES ((size_t)8)
#define TRIAL_PLACE ((size_t)4 << 10)
#define TRIAL_BYTES (TRIAL_PLACES * TRIAL_PLACE)
#define TRIAL_LEVEL 1
#define SECTOR ((size_t)4 << 10)
#define SECTORS_MAX 256 /* of larger blobs the first ones */

struct contexts {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
    uint8_t trial[TRIAL_BYTES];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool ready;

static void contexts_free(void *pointer)
{
    struct contexts *contexts = pointer;
    ZSTD_freeCCtx(contexts->compress);
    ZSTD_freeDCtx(contexts->decompress);
    free(contexts);
}

static void make_key(void)
{
    ready = pthread_key_create(&key, contexts_free) == 0;
}

static struct contexts *contexts_get(void)
{
    pthread_once(&once, make_key);
    struct contexts *contexts = ready ? pthread_getspecific(key) : NULL;
    if (contexts || !ready)
        return contexts;
    contexts = calloc(1, sizeof *contexts);
    if (contexts && pthread_setspecific(key, contexts) != 0) {
        free(contexts);
        contexts = NULL;
    }
    return contexts;
}

size_t frame_bound(size_t size)
{
    return ZSTD_compressBound(size);
}

static int set_level(ZSTD_CCtx *context, int level, struct nacre_err *e)
{
    int window_log = level >= LEVEL_WIDE ? WINDOW_LOG_WRITE : 0;
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only); /* a frame that did not fit is still open */
    if (ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log)))
        return err_set(e, NACRE_INVALID, "zstd knows no level %d", level);
    return 0;
}

static int compare_beginnings(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool sectors_repeat(const uint8_t *plain, size_t size)
{
    uint64_t beginnings[SECTORS_MAX];
    size_t count = size / SECTOR < SECTORS_MAX ? size / SECTOR : SECTORS_MAX;
    for (size_t i = 0; i < count; i++)
        memcpy(&beginnings[i], plain + i * SECTOR, sizeof beginnings[i]);
    qsort(beginnings, count, sizeof beginnings[0], compare_beginnings);
    for (size_t i = 1; i < count; i++) {
        if (beginnings[i] == beginnings[i - 1])
            return true;
    }
    return false;
}

/* False when compressing it would gain nothing, as far as a trial can tell. Writes to out, whose capacity is
 * at least TRIAL_BYTES. */
static bool promising(struct contexts *contexts, const uint8_t *plain, size_t size, void *out)
{
    struct nacre_err e;
    size_t distance = (size - TRIAL_PLACE) / (TRIAL_PLACES - 1);
    for (size_t i = 0; i < TRIAL_PLACES; i++)
        memcpy(contexts->trial + i * TRIAL_PLACE, plain + i * distance, TRIAL_PLACE);
    if (set_level(contexts->compress, TRIAL_LEVEL, &e) < 0)
        return true;
    size_t result =
        ZSTD_compress2(contexts->compress, out, TRIAL_BYTES - TRIAL_BYTES / 64, contexts->trial, TRIAL_BYTES);
    return !ZSTD_isError(result) || sectors_repeat(plain, size);
}

int frame_compress(const void *plain, size_t size, int level, void *out, size_t capacity, size_t *used,
                   struct nacre_err *e)
{
    struct contexts *contexts = contexts_get();
    if (contexts && !contexts->compress)
        contexts->compress = ZSTD_createCCtx();
    if (!contexts || !contexts->compress)
        return err_no_memory(e, "compression");
    ZSTD_CCtx *context = contexts->compress;
    *used = 0;
    /* Who gives the room that always suffices wants a frame in any case. */
    if (capacity < size && size >= TRIAL_SIZE && !promising(contexts, plain, size, out))
        return 0;
    if (set_level(context, level, e) < 0)
        return -1;
    size_t result = ZSTD_compress2(context, out, capacity, plain, size);
    if (ZSTD_isError(result)) {
        if (ZSTD_getErrorCode(result) != ZSTD_error_dstSize_tooSmall)
            return err_set(e, NACRE_FAILED, "zstd cannot compress: %s", ZSTD_getErrorName(result));
        result = 0;
    }
    *used = result;
    return 0;
}

int frame_decompress(const void *frame, size_t size, void *out, size_t plain_size, struct nacre_err *e)
{
    struct contexts *contexts = contexts_get();
    if (contexts && !contexts->decompress)
        contexts->decompress = ZSTD_createDCtx();
    if (!contexts || !contexts->decompress)
        return err_no_memory(e, "decompression");
    size_t result = ZSTD_decompressDCtx(contexts->decompress, out, plain_size, frame, size);
    if (ZSTD_isError(result))
        return err_set(e, NACRE_CORRUPT, "not a zstd frame of %zu bytes: %s", plain_size,
                       ZSTD_getErrorName(result));
    if (result != plain_size)
        return err_set(e, NACRE_CORRUPT, "its zstd frame holds %zu bytes where %zu were announced", result,
                       plain_size);
    return 0;
}

static void decompress_free_at(ZSTD_DCtx **at)
{
    ZSTD_freeDCtx(*at);
}

int frame_append(const void *frame, size_t size, size_t limit, struct buf *out, struct nacre_err *e)
{
    CLEANUP(decompress_free) ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context || ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_READ)))
        return err_no_memory(e, "decompression");
    ZSTD_inBuffer in = {frame, size, 0};
    size_t done = 0, left;
    do {
        /* One byte of room beyond the limit shows whether there is more. */
        size_t room = limit - done < STEP ? limit - done + 1 : STEP;
        ZSTD_outBuffer part = {buf_reserve(out, room), room, 0};
        if (!part.dst)
            return err_no_memory(e, "decompression");
        size_t consumed = in.pos;
        left = ZSTD_decompressStream(context, &part, &in);
        if (ZSTD_isError(left))
            return err_set(e, NACRE_CORRUPT, "not a zstd frame: %s", ZSTD_getErrorName(left));
        done += part.pos;
        if (done > limit)
            return err_set(e, NACRE_CORRUPT, "its zstd frame grows beyond %zu bytes", limit);
        buf_commit(out, part.pos);
        if (left && !part.pos && in.pos == consumed)
            return err_set(e, NACRE_CORRUPT, "its zstd frame is cut short");
    } while (left);
    if (in.pos != in.size)
        return err_set(e, NACRE_CORRUPT, "bytes follow its zstd frame");
    return 0;
}

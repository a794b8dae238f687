/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with an image that is open: who else has it, its metadata, its snapshots.
 *
 * A client that was killed stays in the list of watchers until the cluster gives it up (30 s by default). So
 * that the next run after a kill neither fails nor fights, those who are listed are asked to answer: one who
 * answers is alive, and the image is in use; the others are waited for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cancel.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "driver.h"

#define WATCHERS_MAX 64
#define ANSWER_MS 4000
/* A client that only just opened the image, to take a snapshot say, is given this long to be gone. */
#define PASSING_NS 1500000000
#define GIVEN_UP_NS 60000000000
#define LEFTOVER_NS 10000000000
#define METADATA_MAX (8u << 20)
#define METADATA_KEY_MAX 1024
#define METADATA_VALUE_MAX (1 << 20)

/* Selects a snapshot for reading: of one that was taken in a group, what it holds is in the group's. */
static int select_snap(const struct place *place, rbd_image_t image, const char *snap, struct nacre_err *e)
{
    CLEANUP(group_snap_free) struct group_snap group = {0};
    uint64_t id;
    int error = rbd_snap_get_id(image, snap, &id);
    if (error >= 0) {
        int grouped = group_snap_get(place, image, snap, &group, e);
        if (grouped < 0)
            return -1;
        error = rbd_snap_set_by_id(image, grouped && group.current ? group.group_id : id);
    }
    if (error == -ENOENT)
        return err_set(e, NACRE_ABSENT, PLACE_FORMAT " has no snapshot \"%.128s\"", PLACE_ARGS(place), snap);
    return error < 0 ? place_fail(place, error, e, "cannot open a snapshot") : 0;
}

int image_open(const struct place *place, const char *snap, bool writable, rbd_image_t *out,
               struct nacre_err *e)
{
    CLEANUP(image_close) rbd_image_t image = NULL;
    int error = writable ? rbd_open(place->io, place->image, &image, NULL)
                         : rbd_open_read_only(place->io, place->image, &image, NULL);
    if (error < 0)
        image = NULL;
    if (error == -ENOENT)
        return err_set(e, NACRE_ABSENT, PLACE_FORMAT ": no such image", PLACE_ARGS(place));
    if (error < 0)
        return place_fail(place, error, e, "cannot open it");
    if (snap && select_snap(place, image, snap, e) < 0)
        return -1;
    *out = MOVE(image);
    return 0;
}

int image_id(const struct place *place, rbd_image_t image, char out[IMAGE_ID_SIZE], struct nacre_err *e)
{
    int error = rbd_get_id(image, out, IMAGE_ID_SIZE);
    return error < 0 ? place_fail(place, error, e, "cannot tell its id") : 0;
}

int image_watchers(rbd_image_t image, size_t *count, char *out, size_t size)
{
    rbd_image_watcher_t watchers[WATCHERS_MAX];
    size_t n = WATCHERS_MAX, used = 0;
    *out = '\0';
    int error = rbd_watchers_list(image, watchers, &n);
    *count = n; /* also when there are too many to list */
    if (error == -ERANGE) {
        snprintf(out, size, "%zu clients", n);
        return 0;
    }
    if (error < 0)
        return error;
    for (size_t i = 0; i < n && used < size; i++) {
        int more = snprintf(out + used, size - used, "%sclient.%lld at %s", i ? ", " : "",
                            (long long)watchers[i].id, watchers[i].addr);
        used += more > 0 ? (size_t)more : 0;
    }
    rbd_watchers_list_cleanup(watchers, n);
    return 0;
}

/* Asks all watchers to answer; an empty message means to them that the header may have changed. */
static int ask_watchers(const struct place *place, rbd_image_t image, bool *somebody_answers,
                        bool *all_answer, struct nacre_err *e)
{
    char id[IMAGE_ID_SIZE], header[IMAGE_ID_SIZE + 16];
    if (image_id(place, image, id, e) < 0)
        return -1;
    snprintf(header, sizeof header, "rbd_header.%s", id);
    char *reply = NULL;
    size_t reply_size = 0;
    int error = rados_notify2(place->io, header, "", 0, ANSWER_MS, &reply, &reply_size);
    if (error < 0 && error != -ETIMEDOUT)
        return place_fail(place, error, e, "cannot ask who has it open");
    struct notify_ack_t *acks = NULL;
    struct notify_timeout_t *silent = NULL;
    size_t ack_count = 0, silent_count = 0;
    int decoded =
        reply ? rados_decode_notify_response(reply, reply_size, &acks, &ack_count, &silent, &silent_count)
              : 0;
    *somebody_answers = ack_count > 0;
    *all_answer = decoded == 0 && silent_count == 0;
    if (decoded == 0 && reply)
        rados_free_notify_response(acks, ack_count, silent);
    rados_buffer_free(reply);
    return 0;
}

/* A client that was killed in the middle of opening an image can be listed although nothing of it is
 * connected: the cluster forgets it only when the image's header leaves its cache. It does not wait for such
 * a one when all who watch are asked; for everybody else it does, also for one that it is about to give up.
 */
static int only_leftovers(const struct place *place, rbd_image_t image, bool *out, struct nacre_err *e)
{
    bool answers = false, all = false;
    if (ask_watchers(place, image, &answers, &all, e) < 0)
        return -1;
    *out = !answers && all;
    return 0;
}

int image_check_unused(const struct place *place, rbd_image_t image, struct nacre_err *e)
{
    char who[400];
    size_t count;
    bool answers = true, all = true, told = false;
    int64_t began = timestamp_elapsed();
    for (;;) {
        int error = image_watchers(image, &count, who, sizeof who);
        if (error < 0)
            return place_fail(place, error, e, "cannot tell who has it open");
        if (!count)
            return 0;
        int64_t waited = timestamp_elapsed() - began;
        if (!told && ask_watchers(place, image, &answers, &all, e) < 0)
            return -1;
        if (answers ? waited > PASSING_NS : waited > GIVEN_UP_NS)
            return err_set(e, NACRE_BUSY, PLACE_FORMAT " is in use by %s%s", PLACE_ARGS(place), who,
                           answers ? "" : ", which does not answer, but is not given up by the cluster");
        if (!answers && !told)
            log_info(PLACE_FORMAT ": %s does not answer; waiting until the cluster gives it up",
                     PLACE_ARGS(place), who);
        told = !answers;
        bool leftovers = false;
        if (told && waited > LEFTOVER_NS && only_leftovers(place, image, &leftovers, e) < 0)
            return -1;
        if (leftovers) {
            log_info(PLACE_FORMAT ": the cluster lists %s, of which nothing is left", PLACE_ARGS(place), who);
            return 0;
        }
        if (cancel_sleep(200, place->driver->cancelled, e) < 0)
            return -1;
    }
}

int image_check_answers(const struct place *place, rbd_image_t image, struct nacre_err *e)
{
    bool answers = false, all = false;
    if (ask_watchers(place, image, &answers, &all, e) < 0)
        return -1;
    if (all)
        return 0;
    return err_set(e, NACRE_TRANSIENT,
                   PLACE_FORMAT ": a client that has it open does not answer; try again in a minute",
                   PLACE_ARGS(place));
}

/* One page of the metadata from `after` on: pairs of strings, one after another. */
static int metadata_page(const struct place *place, rbd_image_t image, const char *after, char **keys,
                         size_t *keys_size, char **values, size_t *values_size, struct nacre_err *e)
{
    size_t keys_room = 4096, values_room = 16384;
    for (;;) {
        *keys = malloc(keys_room);
        *values = malloc(values_room);
        if (!*keys || !*values)
            return err_no_memory(e, "an image's metadata");
        *keys_size = keys_room;
        *values_size = values_room;
        int error = rbd_metadata_list(image, after, 64, *keys, keys_size, *values, values_size);
        if (error == 0)
            return 0;
        if (error != -ERANGE || *keys_size > METADATA_MAX || *values_size > METADATA_MAX)
            return place_fail(place, error, e, "cannot read its metadata");
        keys_room = *keys_size > keys_room ? *keys_size : keys_room;
        values_room = *values_size > values_room ? *values_size : values_room;
        free(*keys);
        free(*values);
        *keys = *values = NULL;
    }
}

int image_metadata_each(const struct place *place, rbd_image_t image, image_metadata_entry *entry, void *ctx,
                        struct nacre_err *e)
{
    CLEANUP(mem_free) char *after = strdup("");
    while (after) {
        CLEANUP(mem_free) char *keys = NULL;
        CLEANUP(mem_free) char *values = NULL;
        size_t keys_size = 0, values_size = 0;
        if (metadata_page(place, image, after, &keys, &keys_size, &values, &values_size, e) < 0)
            return -1;
        if (!keys_size)
            return 0;
        const char *key = keys, *value = values, *last = NULL;
        while (key < keys + keys_size && value < values + values_size) {
            int result = entry(ctx, key, value, e);
            if (result)
                return result;
            last = key;
            key += strlen(key) + 1;
            value += strlen(value) + 1;
        }
        free(after);
        after = last ? strdup(last) : NULL;
    }
    return err_no_memory(e, "an image's metadata");
}

int image_metadata_get(const struct place *place, rbd_image_t image, const char *key, char **out,
                       struct nacre_err *e)
{
    for (size_t room = 256;; room *= 16) {
        CLEANUP(mem_free) char *value = calloc(1, room + 1);
        size_t size = room; /* on success some versions leave it as it is */
        if (!value)
            return err_no_memory(e, "an image's metadata");
        int error = rbd_metadata_get(image, key, value, &size);
        if (error == -ENOENT)
            return 0;
        if (error >= 0) {
            *out = MOVE(value);
            return 1;
        }
        if (error != -ERANGE || room > METADATA_VALUE_MAX)
            return place_fail(place, error, e, "cannot read its metadata");
    }
}

void encode_string(struct buf *b, const char *string)
{
    uint32_t length = (uint32_t)strlen(string);
    buf_append(b, (const uint8_t[]){(uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16), 0}, 4);
    buf_append(b, string, length);
}

/* Through librbd: takes the exclusive lock away from whoever has it, and writes the journal of a mirrored
 * image. */
static int metadata_set_journaled(const struct place *place, const char *key, const char *value)
{
    rbd_image_t image;
    int error = rbd_open(place->io, place->image, &image, NULL);
    if (error < 0)
        return error;
    error = value ? rbd_metadata_set(image, key, value) : rbd_metadata_remove(image, key);
    rbd_close(image);
    return error;
}

/* Straight to the image's header object, in one atomic operation of the cluster's own rbd class. Librbd would
 * take the exclusive lock first, for the sake of the journal only; and taking that from a busy writer stalls
 * him, and, in 16.2, sometimes us for ever. */
int image_metadata_set(const struct place *place, rbd_image_t image, const char *key, const char *value,
                       struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf in = {0};
    char id[IMAGE_ID_SIZE], header[IMAGE_ID_SIZE + 16], out[16];
    uint64_t features;
    int error = rbd_get_features(image, &features);
    if (error < 0)
        return place_fail(place, error, e, "cannot tell its features");
    if (!*key || strlen(key) > METADATA_KEY_MAX || (value && strlen(value) > METADATA_VALUE_MAX))
        return err_set(e, NACRE_INVALID,
                       PLACE_FORMAT ": a metadata key has 1 to %d bytes, a value at most %d",
                       PLACE_ARGS(place), METADATA_KEY_MAX, METADATA_VALUE_MAX);
    if (features & RBD_FEATURE_JOURNALING) {
        error = metadata_set_journaled(place, key, value);
    } else if (image_id(place, image, id, e) < 0) {
        return -1;
    } else {
        snprintf(header, sizeof header, "rbd_header.%s", id);
        if (value)
            buf_append(&in, (const uint8_t[]){1, 0, 0, 0}, 4); /* a map of one pair */
        encode_string(&in, key);
        if (value)
            encode_string(&in, value);
        if (buf_failed(&in))
            return err_no_memory(e, "an image's metadata");
        error = rados_exec(place->io, header, "rbd", value ? "metadata_set" : "metadata_remove",
                           (const char *)in.data, in.size, out, sizeof out);
    }
    return error < 0 && (value || error != -ENOENT) ? place_fail(place, error, e, "cannot set its metadata")
                                                    : 0;
}

int image_snaps(const struct place *place, rbd_image_t image, struct image_snaps *out, struct nacre_err *e)
{
    int room = 32;
    for (;;) {
        rbd_snap_info_t *infos = calloc((size_t)room, sizeof *infos);
        if (!infos)
            return err_no_memory(e, "a list of snapshots");
        int count = rbd_snap_list(image, infos, &room);
        if (count >= 0) {
            *out = (struct image_snaps){infos, count};
            return 0;
        }
        free(infos);
        if (count != -ERANGE)
            return place_fail(place, count, e, "cannot list its snapshots");
    }
}

void image_snaps_free(struct image_snaps *snaps)
{
    if (snaps->infos)
        rbd_snap_list_end(snaps->infos);
    free(snaps->infos);
    *snaps = (struct image_snaps){0};
}

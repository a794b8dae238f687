/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets, and the objects in them in the order of their names' bytes, which is how they are listed. */
#include "gcs.h"

#include "common/utf8.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define BUCKETS_MAX 64
#define POINTER sizeof(void *)

struct bucket {
    char *name;
    struct object **objects;
    size_t count, capacity;
};

static struct bucket buckets[BUCKETS_MAX];
static size_t bucket_count;
static uint64_t last_generation;

struct bucket *bucket_find(const char *name)
{
    for (size_t i = 0; i < bucket_count; i++)
        if (!strcmp(buckets[i].name, name))
            return &buckets[i];
    return NULL;
}

/* cloud.google.com/storage/docs/buckets: 3-63 characters (222 with dots, which are not taken here), lower
 * case letters, digits, - and _, a letter or digit at each end, no "goog" at the front. */
static bool bucket_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length >= 3 && length <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == length &&
           !strchr("-_.", name[0]) && !strchr("-_.", name[length - 1]) && strncmp(name, "goog", 4) != 0;
}

int bucket_create(const char *name)
{
    if (!bucket_name_is_valid(name))
        return MHD_HTTP_BAD_REQUEST;
    int status = MHD_HTTP_CONFLICT;
    pthread_mutex_lock(&server.lock);
    if (!bucket_find(name) && bucket_count < BUCKETS_MAX) {
        buckets[bucket_count] = (struct bucket){.name = strdup(name)};
        if (buckets[bucket_count].name)
            bucket_count++;
        status = MHD_HTTP_OK;
    }
    pthread_mutex_unlock(&server.lock);
    return status;
}

static json_t *bucket_resource(const char *name)
{
    return json_pack("{ss ss ss ss ss}", "kind", "storage#bucket", "id", name, "name", name, "location", "US",
                     "storageClass", "STANDARD");
}

static enum MHD_Result create(struct request *r)
{
    struct nacre_err e = {0};
    CLEANUP(json_value_free) json_t *body = NULL;
    const char *name = NULL;
    enum MHD_Result result;
    if (!token_allows(r, PERMISSION_WRITE, "storage.buckets.create", &result))
        return result;
    if (json_parse_object(r->body.data, r->body.size, SMALL_BODY_MAX, &body, &e) < 0 ||
        json_get_string(body, "name", &name, &e) < 0 || !name)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, "required", "Required: name. %s", e.message);
    int status = bucket_create(name);
    if (status == MHD_HTTP_BAD_REQUEST)
        return reply_error(r, 400, "invalid", "Invalid bucket name: '%s'", name);
    if (status == MHD_HTTP_CONFLICT)
        return reply_error(
            r, 409, "conflict",
            "Your previous request to create the named bucket succeeded and you already own it.");
    return reply_json(r, MHD_HTTP_OK, bucket_resource(name));
}

static enum MHD_Result delete (struct request *r, const char *name) {
    pthread_mutex_lock(&server.lock); struct bucket *b = bucket_find(name); bool full = b && b->count;
    if (b && !full){free(b->name); free(b->objects); *b = buckets[--bucket_count];}
pthread_mutex_unlock(&server.lock);
if (full)
    return reply_error(r, 409, "conflict", "The bucket you tried to delete is not empty.");
return b ? reply_empty(r, MHD_HTTP_NO_CONTENT)
         : reply_error(r, 404, "notFound", "The specified bucket does not exist.");
}

/* /storage/v1/b and /storage/v1/b/BUCKET. */
enum MHD_Result bucket_route(struct request *r)
{
    enum MHD_Result result;
    if (r->segment_count == 3)
        return request_is(r, "POST") ? create(r)
                                     : reply_error(r, 405, "methodNotAllowed", "Not supported here");
    const char *name = r->segments[3];
    if (request_is(r, "DELETE"))
        return token_allows(r, PERMISSION_WRITE, "storage.buckets.delete", &result) ? delete (r, name)
                                                                                    : result;
    if (!request_is(r, "GET"))
        return reply_error(r, 405, "methodNotAllowed", "Not supported here");
    if (!token_allows(r, PERMISSION_READ, "storage.buckets.get", &result))
        return result;
    pthread_mutex_lock(&server.lock);
    bool exists = bucket_find(name) != NULL;
    pthread_mutex_unlock(&server.lock);
    return exists ? reply_json(r, MHD_HTTP_OK, bucket_resource(name))
                  : reply_error(r, 404, "notFound", "The specified bucket does not exist.");
}

size_t object_lower_bound(const struct bucket *bucket, const char *name)
{
    size_t low = 0, high = bucket->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(bucket->objects[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct object *object_at(const struct bucket *bucket, size_t index)
{
    return index < bucket->count ? bucket->objects[index] : NULL;
}

struct object *object_find(struct bucket *bucket, const char *name)
{
    struct object *object = object_at(bucket, object_lower_bound(bucket, name));
    return object && !strcmp(object->name, name) ? object : NULL;
}

struct object *object_get(const char *bucket, const char *name, bool *bucket_exists)
{
    pthread_mutex_lock(&server.lock);
    struct bucket *b = bucket_find(bucket);
    struct object *object = b ? object_find(b, name) : NULL;
    if (object)
        object->references++;
    pthread_mutex_unlock(&server.lock);
    *bucket_exists = b != NULL;
    return object;
}

void object_release(struct object *object)
{
    if (!object)
        return;
    pthread_mutex_lock(&server.lock);
    bool last = --object->references == 0;
    pthread_mutex_unlock(&server.lock);
    if (!last)
        return;
    if (object->content.fd >= 0)
        close(object->content.fd);
    free(object->name);
    free(object->type);
    json_decref(object->metadata);
    free(object);
}

/* Microseconds since 1970, as Google's generations seem to be; never the same twice. */
static uint64_t new_generation(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t generation = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    last_generation = generation > last_generation ? generation : last_generation + 1;
    return last_generation;
}

static bool insert(struct bucket *b, size_t index, struct object *object)
{
    if (b->count == b->capacity) {
        size_t capacity = b->capacity ? 2 * b->capacity : 64;
        struct object **more = realloc(b->objects, capacity * POINTER);
        if (!more)
            return false;
        b->objects = more;
        b->capacity = capacity;
    }
    memmove(b->objects + index + 1, b->objects + index, (b->count - index) * POINTER);
    b->objects[index] = object;
    b->count++;
    return true;
}

/* Locked. */
static unsigned place(const struct wish *w, struct object *object, struct object **replaced)
{
    struct bucket *b = bucket_find(w->bucket);
    if (!b)
        return MHD_HTTP_NOT_FOUND;
    struct object *old = object_find(b, w->name);
    unsigned status = conditions_check(&w->conditions, old, false);
    if (status != MHD_HTTP_OK)
        return status;
    object->generation = new_generation();
    object->created_us = (int64_t)object->generation;
    if (old) {
        *replaced = old;
        b->objects[object_lower_bound(b, w->name)] = object;
        return MHD_HTTP_OK;
    }
    return insert(b, object_lower_bound(b, w->name), object) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

unsigned object_store(const struct wish *w, struct content *c, bool composed, struct object **out)
{
    struct object *object = calloc(1, sizeof *object), *replaced = NULL;
    if (!object)
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    *object = (struct object){.references = 2,
                              .name = strdup(w->name),
                              .type = strdup(w->type ? w->type : "application/octet-stream"),
                              .metadata = json_incref(w->metadata),
                              .composed = composed,
                              .content = *c};
    c->fd = -1;
    unsigned status = MHD_HTTP_SERVICE_UNAVAILABLE;
    if (object->name && object->type) {
        pthread_mutex_lock(&server.lock);
        status = place(w, object, &replaced);
        pthread_mutex_unlock(&server.lock);
    }
    object_release(replaced);
    if (status == MHD_HTTP_OK) {
        *out = object;
        return status;
    }
    object->references = 1;
    object_release(object);
    return status;
}

unsigned object_remove(const char *bucket, const char *name, const struct conditions *conditions)
{
    pthread_mutex_lock(&server.lock);
    struct bucket *b = bucket_find(bucket);
    struct object *object = b ? object_find(b, name) : NULL;
    unsigned status = object ? conditions_check(conditions, object, false) : MHD_HTTP_NOT_FOUND;
    if (object && status == MHD_HTTP_OK) {
        size_t index = object_lower_bound(b, name);
        b->count--;
        memmove(b->objects + index, b->objects + index + 1, (b->count - index) * POINTER);
    }
    pthread_mutex_unlock(&server.lock);
    if (status == MHD_HTTP_OK)
        object_release(object);
    return status;
}

bool name_is_valid(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= NAME_MAX_BYTES && utf8_valid(name, length) && !strpbrk(name, "\r\n") &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strncmp(name, ".well-known/acme-challenge/", 27) != 0;
}

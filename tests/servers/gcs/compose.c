/* SPDX-License-Identifier: Apache-2.0 */
/* Objects made of others: up to 32 joined, or one copied. */
#include "gcs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SOURCES_MAX 32

/* Appends an object's bytes to c; 200, or 404, 503. */
static unsigned append(const char *bucket, const char *name, struct content *c)
{
    bool bucket_exists;
    struct object *source = object_get(bucket, name, &bucket_exists);
    if (!source)
        return MHD_HTTP_NOT_FOUND;
    bool good = content_copy(c->fd, c->size, &source->content);
    c->size += source->content.size;
    object_release(source);
    return good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static enum MHD_Result answer_store(struct request *r, unsigned status, const char *what)
{
    return status == MHD_HTTP_NOT_FOUND ? reply_error(r, 404, "notFound", "No such object: %s", what)
           : status == MHD_HTTP_PRECONDITION_FAILED
               ? reply_error(r, 412, "conditionNotMet",
                             "At least one of the pre-conditions you specified did not hold.")
               : reply_error(r, 503, "backendError", "Backend Error");
}

/* Joins the sources of a compose request, or copies one, into the object that w wants. */
static unsigned join(struct wish *w, const char *bucket, const char *const *names, size_t count,
                     bool composed, struct object **out, const char **failed)
{
    struct content c = {.fd = content_open()};
    unsigned status = c.fd < 0 ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
    *failed = w->bucket;
    for (size_t i = 0; i < count && status == MHD_HTTP_OK; i++) {
        *failed = names[i];
        status = append(bucket, names[i], &c);
    }
    if (status == MHD_HTTP_OK && !(content_flush(&c) && content_digest(&c)))
        status = MHD_HTTP_SERVICE_UNAVAILABLE;
    if (status == MHD_HTTP_OK)
        status = object_store(w, &c, composed, out);
    if (c.fd >= 0)
        close(c.fd);
    return status;
}

static size_t read_sources(const json_t *body, const char *names[SOURCES_MAX])
{
    const json_t *sources = json_object_get(body, "sourceObjects");
    size_t count = json_array_size(sources);
    if (count > SOURCES_MAX)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (!(names[i] = json_string_value(json_object_get(json_array_get(sources, i), "name"))))
            return 0;
    return count;
}

enum MHD_Result compose(struct request *r, const char *bucket, const char *name)
{
    const char *names[SOURCES_MAX], *failed;
    struct wish w = {0};
    struct nacre_err e = {0};
    enum MHD_Result result;
    CLEANUP(json_value_free) json_t *body = NULL;
    if (!token_allows(r, PERMISSION_WRITE, "storage.objects.create", &result))
        return result;
    if (json_parse_object(r->body.data, r->body.size, SMALL_BODY_MAX, &body, &e) < 0)
        return reply_error(r, 400, "parseError", "Parse Error: %s", e.message);
    size_t count = read_sources(body, names);
    if (!count)
        return reply_error(r, 400, "invalid", "The number of source components must be 1 to %d.",
                           SOURCES_MAX);
    CLEANUP(json_value_free) json_t *resource = json_deep_copy(json_object_get(body, "destination"));
    if (!json_is_object(resource)) {
        json_decref(resource);
        resource = json_object();
    }
    json_object_set_new(resource, "name", json_string(name));
    if (!wish_read(r, bucket, resource, &w, &result))
        return result;
    struct object *object = NULL;
    unsigned status = join(&w, bucket, names, count, true, &object, &failed);
    wish_free(&w);
    return status == MHD_HTTP_OK ? reply_object(r, bucket, object) : answer_store(r, status, failed);
}

/* /storage/v1/b/B/o/N/{rewriteTo,copyTo}/b/B2/o/N2 */
enum MHD_Result rewrite(struct request *r)
{
    const char *source = r->segments[5], *bucket = r->segments[8], *failed;
    struct wish w = {0};
    enum MHD_Result result;
    if (!token_allows(r, PERMISSION_WRITE, "storage.objects.create", &result))
        return result;
    CLEANUP(json_value_free) json_t *resource = json_pack("{ss}", "name", r->segments[10]);
    if (!wish_read(r, bucket, resource, &w, &result))
        return result;
    struct object *object = NULL;
    unsigned status = join(&w, r->segments[3], &source, 1, false, &object, &failed);
    wish_free(&w);
    if (status != MHD_HTTP_OK)
        return answer_store(r, status, failed);
    if (!strcmp(r->segments[6], "copyTo"))
        return reply_object(r, bucket, object);
    char size[24];
    snprintf(size, sizeof size, "%" PRIu64, object->content.size);
    json_t *answer =
        json_pack("{ss ss ss sb so}", "kind", "storage#rewriteResponse", "totalBytesRewritten", size,
                  "objectSize", size, "done", 1, "resource", object_resource(bucket, object));
    object_release(object);
    return reply_json(r, MHD_HTTP_OK, answer);
}

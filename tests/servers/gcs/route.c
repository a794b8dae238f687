/* SPDX-License-Identifier: Apache-2.0 */
/* What the path and the method mean. */
#include "gcs.h"

#include <string.h>

static bool begins(const struct request *r, const char *a, const char *b, const char *c)
{
    return r->segment_count >= 3 && !strcmp(r->segments[0], a) && !strcmp(r->segments[1], b) &&
           !strcmp(r->segments[2], c);
}

/* /upload/storage/v1/b/B/o or /resumable/upload/storage/v1/b/B/o */
bool route_is_upload(const struct request *r)
{
    size_t skip = r->segment_count && !strcmp(r->segments[0], "resumable") ? 1 : 0;
    return r->segment_count == 6 + skip && !strcmp(r->segments[skip], "upload") &&
           !strcmp(r->segments[skip + 1], "storage") && !strcmp(r->segments[skip + 2], "v1") &&
           !strcmp(r->segments[skip + 3], "b") && !strcmp(r->segments[skip + 5], "o");
}

static enum MHD_Result not_here(struct request *r)
{
    return reply_error(r, 404, "notFound", "Not Found");
}

static enum MHD_Result route_upload(struct request *r)
{
    const char *type = request_parameter(r, "uploadType");
    enum MHD_Result result;
    if (request_parameter(r, "upload_id"))
        return request_is(r, "PUT")      ? session_put(r)
               : request_is(r, "DELETE") ? session_delete(r)
                                         : reply_error(r, 405, "methodNotAllowed", "PUT or DELETE");
    if (!request_is(r, "POST"))
        return reply_error(r, 405, "methodNotAllowed", "POST, or PUT with an upload_id");
    if (!token_allows(r, PERMISSION_WRITE, "storage.objects.create", &result))
        return result;
    if (type && !strcmp(type, "resumable"))
        return session_start(r);
    if (r->fd >= 0 && !strcmp(type, "media"))
        return upload_media(r);
    if (r->fd >= 0 && !strcmp(type, "multipart"))
        return upload_multipart(r);
    return reply_error(r, 400, "invalidParameter", "Invalid uploadType: %s", type ? type : "");
}

static enum MHD_Result remove_object(struct request *r, const char *bucket, const char *name)
{
    struct conditions conditions;
    enum MHD_Result result;
    if (!token_allows(r, PERMISSION_WRITE, "storage.objects.delete", &result))
        return result;
    if (!conditions_parse(r, &conditions))
        return reply_error(r, 400, "invalidParameter", "Invalid value for a precondition");
    switch (object_remove(bucket, name, &conditions)) {
    case MHD_HTTP_OK:
        return reply_empty(r, MHD_HTTP_NO_CONTENT);
    case MHD_HTTP_NOT_FOUND:
        return reply_error(r, 404, "notFound", "No such object: %s/%s", bucket, name);
    default:
        return reply_error(r, 412, "conditionNotMet",
                           "At least one of the pre-conditions you specified did not hold.");
    }
}

/* /storage/v1/b/… */
static enum MHD_Result route_storage(struct request *r)
{
    size_t n = r->segment_count;
    char **s = r->segments;
    if (n <= 4)
        return bucket_route(r);
    if (strcmp(s[4], "o") != 0)
        return not_here(r);
    if (n == 5)
        return request_is(r, "GET") ? list(r, s[3]) : reply_error(r, 405, "methodNotAllowed", "GET");
    if (n == 6 && request_is(r, "GET"))
        return download(r, s[3], s[5], false);
    if (n == 6 && request_is(r, "DELETE"))
        return remove_object(r, s[3], s[5]);
    if (n == 7 && request_is(r, "POST") && !strcmp(s[6], "compose"))
        return compose(r, s[3], s[5]);
    if (n == 11 && request_is(r, "POST") && (!strcmp(s[6], "rewriteTo") || !strcmp(s[6], "copyTo")) &&
        !strcmp(s[7], "b") && !strcmp(s[9], "o"))
        return rewrite(r);
    return not_here(r);
}

/* /BUCKET/NAME with slashes as they are: the XML API's way, of which only reading is here. */
static enum MHD_Result route_xml(struct request *r)
{
    CLEANUP(buf_free) struct buf name = {0};
    for (size_t i = 1; i < r->segment_count; i++)
        buf_printf(&name, "%s%s", i > 1 ? "/" : "", r->segments[i]);
    if (buf_failed(&name) || !name.size)
        return not_here(r);
    return download(r, r->segments[0], (char *)name.data, true);
}

enum MHD_Result route(struct request *r)
{
    bool post = request_is(r, "POST"), get = request_is(r, "GET");
    if (route_is_upload(r))
        return route_upload(r);
    if (begins(r, "storage", "v1", "b"))
        return route_storage(r);
    if (r->segment_count == 7 && begins(r, "download", "storage", "v1") && get)
        return download(r, r->segments[4], r->segments[6], false);
    if (r->segment_count == 1 && post && !strcmp(r->segments[0], "token"))
        return token_grant(r);
    if (r->segment_count == 2 && post && !strcmp(r->segments[0], "v1") && !strcmp(r->segments[1], "token"))
        return token_exchange(r);
    if (r->segment_count == 5 && post && begins(r, "v1", "projects", "-"))
        return token_impersonate(r);
    if (get && (!strcmp(r->segments[0], "computeMetadata") || (r->segment_count == 1 && !*r->segments[0])))
        return token_metadata(r);
    return get && r->segment_count >= 2 ? route_xml(r) : not_here(r);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at and removing objects. */
#include "common/err.h"
#include "gcs.h"
#include "http/location.h"

int gcs_look(struct gcs_store *store, const char *name, const char *fields, struct answer_object *out,
             struct nacre_err *e)
{
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf url = {0};
    gcs_url_object(store, name, &url);
    buf_printf(&url, "?fields=%s", fields);
    if (buf_failed(&url))
        return err_no_memory(e, "a URL");
    const struct gcs_request request = {.method = "GET", .url = (const char *)url.data};
    if (gcs_perform(store, &request, &response, e) < 0)
        return -1;
    if (response.status != 200)
        return gcs_fail(store, GCS_STAT, name, &response, e);
    if (answer_object(response.body.data, response.body.size, out, e) < 0)
        return err_wrap(e, "cannot look at gs://%s/%s%s", store->bucket, store->prefix, name);
    return 0;
}

int gcs_stat(struct nacre_object_store *base, const char *name, struct nacre_object_info *out,
             struct nacre_err *e)
{
    struct answer_object object;
    if (object_name_check(name, e) < 0 ||
        gcs_look((struct gcs_store *)base, name, "size,timeCreated,updated", &object, e) < 0)
        return -1;
    *out = (struct nacre_object_info){.size = object.size, .modified_ns = object.modified_ns};
    return 0;
}

int gcs_remove(struct nacre_object_store *base, const char *name, struct nacre_err *e)
{
    struct gcs_store *store = (struct gcs_store *)base;
    CLEANUP(http_response_free) struct http_response response = {0};
    CLEANUP(buf_free) struct buf url = {0};
    if (object_name_check(name, e) < 0)
        return -1;
    gcs_url_object(store, name, &url);
    if (buf_failed(&url))
        return err_no_memory(e, "a URL");
    const struct gcs_request request = {.method = "DELETE", .url = (const char *)url.data};
    if (gcs_perform(store, &request, &response, e) < 0)
        return -1;
    if (response.status != 204 && response.status != 200)
        return gcs_fail(store, GCS_REMOVE, name, &response, e);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Bucket URLs. The prefix follows the rules of object names, so that prefix and name together do. */
#include "http/location.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

int object_name_check(const char *name, struct nacre_err *e)
{
    if (nacre_object_name_valid(name))
        return 0;
    return err_set(e, NACRE_INVALID,
                   "\"%.200s\" cannot be the name of an object: it needs segments of [A-Za-z0-9._-], "
                   "joined by '/', of at most %d bytes in all",
                   name, NACRE_OBJECT_NAME_MAX);
}

/* Copies the path without empty segments, each followed by '/'. */
static void copy_prefix(const char *path, struct buf *out)
{
    buf_string(out, "");
    while (*path) {
        size_t size = strcspn(path, "/");
        if (size) {
            buf_append(out, path, size);
            buf_char(out, '/');
        }
        path += size + (path[size] == '/');
    }
}

static int check_prefix(const char *url, const struct buf *prefix, struct nacre_err *e)
{
    if (!prefix->size)
        return 0;
    CLEANUP(mem_free) char *name = strndup((const char *)prefix->data, prefix->size - 1);
    if (!name)
        return err_no_memory(e, "a URL");
    if (nacre_object_name_valid(name))
        return 0;
    return err_set(
        e, NACRE_INVALID,
        "%s: the prefix may have segments of [A-Za-z0-9._-] only, joined by '/', and at most %d bytes", url,
        NACRE_OBJECT_NAME_MAX);
}

int bucket_url_parse(const char *url, const char *scheme, struct bucket_url *out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf prefix = {0};
    size_t scheme_size = strlen(scheme);
    if (strncmp(url, scheme, scheme_size) != 0 || strncmp(url + scheme_size, "://", 3) != 0)
        return err_set(e, NACRE_INVALID, "%.200s: expected %s://BUCKET/PREFIX", url, scheme);
    const char *bucket = url + scheme_size + 3;
    if (strchr(bucket, '@'))
        return err_set(e, NACRE_INVALID,
                       "a storage URL holds no credentials; give them by file or environment instead");
    if (strpbrk(bucket, "?#%"))
        return err_set(e, NACRE_INVALID, "a storage URL has no '?', '#' or '%%'; expected %s://BUCKET/PREFIX",
                       scheme);
    size_t size = strcspn(bucket, "/");
    if (!size)
        return err_set(e, NACRE_INVALID, "%.200s names no bucket: expected %s://BUCKET/PREFIX", url, scheme);
    copy_prefix(bucket + size, &prefix);
    if (buf_failed(&prefix))
        return err_no_memory(e, "a URL");
    if (check_prefix(url, &prefix, e) < 0)
        return -1;
    *out = (struct bucket_url){.bucket = strndup(bucket, size), .prefix = strdup((char *)prefix.data)};
    if (out->bucket && out->prefix)
        return 0;
    bucket_url_free(out);
    return err_no_memory(e, "a URL");
}

void bucket_url_free(struct bucket_url *url)
{
    free(url->bucket);
    free(url->prefix);
    *url = (struct bucket_url){0};
}

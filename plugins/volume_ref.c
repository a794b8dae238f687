/* SPDX-License-Identifier: Apache-2.0 */
/* Volume references. Strict, because they come from command lines, catalogues and repository tags, and go
 * into messages, paths and tags again: no empty segment, no control character, nothing cut off. */
#include "plugins/volume_ref.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define WORD LETTERS "0123456789._-"

static bool dots(const char *text, size_t size)
{
    return (size == 1 && text[0] == '.') || (size == 2 && text[0] == '.' && text[1] == '.');
}

/* Copies a word of [A-Za-z0-9._-] that is neither empty nor dots. */
static bool take_word(const char *text, size_t size, char *out, size_t out_size)
{
    if (!size || size >= out_size || strspn(text, WORD) < size || dots(text, size))
        return false;
    memcpy(out, text, size);
    out[size] = 0;
    return true;
}

static bool path_valid(const char *path)
{
    for (const char *segment = path;; segment++) {
        size_t size = strcspn(segment, "/");
        if (!size || dots(segment, size))
            return false;
        segment += size;
        if (!*segment)
            break;
    }
    for (const unsigned char *c = (const unsigned char *)path; *c; c++)
        if (*c < ' ' || *c == 127 || *c == '@')
            return false;
    return true;
}

bool volume_snapshot_name_valid(const char *name)
{
    char copy[NACRE_SNAPSHOT_NAME_MAX + 1];
    return take_word(name, strlen(name), copy, sizeof copy);
}

static bool parse(const char *text, struct volume_ref *out)
{
    const char *cluster = strchr(text, '/');
    if (!cluster || !take_word(text, (size_t)(cluster - text), out->driver, sizeof out->driver))
        return false;
    cluster++;
    const char *path = strchr(cluster, '/');
    if (!path || !take_word(cluster, (size_t)(path - cluster), out->cluster, sizeof out->cluster))
        return false;
    path++;
    size_t path_size = strlen(path);
    const char *at = strrchr(path, '@');
    if (at) {
        path_size = (size_t)(at - path);
        if (!take_word(at + 1, strlen(at + 1), out->snap, sizeof out->snap))
            return false;
    }
    if (!path_size || path_size >= sizeof out->path)
        return false;
    memcpy(out->path, path, path_size);
    out->path[path_size] = 0;
    return path_valid(out->path);
}

int volume_ref_parse(const char *text, struct volume_ref *out, struct nacre_err *e)
{
    *out = (struct volume_ref){0};
    if (parse(text, out))
        return 0;
    *out = (struct volume_ref){0};
    return err_set(e, NACRE_INVALID,
                   "\"%.200s\" is not a volume: expected DRIVER/CLUSTER/PATH[@SNAPSHOT], such as "
                   "rbd/east/pool/image or hostpath/local/name@monday",
                   text);
}

void volume_ref_format(const struct volume_ref *ref, char out[VOLUME_REF_SIZE])
{
    snprintf(out, VOLUME_REF_SIZE, "%s/%s/%s%s%s", ref->driver, ref->cluster, ref->path,
             *ref->snap ? "@" : "", ref->snap);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Where credentials are looked for. A file that was named must be there and be good; gcloud's may be absent.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/err.h"
#include "credentials.h"

#define FILE_MAX ((size_t)1 << 20)
/* Known on every machine of Google's, and asked without a look-up of a name, which takes long elsewhere. */
#define METADATA_ADDRESS "169.254.169.254"

/* The whole file; -1 with errno set. */
static int read_file(const char *path, struct buf *out)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    for (;;) {
        void *room = buf_reserve(out, 4096);
        ssize_t got = room ? read(fd, room, 4096) : -1;
        if (got < 0 && room && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        buf_commit(out, (size_t)got);
        if (out->size > FILE_MAX) {
            errno = EFBIG;
            return -1;
        }
    }
}

static int load(const char *path, const char *named_by, struct credentials **out, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf origin = {0};
    if (read_file(path, &text) < 0)
        return err_set(e, NACRE_INVALID, "cannot read %s, which %s names as credentials: %s", path, named_by,
                       strerrordesc_np(errno));
    buf_printf(&origin, "the credentials of %s", path);
    if (buf_failed(&origin) || buf_failed(&text))
        return err_no_memory(e, "credentials");
    return credentials_parse(text.data, text.size, (const char *)origin.data, out, e);
}

/* Appends the path of gcloud's file; false when there is none. */
static bool gcloud_path(struct buf *out)
{
    struct stat st;
    const char *directory = getenv("CLOUDSDK_CONFIG"), *home = getenv("HOME");
    if (directory && *directory)
        buf_printf(out, "%s/application_default_credentials.json", directory);
    else if (home && *home)
        buf_printf(out, "%s/.config/gcloud/application_default_credentials.json", home);
    return out->size && !buf_failed(out) && stat((const char *)out->data, &st) == 0;
}

static int use_metadata(const char *named, struct credentials **out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf origin = {0};
    CLEANUP(credentials_free) struct credentials *c = calloc(1, sizeof *c);
    const char *host = named ? named : METADATA_ADDRESS;
    buf_printf(&origin, "the metadata server %s", host);
    if (!c || buf_failed(&origin) || !(c->origin = strdup((const char *)origin.data)) ||
        !(c->metadata_host = strdup(host)))
        return err_no_memory(e, "credentials");
    c->kind = CREDENTIALS_METADATA;
    c->metadata_named = named != NULL;
    *out = MOVE(c);
    /* cppcheck-suppress memleak; it was handed on */
    return 0;
}

int credentials_find(const char *path, bool emulator, struct credentials **out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf gcloud = {0};
    static const char variable[] = "GOOGLE_APPLICATION_CREDENTIALS";
    const char *named = getenv(variable), *host = getenv("GCE_METADATA_HOST");
    *out = NULL;
    if (path)
        return load(path, "the option credentials", out, e);
    if (named && *named)
        return load(named, variable, out, e);
    if (!emulator && gcloud_path(&gcloud))
        return load((const char *)gcloud.data, "gcloud", out, e);
    if (host && *host)
        return use_metadata(host, out, e);
    return emulator ? 0 : use_metadata(NULL, out, e);
}

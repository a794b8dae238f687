/* SPDX-License-Identifier: Apache-2.0 */
/* The tar file of a backup, by libarchive: regular files of mode 0755, as Velero writes them. */
#include "kubernetes/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"

#define FORMAT_VERSION "1.1.0\n"

static inline void archive_free_at(struct archive **archive)
{
    if (*archive)
        archive_write_free(*archive);
}

static inline void entry_free_at(struct archive_entry **entry)
{
    archive_entry_free(*entry);
}

static la_ssize_t append(struct archive *archive, void *ctx, const void *data, size_t size)
{
    struct buf *out = ctx;
    buf_append(out, data, size);
    if (!buf_failed(out))
        return (la_ssize_t)size;
    archive_set_error(archive, ENOMEM, "out of memory");
    return -1;
}

static int add_file(struct archive *archive, const char *path, const char *text, int64_t modified_ns)
{
    CLEANUP(entry_free) struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return ARCHIVE_FATAL;
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0755);
    archive_entry_set_size(entry, (int64_t)strlen(text));
    archive_entry_set_mtime(entry, modified_ns / 1000000000, 0);
    int status = archive_write_header(archive, entry);
    if (status == ARCHIVE_OK && archive_write_data(archive, text, strlen(text)) != (la_ssize_t)strlen(text))
        status = ARCHIVE_FATAL;
    return status;
}

int tar_without_resources(int64_t modified_ns, struct buf *out, struct nacre_err *e)
{
    CLEANUP(archive_free) struct archive *archive = archive_write_new();
    if (!archive)
        return err_no_memory(e, "a tar file");
    archive_write_set_format_pax_restricted(archive);
    if (archive_write_open(archive, out, NULL, append, NULL) != ARCHIVE_OK ||
        add_file(archive, "metadata/version", FORMAT_VERSION, modified_ns) != ARCHIVE_OK ||
        archive_write_close(archive) != ARCHIVE_OK) {
        const char *why = archive_error_string(archive);
        return err_set(e, NACRE_FAILED, "writing a tar file: %s", why ? why : "out of memory");
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One blob: found, fetched, opened, verified. A blob may lie in several packs (two writers at once, an
 * interrupted prune): a damaged copy does not matter while another one is whole. */
#include "repository/blob_load.h"

#include "common/err.h"
#include "plugins/store.h"

static int wrap_blob(enum blob_type type, const struct id *id, struct nacre_err *e)
{
    char hex[ID_HEX_SIZE];
    id_format(id, hex);
    return err_wrap(e, "%s blob %s", type == BLOB_TREE ? "tree" : "data", hex);
}

static int load_once(struct repo *repo, const struct index_entry *entry, struct buf *out, struct nacre_err *e)
{
    char name[REPO_NAME_SIZE];
    repo_name(repo, REPO_PACK, &entry->pack, name);
    CLEANUP(mem_free) void *sealed = malloc(entry->blob.length);
    void *plain = buf_reserve(out, entry->blob.plain_length);
    if (!sealed || !plain)
        return err_no_memory(e, "a blob");
    int got = (entry->blob.type == BLOB_TREE ? store_get_range_kept : store_get_range)(
        repo_store(repo), name, entry->blob.offset, entry->blob.length, sealed, e);
    if (got < 0) {
        if (e->code == NACRE_ABSENT || e->code == NACRE_INVALID)
            err_set(e, NACRE_CORRUPT, "the pack that holds it is gone or cut short: %s; run nacre repo check",
                    (const char *)e->message);
        return wrap_blob(entry->blob.type, &entry->blob.id, e);
    }
    if (blob_unseal(repo, &entry->blob, sealed, plain, e) < 0)
        return err_wrap(e, "%s", name);
    buf_commit(out, entry->blob.plain_length);
    return 0;
}

/* Twice when need be: it may have come to harm on its way only. */
static int load_from(struct repo *repo, const struct index_entry *entry, struct buf *out, struct nacre_err *e)
{
    if (load_once(repo, entry, out, e) == 0)
        return 0;
    return e->code == NACRE_CORRUPT ? load_once(repo, entry, out, e) : -1;
}

int blob_load(struct repo *repo, struct index *index, enum blob_type type, const struct id *id,
              struct buf *out, struct nacre_err *e)
{
    struct index_entry entry;
    struct nacre_err error;
    unsigned tried = 0;
    for (; index_find_nth(index, type, id, tried, &entry); tried++) {
        if (load_from(repo, &entry, out, &error) == 0)
            return 0;
        if (!tried || e->code == NACRE_CORRUPT)
            *e = error; /* a copy that may be whole says more than one that is not */
    }
    if (tried)
        return -1;
    err_set(e, NACRE_CORRUPT, "lost: no index file names it; run nacre repo check");
    return wrap_blob(type, id, e);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing the parent. A snapshot on the source may only be a base when it is the very one that the earlier
 * backup read: name and id must agree with that backup's tags, the volume's id with the volume's, and sizes
 * with each other. Anything else (a volume made again under the old name, a snapshot taken again under the
 * old name) means a full read; deduplication then saves the upload. */
#include "backup/parent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backup/backup.h"
#include "snapshot/take.h"

static bool tag_number(const struct snapshot *backup, const char *key, uint64_t *out)
{
    const char *text = snapshot_tag_value(backup, key);
    if (!text || !*text || text[strspn(text, "0123456789")])
        return false;
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return !errno;
}

static bool tag_is(const struct snapshot *backup, const char *key, const char *value)
{
    const char *text = snapshot_tag_value(backup, key);
    return text && !strcmp(text, value);
}

static bool chunk_size_valid(uint64_t size)
{
    return size >= BACKUP_CHUNK_MIN && size <= BACKUP_CHUNK_MAX && !(size & (size - 1));
}

/* The snapshot on the source that a backup read, when it is still there and still the same. */
static const struct history_entry *source_of(const struct snapshot *backup, const struct history *history)
{
    const char *name = snapshot_tag_value(backup, "source-snapshot");
    const struct history_entry *entry = name ? history_find(history, name) : NULL;
    uint64_t id, bytes;
    return entry && tag_number(backup, "source-snapshot-id", &id) && id == entry->id &&
                   tag_number(backup, "volume-bytes", &bytes) && bytes == entry->bytes
               ? entry
               : NULL;
}

static void explain(const struct parent_query *query, const struct snapshot *newest,
                    struct parent_choice *out)
{
    const char *name = snapshot_tag_value(newest, "source-snapshot");
    const struct history_entry *there = name ? history_find(query->history, name) : NULL;
    const char *why = !there                              ? "is no longer on the volume"
                      : source_of(newest, query->history) ? "is not older than the one to be backed up"
                                                          : "was replaced by another one of that name";
    snprintf(out->warning, sizeof out->warning,
             "read in full: snapshot %s, which the previous backup left as a base, %s", name ? name : "?",
             why);
}

void parent_choose(const struct snapshot_list *backups, const struct parent_query *query,
                   struct parent_choice *out)
{
    const struct snapshot *newest = NULL, *based = NULL, *other_volume = NULL;
    uint64_t other_chunk_size = 0;
    *out = (struct parent_choice){.chunk_size = query->chunk_size};
    for (size_t i = backups->count; i-- > 0;) {
        const struct snapshot *backup = backups->items[i];
        uint64_t chunk_size;
        if (!tag_is(backup, "driver", query->driver) || !tag_is(backup, "volume-id", query->volume_id)) {
            if (!other_volume && tag_is(backup, "volume", query->volume))
                other_volume = backup;
            continue;
        }
        if (!tag_number(backup, "chunk-size", &chunk_size) || !chunk_size_valid(chunk_size))
            continue;
        const struct history_entry *entry = source_of(backup, query->history);
        if (entry && !out->keep[0] && snapshot_name_parse(entry->name, query->repository_id, NULL))
            memcpy(out->keep, entry->name, sizeof out->keep);
        if (!out->chunk_size)
            out->chunk_size = (uint32_t)chunk_size;
        if (chunk_size != out->chunk_size) {
            other_chunk_size = other_chunk_size ? other_chunk_size : chunk_size;
            continue;
        }
        newest = newest ? newest : backup;
        if (!based && entry && !query->full && (!query->before || entry < query->before)) {
            based = backup;
            out->base = *entry;
        }
    }
    out->snapshot = based ? based : newest;
    if (!out->chunk_size)
        out->chunk_size = query->chunk_size_default;
    if (based || query->full)
        return;
    if (newest)
        explain(query, newest, out);
    else if (other_chunk_size)
        snprintf(out->warning, sizeof out->warning,
                 "read in full: the previous backup has chunks of %llu bytes, this one of %u",
                 (unsigned long long)other_chunk_size, out->chunk_size);
    else if (other_volume)
        snprintf(out->warning, sizeof out->warning,
                 "read in full: the previous backup is of another volume that had this name (its id was %s)",
                 snapshot_tag_value(other_volume, "volume-id") ? snapshot_tag_value(other_volume, "volume-id")
                                                               : "unknown");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Pack headers.
 *
 * A pack is: sealed blobs without gaps ‖ sealed header ‖ u32le length of the sealed header. A header entry is
 * u8 type ‖ u32le sealed length [‖ u32le plain length when compressed] ‖ id. Offsets are not stored: they
 * follow from the lengths, which must add up to where the header begins. */
#include "repository/pack.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "common/err.h"
#include "plugins/store.h"

#define ENTRY_SIZE (1 + 4 + ID_SIZE)
#define ENTRY_COMPRESSED_SIZE (ENTRY_SIZE + 4)
#define HEADER_MAX (16u << 20)
#define LENGTH_SIZE 4

/* Read at once from the end of a pack: enough for some 400 blobs. */
#define TAIL_SIZE 16384

enum entry_type { ENTRY_DATA, ENTRY_TREE, ENTRY_DATA_COMPRESSED, ENTRY_TREE_COMPRESSED };

static void put_u32(struct buf *out, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                        (uint8_t)(value >> 24)};
    buf_append(out, bytes, sizeof bytes);
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void append_entry(struct buf *out, const struct pack_blob *blob)
{
    if (blob->compressed) {
        buf_char(out, blob->type == BLOB_TREE ? ENTRY_TREE_COMPRESSED : ENTRY_DATA_COMPRESSED);
        put_u32(out, blob->length);
        put_u32(out, blob->plain_length);
    } else {
        buf_char(out, blob->type == BLOB_TREE ? ENTRY_TREE : ENTRY_DATA);
        put_u32(out, blob->length);
    }
    buf_append(out, blob->id.bytes, ID_SIZE);
}

int pack_finish(struct repo *repo, const struct pack_blob *blobs, size_t count, struct buf *pack,
                struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf header = {0};
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        assert(blobs[i].offset == offset);
        offset += blobs[i].length;
        append_entry(&header, &blobs[i]);
    }
    assert(offset == pack->size && count);
    if (header.size + SEAL_OVERHEAD > HEADER_MAX)
        return err_set(e, NACRE_INVALID, "%zu blobs are too many for one pack", count);
    size_t sealed_size = header.size + SEAL_OVERHEAD;
    void *at = buf_reserve(pack, sealed_size + LENGTH_SIZE);
    if (!at || buf_failed(&header))
        return err_no_memory(e, "a pack header");
    if (seal(repo_seal_key(repo), header.data, header.size, at, e) < 0)
        return err_wrap(e, "sealing a pack header");
    buf_commit(pack, sealed_size);
    put_u32(pack, (uint32_t)sealed_size);
    return 0;
}

/* Reads the entry at *at, which moves behind it; false when it is none. */
static bool parse_entry(const uint8_t **at, const uint8_t *end, struct pack_blob *out)
{
    size_t left = (size_t)(end - *at);
    if (left < ENTRY_SIZE || **at > ENTRY_TREE_COMPRESSED)
        return false;
    uint8_t type = *(*at)++;
    bool compressed = type == ENTRY_DATA_COMPRESSED || type == ENTRY_TREE_COMPRESSED;
    if (compressed && left < ENTRY_COMPRESSED_SIZE)
        return false;
    *out = (struct pack_blob){
        .length = get_u32(*at),
        .type = type == ENTRY_TREE || type == ENTRY_TREE_COMPRESSED ? BLOB_TREE : BLOB_DATA,
        .compressed = compressed,
    };
    *at += 4;
    if (out->length < SEAL_OVERHEAD)
        return false;
    out->plain_length = out->length - SEAL_OVERHEAD;
    if (compressed) {
        out->plain_length = get_u32(*at);
        *at += 4;
    }
    memcpy(out->id.bytes, *at, ID_SIZE);
    *at += ID_SIZE;
    return out->plain_length <= BLOB_PLAIN_MAX;
}

int pack_header_parse(const void *header, size_t size, uint64_t blobs_end, struct pack_blob **blobs,
                      size_t *count, struct nacre_err *e)
{
    const uint8_t *at = header, *end = at + size;
    uint64_t offset = 0;
    size_t found = 0;
    if (size > HEADER_MAX || blobs_end > UINT32_MAX)
        return err_set(e, NACRE_CORRUPT, "its header of %zu bytes behind %" PRIu64 " is too large", size,
                       blobs_end);
    CLEANUP(mem_free) struct pack_blob *list = calloc(size / ENTRY_SIZE + 1, sizeof *list);
    if (!list)
        return err_no_memory(e, "a pack header");
    while (at < end) {
        struct pack_blob *blob = &list[found];
        if (!parse_entry(&at, end, blob))
            return err_set(e, NACRE_CORRUPT, "entry %zu of its header is damaged", found);
        blob->offset = (uint32_t)offset;
        offset += blob->length;
        if (offset > blobs_end)
            return err_set(e, NACRE_CORRUPT, "the blobs of its header are longer than the pack");
        found++;
    }
    if (!found || offset != blobs_end)
        return err_set(e, NACRE_CORRUPT,
                       "its header accounts for %" PRIu64 " of %" PRIu64 " bytes in %zu blobs", offset,
                       blobs_end, found);
    *blobs = MOVE(list);
    *count = found;
    return 0;
}

/* Appends the sealed header, without its length, to `out`. */
static int read_sealed(struct repo *repo, const char *name, uint64_t pack_size, struct buf *out,
                       struct nacre_err *e)
{
    uint8_t tail[TAIL_SIZE];
    size_t least = SEAL_OVERHEAD + ENTRY_SIZE + LENGTH_SIZE;
    if (pack_size < least || pack_size > UINT32_MAX)
        return err_set(e, NACRE_CORRUPT, "a pack cannot have %" PRIu64 " bytes", pack_size);
    size_t tail_size = pack_size < TAIL_SIZE ? (size_t)pack_size : TAIL_SIZE;
    if (store_get_range(repo_store(repo), name, pack_size - tail_size, tail_size, tail, e) < 0)
        return -1;
    size_t before = tail_size - LENGTH_SIZE;
    uint32_t sealed_size = get_u32(tail + before);
    if (sealed_size < SEAL_OVERHEAD + ENTRY_SIZE || sealed_size > HEADER_MAX ||
        sealed_size > pack_size - LENGTH_SIZE)
        return err_set(e, NACRE_CORRUPT, "it ends in a header length of %" PRIu32 ", which cannot be",
                       sealed_size);
    uint8_t *at = buf_reserve(out, sealed_size);
    if (!at)
        return err_no_memory(e, "a pack header");
    size_t here = sealed_size < before ? sealed_size : before, missing = sealed_size - here;
    memcpy(at + missing, tail + before - here, here);
    if (missing &&
        store_get_range(repo_store(repo), name, pack_size - LENGTH_SIZE - sealed_size, missing, at, e) < 0)
        return -1;
    buf_commit(out, sealed_size);
    return 0;
}

int pack_header_read(struct repo *repo, const struct id *pack, uint64_t pack_size, struct pack_blob **blobs,
                     size_t *count, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf header = {0};
    char name[REPO_NAME_SIZE], hex[ID_HEX_SIZE];
    id_format(pack, hex);
    repo_name(repo, REPO_PACK, pack, name);
    if (read_sealed(repo, name, pack_size, &header, e) < 0)
        return err_wrap(e, "pack %s", hex);
    uint8_t *plain = header.data + 16;
    if (unseal(repo_seal_key(repo), header.data, header.size, plain, e) < 0)
        return err_wrap(e, "header of pack %s", hex);
    if (pack_header_parse(plain, header.size - SEAL_OVERHEAD, pack_size - LENGTH_SIZE - header.size, blobs,
                          count, e) < 0)
        return err_wrap(e, "pack %s", hex);
    return 0;
}

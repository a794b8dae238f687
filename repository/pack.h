/* SPDX-License-Identifier: Apache-2.0 */
/* Packs: many sealed blobs in one file, with a sealed header at its end. And blobs: how one is sealed. */
#ifndef REPOSITORY_PACK_H
#define REPOSITORY_PACK_H

#include "repository/repo.h"

enum blob_type { BLOB_DATA = 0, BLOB_TREE = 1 };

#define BLOB_PLAIN_MAX (256u << 20) /* the largest plain length that is believed */

/* One blob in a pack. */
struct pack_blob {
    struct id id;          /* SHA-256 of the plain bytes */
    uint32_t offset;       /* of the sealed bytes in the pack */
    uint32_t length;       /* sealed */
    uint32_t plain_length; /* always set */
    uint8_t type;          /* enum blob_type */
    bool compressed;
};

/* Compresses when the repository's version allows it and it gets smaller, then seals. Appends the sealed
 * bytes to out. level: zstd's, 0 = do not compress. */
int blob_seal(struct repo *repo, const struct id *id, enum blob_type type, const void *plain, size_t size,
              int level, struct buf *out, struct pack_blob *blob, struct nacre_err *e);

/* Opens sealed bytes (blob->length of them): unseals, decompresses, checks the SHA-256; out gets exactly
 * blob->plain_length bytes. NACRE_CORRUPT names the blob. Allocates nothing that outlives it. */
int blob_unseal(const struct repo *repo, const struct pack_blob *blob, const void *sealed, void *out,
                struct nacre_err *e);

/* Appends the sealed header and its length to a pack's bytes, whose blobs are `blobs` in order of offset. */
int pack_finish(struct repo *repo, const struct pack_blob *blobs, size_t count, struct buf *pack,
                struct nacre_err *e);

/* Reads the header of a pack of pack_size bytes. *blobs: free(). NACRE_CORRUPT when lengths, offsets or types
 * do not add up to the pack. */
int pack_header_read(struct repo *repo, const struct id *pack, uint64_t pack_size, struct pack_blob **blobs,
                     size_t *count, struct nacre_err *e);

/* Parses an opened header: for pack_header_read and the fuzz target. blobs_end: where the header begins. */
int pack_header_parse(const void *header, size_t size, uint64_t blobs_end, struct pack_blob **blobs,
                      size_t *count, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The index as one local file: mapped for reading, written once from front to back.
 *
 *   header (96 bytes)   magic, version, byte order, repository, counts, a sum of each section, a sum of
 * itself files               32 bytes each: the index files of the repository that it covers, ascending packs
 * 32 bytes each, ascending; a pack's number is its place here records             48 bytes each, ascending by
 * id, type, pack, offset
 *
 * In the machine's own byte order: it is a cache, made again where it does not fit. The sums find damage
 * (they are not cryptographic); opening reads the file once and checks them and the order of everything. */
#ifndef REPOSITORY_INDEX_FILE_H
#define REPOSITORY_INDEX_FILE_H

#include "repository/pack.h"

struct index_record {
    struct id id;
    uint32_t offset, length, plain_length;
    uint32_t where; /* pack number << 2 | type << 1 | compressed */
};
_Static_assert(sizeof(struct index_record) == 48, "the file's layout");

#define INDEX_PACKS_MAX (UINT32_C(1) << 30)

static inline uint32_t index_record_pack(const struct index_record *record)
{
    return record->where >> 2;
}
static inline uint8_t index_record_type(const struct index_record *record)
{
    return record->where >> 1 & 1;
}
void index_record_set(struct index_record *record, const struct pack_blob *blob, uint32_t pack_number);
void index_record_get(const struct index_record *record, struct pack_blob *blob);
/* By id, type, pack, offset. */
int index_record_compare(const struct index_record *a, const struct index_record *b);
/* By id and type. */
int index_record_match(const struct index_record *record, enum blob_type type, const struct id *id);

struct index_file {
    int fd;
    void *map;
    size_t map_size;
    const struct id *files, *packs;
    const struct index_record *records;
    uint32_t file_count, pack_count;
    uint64_t record_count;
    uint32_t *fanout; /* [65536 + 1]: the first record whose id begins with these two bytes or more */
};

/* Takes fd over in every case. NACRE_CORRUPT when the file is damaged, of another version or repository: it
 * should be made again. */
int index_file_open(int fd, const char *repo_id, struct index_file *out, struct nacre_err *e);
void index_file_close(struct index_file *file); /* zeroed is legal */

/* The first record of id and type; records match from there on while index_record_match says 0. */
uint64_t index_file_find(const struct index_file *file, enum blob_type type, const struct id *id);

/* Writing: files, then packs, then records, each in order, then finish. fd is borrowed. */
struct index_file_writer;
int index_file_writer_new(int fd, const char *repo_id, struct index_file_writer **out, struct nacre_err *e);
void index_file_writer_free(struct index_file_writer *writer);
CLEANUP_DEFINE(struct index_file_writer *, index_file_writer_free)
int index_file_put_files(struct index_file_writer *writer, const struct id *files, uint32_t count,
                         struct nacre_err *e);
int index_file_put_pack(struct index_file_writer *writer, const struct id *pack, struct nacre_err *e);
int index_file_put_record(struct index_file_writer *writer, const struct index_record *record,
                          struct nacre_err *e);
int index_file_finish(struct index_file_writer *writer, struct nacre_err *e);

/* pread and pwrite of all of it. */
int index_read_at(int fd, void *data, size_t size, uint64_t offset, struct nacre_err *e);
int index_write_at(int fd, const void *data, size_t size, uint64_t offset, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The cached index file. It is checked by reading, not through the mapping: checking must not make all of it
 * resident. After that nothing in it is trusted with more than being in bounds: a blob that it places wrongly
 * fails its own hash. */
#include "repository/index_file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/err.h"

#define MAGIC "nacreidx"
#define VERSION 1
#define BYTE_ORDER_MARK 0x01020304u
#define BLOCK ((size_t)48 * 16384) /* a multiple of both element sizes */

enum section { FILES, PACKS, RECORDS, SECTIONS };

struct header {
    char magic[8];
    uint32_t version, byte_order;
    uint8_t repo[ID_SIZE];
    uint64_t record_count;
    uint32_t file_count, pack_count;
    uint64_t sums[SECTIONS];
    uint64_t header_sum;
};
_Static_assert(sizeof(struct header) == 96, "the file's layout");

/* A sum over 16-byte steps, in two independent lanes. Each step is a bijection of the lane for a given input
 * and of the input for a given lane, so that no single damaged word goes unnoticed. */
struct sum {
    uint64_t lanes[2];
};

static void sum_add(struct sum *sum, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t a = sum->lanes[0], b = sum->lanes[1];
    for (; size >= 16; at += 16, size -= 16) {
        uint64_t words[2];
        memcpy(words, at, sizeof words);
        a = (a ^ words[0]) * UINT64_C(0x9e3779b97f4a7c15);
        b = (b ^ words[1]) * UINT64_C(0xc2b2ae3d27d4eb4f);
        a ^= a >> 29;
        b ^= b >> 31;
    }
    sum->lanes[0] = a;
    sum->lanes[1] = b;
}

static uint64_t sum_value(const struct sum *sum)
{
    return (sum->lanes[0] * UINT64_C(0xff51afd7ed558ccd)) ^ (sum->lanes[1] << 32 | sum->lanes[1] >> 32);
}

static uint64_t header_sum(const struct header *header)
{
    struct header copy = *header;
    copy.header_sum = 0;
    struct sum sum = {{1, 2}};
    sum_add(&sum, &copy, sizeof copy);
    return sum_value(&sum);
}

void index_record_set(struct index_record *record, const struct pack_blob *blob, uint32_t pack_number)
{
    *record = (struct index_record){.id = blob->id,
                                    .offset = blob->offset,
                                    .length = blob->length,
                                    .plain_length = blob->plain_length,
                                    .where = pack_number << 2 | (uint32_t)(blob->type == BLOB_TREE) << 1 |
                                             blob->compressed};
}

void index_record_get(const struct index_record *record, struct pack_blob *blob)
{
    *blob = (struct pack_blob){.id = record->id,
                               .offset = record->offset,
                               .length = record->length,
                               .plain_length = record->plain_length,
                               .type = index_record_type(record),
                               .compressed = record->where & 1};
}

int index_record_compare(const struct index_record *a, const struct index_record *b)
{
    int order = id_compare(&a->id, &b->id);
    if (order)
        return order;
    uint8_t type_a = index_record_type(a), type_b = index_record_type(b);
    if (type_a != type_b)
        return type_a < type_b ? -1 : 1;
    if (a->where >> 2 != b->where >> 2)
        return a->where >> 2 < b->where >> 2 ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

int index_record_match(const struct index_record *record, enum blob_type type, const struct id *id)
{
    int order = id_compare(&record->id, id);
    return order ? order : (int)index_record_type(record) - (int)type;
}

int index_read_at(int fd, void *data, size_t size, uint64_t offset, struct nacre_err *e)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "reading the local index");
        if (!got)
            return err_set(e, NACRE_CORRUPT, "the local index ends early");
        done += (size_t)got;
    }
    return 0;
}

int index_write_at(int fd, const void *data, size_t size, uint64_t offset, struct nacre_err *e)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(fd, (const char *)data + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_errno(e, errno, "writing the local index");
        done += (size_t)put;
    }
    return 0;
}

static int check_header(const struct header *header, uint64_t size, const char *repo_id, struct nacre_err *e)
{
    uint8_t repo[ID_SIZE];
    if (memcmp(header->magic, MAGIC, sizeof header->magic) != 0 || header->version != VERSION ||
        header->byte_order != BYTE_ORDER_MARK)
        return err_set(e, NACRE_CORRUPT, "the local index is of another version");
    if (header->header_sum != header_sum(header))
        return err_set(e, NACRE_CORRUPT, "the header of the local index is damaged");
    if (!hex_decode(repo_id, repo, sizeof repo) || memcmp(repo, header->repo, sizeof repo) != 0)
        return err_set(e, NACRE_CORRUPT, "the local index is of another repository");
    if (header->pack_count > INDEX_PACKS_MAX || header->record_count > UINT32_MAX ||
        size != sizeof *header + ((uint64_t)header->file_count + header->pack_count) * ID_SIZE +
                    header->record_count * sizeof(struct index_record))
        return err_set(e, NACRE_CORRUPT, "the local index is not as long as it says");
    return 0;
}

/* One section, block by block: calls check on each element but the first with the one before. */
struct scan {
    struct index_file *file;
    size_t element_size;
    bool (*in_order)(struct index_file *file, const void *previous, const void *element);
};

static bool ids_in_order(struct index_file *file, const void *previous, const void *element)
{
    (void)file;
    return !previous || id_compare(previous, element) < 0;
}

static bool records_in_order(struct index_file *file, const void *previous, const void *element)
{
    const struct index_record *record = element;
    file->fanout[(record->id.bytes[0] << 8 | record->id.bytes[1]) + 1]++;
    return index_record_pack(record) < file->pack_count &&
           (!previous || index_record_compare(previous, record) < 0);
}

static int check_section(const struct scan *scan, uint64_t offset, uint64_t count, uint64_t sum,
                         struct nacre_err *e)
{
    CLEANUP(mem_free) uint8_t *block = malloc(BLOCK);
    uint8_t previous[sizeof(struct index_record)];
    struct sum actual = {{1, 2}};
    bool in_order = true, first = true;
    if (!block)
        return err_no_memory(e, "checking the local index");
    for (uint64_t left = count * scan->element_size; left;) {
        size_t size = left < BLOCK ? (size_t)left : BLOCK;
        if (index_read_at(scan->file->fd, block, size, offset, e) < 0)
            return -1;
        sum_add(&actual, block, size);
        for (size_t at = 0; at < size; at += scan->element_size, first = false) {
            const void *before = at ? block + at - scan->element_size : first ? NULL : previous;
            in_order &= scan->in_order(scan->file, before, block + at);
        }
        memcpy(previous, block + size - scan->element_size, scan->element_size);
        offset += size;
        left -= size;
    }
    if (sum_value(&actual) != sum || !in_order)
        return err_set(e, NACRE_CORRUPT, "the local index is damaged");
    return 0;
}

static int check_sections(struct index_file *file, const struct header *header, struct nacre_err *e)
{
    const struct scan ids = {file, ID_SIZE, ids_in_order};
    const struct scan records = {file, sizeof(struct index_record), records_in_order};
    uint64_t files_at = sizeof *header, packs_at = files_at + (uint64_t)file->file_count * ID_SIZE;
    uint64_t records_at = packs_at + (uint64_t)file->pack_count * ID_SIZE;
    if (check_section(&ids, files_at, file->file_count, header->sums[FILES], e) < 0 ||
        check_section(&ids, packs_at, file->pack_count, header->sums[PACKS], e) < 0 ||
        check_section(&records, records_at, file->record_count, header->sums[RECORDS], e) < 0)
        return -1;
    for (size_t i = 0; i < 65536; i++)
        file->fanout[i + 1] += file->fanout[i];
    return 0;
}

static int open_checked(struct index_file *file, const char *repo_id, struct nacre_err *e)
{
    struct header header;
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return err_errno(e, errno, "the local index");
    if (index_read_at(file->fd, &header, sizeof header, 0, e) < 0 ||
        check_header(&header, (uint64_t)st.st_size, repo_id, e) < 0)
        return -1;
    file->file_count = header.file_count;
    file->pack_count = header.pack_count;
    file->record_count = header.record_count;
    file->fanout = calloc(65537, sizeof *file->fanout);
    if (!file->fanout)
        return err_no_memory(e, "the index");
    if (check_sections(file, &header, e) < 0)
        return -1;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, file->fd, 0);
    if (map == MAP_FAILED)
        return err_errno(e, errno, "mapping the local index");
    file->map = map;
    file->map_size = (size_t)st.st_size;
    madvise(map, file->map_size, MADV_RANDOM);
    file->files = (const void *)((const char *)map + sizeof header);
    file->packs = file->files + file->file_count;
    file->records = (const void *)(file->packs + file->pack_count);
    return 0;
}

int index_file_open(int fd, const char *repo_id, struct index_file *out, struct nacre_err *e)
{
    *out = (struct index_file){.fd = fd};
    if (open_checked(out, repo_id, e) < 0) {
        index_file_close(out);
        return -1;
    }
    return 0;
}

void index_file_close(struct index_file *file)
{
    if (file->map)
        munmap(file->map, file->map_size);
    if (file->fd > 0)
        close(file->fd);
    free(file->fanout);
    *file = (struct index_file){0};
}

uint64_t index_file_find(const struct index_file *file, enum blob_type type, const struct id *id)
{
    size_t prefix = (size_t)id->bytes[0] << 8 | id->bytes[1];
    uint64_t low = file->fanout ? file->fanout[prefix] : 0,
             high = file->fanout ? file->fanout[prefix + 1] : 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (index_record_match(&file->records[middle], type, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct index_file_writer {
    int fd;
    struct header header;
    struct sum sums[SECTIONS];
    uint64_t offset; /* of the block in the file */
    size_t filled;
    uint8_t block[BLOCK];
};

int index_file_writer_new(int fd, const char *repo_id, struct index_file_writer **out, struct nacre_err *e)
{
    CLEANUP(index_file_writer_free) struct index_file_writer *writer = malloc(sizeof *writer);
    if (!writer)
        return err_no_memory(e, "the index");
    writer->fd = fd;
    writer->offset = sizeof writer->header;
    writer->filled = 0;
    writer->header = (struct header){.magic = MAGIC, .version = VERSION, .byte_order = BYTE_ORDER_MARK};
    if (!hex_decode(repo_id, writer->header.repo, ID_SIZE))
        /* cppcheck-suppress memleak; it is freed by scope */
        return err_set(e, NACRE_INVALID, "not the id of a repository: %s", repo_id);
    for (size_t i = 0; i < SECTIONS; i++)
        writer->sums[i] = (struct sum){{1, 2}};
    *out = MOVE(writer);
    return 0;
}

void index_file_writer_free(struct index_file_writer *writer)
{
    free(writer);
}

static int flush(struct index_file_writer *writer, struct nacre_err *e)
{
    if (index_write_at(writer->fd, writer->block, writer->filled, writer->offset, e) < 0)
        return -1;
    writer->offset += writer->filled;
    writer->filled = 0;
    return 0;
}

static int put(struct index_file_writer *writer, enum section section, const void *element, size_t size,
               struct nacre_err *e)
{
    if (writer->filled + size > sizeof writer->block && flush(writer, e) < 0)
        return -1;
    sum_add(&writer->sums[section], element, size);
    memcpy(writer->block + writer->filled, element, size);
    writer->filled += size;
    return 0;
}

int index_file_put_files(struct index_file_writer *writer, const struct id *files, uint32_t count,
                         struct nacre_err *e)
{
    writer->header.file_count = count;
    for (uint32_t i = 0; i < count; i++)
        if (put(writer, FILES, &files[i], sizeof files[i], e) < 0)
            return -1;
    return 0;
}

int index_file_put_pack(struct index_file_writer *writer, const struct id *pack, struct nacre_err *e)
{
    if (writer->header.pack_count == INDEX_PACKS_MAX)
        return err_set(e, NACRE_UNSUPPORTED, "the repository has more than %u packs", INDEX_PACKS_MAX);
    writer->header.pack_count++;
    return put(writer, PACKS, pack, sizeof *pack, e);
}

int index_file_put_record(struct index_file_writer *writer, const struct index_record *record,
                          struct nacre_err *e)
{
    if (writer->header.record_count == UINT32_MAX)
        return err_set(e, NACRE_UNSUPPORTED, "the repository has more than %u blobs", UINT32_MAX);
    writer->header.record_count++;
    return put(writer, RECORDS, record, sizeof *record, e);
}

int index_file_finish(struct index_file_writer *writer, struct nacre_err *e)
{
    if (flush(writer, e) < 0)
        return -1;
    for (size_t i = 0; i < SECTIONS; i++)
        writer->header.sums[i] = sum_value(&writer->sums[i]);
    writer->header.header_sum = header_sum(&writer->header);
    return index_write_at(writer->fd, &writer->header, sizeof writer->header, 0, e);
}

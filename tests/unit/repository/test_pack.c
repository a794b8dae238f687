/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs and packs: round trips, restic's own packs, and headers and frames that lie. */
#include "support.h"

#include "common/json.h"
#include "plugins/store.h"
#include "repository/frame.h"
#include "repository/pack.h"

static struct repo *make(struct place *place, unsigned version)
{
    struct nacre_err e;
    struct repo *repo = NULL;
    assert_ok(repo_init(place->store, &place->options, PASSWORD, version, &repo, &e));
    return repo;
}

/* Bytes that compress, or do not. */
static void fill(struct buf *out, size_t size, bool compressible)
{
    struct nacre_err e;
    buf_clear(out);
    uint8_t *at = buf_reserve(out, size);
    assert_ok(random_bytes(at, size, &e));
    for (size_t i = 0; compressible && i < size; i++)
        at[i] = (uint8_t)(at[i] % 4 + 'a');
    buf_commit(out, size);
}

static void blobs_round_trip(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    static const size_t sizes[] = {0, 1, 2, 31, 32, 4096, 1 << 20, 8 << 20};
    for (unsigned version = 1; version <= 2; version++) {
        char path[16];
        snprintf(path, sizeof path, "v%u", version);
        place->options.path = path;
        CLEANUP(repo_free) struct repo *repo = make(place, version);
        CLEANUP(buf_free) struct buf plain = {0}, pack = {0};
        for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
            size_t size = sizes[i / 2], start = pack.size;
            bool compressible = i % 2;
            struct pack_blob blob;
            struct id id;
            fill(&plain, size, compressible);
            id_hash(&id, plain.data, size);
            assert_ok(blob_seal(repo, &id, BLOB_DATA, plain.data, size, 3, &pack, &blob, &e));
            assert_int_equal(blob.offset, start);
            assert_int_equal(blob.length, pack.size - start);
            assert_int_equal(blob.plain_length, size);
            assert_int_equal(blob.compressed, version == 2 && compressible && size >= 4096);
            assert_true(blob.length <= size + SEAL_OVERHEAD);
            CLEANUP(mem_free) uint8_t *out = malloc(size ? size : 1); /* not a byte too many */
            assert_ok(blob_unseal(repo, &blob, pack.data + start, out, &e));
            assert_memory_equal(out, plain.data, size);
        }
    }
}

static bool gets_smaller(struct repo *repo, const struct buf *plain)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf pack = {0};
    struct pack_blob blob;
    struct id id;
    id_hash(&id, plain->data, plain->size);
    assert_ok(blob_seal(repo, &id, BLOB_DATA, plain->data, plain->size, 3, &pack, &blob, &e));
    CLEANUP(mem_free) uint8_t *out = malloc(plain->size);
    assert_ok(blob_unseal(repo, &blob, pack.data, out, &e));
    assert_memory_equal(out, plain->data, plain->size);
    return blob.compressed;
}

/* A large blob is compressed when only a part of it is worth it, wherever that lies. */
static void compresses_what_is_mixed(void **state)
{
    enum { SIZE = 1 << 20, PART = 160 << 10 };
    struct place *place = *state;
    CLEANUP(repo_free) struct repo *repo = make(place, 2);
    CLEANUP(buf_free) struct buf plain = {0};
    for (size_t offset = 0; offset + PART <= SIZE; offset += 20000) {
        fill(&plain, SIZE, false);
        assert_false(gets_smaller(repo, &plain));
        memset(plain.data + offset, 'a', PART);
        assert_true(gets_smaller(repo, &plain));
    }
    for (size_t distance = 4096; distance <= SIZE / 2; distance *= 2) { /* what only repeats, near or far */
        fill(&plain, SIZE, false);
        memcpy(plain.data + distance, plain.data, distance < 65536 ? distance : 65536);
        assert_true(gets_smaller(repo, &plain));
    }
}

static void level_0_does_not_compress(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place, 2);
    CLEANUP(buf_free) struct buf plain = {0}, pack = {0};
    struct pack_blob blob;
    struct id id;
    fill(&plain, 100000, true);
    id_hash(&id, plain.data, plain.size);
    for (int level = -5; level <= 22; level++) {
        buf_clear(&pack);
        assert_ok(blob_seal(repo, &id, BLOB_TREE, plain.data, plain.size, level, &pack, &blob, &e));
        assert_int_equal(blob.compressed, level != 0);
        CLEANUP(mem_free) uint8_t *out = malloc(plain.size);
        assert_ok(blob_unseal(repo, &blob, pack.data, out, &e));
    }
}

static void notices_wrong_blobs(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place, 2);
    CLEANUP(buf_free) struct buf plain = {0}, pack = {0};
    struct pack_blob blob, wrong;
    struct id id;
    fill(&plain, 100000, true);
    id_hash(&id, plain.data, plain.size);
    assert_ok(blob_seal(repo, &id, BLOB_DATA, plain.data, plain.size, 3, &pack, &blob, &e));
    CLEANUP(mem_free) uint8_t *out = malloc(200000);
    wrong = blob;
    wrong.plain_length--; /* a frame that grows beyond its announcement */
    assert_fails(blob_unseal(repo, &wrong, pack.data, out, &e), NACRE_CORRUPT, "data blob ");
    wrong.plain_length = 150000;
    assert_fails(blob_unseal(repo, &wrong, pack.data, out, &e), NACRE_CORRUPT, "announced");
    wrong.plain_length = UINT32_MAX;
    assert_fails(blob_unseal(repo, &wrong, pack.data, out, &e), NACRE_CORRUPT, "not believed");
    wrong = blob;
    wrong.length--;
    assert_fails(blob_unseal(repo, &wrong, pack.data, out, &e), NACRE_CORRUPT, "tag");
    wrong.length = 31;
    assert_fails(blob_unseal(repo, &wrong, pack.data, out, &e), NACRE_CORRUPT, "31");
    wrong = blob;
    wrong.compressed = false;
    assert_fails(blob_unseal(repo, &wrong, pack.data, out, &e), NACRE_CORRUPT, "does not go with");
    wrong.plain_length = wrong.length - SEAL_OVERHEAD;
    assert_fails(blob_unseal(repo, &wrong, pack.data, out, &e), NACRE_CORRUPT, "hash");
    wrong = blob;
    wrong.id.bytes[0] ^= 1;
    assert_fails(blob_unseal(repo, &wrong, pack.data, out, &e), NACRE_CORRUPT, "hash");
    pack.data[50] ^= 1;
    assert_fails(blob_unseal(repo, &blob, pack.data, out, &e), NACRE_CORRUPT, "tag");
}

/* A pack of `count` blobs in the store. */
static struct id put_pack(struct repo *repo, size_t count, struct pack_blob **blobs, struct buf *pack)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf plain = {0};
    struct id id;
    char name[REPO_NAME_SIZE];
    *blobs = calloc(count, sizeof **blobs);
    for (size_t i = 0; i < count; i++) {
        fill(&plain, 10 + i % 200, i % 2);
        id_hash(&id, plain.data, plain.size);
        assert_ok(blob_seal(repo, &id, i % 3 ? BLOB_DATA : BLOB_TREE, plain.data, plain.size, 3, pack,
                            &(*blobs)[i], &e));
    }
    assert_ok(pack_finish(repo, *blobs, count, pack, &e));
    id_hash(&id, pack->data, pack->size);
    repo_name(repo, REPO_PACK, &id, name);
    assert_ok(store_put(repo_store(repo), name, pack->data, pack->size, &e));
    return id;
}

static void headers_round_trip(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place, 2);
    static const size_t counts[] = {1, 2, 398, 399, 400, 440, 441, 442, 3000}; /* around the first read */
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        CLEANUP(mem_free) struct pack_blob *written = NULL, *read = NULL;
        CLEANUP(buf_free) struct buf pack = {0};
        size_t count = 0;
        struct id id = put_pack(repo, counts[i], &written, &pack);
        assert_ok(pack_header_read(repo, &id, pack.size, &read, &count, &e));
        assert_int_equal(count, counts[i]);
        for (size_t k = 0; k < count; k++) {
            assert_true(id_equal(&read[k].id, &written[k].id));
            assert_int_equal(read[k].offset, written[k].offset);
            assert_int_equal(read[k].length, written[k].length);
            assert_int_equal(read[k].plain_length, written[k].plain_length);
            assert_int_equal(read[k].type, written[k].type);
            assert_int_equal(read[k].compressed, written[k].compressed);
        }
    }
}

static void notices_wrong_packs(void **state)
{
    struct place *place = *state;
    struct nacre_err e;
    CLEANUP(repo_free) struct repo *repo = make(place, 2);
    CLEANUP(mem_free) struct pack_blob *written = NULL;
    CLEANUP(buf_free) struct buf pack = {0};
    struct pack_blob *read = NULL;
    size_t count = 0;
    char name[REPO_NAME_SIZE];
    struct id id = put_pack(repo, 20, &written, &pack);
    repo_name(repo, REPO_PACK, &id, name);
    assert_fails(pack_header_read(repo, &id, pack.size - 1, &read, &count, &e), NACRE_CORRUPT, "pack ");
    assert_fails(pack_header_read(repo, &id, 10, &read, &count, &e), NACRE_CORRUPT, "10 bytes");
    assert_fails(pack_header_read(repo, &id, UINT64_MAX, &read, &count, &e), NACRE_CORRUPT, "bytes");
    assert_true(pack_header_read(repo, &id, pack.size + 1, &read, &count, &e) < 0);
    for (int shift = 0; shift < 32; shift++) {
        pack.data[pack.size - 4 + (size_t)shift / 8] ^= (uint8_t)(1 << shift % 8);
        assert_ok(store_put(place->store, name, pack.data, pack.size, &e));
        assert_fails(pack_header_read(repo, &id, pack.size, &read, &count, &e), NACRE_CORRUPT, "pack ");
        pack.data[pack.size - 4 + (size_t)shift / 8] ^= (uint8_t)(1 << shift % 8);
    }
    pack.data[pack.size - 40] ^= 1;
    assert_ok(store_put(place->store, name, pack.data, pack.size, &e));
    assert_fails(pack_header_read(repo, &id, pack.size, &read, &count, &e), NACRE_CORRUPT, "tag");
    assert_ok(store_remove(place->store, name, &e));
    assert_fails(pack_header_read(repo, &id, pack.size, &read, &count, &e), NACRE_ABSENT, "pack ");
    assert_null(read);
}

static void refuses_headers_that_do_not_add_up(void **state)
{
    (void)state;
    struct nacre_err e;
    struct pack_blob *blobs = NULL;
    size_t count = 0;
    uint8_t header[2 * 41] = {0, 50, 0, 0, 0}; /* 50 sealed bytes of plain data, then 60 compressed */
    header[37] = 2;
    header[38] = 60;
    header[42] = 200;
    assert_ok(pack_header_parse(header, 37 + 41, 110, &blobs, &count, &e));
    assert_int_equal(count, 2);
    assert_int_equal(blobs[0].plain_length, 18);
    assert_int_equal(blobs[1].offset, 50);
    assert_int_equal(blobs[1].plain_length, 200);
    free(blobs);
    blobs = NULL;
    static const struct {
        size_t size;
        uint64_t end;
    } bad[] = {{37 + 41, 109}, {37 + 41, 111}, {37 + 40, 110}, {37, 110},
               {36, 50},       {0, 0},         {0, 110},       {37 + 41, UINT64_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(pack_header_parse(header, bad[i].size, bad[i].end, &blobs, &count, &e), NACRE_CORRUPT,
                     "");
    header[37] = 4;
    assert_fails(pack_header_parse(header, 37 + 41, 110, &blobs, &count, &e), NACRE_CORRUPT, "entry 1");
    header[37] = 2;
    header[45] = 0x7f; /* two gigabytes from sixty bytes */
    assert_fails(pack_header_parse(header, 37 + 41, 110, &blobs, &count, &e), NACRE_CORRUPT, "entry 1");
    header[45] = 0;
    header[1] = 31;
    assert_fails(pack_header_parse(header, 37, 31, &blobs, &count, &e), NACRE_CORRUPT, "entry 0");
    memset(header + 1, 0xff, 4);
    assert_fails(pack_header_parse(header, 37, 110, &blobs, &count, &e), NACRE_CORRUPT, "");
    assert_null(blobs);
}

struct packs {
    struct repo *repo;
    size_t packs, data, trees, compressed;
};

/* Opens every blob of a pack that restic wrote. */
static int open_pack(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    (void)modified_ns;
    struct packs *packs = ctx;
    struct nacre_err e;
    CLEANUP(mem_free) struct pack_blob *blobs = NULL;
    CLEANUP(buf_free) struct buf pack = {0};
    char name[REPO_NAME_SIZE];
    size_t count = 0;
    assert_ok(pack_header_read(packs->repo, id, size, &blobs, &count, &e));
    repo_name(packs->repo, REPO_PACK, id, name);
    assert_ok(store_get(repo_store(packs->repo), name, 64 << 20, &pack, &e));
    for (size_t i = 0; i < count; i++) {
        CLEANUP(mem_free) uint8_t *out = malloc(blobs[i].plain_length + 1);
        assert_ok(blob_unseal(packs->repo, &blobs[i], pack.data + blobs[i].offset, out, &e));
        packs->data += blobs[i].type == BLOB_DATA;
        packs->trees += blobs[i].type == BLOB_TREE;
        packs->compressed += blobs[i].compressed;
    }
    packs->packs++;
    return 0;
}

static void reads_packs_of_restic(void **state)
{
    struct place *place = *state;
    for (int version = 1; version <= 2; version++) {
        struct nacre_err e;
        struct packs packs = {0};
        assert_int_equal(shell(NULL,
                               "rm -rf %s/* && mkdir -p %s/in/sub && seq 1 400000 > %s/in/text && "
                               "head -c 26000000 /dev/urandom > %s/in/sub/random",
                               place->repo_dir, place->dir, place->dir, place->dir),
                         0);
        assert_int_equal(restic(place, NULL, "init --repository-version %d", version), 0);
        assert_int_equal(restic(place, NULL, "backup %s/in", place->dir), 0);
        assert_ok(repo_open(place->store, &place->options, PASSWORD, &packs.repo, &e));
        assert_ok(repo_file_list(packs.repo, REPO_PACK, open_pack, &packs, &e));
        /* a chunk of restic's has at most 8 MiB, and may have */
        assert_true(packs.packs >= 2 && packs.data >= 4 && packs.trees >= 3);
        assert_true(version == 1 ? packs.compressed == 0 : packs.compressed > 0);
        repo_free(packs.repo);
    }
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(blobs_round_trip),
        WITH_PLACE(compresses_what_is_mixed),
        WITH_PLACE(level_0_does_not_compress),
        WITH_PLACE(notices_wrong_blobs),
        WITH_PLACE(headers_round_trip),
        WITH_PLACE(notices_wrong_packs),
        cmocka_unit_test(refuses_headers_that_do_not_add_up),
        WITH_PLACE(reads_packs_of_restic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: scrypt over the password gives the key that seals the master key.
 *
 * Costs. New key files use N=32768, r=8, p=1: 32 MiB and about a tenth of a second. A foreign file may ask
 * for more, up to 256 MiB and 128 times that; beyond it, an altered file would stop the program for minutes
 * before anyone typed a password.
 *
 * Secrets are overwritten when done with. The JSON of the master key is therefore read by yajl, which hands
 * out pieces of our own buffer, and not turned into objects on the heap. */
#include "repository/key_file.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "repository/self.h"

#define NEW_N 32768
#define NEW_R 8
#define NEW_P 1
#define COST_MAX (UINT64_C(1) << 25)   /* N * r * p: time */
#define BLOCKS_MAX (UINT64_C(1) << 21) /* N * r, of 128 bytes: memory */
#define MEMORY_MAX (BLOCKS_MAX * 128 + (64 << 20))
#define DATA_MAX 4096

void key_file_free(struct key_file *file)
{
    buf_free(&file->data);
}

static int check_scrypt(const struct key_file *file, const char *kdf, struct nacre_err *e)
{
    if (strcmp(kdf, "scrypt") != 0)
        return err_set(e, NACRE_CORRUPT, "its key derivation \"%.32s\" is not scrypt", kdf);
    if (file->n < 2 || (file->n & (file->n - 1)) || !file->r || !file->p)
        return err_set(e, NACRE_CORRUPT,
                       "scrypt cannot have the parameters N=%" PRIu64 " r=%" PRIu64 " p=%" PRIu64, file->n,
                       file->r, file->p);
    if (file->n * file->r > BLOCKS_MAX || file->n * file->r * file->p > COST_MAX || file->p > 1024)
        return err_set(e, NACRE_INVALID,
                       "its scrypt parameters N=%" PRIu64 " r=%" PRIu64 " p=%" PRIu64
                       " ask for more memory or time than any key file should",
                       file->n, file->r, file->p);
    return 0;
}

static int read_bytes(const char *text, const char *what, size_t least, size_t most, struct buf *out,
                      struct nacre_err *e)
{
    if (!json_decode_base64(text, strlen(text), out))
        return err_set(e, NACRE_CORRUPT, "its \"%s\" is not base64", what);
    if (buf_failed(out))
        return err_no_memory(e, "a key file");
    if (out->size < least || out->size > most)
        return err_set(e, NACRE_CORRUPT, "its \"%s\" has %zu bytes", what, out->size);
    return 0;
}

int key_file_parse(const void *json, size_t size, struct key_file *out, struct nacre_err *e)
{
    CLEANUP(key_file_free) struct key_file file = {0};
    CLEANUP(json_value_free) json_t *object = NULL;
    CLEANUP(buf_free) struct buf salt_bytes = {0};
    const char *kdf = "", *salt = "", *data = "", *created = "", *hostname = "", *username = "";
    if (json_parse_object(json, size, KEY_FILE_SIZE_MAX, &object, e) < 0 ||
        json_get_string(object, "kdf", &kdf, e) < 0 || json_get_string(object, "salt", &salt, e) < 0 ||
        json_get_string(object, "data", &data, e) < 0 ||
        json_get_string(object, "created", &created, e) < 0 ||
        json_get_string(object, "hostname", &hostname, e) < 0 ||
        json_get_string(object, "username", &username, e) < 0 ||
        json_get_uint(object, "N", INT32_MAX, &file.n, e) < 0 ||
        json_get_uint(object, "r", INT32_MAX, &file.r, e) < 0 ||
        json_get_uint(object, "p", INT32_MAX, &file.p, e) < 0 || check_scrypt(&file, kdf, e) < 0 ||
        read_bytes(salt, "salt", KEY_SALT_SIZE, KEY_SALT_SIZE, &salt_bytes, e) < 0 ||
        read_bytes(data, "data", SEAL_OVERHEAD + 1, DATA_MAX, &file.data, e) < 0)
        return -1;
    memcpy(file.salt, salt_bytes.data, KEY_SALT_SIZE);
    snprintf(file.hostname, sizeof file.hostname, "%s", hostname);
    snprintf(file.username, sizeof file.username, "%s", username);
    if (!timestamp_parse(created, &file.created_ns))
        file.created_ns = 0;
    *out = file;
    file.data = (struct buf){0};
    return 0;
}

/* The user's key: AES key ‖ k ‖ r. */
static int derive(const char *password, const struct key_file *file, struct seal_key *out,
                  struct nacre_err *e)
{
    uint8_t bytes[64];
    if (!EVP_PBE_scrypt(password, strlen(password), file->salt, KEY_SALT_SIZE, file->n, file->r, file->p,
                        MEMORY_MAX, bytes, sizeof bytes)) {
        ERR_clear_error();
        return err_set(e, NACRE_FAILED,
                       "scrypt failed (N=%" PRIu64 " r=%" PRIu64 " p=%" PRIu64 "; it needs %" PRIu64
                       " MiB of memory)",
                       file->n, file->r, file->p, file->n * file->r * 128 >> 20);
    }
    memcpy(out->encrypt, bytes, 32);
    memcpy(out->mac_k, bytes + 32, 16);
    memcpy(out->mac_r, bytes + 48, 16);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return 0;
}

static void seal_key_wipe_at(struct seal_key *key)
{
    seal_key_wipe(key);
}

int key_file_open(const struct key_file *file, const char *password, struct seal_key *master,
                  struct nacre_err *e)
{
    CLEANUP(seal_key_wipe) struct seal_key user = {0};
    CLEANUP(buf_wipe_free) struct buf plain = {0};
    if (derive(password, file, &user, e) < 0)
        return -1;
    size_t plain_size = file->data.size - SEAL_OVERHEAD;
    void *at = buf_reserve(&plain, plain_size);
    if (!at)
        return err_no_memory(e, "a key file");
    if (unseal(&user, file->data.data, file->data.size, at, e) < 0)
        return e->code == NACRE_CORRUPT ? err_set(e, NACRE_WRONG_PASSWORD, "the password does not decrypt it")
                                        : -1;
    buf_commit(&plain, plain_size);
    return key_master_parse(plain.data, plain.size, master, e);
}

static void append_master(struct buf *out, const struct seal_key *master)
{
    buf_string(out, "{\"mac\":{\"k\":");
    json_append_base64(out, master->mac_k, sizeof master->mac_k);
    buf_string(out, ",\"r\":");
    json_append_base64(out, master->mac_r, sizeof master->mac_r);
    buf_string(out, "},\"encrypt\":");
    json_append_base64(out, master->encrypt, sizeof master->encrypt);
    buf_char(out, '}');
}

static void append_file(struct buf *out, const struct key_file *file)
{
    char created[TIMESTAMP_SIZE];
    timestamp_format(file->created_ns, created);
    buf_printf(out, "{\"created\":\"%s\",\"username\":", created);
    json_append_string(out, file->username);
    buf_string(out, ",\"hostname\":");
    json_append_string(out, file->hostname);
    buf_printf(out,
               ",\"kdf\":\"scrypt\",\"N\":%" PRIu64 ",\"r\":%" PRIu64 ",\"p\":%" PRIu64 ",\"salt\":", file->n,
               file->r, file->p);
    json_append_base64(out, file->salt, KEY_SALT_SIZE);
    buf_string(out, ",\"data\":");
    json_append_base64(out, file->data.data, file->data.size);
    buf_char(out, '}');
}

int key_file_make(const char *password, const struct seal_key *master, struct buf *json, struct nacre_err *e)
{
    if (!*password)
        return err_set(e, NACRE_INVALID, "an empty password protects nothing; give one");
    CLEANUP(key_file_free)
    struct key_file file = {.created_ns = timestamp_now(), .n = NEW_N, .r = NEW_R, .p = NEW_P};
    CLEANUP(seal_key_wipe) struct seal_key user = {0};
    CLEANUP(buf_wipe_free) struct buf plain = {0};
    self_hostname(file.hostname);
    self_username(file.username);
    if (!buf_reserve(&plain, 512)) /* so that growing leaves no copy behind */
        return err_no_memory(e, "a key file");
    append_master(&plain, master);
    if (random_bytes(file.salt, KEY_SALT_SIZE, e) < 0 || derive(password, &file, &user, e) < 0)
        return -1;
    void *sealed = buf_reserve(&file.data, plain.size + SEAL_OVERHEAD);
    if (!sealed || buf_failed(&plain))
        return err_no_memory(e, "a key file");
    if (seal(&user, plain.data, plain.size, sealed, e) < 0)
        return -1;
    buf_commit(&file.data, plain.size + SEAL_OVERHEAD);
    append_file(json, &file);
    return buf_failed(json) ? err_no_memory(e, "a key file") : 0;
}

/* Where the parser of the master key is: which object, and which value comes next. */
struct master_parser {
    struct seal_key *master;
    int depth;
    bool in_mac;
    uint8_t *next; /* of the key that was read last; NULL = a value to pass over */
    size_t next_size;
    unsigned next_bit;
    unsigned seen; /* bits: encrypt, k, r */
    struct buf scratch;
};

static int master_map_start(void *ctx)
{
    struct master_parser *parser = ctx;
    return ++parser->depth <= 8;
}

static int master_map_end(void *ctx)
{
    struct master_parser *parser = ctx;
    if (--parser->depth == 1)
        parser->in_mac = false;
    parser->next = NULL;
    return 1;
}

static void expect(struct master_parser *parser, uint8_t *target, size_t size, unsigned bit)
{
    parser->next = target;
    parser->next_size = size;
    parser->next_bit = bit;
}

static int master_key(void *ctx, const unsigned char *key, size_t size)
{
    struct master_parser *parser = ctx;
    parser->next = NULL;
    if (parser->depth == 1)
        parser->in_mac = size == 3 && memcmp(key, "mac", 3) == 0;
    if (parser->depth == 1 && size == 7 && memcmp(key, "encrypt", 7) == 0)
        expect(parser, parser->master->encrypt, 32, 1);
    else if (parser->depth == 2 && parser->in_mac && size == 1 && *key == 'k')
        expect(parser, parser->master->mac_k, 16, 2);
    else if (parser->depth == 2 && parser->in_mac && size == 1 && *key == 'r')
        expect(parser, parser->master->mac_r, 16, 4);
    return 1;
}

static int master_string(void *ctx, const unsigned char *text, size_t size)
{
    struct master_parser *parser = ctx;
    if (!parser->next)
        return 1;
    buf_clear(&parser->scratch);
    if (!json_decode_base64((const char *)text, size, &parser->scratch) || buf_failed(&parser->scratch) ||
        parser->scratch.size != parser->next_size)
        return 0;
    memcpy(parser->next, parser->scratch.data, parser->next_size);
    parser->seen |= parser->next_bit;
    parser->next = NULL;
    return 1;
}

int key_master_parse(const void *json, size_t size, struct seal_key *master, struct nacre_err *e)
{
    static const yajl_callbacks callbacks = {.yajl_start_map = master_map_start,
                                             .yajl_end_map = master_map_end,
                                             .yajl_map_key = master_key,
                                             .yajl_string = master_string};
    CLEANUP(seal_key_wipe) struct seal_key key = {0};
    struct master_parser parser = {.master = &key};
    if (size > DATA_MAX || !buf_reserve(&parser.scratch, DATA_MAX))
        return err_set(e, NACRE_CORRUPT, "the master key in it is too long");
    yajl_handle handle = yajl_alloc(&callbacks, NULL, &parser);
    bool good = handle && yajl_parse(handle, json, size) == yajl_status_ok &&
                yajl_complete_parse(handle) == yajl_status_ok && parser.seen == 7;
    if (handle)
        yajl_free(handle);
    buf_wipe_free(&parser.scratch);
    if (!good)
        return err_set(e, NACRE_CORRUPT, "what it holds is no master key");
    *master = key;
    return 0;
}

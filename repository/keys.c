/* SPDX-License-Identifier: Apache-2.0 */
/* Managing the key files of an open repository. Every one of them seals the same master key, so that adding
 * and removing passwords re-encrypts nothing. */
#include "repository/keys.h"

#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "repository/key_file.h"
#include "repository/repo_internal.h"

int key_open(const void *json, size_t size, const char *password, struct seal_key *master,
             struct nacre_err *e)
{
    CLEANUP(key_file_free) struct key_file file = {0};
    if (key_file_parse(json, size, &file, e) < 0)
        return -1;
    return key_file_open(&file, password, master, e);
}

int key_each(struct repo *repo, int (*entry)(void *ctx, const struct key_info *info), void *ctx,
             struct nacre_err *e)
{
    CLEANUP(file_list_free) struct file_list keys = {0};
    if (repo_file_gather(repo, REPO_KEY, &keys, e) < 0)
        return -1;
    for (size_t i = 0; i < keys.count; i++) {
        CLEANUP(buf_free) struct buf json = {0};
        CLEANUP(key_file_free) struct key_file file = {0};
        const struct id *id = &keys.items[i].id;
        if (repo_file_load(repo, REPO_KEY, id, &json, e) < 0 ||
            key_file_parse(json.data, json.size, &file, e) < 0) {
            char hex[ID_HEX_SIZE];
            id_format(id, hex);
            if (e->code != NACRE_CORRUPT && e->code != NACRE_INVALID && e->code != NACRE_ABSENT)
                return -1;
            log_warning("key file %.8s is of no use: %s", hex, e->message);
            continue;
        }
        struct key_info info = {.id = *id,
                                .username = file.username,
                                .hostname = file.hostname,
                                .created_ns = file.created_ns,
                                .current = id_equal(id, &repo->key_file)};
        if (entry(ctx, &info))
            return 0;
    }
    return 0;
}

int key_add(struct repo *repo, const char *password, struct id *out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    if (key_file_make(password, &repo->key, &json, e) < 0)
        return -1;
    return repo_file_save(repo, REPO_KEY, json.data, json.size, out, e);
}

int key_remove(struct repo *repo, const struct id *id, struct nacre_err *e)
{
    if (id_equal(id, &repo->key_file))
        return err_set(e, NACRE_INVALID,
                       "this is the key file that the repository was opened with; open it with another "
                       "password to remove this one");
    return repo_file_remove(repo, REPO_KEY, id, e);
}

/* Reads the key file back and sees that the password opens the same master key. */
static int prove(struct repo *repo, const struct id *id, const char *password, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    struct seal_key key = {0};
    if (repo_file_load(repo, REPO_KEY, id, &json, e) < 0)
        return -1;
    int result = key_open(json.data, json.size, password, &key, e);
    if (result == 0 && memcmp(&key, &repo->key, sizeof key) != 0)
        result = err_set(e, NACRE_CORRUPT, "it holds another master key than what was written");
    seal_key_wipe(&key);
    return result;
}

int key_change_password(struct repo *repo, const char *password, struct id *out, struct nacre_err *e)
{
    if (key_add(repo, password, out, e) < 0)
        return -1;
    if (prove(repo, out, password, e) < 0) {
        struct nacre_err ignored;
        repo_file_remove(repo, REPO_KEY, out, &ignored);
        return err_wrap(e, "the new key file does not open; the old password stays");
    }
    if (repo_file_remove(repo, REPO_KEY, &repo->key_file, e) < 0)
        return e->code == NACRE_ABSENT ? 0 : err_wrap(e, "the new password is set, the old one works still");
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Making a repository: a key file first, then the config, which is what makes it one.
 *
 * The config is put only where there is none, so that of racing inits exactly one wins; the others take their
 * key files away again. A crash in between leaves a key file without a config, which is no repository yet;
 * the next init clears it away, for restic stops at the first key file that a password opens. It does so
 * only where there is neither pack nor index nor snapshot: a repository that merely lost its config keeps
 * its keys, and init refuses to touch it. */
#include <string.h>

#include "common/err.h"
#include "common/log.h"
#include "plugins/store.h"
#include "repository/key_file.h"
#include "repository/repo_internal.h"

static int refuse_existing(struct repo *repo, struct nacre_err *e)
{
    return err_set(e, NACRE_EXISTS, "there is a repository at %s already; nothing was changed", repo->where);
}

static int stop_at_first(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    (void)id, (void)size, (void)modified_ns;
    *(bool *)ctx = true;
    return 1;
}

static int check_vacant(struct repo *repo, struct nacre_err *e)
{
    static const enum repo_file types[] = {REPO_SNAPSHOT, REPO_INDEX, REPO_PACK};
    char name[REPO_NAME_SIZE];
    struct nacre_object_info info;
    repo_config_name(repo, name);
    if (store_stat(repo->store, name, &info, e) == 0)
        return refuse_existing(repo, e);
    if (e->code != NACRE_ABSENT)
        return -1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        bool found = false;
        if (repo_file_list(repo, types[i], stop_at_first, &found, e) < 0)
            return -1;
        if (found)
            return err_set(e, NACRE_EXISTS,
                           "%s holds files of a repository (a %s) that lost its config; restore the config "
                           "from a copy, or choose another place",
                           repo->where, repo_file_word(types[i]));
    }
    return 0;
}

static int put_key(struct repo *repo, const char *password, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0};
    char name[REPO_NAME_SIZE];
    if (key_file_make(password, &repo->key, &json, e) < 0)
        return -1;
    id_hash(&repo->key_file, json.data, json.size);
    repo_name(repo, REPO_KEY, &repo->key_file, name);
    return store_put(repo->store, name, json.data, json.size, e);
}

static void drop_own_key(struct repo *repo)
{
    struct nacre_err e;
    if (repo_file_remove(repo, REPO_KEY, &repo->key_file, &e) < 0 && e.code != NACRE_ABSENT)
        log_warning("a key file of no use stays behind: %s", e.message);
}

/* A put that failed may have come to pass all the same. 1: it is ours; 0: it is not; -1: nobody knows. */
static int config_is_ours(struct repo *repo, const char *name, const struct buf *sealed)
{
    CLEANUP(buf_free) struct buf there = {0};
    struct nacre_err e;
    if (store_get(repo->store, name, CONFIG_SIZE_MAX, &there, &e) < 0)
        return e.code == NACRE_ABSENT || e.code == NACRE_CORRUPT ? 0 : -1;
    return there.size == sealed->size && memcmp(there.data, sealed->data, sealed->size) == 0;
}

static int put_config(struct repo *repo, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0}, sealed = {0};
    char name[REPO_NAME_SIZE];
    config_format(&repo->config, &json);
    void *at = buf_reserve(&sealed, json.size + SEAL_OVERHEAD);
    if (!at || buf_failed(&json))
        return err_no_memory(e, "the config");
    if (seal(&repo->key, json.data, json.size, at, e) < 0)
        return -1;
    buf_commit(&sealed, json.size + SEAL_OVERHEAD);
    repo_config_name(repo, name);
    if (store_put_if_absent(repo->store, name, sealed.data, sealed.size, e) == 0)
        return 0;
    int ours = config_is_ours(repo, name, &sealed);
    if (ours == 1)
        return 0;
    if (ours == 0)
        drop_own_key(repo);
    return e->code == NACRE_EXISTS ? refuse_existing(repo, e) : -1;
}

/* Key files of interrupted inits that this password opens, and that hold another master key. */
static void drop_orphans(struct repo *repo, const char *password)
{
    CLEANUP(file_list_free) struct file_list keys = {0};
    struct nacre_err e;
    if (repo_file_gather(repo, REPO_KEY, &keys, &e) < 0) {
        log_warning("cannot look for key files left behind by an interrupted init: %s", e.message);
        return;
    }
    for (size_t i = 0; i < keys.count; i++) {
        CLEANUP(buf_free) struct buf json = {0};
        struct seal_key key;
        bool name_fits = false;
        if (id_equal(&keys.items[i].id, &repo->key_file) ||
            repo_key_load(repo, &keys.items[i].id, &json, &name_fits, &e) < 0)
            continue;
        CLEANUP(key_file_free) struct key_file file = {0};
        if (key_file_parse(json.data, json.size, &file, &e) == 0 &&
            key_file_open(&file, password, &key, &e) == 0 && memcmp(&key, &repo->key, sizeof key) != 0 &&
            repo_file_remove(repo, REPO_KEY, &keys.items[i].id, &e) < 0 && e.code != NACRE_ABSENT)
            log_warning("a key file of an interrupted init stays behind: %s", e.message);
        seal_key_wipe(&key);
    }
}

int repo_init(struct nacre_object_store *store, const struct repo_options *options, const char *password,
              unsigned version, struct repo **out, struct nacre_err *e)
{
    if (version > CONFIG_VERSION_MAX)
        return err_set(e, NACRE_UNSUPPORTED, "there is no repository format version %u; use 1 or 2", version);
    CLEANUP(repo_free) struct repo *repo = repo_new(store, options, e);
    if (!repo)
        return -1;
    if (check_vacant(repo, e) < 0)
        return e->code == NACRE_EXISTS ? -1 : err_wrap(e, "cannot make a repository at %s", repo->where);
    if (seal_key_random(&repo->key, e) < 0 ||
        config_random(&repo->config, version ? version : CONFIG_VERSION_MAX, e) < 0 ||
        put_key(repo, password, e) < 0 || put_config(repo, e) < 0)
        return e->code == NACRE_EXISTS ? -1 : err_wrap(e, "cannot make a repository at %s", repo->where);
    drop_orphans(repo, password);
    *out = MOVE(repo);
    return 0;
}

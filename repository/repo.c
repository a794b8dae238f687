/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a repository.
 *
 * The config is fetched first, so that a place without one is told apart before anything costly; then the key
 * files are tried, newest first. A key file counts only when its master key opens the config: one that an
 * interrupted `init` left behind under the same password must not hide the right one. */
#include "repository/repo.h"

#include <inttypes.h>
#include <string.h>

#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "plugins/store.h"
#include "repository/key_file.h"
#include "repository/repo_internal.h"

#define KEYS_TRIED_MAX 64

void repo_free(struct repo *repo)
{
    if (!repo)
        return;
    seal_key_wipe(&repo->key);
    free(repo->path);
    free(repo->where);
    free(repo->cache_dir);
    free(repo);
}

static bool path_valid(const char *path)
{
    size_t size = strlen(path), suffix = sizeof "/snapshots/ab/" + ID_HEX_SIZE;
    return size + suffix <= NACRE_OBJECT_NAME_MAX &&
           (!size || (path[0] != '/' && path[size - 1] != '/' && !strstr(path, "//")));
}

struct repo *repo_new(struct nacre_object_store *store, const struct repo_options *options,
                      struct nacre_err *e)
{
    const char *path = options->path ? options->path : "";
    if (!path_valid(path)) {
        err_set(e, NACRE_INVALID, "\"%s\" cannot be the path of a repository", path);
        return NULL;
    }
    CLEANUP(repo_free) struct repo *repo = calloc(1, sizeof *repo);
    if (repo) {
        repo->store = store;
        repo->path = strdup(path);
        repo->where = strdup(options->where ? options->where : path);
        repo->cache_dir = options->cache_dir ? strdup(options->cache_dir) : NULL;
    }
    if (!repo || !repo->path || !repo->where || (options->cache_dir && !repo->cache_dir)) {
        err_no_memory(e, "a repository");
        return NULL;
    }
    return MOVE(repo);
}

static int read_config(struct repo *repo, struct buf *sealed, struct nacre_err *e)
{
    char name[REPO_NAME_SIZE];
    repo_config_name(repo, name);
    if (store_get(repo->store, name, CONFIG_SIZE_MAX, sealed, e) == 0)
        return 0;
    if (e->code == NACRE_ABSENT)
        return err_set(e, NACRE_ABSENT, "no repository at %s; make one with nacre repo init", repo->where);
    return err_wrap(e, "cannot open repository %s", repo->where);
}

static int open_config(const struct seal_key *key, const struct buf *sealed, struct buf *json,
                       struct nacre_err *e)
{
    if (sealed->size < SEAL_OVERHEAD)
        return err_set(e, NACRE_CORRUPT, "the config has %zu bytes, too few to be one", sealed->size);
    size_t size = sealed->size - SEAL_OVERHEAD;
    void *at = buf_reserve(json, size);
    if (!at)
        return err_no_memory(e, "the config");
    if (unseal(key, sealed->data, sealed->size, at, e) < 0)
        return err_wrap(e, "the config does not open");
    buf_commit(json, size);
    return 0;
}

/* What is known of the attempts so far, for the error when none succeeds. */
struct attempts {
    size_t wrong; /* key files that the password does not decrypt */
    struct id wrong_id;
    int64_t wrong_created_ns;
    int rank; /* of `error` */
    struct nacre_err error;
};

/* Of several failures the one that says most is reported: a right password with a damaged config, then what
 * could not be read and may be the right one, then the password, then damage. */
static int failure_rank(const struct nacre_err *e, bool key_opened)
{
    if (key_opened)
        return 4;
    if (e->code == NACRE_WRONG_PASSWORD)
        return 2;
    return e->code == NACRE_CORRUPT || e->code == NACRE_INVALID || e->code == NACRE_ABSENT ? 1 : 3;
}

static int try_key(struct repo *repo, const struct id *id, const char *password, const struct buf *config,
                   struct key_file *file, bool *key_opened, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf json = {0}, config_json = {0};
    bool name_fits = false;
    if (repo_key_load(repo, id, &json, &name_fits, e) < 0 ||
        key_file_parse(json.data, json.size, file, e) < 0)
        return -1;
    if (key_file_open(file, password, &repo->key, e) < 0) {
        if (e->code == NACRE_WRONG_PASSWORD && !name_fits)
            return err_set(e, NACRE_CORRUPT, "it was altered: its bytes do not fit its name");
        return -1;
    }
    *key_opened = true;
    if (open_config(&repo->key, config, &config_json, e) < 0)
        return -1;
    if (!name_fits) {
        char hex[ID_HEX_SIZE];
        id_format(id, hex);
        log_warning("key file %.8s of %s was altered, though it still opens; make a new one with "
                    "nacre key passwd",
                    hex, repo->where);
    }
    repo->key_file = *id;
    if (config_parse(config_json.data, config_json.size, &repo->config, e) < 0)
        return err_wrap(e, "the config");
    return 0;
}

static void note_failure(struct attempts *attempts, const struct id *id, const struct key_file *file,
                         bool key_opened, bool others, const struct nacre_err *e)
{
    char hex[ID_HEX_SIZE];
    id_format(id, hex);
    if (e->code == NACRE_WRONG_PASSWORD && !attempts->wrong++) {
        attempts->wrong_id = *id;
        attempts->wrong_created_ns = file->created_ns;
    }
    if (e->code != NACRE_WRONG_PASSWORD && others && !key_opened)
        log_warning("key file %.8s is of no use: %s", hex, e->message);
    int rank = failure_rank(e, key_opened);
    if (rank > attempts->rank) {
        attempts->rank = rank;
        attempts->error = *e;
        if (!key_opened) /* else the config is to blame */
            err_wrap(&attempts->error, "key file %.8s", hex);
    }
}

static int report_failure(const struct attempts *attempts, struct nacre_err *e)
{
    char hex[ID_HEX_SIZE], created[TIMESTAMP_SIZE], more[64] = "";
    if (attempts->rank != 2) {
        *e = attempts->error;
        return -1;
    }
    id_format(&attempts->wrong_id, hex);
    timestamp_format(attempts->wrong_created_ns, created);
    if (attempts->wrong > 1)
        snprintf(more, sizeof more, ", nor do %zu others", attempts->wrong - 1);
    return err_set(e, NACRE_WRONG_PASSWORD,
                   "wrong password (key file %.8s of %.10s does not decrypt%s); pass --password-file", hex,
                   attempts->wrong_created_ns ? created : "unknown date", more);
}

static int open_with_password(struct repo *repo, const char *password, const struct buf *config,
                              struct nacre_err *e)
{
    CLEANUP(file_list_free) struct file_list keys = {0};
    struct attempts attempts = {0};
    if (repo_file_gather(repo, REPO_KEY, &keys, e) < 0)
        return -1;
    if (!keys.count)
        return err_set(e, NACRE_CORRUPT,
                       "it has a config and no key file, without which nothing in it can be read; "
                       "restore keys/ from a copy");
    for (size_t i = 0; i < keys.count && i < KEYS_TRIED_MAX; i++) {
        CLEANUP(key_file_free) struct key_file file = {0};
        bool key_opened = false;
        if (cancel_check(e) < 0)
            return -1;
        if (try_key(repo, &keys.items[i].id, password, config, &file, &key_opened, e) == 0)
            return 0;
        if (e->code == NACRE_UNSUPPORTED && key_opened)
            return -1;
        note_failure(&attempts, &keys.items[i].id, &file, key_opened, keys.count > 1, e);
    }
    if (keys.count > KEYS_TRIED_MAX)
        log_warning("%zu key files at %s, of which the %d newest were tried", keys.count, repo->where,
                    KEYS_TRIED_MAX);
    return report_failure(&attempts, e);
}

static int open_once(struct repo *repo, const char *password, bool *found, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf config = {0};
    if (read_config(repo, &config, e) < 0)
        return -1;
    *found = true;
    if (open_with_password(repo, password, &config, e) < 0)
        return err_wrap(e, "cannot open repository %s", repo->where);
    return 0;
}

int repo_open(struct nacre_object_store *store, const struct repo_options *options, const char *password,
              struct repo **out, struct nacre_err *e)
{
    CLEANUP(repo_free) struct repo *repo = repo_new(store, options, e);
    bool found = false;
    if (!repo)
        return -1;
    int result = open_once(repo, password, &found, e);
    /* A bit may have flipped on the way, in the config or in a name of the listing. */
    if (result < 0 && found && (e->code == NACRE_CORRUPT || e->code == NACRE_ABSENT))
        result = open_once(repo, password, &found, e);
    if (result < 0)
        return -1;
    *out = MOVE(repo);
    return 0;
}

int repo_config_json(struct repo *repo, struct buf *out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf sealed = {0};
    if (read_config(repo, &sealed, e) < 0)
        return -1;
    return open_config(&repo->key, &sealed, out, e);
}

const char *repo_id(const struct repo *repo)
{
    return repo->config.id;
}

unsigned repo_version(const struct repo *repo)
{
    return repo->config.version;
}

uint64_t repo_polynomial(const struct repo *repo)
{
    return repo->config.polynomial;
}

const char *repo_where(const struct repo *repo)
{
    return repo->where;
}

const char *repo_cache_dir(const struct repo *repo)
{
    return repo->cache_dir;
}

const struct seal_key *repo_seal_key(const struct repo *repo)
{
    return &repo->key;
}

const struct id *repo_key_file(const struct repo *repo)
{
    return &repo->key_file;
}

struct nacre_object_store *repo_store(const struct repo *repo)
{
    return repo->store;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* nacre repo cat: one part of a repository as it is inside: documents as their JSON, blobs and packs as their
 * bytes. For looking at what is wrong, and for tests. */
#include <stdint.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "common/err.h"
#include "repository/blob_load.h"

#define BLOB_PREFIX_LEAST 8

struct search {
    const char *prefix;
    size_t length;
    int type; /* enum blob_type */
    struct id id;
    size_t found;
};

static int compare_blob(void *ctx, const struct index_entry *entry)
{
    struct search *search = ctx;
    char hex[ID_HEX_SIZE];
    if (entry->blob.type != search->type)
        return 0;
    id_format(&entry->blob.id, hex);
    if (strncmp(hex, search->prefix, search->length) != 0)
        return 0;
    /* A blob may be there twice; that is not two blobs. */
    search->found += !search->found || !id_equal(&search->id, &entry->blob.id);
    search->id = entry->blob.id;
    return search->found > 1;
}

static int cat_blob(struct repo *repo, const char *word, const char *prefix, struct buf *out,
                    struct nacre_err *e)
{
    CLEANUP(index_free) struct index *index = NULL;
    struct search search = {prefix, strlen(prefix), !strcmp(word, "tree") ? BLOB_TREE : BLOB_DATA, {{0}}, 0};
    if (search.length < BLOB_PREFIX_LEAST || search.length > 2 * sizeof(struct id) ||
        strspn(prefix, "0123456789abcdef") != search.length)
        return err_set(e, NACRE_INVALID, "%.80s: expected the first digits of an id, %d at least", prefix,
                       BLOB_PREFIX_LEAST);
    if (index_load(repo, &index, e) < 0)
        return -1;
    index_each(index, compare_blob, &search);
    if (!search.found)
        return err_set(e, NACRE_ABSENT, "there is no %s %s in the repository", word, prefix);
    if (search.found > 1)
        return err_set(e, NACRE_INVALID, "%s is the beginning of several ids; give more of it", prefix);
    return blob_load(repo, index, (enum blob_type)search.type, &search.id, out, e);
}

/* A pack as it is stored, whatever state it is in. */
static int sink(void *ctx, const void *data, size_t length, struct nacre_err *e)
{
    (void)ctx;
    if (fwrite(data, 1, length, stdout) != length)
        return err_set(e, NACRE_FAILED, "standard output cannot be written");
    return 0;
}

static int cat_pack(struct repo *repo, const struct id *id, struct nacre_err *e)
{
    char name[REPO_NAME_SIZE];
    repo_name(repo, REPO_PACK, id, name);
    struct nacre_object_store *store = repo_store(repo);
    return store->ops->get(store, name, 0, NACRE_TO_END, sink, NULL, e);
}

static int cat_file(struct repo *repo, const char *word, const char *prefix, struct buf *out,
                    struct nacre_err *e)
{
    static const struct {
        const char *word;
        enum repo_file type;
    } types[] = {{"index", REPO_INDEX},
                 {"snapshot", REPO_SNAPSHOT},
                 {"lock", REPO_LOCK},
                 {"key", REPO_KEY},
                 {"pack", REPO_PACK}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct id id;
        if (strcmp(types[i].word, word) != 0)
            continue;
        if (repo_file_find(repo, types[i].type, prefix, &id, e) < 0)
            return -1;
        return types[i].type == REPO_PACK ? cat_pack(repo, &id, e)
                                          : repo_file_load(repo, types[i].type, &id, out, e);
    }
    return cat_blob(repo, word, prefix, out, e);
}

static int run(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(buf_free) struct buf out = {0};
    const char *word = cli_argument(cli, 0), *id = cli_argument(cli, 1);
    bool config = !strcmp(word, "config"), bytes = !strcmp(word, "blob") || !strcmp(word, "pack");
    if (config == (id != NULL))
        return err_set(e, NACRE_INVALID, config ? "the config has no id" : "ID is missing: which %s?", word);
    if (bytes && isatty(STDOUT_FILENO))
        return err_set(e, NACRE_INVALID,
                       "standard output is a terminal, and these are bytes: pipe it somewhere");
    if (location_open(cli, LOCATION_READ, &location, e) < 0 ||
        location_open_repository(cli, location, &repo, e) < 0 ||
        (config ? repo_config_json(repo, &out, e) : cat_file(repo, word, id, &out, e)) < 0)
        return -1;
    if (buf_failed(&out))
        return err_no_memory(e, "the output");
    if (out.size)
        fwrite(out.data, 1, out.size, stdout);
    if (!bytes && (!out.size || out.data[out.size - 1] != '\n'))
        putchar('\n');
    return 0;
}

const struct command command_repo_cat = {
    .group = "repo",
    .name = "cat",
    .arguments = "config|key|index|snapshot|lock|blob|tree|pack [ID]",
    .least = 1,
    .most = 2,
    .summary = "Print one part of a repository as it is inside",
    .details = "Documents are printed as the JSON that is stored, whatever -o says; a blob as its plain "
               "bytes; a pack as "
               "it is stored. The first digits of an id are enough.",
    .options = (const struct option *const[]){LOCATION_OPTIONS, REPOSITORY_OPTIONS, NULL},
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* nacre repo list. Packs and blobs may be millions: they are printed as they come, and never held. */
#include <inttypes.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "common/err.h"
#include "repository/index.h"
#include "repository/snapshot.h"

/* Prints items one by one: lines, or the elements of {"items":[…]}. */
struct printer {
    const struct cli *cli;
    uint64_t count;
};

static void begin(struct printer *p)
{
    if (p->cli->format == CLI_JSON)
        printf("{\n  \"items\": [");
    else if (p->cli->format == CLI_YAML)
        printf("items:");
}

static void end(struct printer *p)
{
    if (p->cli->format == CLI_JSON)
        printf("%s]\n}\n", p->count ? "\n  " : "");
    else if (p->cli->format == CLI_YAML)
        printf(p->count ? "\n" : " []\n");
}

/* fields: JSON members without braces. */
static void item(struct printer *p, const char *line, const char *fields)
{
    if (p->cli->format == CLI_JSON)
        printf("%s\n    {%s}", p->count ? "," : "", fields);
    else if (p->cli->format == CLI_YAML)
        printf("\n- {%s}", fields); /* YAML takes JSON's members as they are */
    else
        printf("%s\n", line);
    p->count++;
}

static int list_file(void *ctx, const struct id *id, uint64_t size, int64_t modified_ns)
{
    char hex[ID_HEX_SIZE], fields[ID_HEX_SIZE + 64];
    (void)modified_ns;
    id_format(id, hex);
    snprintf(fields, sizeof fields, "\"id\": \"%s\", \"bytes\": %" PRIu64, hex, size);
    item(ctx, hex, fields);
    return ferror(stdout);
}

static int list_blob(void *ctx, const struct index_entry *entry)
{
    char hex[ID_HEX_SIZE], pack[ID_HEX_SIZE], line[ID_HEX_SIZE + 8], fields[2 * ID_HEX_SIZE + 160];
    const char *type = entry->blob.type == BLOB_TREE ? "tree" : "data";
    id_format(&entry->blob.id, hex);
    id_format(&entry->pack, pack);
    snprintf(line, sizeof line, "%s %s", type, hex);
    snprintf(fields, sizeof fields,
             "\"id\": \"%s\", \"type\": \"%s\", \"pack\": \"%s\", \"offset\": %" PRIu32
             ", \"length\": %" PRIu32 ", \"plainLength\": %" PRIu32,
             hex, type, pack, entry->blob.offset, entry->blob.length, entry->blob.plain_length);
    item(ctx, line, fields);
    return ferror(stdout);
}

/* Prints the members of an object, or the line; takes the object over. */
static int item_document(struct printer *p, const char *line, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_ENSURE_ASCII | JSON_COMPACT) : NULL;
    json_decref(object);
    size_t length = text ? strlen(text) : 0;
    if (length >= 2)
        text[length - 1] = 0;
    item(p, line, length >= 2 ? text + 1 : "");
    free(text);
    return ferror(stdout);
}

static int list_lock(void *ctx, const struct lock_info *info)
{
    char hex[ID_HEX_SIZE];
    id_format(&info->id, hex);
    return item_document(ctx, hex,
                         json_pack("{s:s,s:o,s:b,s:o,s:o,s:i,s:b}", "id", hex, "created",
                                   output_time(info->time_ns), "exclusive", info->exclusive, "hostname",
                                   output_text(info->hostname), "username", output_text(info->username),
                                   "pid", info->pid, "stale", info->stale));
}

static json_t *strings(char *const *texts, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, output_text(texts[i]));
    return array;
}

/* Ids alone, as restic lists them, need no snapshot to be opened: a damaged one is listed, too. */
static int list_snapshots(struct repo *repo, struct printer *p, struct nacre_err *e)
{
    if (p->cli->format == CLI_TABLE)
        return repo_file_list(repo, REPO_SNAPSHOT, list_file, p, e);
    CLEANUP(snapshot_list_free) struct snapshot_list list = {0};
    if (snapshot_list_load(repo, &list, e) < 0)
        return -1;
    for (size_t i = 0; i < list.count; i++) {
        const struct snapshot *s = list.items[i];
        char hex[ID_HEX_SIZE], tree[ID_HEX_SIZE];
        id_format(&s->id, hex);
        id_format(&s->tree, tree);
        item_document(p, hex,
                      json_pack("{s:s,s:o,s:s,s:o,s:o,s:o}", "id", hex, "time", output_time(s->time_ns),
                                "tree", tree, "hostname", output_text(s->hostname), "paths",
                                strings(s->paths, s->path_count), "tags", strings(s->tags, s->tag_count)));
    }
    return 0;
}

static int list(struct repo *repo, const char *word, struct printer *p, struct nacre_err *e)
{
    static const struct {
        const char *word;
        enum repo_file type;
    } types[] = {{"packs", REPO_PACK}, {"index", REPO_INDEX}, {"keys", REPO_KEY}};
    if (!strcmp(word, "locks"))
        return lock_each(repo, list_lock, p, e);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].word, word))
            return repo_file_list(repo, types[i].type, list_file, p, e);
    return list_snapshots(repo, p, e);
}

static int run(struct cli *cli, struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    CLEANUP(repo_free) struct repo *repo = NULL;
    CLEANUP(index_free) struct index *index = NULL;
    const char *word = cli_argument(cli, 0);
    struct printer printer = {.cli = cli};
    bool blobs = !strcmp(word, "blobs");
    if (location_open(cli, LOCATION_READ, &location, e) < 0 ||
        location_open_repository(cli, location, &repo, e) < 0 || (blobs && index_load(repo, &index, e) < 0))
        return -1;
    begin(&printer);
    int result = blobs ? index_each(index, list_blob, &printer), 0 : list(repo, word, &printer, e);
    end(&printer);
    return result;
}

const struct command command_repo_list = {
    .group = "repo",
    .name = "list",
    .arguments = "packs|blobs|index|snapshots|locks|keys",
    .least = 1,
    .most = 1,
    .summary = "List the ids of a repository's parts",
    .details = "One id a line; blobs have their type before it. With -o json or yaml there is more: who "
               "holds a lock, "
               "what a snapshot is of, where a blob lies.",
    .options = (const struct option *const[]){LOCATION_OPTIONS, REPOSITORY_OPTIONS, NULL},
    .run = run,
};

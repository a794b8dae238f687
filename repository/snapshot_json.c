/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of snapshots, in the order and with the omissions of restic's Snapshot. Reading takes what it
 * knows and passes over the rest; lists and strings are bounded by the document, which is bounded itself. */
#include <string.h>

#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "repository/snapshot.h"
#include "repository/snapshot_json.h"

/* A list of a million paths is no sane snapshot. */
#define SNAPSHOT_JSON_MAX ((size_t)64 << 20)

static void append_key(struct buf *out, const char *key)
{
    buf_string(out, ",\"");
    buf_string(out, key);
    buf_string(out, "\":");
}

static void append_id(struct buf *out, const char *key, const struct id *id)
{
    char hex[ID_HEX_SIZE];
    id_format(id, hex);
    append_key(out, key);
    json_append_string(out, hex);
}

static void append_text(struct buf *out, const char *key, const char *text)
{
    if (!text || !*text)
        return;
    append_key(out, key);
    json_append_string(out, text);
}

static void append_list(struct buf *out, const char *key, char **items, size_t count)
{
    append_key(out, key);
    buf_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_char(out, ',');
        json_append_string(out, items[i]);
    }
    buf_char(out, ']');
}

void snapshot_json(struct buf *out, const struct snapshot *s)
{
    char time[TIMESTAMP_SIZE];
    timestamp_format(s->time_ns, time);
    buf_string(out, "{\"time\":");
    json_append_string(out, time);
    if (s->has_parent)
        append_id(out, "parent", &s->parent);
    append_id(out, "tree", &s->tree);
    append_list(out, "paths", s->paths, s->path_count);
    append_text(out, "hostname", s->hostname);
    append_text(out, "username", s->username);
    if (s->uid)
        buf_printf(out, ",\"uid\":%u", s->uid);
    if (s->gid)
        buf_printf(out, ",\"gid\":%u", s->gid);
    if (s->exclude_count)
        append_list(out, "excludes", s->excludes, s->exclude_count);
    if (s->tag_count)
        append_list(out, "tags", s->tags, s->tag_count);
    if (s->has_original)
        append_id(out, "original", &s->original);
    append_text(out, "program_version", s->program_version);
    if (s->summary_json) {
        append_key(out, "summary");
        buf_string(out, s->summary_json);
    }
    buf_char(out, '}');
}

static int get_text(const json_t *object, const char *key, char **out, struct nacre_err *e)
{
    const char *text = NULL;
    if (json_get_string(object, key, &text, e) < 0)
        return -1;
    *out = text ? strdup(text) : NULL;
    return text && !*out ? err_no_memory(e, "a snapshot") : 0;
}

static int get_id(const json_t *object, const char *key, struct id *out, bool *has, struct nacre_err *e)
{
    const char *text = NULL;
    if (json_get_string(object, key, &text, e) < 0)
        return -1;
    *has = text;
    if (text && !id_parse(out, text))
        return err_set(e, NACRE_CORRUPT, "\"%s\" is not an id", key);
    return 0;
}

static int get_list(const json_t *object, const char *key, char ***items, size_t *count, struct nacre_err *e)
{
    const json_t *list = json_object_get(object, key);
    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return err_set(e, NACRE_CORRUPT, "\"%s\" is not a list", key);
    size_t size = json_array_size(list);
    *items = calloc(size + 1, sizeof(char *));
    if (!*items)
        return err_no_memory(e, "a snapshot");
    for (; *count < size; ++*count) {
        const char *text = json_string_value(json_array_get(list, *count));
        if (!text)
            return err_set(e, NACRE_CORRUPT, "\"%s\" holds what is not a string", key);
        (*items)[*count] = strdup(text);
        if (!(*items)[*count])
            return err_no_memory(e, "a snapshot");
    }
    return 0;
}

static int get_u32(const json_t *object, const char *key, uint32_t *out, struct nacre_err *e)
{
    uint64_t value = 0;
    if (json_get_uint(object, key, UINT32_MAX, &value, e) < 0)
        return -1;
    *out = (uint32_t)value;
    return 0;
}

static int get_time(const json_t *object, int64_t *out, struct nacre_err *e)
{
    const char *text = NULL;
    if (json_get_string(object, "time", &text, e) < 0)
        return -1;
    if (!text || !timestamp_parse(text, out))
        return err_set(e, NACRE_CORRUPT, "\"time\" is not a time: %.64s", text ? text : "it is missing");
    return 0;
}

static int get_summary(const json_t *object, char **out, struct nacre_err *e)
{
    const json_t *summary = json_object_get(object, "summary");
    if (!summary || json_is_null(summary))
        return 0;
    if (!json_is_object(summary))
        return err_set(e, NACRE_CORRUPT, "\"summary\" is not an object");
    *out = json_dumps(summary, JSON_COMPACT);
    return *out ? 0 : err_no_memory(e, "a snapshot");
}

static int parse_fields(const json_t *object, struct snapshot *s, struct nacre_err *e)
{
    bool has_tree = false;
    if (get_time(object, &s->time_ns, e) < 0 || get_id(object, "parent", &s->parent, &s->has_parent, e) < 0 ||
        get_id(object, "tree", &s->tree, &has_tree, e) < 0 ||
        get_list(object, "paths", &s->paths, &s->path_count, e) < 0 ||
        get_text(object, "hostname", &s->hostname, e) < 0 ||
        get_text(object, "username", &s->username, e) < 0 || get_u32(object, "uid", &s->uid, e) < 0 ||
        get_u32(object, "gid", &s->gid, e) < 0 ||
        get_list(object, "excludes", &s->excludes, &s->exclude_count, e) < 0 ||
        get_list(object, "tags", &s->tags, &s->tag_count, e) < 0 ||
        get_id(object, "original", &s->original, &s->has_original, e) < 0 ||
        get_text(object, "program_version", &s->program_version, e) < 0 ||
        get_summary(object, &s->summary_json, e) < 0)
        return -1;
    return has_tree ? 0 : err_set(e, NACRE_CORRUPT, "it names no tree");
}

int snapshot_parse(const void *json, size_t size, struct snapshot **out, struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *object = NULL;
    CLEANUP(snapshot_free) struct snapshot *s = snapshot_new();
    if (!s)
        return err_no_memory(e, "a snapshot");
    if (json_parse_object(json, size, SNAPSHOT_JSON_MAX, &object, e) < 0 || parse_fields(object, s, e) < 0)
        return -1;
    *out = MOVE(s);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the configuration with libyaml, as one document of nodes, whose marks give line and column. Aliases
 * are allowed: they cannot blow up, because the shape is three levels deep and entries and keys are counted.
 */
#include "cli/settings.h"

#include <string.h>
#include <yaml.h>

#include "common/err.h"

struct reader {
    yaml_document_t document;
    const char *file;
    struct nacre_err *e;
};

#define EXPECTED_TOP "expected the keys clusters and locations"
#define EXPECTED_ENTRY "expected NAME: {KEY: VALUE, …}"

static int fail_at(struct reader *r, const yaml_node_t *node, const char *format, const char *word)
{
    char text[256];
    snprintf(text, sizeof text, format, word);
    return err_set(r->e, NACRE_INVALID, "%s:%zu:%zu: %s", r->file, node->start_mark.line + 1,
                   node->start_mark.column + 1, text);
}

/* The text of a scalar; NULL, with the error set, for anything else and for what holds a NUL. */
static const char *scalar(struct reader *r, const yaml_node_t *node, const char *expected, const char *word)
{
    if (node->type != YAML_SCALAR_NODE) {
        fail_at(r, node, expected, word);
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length) {
        fail_at(r, node, "a NUL byte in the text%s", "");
        return NULL;
    }
    return text;
}

/* A name of a cluster or location: it stands in paths, volumes and messages. */
bool settings_name_valid(const char *name)
{
    size_t length = strlen(name);
    return length && length < 64 && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

static bool is_null(const yaml_node_t *node)
{
    const char *text = (const char *)node->data.scalar.value;
    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || !strcmp(text, "~") || !strcmp(text, "null") || !strcmp(text, "Null") ||
            !strcmp(text, "NULL"));
}

static int read_option(struct reader *r, const yaml_node_pair_t *pair, struct settings_entry *entry)
{
    const yaml_node_t *key_node = yaml_document_get_node(&r->document, pair->key);
    const yaml_node_t *value_node = yaml_document_get_node(&r->document, pair->value);
    const char *key = scalar(r, key_node, "a key must be a word; %s", EXPECTED_ENTRY);
    if (!key)
        return -1;
    if (!*key || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(key) || strlen(key) > 63)
        return fail_at(r, key_node, "key \"%.64s\": expected a word of a-z, 0-9 and -", key);
    for (size_t i = 0; i < entry->option_count; i++)
        if (!strcmp(entry->options[i].key, key))
            return fail_at(r, key_node, "key \"%.64s\" is there twice", key);
    const char *value =
        scalar(r, value_node, "the value of \"%.64s\" must be text, not a list or a map", key);
    if (!value)
        return -1;
    if (is_null(value_node))
        return fail_at(r, value_node, "\"%.64s\" has no value", key);
    if (entry->option_count == SETTINGS_KEYS_MAX)
        return fail_at(r, key_node, "\"%.64s\" has too many keys", entry->name);
    struct nacre_option option = {strdup(key), strdup(value)};
    if (!option.key || !option.value) {
        free((char *)option.key);
        free((char *)option.value);
        return err_no_memory(r->e, "the configuration");
    }
    entry->options[entry->option_count++] = option;
    return 0;
}

static int read_entry(struct reader *r, const yaml_node_pair_t *pair, const struct settings_entry *entries,
                      size_t count, struct settings_entry *entry)
{
    const yaml_node_t *name_node = yaml_document_get_node(&r->document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(&r->document, pair->value);
    const char *name = scalar(r, name_node, "a name must be a word; %s", EXPECTED_ENTRY);
    if (!name)
        return -1;
    if (!settings_name_valid(name))
        return fail_at(r, name_node, "name \"%.64s\": expected at most 63 of A-Z, a-z, 0-9, '.', '_', '-'",
                       name);
    for (size_t i = 0; i < count; i++)
        if (entries[i].name && !strcmp(entries[i].name, name))
            return fail_at(r, name_node, "name \"%.64s\" is there twice", name);
    if (value->type != YAML_MAPPING_NODE)
        return fail_at(r, value, "\"%.64s\" must be a map; " EXPECTED_ENTRY, name);
    entry->name = strdup(name);
    entry->options = calloc(SETTINGS_KEYS_MAX, sizeof *entry->options);
    if (!entry->name || !entry->options)
        return err_no_memory(r->e, "the configuration");
    entry->line = (unsigned)name_node->start_mark.line + 1;
    for (const yaml_node_pair_t *p = value->data.mapping.pairs.start; p < value->data.mapping.pairs.top; p++)
        if (read_option(r, p, entry) < 0)
            return -1;
    return 0;
}

/* What a location cannot do without is checked here, where line and column are known. */
static int check_location(struct reader *r, const yaml_node_pair_t *pair, const struct settings_entry *entry)
{
    const yaml_node_t *node = yaml_document_get_node(&r->document, pair->key);
    const char *url = settings_value(entry, "url");
    if (!url || !strstr(url, "://"))
        return fail_at(r, node, "location \"%.64s\" needs a url of the form SCHEME://…", entry->name);
    if (settings_value(entry, "password-file") && settings_value(entry, "password-command"))
        return fail_at(r, node, "location \"%.64s\": password-file and password-command exclude each other",
                       entry->name);
    const char *mode = settings_value(entry, "access-mode"), *is_default = settings_value(entry, "default");
    if (mode && strcmp(mode, "ReadWrite") != 0 && strcmp(mode, "ReadOnly") != 0)
        return fail_at(r, node, "location \"%.64s\": access-mode must be ReadWrite or ReadOnly", entry->name);
    if (is_default && strcmp(is_default, "true") != 0 && strcmp(is_default, "false") != 0)
        return fail_at(r, node, "location \"%.64s\": default must be true or false", entry->name);
    return 0;
}

static bool marked_default(const struct settings_entry *location)
{
    const char *is_default = settings_value(location, "default");
    return is_default && !strcmp(is_default, "true");
}

/* Of two the program does not choose one. */
static int check_one_default(struct reader *r, const yaml_node_t *section,
                             const struct settings_entry *entries, size_t count)
{
    const struct settings_entry *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!marked_default(&entries[i]))
            continue;
        if (first)
            return fail_at(r, section,
                           "a second location with default: true, \"%.64s\"; one can be the default",
                           entries[i].name);
        first = &entries[i];
    }
    return 0;
}

static int read_section(struct reader *r, const yaml_node_t *section, const char *name, bool locations,
                        struct settings_entry **entries, size_t *count)
{
    if (section->type == YAML_SCALAR_NODE && is_null(section))
        return 0;
    if (section->type != YAML_MAPPING_NODE)
        return fail_at(r, section, "\"%s\" must be a map; " EXPECTED_ENTRY, name);
    *entries = calloc(SETTINGS_ENTRIES_MAX, sizeof **entries);
    if (!*entries)
        return err_no_memory(r->e, "the configuration");
    const yaml_node_pair_t *p = section->data.mapping.pairs.start;
    for (; p < section->data.mapping.pairs.top; p++) {
        if (*count == SETTINGS_ENTRIES_MAX)
            return fail_at(r, section, "\"%s\" has too many entries", name);
        struct settings_entry *entry = *entries + *count;
        (*count)++;
        if (read_entry(r, p, *entries, *count - 1, entry) < 0 ||
            (locations && check_location(r, p, entry) < 0))
            return -1;
    }
    return locations ? check_one_default(r, section, *entries, *count) : 0;
}

static int read_top(struct reader *r, struct settings *settings)
{
    yaml_node_t *root = yaml_document_get_root_node(&r->document);
    if (!root || (root->type == YAML_SCALAR_NODE && is_null(root)))
        return 0;
    if (root->type != YAML_MAPPING_NODE)
        return fail_at(r, root, "the file must be a map; %s", EXPECTED_TOP);
    bool seen[2] = {false, false};
    const yaml_node_pair_t *p = root->data.mapping.pairs.start;
    for (; p < root->data.mapping.pairs.top; p++) {
        const yaml_node_t *key_node = yaml_document_get_node(&r->document, p->key);
        const yaml_node_t *value = yaml_document_get_node(&r->document, p->value);
        const char *key = scalar(r, key_node, "a key must be a word; %s", EXPECTED_TOP);
        if (!key)
            return -1;
        bool locations = !strcmp(key, "locations");
        if (!locations && strcmp(key, "clusters") != 0)
            return fail_at(r, key_node, "unknown key \"%.64s\"; " EXPECTED_TOP, key);
        if (seen[locations])
            return fail_at(r, key_node, "key \"%.64s\" is there twice", key);
        seen[locations] = true;
        if (read_section(r, value, key, locations, locations ? &settings->locations : &settings->clusters,
                         locations ? &settings->location_count : &settings->cluster_count) < 0)
            return -1;
    }
    return 0;
}

static int syntax_error(const yaml_parser_t *parser, const char *file, struct nacre_err *e)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return err_no_memory(e, "the configuration");
    const char *problem = parser->problem ? parser->problem : "it is no YAML";
    if (parser->error == YAML_READER_ERROR)
        return err_set(e, NACRE_INVALID, "%s: at byte %zu: %s; expected YAML in UTF-8", file,
                       parser->problem_offset, problem);
    return err_set(e, NACRE_INVALID, "%s:%zu:%zu: %s%s%s", file, parser->problem_mark.line + 1,
                   parser->problem_mark.column + 1, parser->context ? parser->context : "",
                   parser->context ? ", " : "", problem);
}

/* Collections in collections, looked at before the document is built: libyaml takes a time that grows with
 * the square of their depth. Anything else that is wrong is left to the reading proper. */
static int check_depth(const void *text, size_t size, const char *file, struct nacre_err *e)
{
    yaml_parser_t parser;
    yaml_event_t event;
    int depth = 0;
    bool end = false;
    if (!yaml_parser_initialize(&parser))
        return err_no_memory(e, "the configuration");
    yaml_parser_set_input_string(&parser, text, size);
    while (!end && depth <= SETTINGS_DEPTH_MAX && yaml_parser_parse(&parser, &event)) {
        yaml_event_type_t type = event.type;
        depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
        depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
        end = type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    size_t line = parser.mark.line + 1;
    yaml_parser_delete(&parser);
    if (depth > SETTINGS_DEPTH_MAX)
        return err_set(e, NACRE_INVALID, "%s:%zu: nested too deeply; " EXPECTED_TOP, file, line);
    return 0;
}

/* After the first document there may be nothing. */
static int check_end(yaml_parser_t *parser, struct reader *r)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return syntax_error(parser, r->file, r->e);
    const yaml_node_t *root = yaml_document_get_root_node(&next);
    int result = root ? fail_at(r, root, "a second document; expected one%s", "") : 0;
    yaml_document_delete(&next);
    return result;
}

int settings_parse(const void *text, size_t size, const char *file, struct settings **out,
                   struct nacre_err *e)
{
    CLEANUP(settings_free) struct settings *settings = calloc(1, sizeof *settings);
    yaml_parser_t parser;
    if (!settings || !(settings->file = strdup(file)) || !yaml_parser_initialize(&parser))
        return err_no_memory(e, "the configuration");
    struct reader r = {.file = file, .e = e};
    yaml_parser_set_input_string(&parser, size ? text : (const void *)"", size);
    int result = -1;
    if (size > SETTINGS_BYTES_MAX)
        err_set(e, NACRE_INVALID, "%s: larger than %u bytes", file, SETTINGS_BYTES_MAX);
    else if (check_depth(size ? text : "", size, file, e) < 0)
        result = -1;
    else if (!yaml_parser_load(&parser, &r.document))
        syntax_error(&parser, file, e);
    else {
        result = read_top(&r, settings);
        if (!result && yaml_document_get_root_node(&r.document))
            result = check_end(&parser, &r);
        yaml_document_delete(&r.document);
    }
    yaml_parser_delete(&parser);
    if (result < 0)
        return -1;
    *out = MOVE(settings);
    return 0;
}

static void entries_free(struct settings_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < entries[i].option_count; j++) {
            free((char *)entries[i].options[j].key);
            free((char *)entries[i].options[j].value);
        }
        free(entries[i].options);
        free(entries[i].name);
    }
    free(entries);
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    entries_free(settings->clusters, settings->cluster_count);
    entries_free(settings->locations, settings->location_count);
    free(settings->file);
    free(settings);
}

static const struct settings_entry *find(const struct settings_entry *entries, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(entries[i].name, name))
            return &entries[i];
    return NULL;
}

const struct settings_entry *settings_cluster(const struct settings *settings, const char *name)
{
    return find(settings->clusters, settings->cluster_count, name);
}

const struct settings_entry *settings_location(const struct settings *settings, const char *name)
{
    return find(settings->locations, settings->location_count, name);
}

const char *settings_value(const struct settings_entry *entry, const char *key)
{
    for (size_t i = 0; entry && i < entry->option_count; i++)
        if (!strcmp(entry->options[i].key, key))
            return entry->options[i].value;
    return NULL;
}

const struct settings_entry *settings_default_location(const struct settings *settings)
{
    for (size_t i = 0; i < settings->location_count; i++)
        if (marked_default(&settings->locations[i]))
            return &settings->locations[i];
    return settings_location(settings, "default");
}

bool settings_read_only(const struct settings_entry *location)
{
    const char *mode = settings_value(location, "access-mode");
    return mode && !strcmp(mode, "ReadOnly");
}

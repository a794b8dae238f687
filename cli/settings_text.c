/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting in YAML. libyaml says where nodes begin and, for scalars and flow collections, end; the end it
 * gives for a block mapping lies after the comments that follow, so that the end of its last value counts
 * instead. Marks are in characters. */
#include "cli/settings_text.h"

#include <string.h>

#include <nacre/plugin.h>

#define NOWHERE SIZE_MAX

bool settings_text_open(struct settings_text *out, const char *bytes, size_t size)
{
    yaml_parser_t parser;
    *out = (struct settings_text){.bytes = bytes, .size = size};
    bool marked = size && ((unsigned char)bytes[0] >= 0xef || !bytes[0]); /* U+FEFF in UTF-8, UTF-16 */
    if (marked || !yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
    out->open = yaml_parser_load(&parser, &out->document);
    yaml_parser_delete(&parser);
    return out->open;
}

void settings_text_close(struct settings_text *text)
{
    if (text->open)
        yaml_document_delete(&text->document);
    text->open = false;
}

static size_t byte_of(const struct settings_text *text, size_t character)
{
    size_t at = 0;
    while (at < text->size && character) {
        at++;
        while (at < text->size && ((unsigned char)text->bytes[at] & 0xc0) == 0x80)
            at++;
        character--;
    }
    return at;
}

static yaml_node_t *node(struct settings_text *text, int id)
{
    return yaml_document_get_node(&text->document, id);
}

static const yaml_node_pair_t *pair_at(const yaml_node_t *mapping, int at)
{
    return &mapping->data.mapping.pairs.start[at];
}

static int pair_count(const yaml_node_t *mapping)
{
    return (int)(mapping->data.mapping.pairs.top - mapping->data.mapping.pairs.start);
}

static bool is_flow(const yaml_node_t *mapping)
{
    return mapping->data.mapping.style == YAML_FLOW_MAPPING_STYLE;
}

int settings_text_find(struct settings_text *text, const yaml_node_t *mapping, const char *key)
{
    if (!mapping || mapping->type != YAML_MAPPING_NODE)
        return -1;
    for (int i = 0; i < pair_count(mapping); i++) {
        const yaml_node_t *name = node(text, pair_at(mapping, i)->key);
        if (name->type == YAML_SCALAR_NODE && !strcmp((const char *)name->data.scalar.value, key))
            return i;
    }
    return -1;
}

yaml_node_t *settings_text_value(struct settings_text *text, const yaml_node_t *mapping, int pair)
{
    return node(text, pair_at(mapping, pair)->value);
}

static size_t node_start(const struct settings_text *text, const yaml_node_t *n)
{
    return byte_of(text, n->start_mark.index);
}

/* Where a node's own text ends. A block scalar ends where the next thing begins: nowhere of its own. */
static size_t node_end(struct settings_text *text, const yaml_node_t *n)
{
    while (n->type == YAML_MAPPING_NODE && !is_flow(n)) {
        if (!pair_count(n))
            return NOWHERE;
        n = settings_text_value(text, n, pair_count(n) - 1);
    }
    bool block = n->type == YAML_SCALAR_NODE
                     ? n->data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
                           n->data.scalar.style == YAML_FOLDED_SCALAR_STYLE
                     : n->type == YAML_SEQUENCE_NODE && n->data.sequence.style != YAML_FLOW_SEQUENCE_STYLE;
    return block ? NOWHERE : byte_of(text, n->end_mark.index);
}

static size_t key_start(struct settings_text *text, const yaml_node_t *mapping, int pair)
{
    return node_start(text, node(text, pair_at(mapping, pair)->key));
}

/* Of an alias libyaml gives the place of what it stands for: then value and key are in the wrong order. */
static size_t value_end(struct settings_text *text, const yaml_node_t *mapping, int pair)
{
    size_t end = node_end(text, settings_text_value(text, mapping, pair));
    return end == NOWHERE || end <= key_start(text, mapping, pair) ? NOWHERE : end;
}

static size_t line_start(const struct settings_text *text, size_t at)
{
    while (at && text->bytes[at - 1] != '\n')
        at--;
    return at;
}

static size_t line_end(const struct settings_text *text, size_t at)
{
    const char *newline = memchr(text->bytes + at, '\n', text->size - at);
    return newline ? (size_t)(newline - text->bytes) + 1 : text->size;
}

/* Nothing but blanks before it in its line; *indent counts them. */
static bool begins_line(const struct settings_text *text, size_t at, size_t *indent)
{
    size_t start = line_start(text, at);
    *indent = at - start;
    return strspn(text->bytes + start, " ") >= *indent;
}

/* Nothing but blanks and a comment after it in its line. */
static bool ends_line(const struct settings_text *text, size_t at)
{
    size_t end = line_end(text, at), from = at;
    while (at < end && strchr(" \t\r\n", text->bytes[at]))
        at++;
    return at == end || (text->bytes[at] == '#' && at > from);
}

static const char *newline_of(const struct settings_text *text)
{
    const char *first = memchr(text->bytes, '\n', text->size);
    return first && first > text->bytes && first[-1] == '\r' ? "\r\n" : "\n";
}

/* A scalar that is read back as it was given, in either style. */
static void write_scalar(struct buf *out, const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    if (*value && *value != '-' && strspn(value, plain) == strlen(value) && strcasecmp(value, "null") != 0) {
        buf_string(out, value);
        return;
    }
    buf_char(out, '"');
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            buf_char(out, '\\');
        buf_char(out, *value);
    }
    buf_char(out, '"');
}

static void write_flow_pair(struct buf *out, const struct settings_pair *pair)
{
    write_scalar(out, pair->key);
    buf_string(out, ": ");
    if (pair->value) {
        write_scalar(out, pair->value);
        return;
    }
    for (size_t i = 0; i < pair->option_count; i++) {
        buf_string(out, i ? ", " : "{");
        buf_printf(out, "%s: ", pair->options[i].key);
        write_scalar(out, pair->options[i].value);
    }
    buf_char(out, '}');
}

static void write_block_line(struct buf *out, size_t indent, const char *key, const char *value,
                             const char *newline)
{
    buf_printf(out, "%*s", (int)indent, "");
    write_scalar(out, key);
    buf_char(out, ':');
    if (value) {
        buf_char(out, ' ');
        write_scalar(out, value);
    }
    buf_string(out, newline);
}

static void write_block_pair(struct buf *out, size_t indent, const struct settings_pair *pair,
                             const char *newline)
{
    write_block_line(out, indent, pair->key, pair->value, newline);
    for (size_t i = 0; !pair->value && i < pair->option_count; i++)
        write_block_line(out, indent + 2, pair->options[i].key, pair->options[i].value, newline);
}

/* After the line that `at` is in, whatever ends it. */
static bool cut_after_line(const struct settings_text *text, size_t at, struct settings_cut *cut)
{
    if (at == NOWHERE || !ends_line(text, at))
        return false;
    cut->at = line_end(text, at);
    if (cut->at && text->bytes[cut->at - 1] != '\n')
        buf_string(&cut->text, newline_of(text));
    return true;
}

bool settings_text_replace(struct settings_text *text, const yaml_node_t *mapping, int pair,
                           const char *value, struct settings_cut *cut)
{
    const yaml_node_t *old = settings_text_value(text, mapping, pair);
    size_t end = value_end(text, mapping, pair);
    if (old->type != YAML_SCALAR_NODE || end == NOWHERE)
        return false;
    cut->at = node_start(text, old);
    cut->length = end - cut->at;
    write_scalar(&cut->text, value);
    return true;
}

/* Neighbours in a flow mapping share their commas: the one that goes is that before what follows, or, for the
 * last, that before it. */
static bool remove_flow(struct settings_text *text, const yaml_node_t *mapping, int pair,
                        struct settings_cut *cut)
{
    bool last = pair + 1 == pair_count(mapping);
    size_t end = value_end(text, mapping, pair);
    size_t from = last && pair ? value_end(text, mapping, pair - 1) : key_start(text, mapping, pair);
    size_t to = last ? end : key_start(text, mapping, pair + 1);
    size_t between = last && pair ? key_start(text, mapping, pair) : to, between_from = last ? from : end;
    if (end == NOWHERE || from == NOWHERE || to < from)
        return false;
    if (between_from < between && memchr(text->bytes + between_from, '#', between - between_from))
        return false; /* somebody's comment */
    cut->at = from;
    cut->length = to - from;
    return true;
}

bool settings_text_remove(struct settings_text *text, const yaml_node_t *mapping, int pair,
                          struct settings_cut *cut)
{
    if (is_flow(mapping))
        return remove_flow(text, mapping, pair, cut);
    size_t start = key_start(text, mapping, pair), end = value_end(text, mapping, pair), indent;
    if (end == NOWHERE || !begins_line(text, start, &indent) || !ends_line(text, end))
        return false;
    cut->at = start - indent;
    cut->length = line_end(text, end) - cut->at;
    return true;
}

static bool append_flow(struct settings_text *text, const yaml_node_t *mapping,
                        const struct settings_pair *pair, struct settings_cut *cut)
{
    int count = pair_count(mapping);
    if (count) {
        cut->at = value_end(text, mapping, count - 1);
        buf_string(&cut->text, ", ");
    } else {
        cut->at = byte_of(text, mapping->end_mark.index) - 1; /* before the brace */
    }
    write_flow_pair(&cut->text, pair);
    return cut->at != NOWHERE;
}

bool settings_text_append(struct settings_text *text, const yaml_node_t *mapping,
                          const struct settings_pair *pair, struct settings_cut *cut)
{
    if (is_flow(mapping))
        return append_flow(text, mapping, pair, cut);
    size_t indent;
    if (!pair_count(mapping) || !begins_line(text, key_start(text, mapping, 0), &indent) ||
        !cut_after_line(text, value_end(text, mapping, pair_count(mapping) - 1), cut))
        return false;
    write_block_pair(&cut->text, indent, pair, newline_of(text));
    return true;
}

bool settings_text_begin(struct settings_text *text, const yaml_node_t *mapping, int at,
                         const struct settings_pair *pair, struct settings_cut *cut)
{
    size_t indent, end = value_end(text, mapping, at);
    const yaml_node_t *value = settings_text_value(text, mapping, at);
    if (is_flow(mapping) || value->type != YAML_SCALAR_NODE || value->data.scalar.length ||
        !begins_line(text, key_start(text, mapping, at), &indent) || !cut_after_line(text, end, cut))
        return false;
    write_block_pair(&cut->text, indent + 2, pair, newline_of(text));
    return true;
}

bool settings_text_section(struct settings_text *text, const char *section, const struct settings_pair *pair,
                           struct settings_cut *cut)
{
    const yaml_node_t *root = yaml_document_get_root_node(&text->document);
    if (root && (root->type != YAML_MAPPING_NODE || is_flow(root)))
        return false;
    cut->at = text->size;
    if (text->size && text->bytes[text->size - 1] != '\n')
        buf_string(&cut->text, newline_of(text));
    write_block_line(&cut->text, 0, section, NULL, newline_of(text));
    write_block_pair(&cut->text, 2, pair, newline_of(text));
    return true;
}

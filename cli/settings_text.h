/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a configuration with the places of its parts, found by libyaml's marks, and one cut in it. */
#ifndef CLI_SETTINGS_TEXT_H
#define CLI_SETTINGS_TEXT_H

#include <yaml.h>

#include "common/buf.h"
#include "common/cleanup.h"

struct settings_text {
    const char *bytes;
    size_t size;
    yaml_document_t document; /* valid once settings_text_open returned true */
    bool open;
};

/* What a change does to the text: [at, at + length) becomes `text`. */
struct settings_cut {
    size_t at, length;
    struct buf text;
};

/* False when it is no YAML, or has a byte-order mark, which libyaml's marks do not count. Borrows the text.
 */
bool settings_text_open(struct settings_text *out, const char *bytes, size_t size);
void settings_text_close(struct settings_text *text);
static inline void settings_text_close_at(struct settings_text *text)
{
    settings_text_close(text);
}

/* The pair of a mapping whose key is the word; -1 = none. */
int settings_text_find(struct settings_text *text, const yaml_node_t *mapping, const char *key);
yaml_node_t *settings_text_value(struct settings_text *text, const yaml_node_t *mapping, int pair);

/* All of these fill in a cut and return false for a form that they do not know how to cut. */

/* The value of a pair becomes another text. */
bool settings_text_replace(struct settings_text *text, const yaml_node_t *mapping, int pair,
                           const char *value, struct settings_cut *cut);
/* A pair goes, with the lines that it has for itself. */
bool settings_text_remove(struct settings_text *text, const yaml_node_t *mapping, int pair,
                          struct settings_cut *cut);
/* A pair comes after the last one. value: a scalar's text; or NULL, then the value is a map of these options.
 */
struct settings_pair {
    const char *key, *value;
    const struct nacre_option *options;
    size_t option_count;
};
bool settings_text_append(struct settings_text *text, const yaml_node_t *mapping,
                          const struct settings_pair *pair, struct settings_cut *cut);
/* The same below a pair of `mapping` whose value is nothing yet. */
bool settings_text_begin(struct settings_text *text, const yaml_node_t *mapping, int at,
                         const struct settings_pair *pair, struct settings_cut *cut);
/* `section:` with the pair, at the end of a text whose top is in block style or empty. */
bool settings_text_section(struct settings_text *text, const char *section, const struct settings_pair *pair,
                           struct settings_cut *cut);

#endif

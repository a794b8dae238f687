/* SPDX-License-Identifier: Apache-2.0 */
/* One edit of a configuration's text: the cut is made by settings_text.c, and then proven here. The proof is
 * what makes it safe: whatever the cut may have misjudged, a text that does not mean exactly what was asked
 * for never reaches the file. */
#include "cli/settings_edit.h"

#include <string.h>

#include "cli/settings_text.h"
#include "common/err.h"

/* --- what the configuration is to mean --- */

static struct settings_entry *model_find(struct settings *s, const char *name)
{
    return (struct settings_entry *)settings_location(s, name);
}

static void option_free(struct nacre_option *option)
{
    free((char *)option->key);
    free((char *)option->value);
}

static bool model_drop(struct settings_entry *entry, const char *key)
{
    for (size_t i = 0; i < entry->option_count; i++) {
        if (strcmp(entry->options[i].key, key) != 0)
            continue;
        option_free(&entry->options[i]);
        entry->options[i] = entry->options[--entry->option_count];
        return true;
    }
    return false;
}

static bool model_set(struct settings_entry *entry, const struct nacre_option *option)
{
    model_drop(entry, option->key);
    struct nacre_option copy = {strdup(option->key), strdup(option->value)};
    if (!copy.key || !copy.value || entry->option_count == SETTINGS_KEYS_MAX) {
        option_free(&copy);
        return false;
    }
    entry->options[entry->option_count++] = copy;
    return true;
}

/* Has room: settings_parse allocates for the most that there may be. */
static struct settings_entry *model_add(struct settings *s, const char *name)
{
    if (!s->locations)
        s->locations = calloc(SETTINGS_ENTRIES_MAX, sizeof *s->locations);
    if (!s->locations || s->location_count == SETTINGS_ENTRIES_MAX)
        return NULL;
    struct settings_entry *entry = &s->locations[s->location_count];
    *entry = (struct settings_entry){.name = strdup(name),
                                     .options = calloc(SETTINGS_KEYS_MAX, sizeof *entry->options)};
    s->location_count++;
    return entry->name && entry->options ? entry : NULL;
}

static void model_remove(struct settings *s, struct settings_entry *entry)
{
    struct settings_entry *last = &s->locations[s->location_count - 1], gone = *entry;
    *entry = *last;
    *last = gone;
    while (last->option_count)
        model_drop(last, last->options[0].key);
    free(last->options);
    free(last->name);
    s->location_count--;
}

static bool model_apply(struct settings *s, const struct settings_edit *edit)
{
    struct settings_entry *entry =
        edit->verb == SETTINGS_ADD ? model_add(s, edit->location) : model_find(s, edit->location);
    if (!entry)
        return false;
    if (edit->verb == SETTINGS_REMOVE)
        model_remove(s, entry);
    for (size_t i = 0; edit->verb != SETTINGS_REMOVE && i < edit->option_count; i++) {
        if (edit->verb == SETTINGS_DROP)
            model_drop(entry, edit->options[i].key);
        else if (!model_set(entry, &edit->options[i]))
            return false;
    }
    return true;
}

static bool same_entries(const struct settings_entry *a, size_t a_count, const struct settings_entry *b,
                         size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++) {
        const struct settings_entry *other = NULL;
        for (size_t j = 0; j < b_count && !other; j++)
            other = strcmp(a[i].name, b[j].name) ? NULL : &b[j];
        same = other && other->option_count == a[i].option_count;
        for (size_t k = 0; same && k < a[i].option_count; k++) {
            const char *value = settings_value(other, a[i].options[k].key);
            same = value && !strcmp(value, a[i].options[k].value);
        }
    }
    return same;
}

static bool same(const struct settings *a, const struct settings *b)
{
    return same_entries(a->clusters, a->cluster_count, b->clusters, b->cluster_count) &&
           same_entries(a->locations, a->location_count, b->locations, b->location_count);
}

/* --- the text --- */

static bool cut_add(struct settings_text *text, const struct settings_edit *edit, struct settings_cut *cut)
{
    const yaml_node_t *root = yaml_document_get_root_node(&text->document);
    int section = settings_text_find(text, root, "locations");
    const struct settings_pair pair = {
        .key = edit->location, .options = edit->options, .option_count = edit->option_count};
    if (section < 0)
        return settings_text_section(text, "locations", &pair, cut);
    const yaml_node_t *locations = settings_text_value(text, root, section);
    return locations->type == YAML_MAPPING_NODE ? settings_text_append(text, locations, &pair, cut)
                                                : settings_text_begin(text, root, section, &pair, cut);
}

/* One cut for one option: the text is read again for the next. *done: there is nothing to cut. */
static bool cut_one(struct settings_text *text, const struct settings_edit *edit, size_t option, bool *done,
                    struct settings_cut *cut)
{
    const yaml_node_t *root = yaml_document_get_root_node(&text->document);
    if (edit->verb == SETTINGS_ADD)
        return cut_add(text, edit, cut);
    int section = settings_text_find(text, root, "locations");
    const yaml_node_t *locations = section < 0 ? NULL : settings_text_value(text, root, section);
    int at = settings_text_find(text, locations, edit->location);
    if (at < 0)
        return false;
    if (edit->verb == SETTINGS_REMOVE)
        return settings_text_remove(text, locations, at, cut);
    const yaml_node_t *entry = settings_text_value(text, locations, at);
    const struct nacre_option *o = &edit->options[option];
    int pair = settings_text_find(text, entry, o->key);
    if (edit->verb == SETTINGS_DROP) {
        *done = pair < 0;
        return *done || settings_text_remove(text, entry, pair, cut);
    }
    return pair < 0 ? settings_text_append(text, entry,
                                           &(struct settings_pair){.key = o->key, .value = o->value}, cut)
                    : settings_text_replace(text, entry, pair, o->value, cut);
}

static bool apply_cut(const struct buf *text, const struct settings_cut *cut, struct buf *out)
{
    buf_append(out, text->data, cut->at);
    buf_append(out, cut->text.data, cut->text.size);
    buf_append(out, text->data + cut->at + cut->length, text->size - cut->at - cut->length);
    return !buf_failed(out) && !buf_failed(&cut->text);
}

/* The steps of an edit, from `before` into `out`. */
static bool edit_steps(const struct buf *before, const struct settings_edit *edit, struct buf *out)
{
    bool single = edit->verb == SETTINGS_ADD || edit->verb == SETTINGS_REMOVE;
    size_t steps = single ? 1 : edit->option_count;
    buf_append(out, before->data, before->size);
    for (size_t i = 0; i < steps; i++) {
        CLEANUP(settings_text_close) struct settings_text text;
        CLEANUP(buf_free) struct buf next = {0};
        struct settings_cut cut = {0};
        bool done = false;
        bool known = settings_text_open(&text, out->data ? (const char *)out->data : "", out->size) &&
                     cut_one(&text, edit, i, &done, &cut);
        bool applied = known && (done || apply_cut(out, &cut, &next));
        buf_free(&cut.text);
        if (!applied)
            return false;
        if (done)
            continue;
        struct buf old = *out;
        *out = next;
        next = old;
    }
    return true;
}

static int by_hand(const struct settings_edit *edit, const char *file, unsigned line, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf what = {0};
    if (edit->verb == SETTINGS_ADD)
        buf_printf(&what, "add below locations: %s: {", edit->location);
    else
        buf_printf(&what, "%s location %s (line %u)",
                   edit->verb == SETTINGS_REMOVE ? "remove"
                   : edit->verb == SETTINGS_DROP ? "remove from"
                                                 : "set in",
                   edit->location, line);
    for (size_t i = 0; i < edit->option_count; i++)
        buf_printf(&what, edit->verb == SETTINGS_DROP ? "%s%s" : "%s%s: \"%s\"",
                   i                            ? ", "
                   : edit->verb == SETTINGS_ADD ? ""
                                                : ": ",
                   edit->options[i].key, edit->options[i].value);
    buf_string(&what, edit->verb == SETTINGS_ADD ? "}" : "");
    return err_set(e, NACRE_UNSUPPORTED,
                   "%s is written in a way that cannot be edited safely; nothing was changed. By hand: %s",
                   file, what.data ? (const char *)what.data : "");
}

static int check_value(const struct nacre_option *option, struct nacre_err *e)
{
    for (const char *c = option->value; c && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return err_set(e, NACRE_INVALID, "the value of \"%s\" has a control character in it",
                           option->key);
    return 0;
}

int settings_edit_text(struct buf *text, const char *file, const struct settings_edit *edit,
                       struct nacre_err *e)
{
    CLEANUP(settings_free) struct settings *wanted = NULL, *got = NULL;
    CLEANUP(buf_free) struct buf after = {0};
    if (settings_parse(text->data ? text->data : (const uint8_t *)"", text->size, file, &wanted, e) < 0)
        return -1;
    const struct settings_entry *entry = settings_location(wanted, edit->location);
    unsigned line = entry ? entry->line : 0;
    if (edit->verb == SETTINGS_ADD && entry)
        return err_set(e, NACRE_EXISTS, "location \"%s\" is in %s:%u already", edit->location, file, line);
    if (edit->verb != SETTINGS_ADD && !entry)
        return err_set(e, NACRE_ABSENT, "location \"%s\" is not in %s", edit->location, file);
    for (size_t i = 0; i < edit->option_count; i++)
        if (check_value(&edit->options[i], e) < 0)
            return -1;
    if (!model_apply(wanted, edit))
        return err_set(e, NACRE_FAILED, "%s: too many locations or keys, or no memory for them", file);
    if (!edit_steps(text, edit, &after))
        return by_hand(edit, file, line, e);
    if (settings_parse(after.data ? after.data : (const uint8_t *)"", after.size, file, &got, e) < 0)
        return err_wrap(e, "after this change");
    if (!same(wanted, got))
        return by_hand(edit, file, line, e);
    struct buf old = *text;
    *text = after;
    after = old;
    return 0;
}

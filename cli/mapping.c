/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping volumes to targets. All is decided, and every mistake found, before any volume is touched. */
#include "cli/mapping.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/err.h"

int mapping_rule_parse(const char *text, struct mapping_rule *out, struct nacre_err *e)
{
    const char *equals = strrchr(text, '=');
    size_t source = equals ? (size_t)(equals - text) : 0;
    if (!source || !equals[1] || source >= sizeof out->source || strlen(equals + 1) >= sizeof out->target)
        return err_set(e, NACRE_INVALID,
                       "--volume-mapping %.128s: expected SRC=DST, such as "
                       "rbd/east/pool/image=rbd/west/pool/image or rbd/east/pool=rbd/west/pool2",
                       text);
    out->text = text;
    memcpy(out->source, text, source);
    out->source[source] = 0;
    strcpy(out->target, equals + 1);
    return 0;
}

bool mapping_names(const char *name, const char *volume)
{
    size_t name_length = strlen(name), volume_length = strlen(volume);
    if (name_length > volume_length || strcmp(volume + volume_length - name_length, name) != 0)
        return false;
    return name_length == volume_length || volume[volume_length - name_length - 1] == '/';
}

static void list_volumes(struct buf *out, const char *const *volumes, size_t count)
{
    for (size_t i = 0; i < count && i < 8; i++)
        buf_printf(out, "%s%.200s", i ? ", " : "", volumes[i]);
    if (count > 8)
        buf_printf(out, " and %zu more", count - 8);
    if (!count)
        buf_string(out, "none");
}

static int no_such_volume(const char *what, const char *name, const char *const *volumes, size_t count,
                          struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf known = {0};
    list_volumes(&known, volumes, count);
    return err_set(e, NACRE_ABSENT, "%s%.200s matches no volume; there is %s", what, name,
                   known.data ? (const char *)known.data : "none");
}

/* Counts the volumes that a name means; an exact match is the only one. */
static size_t named_volumes(const char *name, const char *const *volumes, size_t count, size_t *first)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, volumes[i])) {
            *first = i;
            return 1;
        }
    for (size_t i = count; i-- > 0;)
        if (mapping_names(name, volumes[i])) {
            *first = i;
            found++;
        }
    return found;
}

int mapping_select(const char *name, const char *const *volumes, size_t count, size_t *out,
                   struct nacre_err *e)
{
    size_t found = named_volumes(name, volumes, count, out);
    if (found == 1)
        return 0;
    if (!found)
        return no_such_volume("", name, volumes, count, e);
    CLEANUP(buf_free) struct buf known = {0};
    list_volumes(&known, volumes, count);
    return err_set(e, NACRE_INVALID, "%.200s could be several of %s; give more of its path", name,
                   known.data ? (const char *)known.data : "");
}

static bool begins(const char *prefix, const char *volume)
{
    size_t length = strlen(prefix);
    return !strncmp(volume, prefix, length) && volume[length] == '/';
}

enum match { MATCH_NONE, MATCH_ALL, MATCH_PREFIX, MATCH_NAME };

static enum match match(const struct mapping_rule *rule, const char *volume)
{
    if (!strcmp(rule->source, "*"))
        return MATCH_ALL;
    if (mapping_names(rule->source, volume))
        return MATCH_NAME;
    return begins(rule->source, volume) ? MATCH_PREFIX : MATCH_NONE;
}

/* The rule that decides for a volume: the longest source, `*` last; NULL = none. Of a name and a beginning
 * of one length, the name. */
static const struct mapping_rule *deciding_rule(const struct mapping_rule *rules, size_t rule_count,
                                                const char *volume, enum match *how)
{
    const struct mapping_rule *best = NULL;
    size_t best_length = 0;
    for (size_t i = 0; i < rule_count; i++) {
        enum match m = match(&rules[i], volume);
        size_t length = m == MATCH_ALL ? 0 : strlen(rules[i].source);
        if (m == MATCH_NONE || (best && (length < best_length || (length == best_length && m <= *how))))
            continue;
        best = &rules[i];
        best_length = length;
        *how = m;
    }
    return best;
}

/* Every rule is used, means what it says, and no two say the same source. */
static int check_rules(const struct mapping_rule *rules, size_t rule_count, const char *const *volumes,
                       size_t count, struct nacre_err *e)
{
    for (size_t r = 0; r < rule_count; r++) {
        const char *source = rules[r].source;
        size_t first, prefixed = 0, named = named_volumes(source, volumes, count, &first);
        for (size_t q = 0; q < r; q++)
            if (!strcmp(rules[q].source, source))
                return err_set(e, NACRE_INVALID, "--volume-mapping: %.200s is mapped twice", source);
        if (!strcmp(source, "*")) {
            if (count != 1)
                return err_set(e, NACRE_INVALID,
                               "--volume-mapping %.200s: there are %zu volumes; * is for a single one",
                               rules[r].text, count);
            continue;
        }
        for (size_t i = 0; i < count; i++)
            prefixed += begins(source, volumes[i]);
        if (named > 1)
            return mapping_select(source, volumes, count, &first, e);
        if (!named && !prefixed) {
            no_such_volume("--volume-mapping ", rules[r].text, volumes, count, e);
            e->code = NACRE_INVALID;
            return -1;
        }
    }
    return 0;
}

static int apply(const struct mapping_rule *rule, enum match how, const char *volume, bool native,
                 struct volume_ref *target, struct nacre_err *e)
{
    char text[2 * VOLUME_REF_SIZE];
    if (!rule && !native)
        return err_set(e, NACRE_INVALID,
                       "%.200s was not backed up from a volume: say where it goes with --volume-mapping "
                       "'*=VOLUME'",
                       volume);
    if (!rule)
        snprintf(text, sizeof text, "%s", volume);
    else if (how == MATCH_PREFIX)
        snprintf(text, sizeof text, "%s%s", rule->target, volume + strlen(rule->source));
    else
        snprintf(text, sizeof text, "%s", rule->target);
    if (volume_ref_parse(text, target, e) < 0)
        return rule ? err_wrap(e, "--volume-mapping %.200s", rule->text) : -1;
    if (*target->snap)
        return err_set(e, NACRE_INVALID, "%.256s: a snapshot cannot be restored into", text);
    return 0;
}

int mapping_apply(const struct mapping_rule *rules, size_t rule_count, const char *const *volumes,
                  const bool *native, size_t count, struct volume_ref *targets, struct nacre_err *e)
{
    if (check_rules(rules, rule_count, volumes, count, e) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        enum match how = MATCH_NONE;
        const struct mapping_rule *rule = deciding_rule(rules, rule_count, volumes[i], &how);
        if (apply(rule, how, volumes[i], native[i], &targets[i], e) < 0)
            return -1;
        for (size_t j = 0; j < i; j++) {
            char one[VOLUME_REF_SIZE], other[VOLUME_REF_SIZE];
            volume_ref_format(&targets[i], one);
            volume_ref_format(&targets[j], other);
            if (!strcmp(one, other))
                return err_set(e, NACRE_INVALID, "%.200s and %.200s would both go to %.200s", volumes[j],
                               volumes[i], one);
        }
    }
    return 0;
}

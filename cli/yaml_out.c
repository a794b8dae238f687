/* SPDX-License-Identifier: Apache-2.0 */
/* YAML through libyaml's emitter. Text is quoted unless it is plainly a word: YAML readers take too many
 * plain words for booleans, numbers and dates. */
#include "cli/yaml_out.h"

#include <inttypes.h>
#include <string.h>
#include <yaml.h>

#include "common/err.h"

static bool emit(yaml_emitter_t *emitter, bool made, yaml_event_t *event)
{
    return made && yaml_emitter_emit(emitter, event);
}

static bool plain_word(const char *text)
{
    static const char *const special[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || *text == '/'))
        return false;
    if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-") != strlen(text))
        return false;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (!strcasecmp(text, special[i]))
            return false;
    return true;
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, size_t length, yaml_scalar_style_t style)
{
    yaml_event_t event;
    return emit(
        emitter,
        yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)length, 1, 1, style),
        &event);
}

static bool emit_text(yaml_emitter_t *emitter, const char *text, size_t length)
{
    bool plain = strlen(text) == length && plain_word(text);
    return emit_scalar(emitter, text, length,
                       plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static bool emit_value(yaml_emitter_t *emitter, const json_t *value);

static bool emit_object(yaml_emitter_t *emitter, const json_t *object)
{
    yaml_event_t event;
    const char *key;
    json_t *member;
    if (!emit(emitter, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_MAPPING_STYLE),
              &event))
        return false;
    json_object_foreach((json_t *)object, key, member)
    {
        if (!emit_text(emitter, key, strlen(key)) || !emit_value(emitter, member))
            return false;
    }
    return emit(emitter, yaml_mapping_end_event_initialize(&event), &event);
}

static bool emit_array(yaml_emitter_t *emitter, const json_t *array)
{
    yaml_event_t event;
    if (!emit(emitter, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_ANY_SEQUENCE_STYLE),
              &event))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!emit_value(emitter, json_array_get(array, i)))
            return false;
    return emit(emitter, yaml_sequence_end_event_initialize(&event), &event);
}

/* Documents are nacre's own and a few levels deep. */
static bool emit_value(yaml_emitter_t *emitter, const json_t *value)
{
    char number[64];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return emit_object(emitter, value);
    case JSON_ARRAY:
        return emit_array(emitter, value);
    case JSON_STRING:
        return emit_text(emitter, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        break;
    default:
        strcpy(number, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
    }
    return emit_scalar(emitter, number, strlen(number), YAML_PLAIN_SCALAR_STYLE);
}

int yaml_out(FILE *file, const json_t *document, struct nacre_err *e)
{
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (!yaml_emitter_initialize(&emitter))
        return err_no_memory(e, "the result");
    yaml_emitter_set_output_file(&emitter, file);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    bool done = emit(&emitter, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event) &&
                emit(&emitter, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event) &&
                emit_value(&emitter, document) &&
                emit(&emitter, yaml_document_end_event_initialize(&event, 1), &event) &&
                emit(&emitter, yaml_stream_end_event_initialize(&event), &event);
    char problem[128];
    snprintf(problem, sizeof problem, "%s", emitter.problem ? emitter.problem : "out of memory");
    yaml_emitter_delete(&emitter);
    return done ? 0 : err_set(e, NACRE_FAILED, "writing YAML to standard output: %s", problem);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Printing documents and fields. JSON keys keep the order in which they were added, so that output can be
 * compared by eye. */
#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/quantity.h"
#include "cli/yaml_out.h"
#include "common/err.h"
#include "common/timestamp.h"

int output_finish(struct nacre_err *e)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    int error = errno ? errno : EIO;
    if (error == EPIPE)
        return err_set(e, NACRE_FAILED, "standard output: the reader went away");
    return err_errno(e, error, "writing to standard output");
}

int output_document(const struct cli *cli, const json_t *document, struct nacre_err *e)
{
    if (!document)
        return err_no_memory(e, "the result");
    if (cli->format == CLI_YAML)
        return yaml_out(stdout, document, e);
    if (json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0)
        return err_errno(e, errno ? errno : EIO, "writing to standard output");
    putchar('\n');
    return 0;
}

/* The length of the UTF-8 sequence at text, 0 when it is none that jansson would take. */
static size_t sequence_length(const unsigned char *text)
{
    size_t length = *text < 0x80 ? 1 : *text >= 0xf0 ? 4 : *text >= 0xe0 ? 3 : *text >= 0xc2 ? 2 : 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((*text == 0xe0 && text[1] < 0xa0) || (*text == 0xed && text[1] >= 0xa0) ||
        (*text == 0xf0 && text[1] < 0x90) || (*text == 0xf4 && text[1] >= 0x90) || *text > 0xf4)
        return 0;
    return length;
}

json_t *output_text(const char *text)
{
    if (!text || !*text)
        return json_null();
    CLEANUP(buf_free) struct buf out = {0};
    while (*text) {
        size_t length = sequence_length((const unsigned char *)text);
        if (length)
            buf_append(&out, text, length);
        else
            buf_string(&out, "\xef\xbf\xbd");
        text += length ? length : 1;
    }
    return buf_failed(&out) ? NULL : json_stringn((const char *)out.data, out.size);
}

json_t *output_time(int64_t ns)
{
    if (!ns)
        return json_null();
    char text[TIMESTAMP_SIZE];
    timestamp_format_seconds(ns, text);
    return json_string(text);
}

json_t *output_number(uint64_t value)
{
    return value > INT64_MAX ? json_null() : json_integer((json_int_t)value);
}

json_t *output_options(const struct nacre_option *options, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_free) struct buf key = {0};
        output_clean(&key, options[i].key);
        json_t *value =
            options[i].value && *options[i].value ? output_text(options[i].value) : json_string("");
        if (!buf_failed(&key) && key.data)
            json_object_set_new(object, (const char *)key.data, value);
        else
            json_decref(value);
    }
    return object;
}

void output_clean(struct buf *out, const char *text)
{
    while (text && *text) {
        const unsigned char *at = (const unsigned char *)text;
        size_t length = sequence_length(at);
        bool control = !length || *at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);
        if (control)
            buf_char(out, '?');
        else
            buf_append(out, text, length);
        text += length ? length : 1;
    }
}

int output_log(const struct cli *cli, const struct buf *log, struct nacre_err *e)
{
    const char *text = log->data ? (const char *)log->data : "";
    if (cli->format != CLI_TABLE) {
        json_t *document = json_pack("{s:o}", "log", output_text(text));
        int result = output_document(cli, document, e);
        json_decref(document);
        return result;
    }
    while (*text) {
        CLEANUP(buf_free) struct buf line = {0}, clean = {0};
        size_t length = strcspn(text, "\n");
        buf_append(&line, text, length);
        if (buf_failed(&line))
            return err_no_memory(e, "the log");
        output_clean(&clean, (const char *)line.data);
        printf("%s\n", clean.data ? (const char *)clean.data : "");
        text += length + (text[length] == '\n');
    }
    return 0;
}

void output_field(const char *name, const char *value)
{
    if (!value || !*value)
        return;
    CLEANUP(buf_free) struct buf clean = {0};
    output_clean(&clean, value);
    printf("%-18s %s\n", name, clean.data ? (const char *)clean.data : "");
}

void output_field_size(const char *name, uint64_t bytes)
{
    char size[QUANTITY_SIZE], text[96];
    size_format(bytes, size);
    if (bytes < 1000)
        snprintf(text, sizeof text, "%s", size);
    else
        snprintf(text, sizeof text, "%s (%" PRIu64 " bytes)", size, bytes);
    output_field(name, text);
}

void output_field_time(const char *name, int64_t ns)
{
    char text[QUANTITY_SIZE];
    time_format_local(ns, text);
    output_field(name, ns ? text : NULL);
}

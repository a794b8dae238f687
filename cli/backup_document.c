/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading a backup's document. Reading expects nothing: the catalogue lies in the object store.
 */
#include "cli/backup_document.h"

#include <inttypes.h>
#include <string.h>

#include "cli/output.h"
#include "cli/quantity.h"

static json_t *id_text(const struct id *id, bool there)
{
    char hex[ID_HEX_SIZE];
    if (!there)
        return json_null();
    id_format(id, hex);
    return json_string(hex);
}

static json_t *volume_figures(const struct backup_volume *v)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "volumeBytes",
                     output_number(v->volume_bytes), "chunkSize", output_number(v->chunk_size), "chunksTotal",
                     output_number(v->chunks_total), "chunksHole", output_number(v->chunks_hole),
                     "chunksUnchanged", output_number(v->chunks_unchanged), "chunksRead",
                     output_number(v->chunks_read), "chunksZero", output_number(v->chunks_zero),
                     "chunksKnown", output_number(v->chunks_known), "chunksNew", output_number(v->chunks_new),
                     "chunksReused", output_number(v->chunks_unchanged + v->chunks_known), "bytesRead",
                     output_number(v->bytes_read), "bytesNew", output_number(v->bytes_new), "bytesUploaded",
                     output_number(v->bytes_uploaded));
}

static json_t *volume_details(const struct backup_volume *v)
{
    bool done = v->phase == BACKUP_COMPLETED;
    json_t *object = json_pack(
        "{s:o,s:s,s:o,s:o,s:o,s:o,s:o,s:b,s:b,s:o,s:o,s:o,s:o}", "volume", output_text(v->volume), "phase",
        done ? "Completed" : "Failed", "error",
        done ? json_null() : output_text(*v->error.message ? v->error.message : "failed"), "warning",
        output_text(v->warning), "snapshot", id_text(&v->snapshot, done), "tree", id_text(&v->tree, done),
        "parent", id_text(&v->parent, v->has_parent), "grouped", v->grouped, "incremental", v->incremental,
        "sourceSnapshot", output_text(v->source_snapshot), "base", output_text(v->base), "started",
        output_time(v->started_ns), "finished", output_time(v->finished_ns));
    json_t *figures = volume_figures(v);
    if (object && figures)
        json_object_update(object, figures);
    json_decref(figures);
    return object;
}

json_t *backup_details(const struct backup_result *result, const char *repository_id, const char *location)
{
    json_t *volumes = json_array();
    for (size_t i = 0; i < result->count; i++)
        json_array_append_new(volumes, volume_details(&result->volumes[i]));
    return json_pack("{s:s,s:o,s:o}", "repository", repository_id, "location", output_text(location),
                     "volumes", volumes);
}

const char *document_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

uint64_t document_number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

json_t *document_volumes(const json_t *details)
{
    json_t *volumes = json_object_get(details, "volumes");
    return json_is_array(volumes) ? volumes : NULL;
}

static json_t *brief_volumes(const json_t *details)
{
    static const char *const keys[] = {"volume",      "phase",     "error",         "warning",    "snapshot",
                                       "volumeBytes", "bytesRead", "bytesUploaded", "incremental"};
    json_t *brief = json_array(), *volumes = document_volumes(details);
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        json_t *object = json_object(), *volume = json_array_get(volumes, i);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            json_t *value = json_object_get(volume, keys[k]);
            if (value)
                json_object_set(object, keys[k], value);
        }
        json_array_append_new(brief, object);
    }
    return brief;
}

json_t *backup_document(const struct catalogue_backup *backup, enum backup_detail detail)
{
    json_t *document =
        json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "name", output_text(backup->name), "phase",
                  output_text(backup->phase_text), "started", output_time(backup->started_ns), "completed",
                  output_time(backup->completed_ns), "expires", output_time(backup->expires_ns), "errors",
                  output_number(backup->errors), "warnings", output_number(backup->warnings));
    if (!document || detail == BACKUP_LISTED)
        return document;
    json_t *repository = json_object_get(backup->details, "repository");
    json_object_set_new(document, "repository", repository ? json_incref(repository) : json_null());
    json_t *volumes = document_volumes(backup->details);
    json_object_set_new(document, "volumes",
                        detail == BACKUP_BRIEF || !volumes ? brief_volumes(backup->details)
                                                           : json_incref(volumes));
    return document;
}

static void print_figures(const json_t *v)
{
    char text[160], a[QUANTITY_SIZE], b[QUANTITY_SIZE], c[QUANTITY_SIZE];
    size_format(document_number(v, "bytesRead"), a);
    size_format(document_number(v, "bytesNew"), b);
    size_format(document_number(v, "bytesUploaded"), c);
    snprintf(text, sizeof text, "%s read, %s new, %s uploaded", a, b, c);
    output_field("  Bytes:", text);
    size_format(document_number(v, "chunkSize"), a);
    snprintf(text, sizeof text,
             "%" PRIu64 " of %s: %" PRIu64 " holes, %" PRIu64 " unchanged, %" PRIu64 " read (%" PRIu64
             " zeros, %" PRIu64 " known, %" PRIu64 " new)",
             document_number(v, "chunksTotal"), a, document_number(v, "chunksHole"),
             document_number(v, "chunksUnchanged"), document_number(v, "chunksRead"),
             document_number(v, "chunksZero"), document_number(v, "chunksKnown"),
             document_number(v, "chunksNew"));
    output_field("  Chunks:", text);
    output_field("  Base:", document_text(v, "base"));
    output_field("  Source snapshot:", document_text(v, "sourceSnapshot"));
    output_field("  Parent:", document_text(v, "parent"));
    output_field("  Started:", document_text(v, "started"));
    output_field("  Finished:", document_text(v, "finished"));
}

static void print_volume(const json_t *v, bool full)
{
    printf("\n");
    output_field("Volume:", document_text(v, "volume"));
    output_field("  Phase:", document_text(v, "phase"));
    output_field("  Error:", document_text(v, "error"));
    output_field("  Warning:", document_text(v, "warning"));
    output_field("  Snapshot:", document_text(v, "snapshot"));
    if (*document_text(v, "error"))
        return;
    output_field_size("  Size:", document_number(v, "volumeBytes"));
    output_field("  Kind:", json_is_true(json_object_get(v, "incremental")) ? "incremental" : "full");
    if (full)
        print_figures(v);
}

void backup_print(const struct catalogue_backup *backup, bool full)
{
    char text[96], errors[QUANTITY_SIZE], warnings[QUANTITY_SIZE];
    output_field("Name:", backup->name);
    output_field("Phase:", backup->phase_text);
    count_format(backup->errors, "error", errors);
    count_format(backup->warnings, "warning", warnings);
    snprintf(text, sizeof text, "%s, %s", errors, warnings);
    output_field("Result:", text);
    output_field_time("Started:", backup->started_ns);
    output_field_time("Completed:", backup->completed_ns);
    output_field_time("Expires:", backup->expires_ns);
    if (!backup->details) {
        output_field("Volumes:", "unknown: this backup was not made by nacre");
        return;
    }
    output_field("Repository:", document_text(backup->details, "repository"));
    json_t *volumes = document_volumes(backup->details);
    for (size_t i = 0; i < json_array_size(volumes); i++)
        print_volume(json_array_get(volumes, i), full);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and showing a restore's document. */
#include "cli/restore_record.h"

#include <string.h>

#include "cli/backup_document.h"
#include "cli/output.h"
#include "cli/quantity.h"

static const char *volume_phase(const struct restored *v)
{
    return !v->started_ns ? "New" : !v->finished_ns ? "InProgress" : v->failed ? "Failed" : "Completed";
}

static json_t *volume_document_of(const struct restored *v)
{
    char target[VOLUME_REF_SIZE], snapshot[ID_HEX_SIZE];
    volume_ref_format(&v->target, target);
    id_format(v->snapshot, snapshot);
    const struct restore_stats *s = &v->stats;
    return json_pack("{s:o,s:o,s:s,s:o,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "volume",
                     output_text(v->source), "target", output_text(target), "phase", volume_phase(v), "error",
                     v->failed ? output_text(v->error.message) : json_null(), "snapshot", snapshot,
                     "bytesWritten", output_number(s->bytes_written), "bytesHole",
                     output_number(s->bytes_hole), "bytesSame", output_number(s->bytes_same), "bytesFetched",
                     output_number(s->bytes_fetched), "blobs", output_number(s->blobs), "packs",
                     output_number(s->packs), "started", output_time(v->started_ns), "finished",
                     output_time(v->finished_ns));
}

json_t *restore_document(const struct restore_record *record, enum catalogue_phase phase,
                         const struct job_log *log)
{
    json_t *volumes = json_array();
    for (size_t i = 0; i < record->volume_count; i++)
        json_array_append_new(volumes, volume_document_of(&record->volumes[i]));
    return json_pack("{s:s,s:s,s:o,s:o,s:s,s:o,s:o,s:O,s:O,s:o}", "name", record->name, "phase",
                     catalogue_phase_name(phase), "backup", output_text(record->backup), "location",
                     output_text(record->location), "repository", record->repository, "started",
                     output_time(record->started_ns), "completed", output_time(record->completed_ns),
                     "errors", log->errors, "warnings", log->warnings, "volumes", volumes);
}

static void print_volume(const json_t *v)
{
    char text[160], written[QUANTITY_SIZE], holes[QUANTITY_SIZE], same[QUANTITY_SIZE], fetched[QUANTITY_SIZE];
    size_format(document_number(v, "bytesWritten"), written);
    size_format(document_number(v, "bytesHole"), holes);
    size_format(document_number(v, "bytesSame"), same);
    size_format(document_number(v, "bytesFetched"), fetched);
    snprintf(text, sizeof text, "%s written, %s holes, %s the same already, %s fetched", written, holes, same,
             fetched);
    printf("\n");
    output_field("Volume:", document_text(v, "volume"));
    output_field("  Target:", document_text(v, "target"));
    output_field("  Phase:", document_text(v, "phase"));
    output_field("  Error:", document_text(v, "error"));
    output_field("  Snapshot:", document_text(v, "snapshot"));
    output_field("  Bytes:", text);
    output_field("  Started:", document_text(v, "started"));
    output_field("  Finished:", document_text(v, "finished"));
}

void restore_print(const json_t *document)
{
    char text[96], errors[QUANTITY_SIZE], warnings[QUANTITY_SIZE];
    output_field("Name:", document_text(document, "name"));
    output_field("Phase:", document_text(document, "phase"));
    count_format(json_array_size(json_object_get(document, "errors")), "error", errors);
    count_format(json_array_size(json_object_get(document, "warnings")), "warning", warnings);
    snprintf(text, sizeof text, "%s, %s", errors, warnings);
    output_field("Result:", text);
    output_field("Backup:", document_text(document, "backup"));
    output_field("Location:", document_text(document, "location"));
    output_field("Started:", document_text(document, "started"));
    output_field("Completed:", document_text(document, "completed"));
    json_t *volumes = json_object_get(document, "volumes");
    for (size_t i = 0; i < json_array_size(volumes); i++)
        print_volume(json_array_get(volumes, i));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* nacre backup-location check: does it work, end to end? What came of it is kept for `get -v`, in the cache.
 */
#include <string.h>

#include "cli/backup_location.h"
#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/probe.h"
#include "common/err.h"
#include "common/timestamp.h"

/* CACHE/checks/NAME.json; names of locations have no '/'. */
static char *check_file(struct cli *cli, const char *name)
{
    CLEANUP(mem_free) char *cache = location_cache_dir(cli);
    char *path = NULL;
    if (!cache || asprintf(&path, "%s/check.%s.json", cache, name) < 0)
        return NULL;
    return path;
}

json_t *backup_location_last_check(struct cli *cli, const struct settings_entry *entry)
{
    CLEANUP(mem_free) char *path = check_file(cli, entry->name);
    CLEANUP(mem_free) char *url = location_url_clean(settings_value(entry, "url"));
    json_t *check = path ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *of = json_string_value(json_object_get(check, "url"));
    if (of && url && !strcmp(of, url))
        return check;
    json_decref(check);
    return NULL;
}

void backup_location_keep_check(struct cli *cli, const struct settings_entry *entry, const json_t *check)
{
    CLEANUP(mem_free) char *path = check_file(cli, entry->name);
    char *temporary = NULL;
    if (!path || asprintf(&temporary, "%s.%d", path, (int)getpid()) < 0)
        return;
    if (json_dump_file(check, temporary, JSON_COMPACT) < 0 || rename(temporary, path) < 0)
        unlink(temporary);
    free(temporary);
}

static json_t *step_document(const struct probe_step *step)
{
    static const char *const outcome[] = {"ok", "failed", "skipped"};
    return json_pack("{s:s,s:s,s:o,s:o}", "step", step->what, "result", outcome[step->outcome],
                     "microseconds", output_number(step->microseconds), "message",
                     output_text(step->outcome == PROBE_FAILED ? step->error.message : NULL));
}

static json_t *check_document(const struct settings_entry *entry, const struct probe *probe, int result,
                              const struct nacre_err *e)
{
    CLEANUP(mem_free) char *url = location_url_clean(settings_value(entry, "url"));
    json_t *steps = json_array();
    for (size_t i = 0; i < probe->count; i++)
        json_array_append_new(steps, step_document(&probe->steps[i]));
    return json_pack("{s:s,s:o,s:o,s:s,s:o,s:o}", "name", entry->name, "url", output_text(url), "time",
                     output_time(timestamp_now()), "result", result < 0 ? "failed" : "passed", "message",
                     output_text(result < 0 ? e->message : NULL), "steps", steps);
}

static int print(struct cli *cli, const json_t *document, struct nacre_err *e)
{
    static const char *const headers[] = {"STEP", "RESULT", "TIME"};
    if (cli->format != CLI_TABLE)
        return output_document(cli, document, e);
    CLEANUP(table_free) struct table *table = table_new(headers, 3);
    const json_t *steps = json_object_get(document, "steps");
    if (!table)
        return err_no_memory(e, "the table");
    table_align_right(table, 2);
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        char time[32];
        snprintf(time, sizeof time, "%.1f ms",
                 (double)json_integer_value(json_object_get(step, "microseconds")) / 1000);
        table_row(table, (const char *const[]){json_string_value(json_object_get(step, "step")),
                                               json_string_value(json_object_get(step, "result")), time});
    }
    table_print(table);
    return 0;
}

static int probe_location(struct cli *cli, const struct settings_entry *entry, struct probe *probe,
                          struct nacre_err *e)
{
    CLEANUP(location_free) struct location *location = NULL;
    probe_begin(probe, "open");
    if (probe_end(probe, location_open_entry(cli, entry, LOCATION_PROBE, &location, e), e) < 0)
        return -1;
    if (probe_run(location->store, location->read_only, probe, e) < 0)
        return err_wrap(e, "location \"%s\" (%s), step \"%s\"", entry->name, location->url,
                        probe->steps[probe->count - 1].what);
    return 0;
}

static int run(struct cli *cli, struct nacre_err *e)
{
    struct settings *settings;
    struct probe probe = {0};
    struct nacre_err later;
    if (cli_settings(cli, &settings, e) < 0)
        return -1;
    const struct settings_entry *entry = settings_default_location(settings);
    const char *name = cli_argument(cli, 0);
    if ((name || !entry) && backup_location_find(cli, name ? name : "default", &entry, e) < 0)
        return -1;
    int result = probe_location(cli, entry, &probe, e);
    json_t *document = check_document(entry, &probe, result, e);
    int printed = document ? print(cli, document, &later) : err_no_memory(&later, "the result");
    if (document)
        backup_location_keep_check(cli, entry, document);
    json_decref(document);
    if (printed < 0 && result == 0) {
        *e = later;
        return -1;
    }
    return result;
}

const struct command command_backup_location_check = {
    .group = "backup-location",
    .name = "check",
    .arguments = "[NAME]",
    .most = 1,
    .summary = "Try a backup location end to end",
    .details =
        "Writes an object of its own, reads it and a part of it, sees that a conditional write does not "
        "replace "
        "it, finds it in the list, deletes it and sees that it is gone. Of a location that is read-only, "
        "lists "
        "and reads. A request that fails for now is tried three times. Without NAME, the default location.",
    .options = (const struct option *const[]){TRANSFER_OPTIONS, NULL},
    .run = run,
};

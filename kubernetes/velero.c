/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of a backup in Velero's shape.
 *
 * A Backup of ours must pass Velero's own reading and the Kubernetes API when Velero copies it into a
 * cluster: label values and the names of locations are therefore only those that can be Kubernetes names;
 * times are RFC 3339 in whole seconds; a time that is not known is left out. */
#include "kubernetes/velero.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"

#define DOCUMENT_MAX (8u << 20)
#define COUNT_MAX 1000000000u
#define LABEL_MAX 63
#define SECOND_NS 1000000000

int velero_uid_new(char out[UID_SIZE], struct nacre_err *e)
{
    uint8_t bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_errno(e, errno, "no random bytes for the backup's uid");
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    char hex[33];
    hex_encode(bytes, sizeof bytes, hex);
    snprintf(out, UID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return 0;
}

/* New references throughout: a NULL inside makes jansson's "o" fail, which frees the rest. */
static json_t *time_text(int64_t ns)
{
    char text[TIMESTAMP_SIZE];
    timestamp_format_seconds(ns, text);
    return json_string(text);
}

static const char *location_name(const char *location)
{
    struct nacre_err ignored;
    bool fits = location && strlen(location) <= LABEL_MAX && catalogue_name_check(location, &ignored) == 0;
    return fits ? location : "default";
}

static json_t *metadata(const struct catalogue_entry *entry, const char *uid)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:{s:s}}", "name", entry->name, "namespace", "velero", "uid", uid,
                     "creationTimestamp", time_text(entry->started_ns), "labels",
                     "velero.io/storage-location", location_name(entry->location));
}

static json_t *spec(const struct catalogue_entry *entry)
{
    /* The ttl as Go writes a duration; 0 = no end, as status.expiration is then absent. */
    char ttl[64];
    int64_t seconds = entry->expires_ns ? (entry->expires_ns - entry->started_ns) / SECOND_NS : 0;
    if (seconds < 0)
        seconds = 0;
    snprintf(ttl, sizeof ttl, "%" PRId64 "h%" PRId64 "m%" PRId64 "s", seconds / 3600, seconds / 60 % 60,
             seconds % 60);
    return json_pack("{s:s, s:s, s:[s], s:b, s:b, s:{}, s:{}, s:s, s:s}", "storageLocation",
                     location_name(entry->location), "ttl", ttl, "includedNamespaces", "*", "snapshotVolumes",
                     0, "defaultVolumesToFsBackup", 0, "hooks", "metadata", "csiSnapshotTimeout", "10m0s",
                     "itemOperationTimeout", "4h0m0s");
}

static json_t *status(const struct catalogue_entry *entry)
{
    json_t *object =
        json_pack("{s:s, s:s, s:i, s:I, s:I}", "phase", catalogue_phase_name(entry->phase), "formatVersion",
                  "1.1.0", "version", 1, "errors", (json_int_t)json_array_size(entry->errors), "warnings",
                  (json_int_t)json_array_size(entry->warnings));
    const struct {
        const char *key;
        int64_t ns;
    } times[] = {{"startTimestamp", entry->started_ns},
                 {"completionTimestamp", entry->completed_ns},
                 {"expiration", entry->expires_ns}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i].ns && json_object_set_new(object, times[i].key, time_text(times[i].ns)) < 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

json_t *velero_backup_document(const struct catalogue_entry *entry, const char *uid)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "apiVersion", "velero.io/v1", "kind", "Backup", "metadata",
                     metadata(entry, uid), "spec", spec(entry), "status", status(entry));
}

static json_t *result(json_t *messages)
{
    return json_array_size(messages) ? json_pack("{s:O}", "velero", messages) : json_object();
}

json_t *velero_results_document(json_t *errors, json_t *warnings)
{
    return json_pack("{s:o, s:o}", "errors", result(errors), "warnings", result(warnings));
}

/* A time that is there must be one. */
static int get_time(const json_t *object, const char *key, int64_t *ns, struct nacre_err *e)
{
    const char *text = NULL;
    if (json_get_string(object, key, &text, e) < 0)
        return -1;
    if (text && !timestamp_parse(text, ns))
        return err_set(e, NACRE_CORRUPT, "%s is not a time", key);
    return 0;
}

static int get_count(const json_t *object, const char *key, size_t *out, struct nacre_err *e)
{
    uint64_t value = 0;
    if (json_get_uint(object, key, COUNT_MAX, &value, e) < 0)
        return -1;
    *out = (size_t)value;
    return 0;
}

static int parse_status(const json_t *object, struct catalogue_backup *backup, struct nacre_err *e)
{
    const char *phase = NULL;
    if (json_get_string(object, "phase", &phase, e) < 0 ||
        get_time(object, "startTimestamp", &backup->started_ns, e) < 0 ||
        get_time(object, "completionTimestamp", &backup->completed_ns, e) < 0 ||
        get_time(object, "expiration", &backup->expires_ns, e) < 0 ||
        get_count(object, "errors", &backup->errors, e) < 0 ||
        get_count(object, "warnings", &backup->warnings, e) < 0)
        return -1;
    if (!phase || !*phase)
        phase = "New"; /* Velero leaves it out until it begins */
    backup->phase_text = strdup(phase);
    if (!backup->phase_text)
        return err_no_memory(e, "a backup's phase");
    /* A phase of Velero's without a counterpart: anything with "Failed" in it has failed. */
    backup->phase = strstr(phase, "Failed") ? CATALOGUE_FAILED : CATALOGUE_IN_PROGRESS;
    for (enum catalogue_phase p = CATALOGUE_IN_PROGRESS; p <= CATALOGUE_FAILED; p++)
        if (!strcmp(phase, catalogue_phase_name(p)))
            backup->phase = p;
    return 0;
}

static int check_kind(const json_t *root, const char *name, const char **uid, struct nacre_err *e)
{
    const char *kind = NULL, *version = NULL, *found = NULL;
    const json_t *meta = json_object_get(root, "metadata");
    if (json_get_string(root, "kind", &kind, e) < 0 || json_get_string(root, "apiVersion", &version, e) < 0)
        return -1;
    if (!kind || strcmp(kind, "Backup") != 0 || !version || strcmp(version, "velero.io/v1") != 0)
        return err_set(e, NACRE_CORRUPT, "it is not a Backup of velero.io/v1");
    if (!json_is_object(meta) || !json_is_object(json_object_get(root, "status")))
        return err_set(e, NACRE_CORRUPT, "it has no metadata or no status");
    if (json_get_string(meta, "name", &found, e) < 0 || json_get_string(meta, "uid", uid, e) < 0)
        return -1;
    if (!found || strcmp(found, name) != 0)
        return err_set(e, NACRE_CORRUPT, "it is the entry of another backup");
    return 0;
}

int velero_backup_parse(const struct buf *json, const char *name, struct catalogue_backup **out,
                        char uid[UID_SIZE], struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *root = NULL;
    const char *found_uid = NULL;
    if (json_parse_object(json->data, json->size, DOCUMENT_MAX, &root, e) < 0 ||
        check_kind(root, name, &found_uid, e) < 0)
        return -1;
    CLEANUP(catalogue_backup_free) struct catalogue_backup *backup = calloc(1, sizeof *backup);
    if (!backup || !(backup->name = strdup(name)))
        return err_no_memory(e, "a backup's entry");
    if (parse_status(json_object_get(root, "status"), backup, e) < 0)
        return -1;
    snprintf(uid, UID_SIZE, "%s", found_uid ? found_uid : "");
    *out = MOVE(backup);
    return 0;
}

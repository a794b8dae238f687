/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON files beside the data. They are read as hostile: bounded, and every field checked, since the
 * directory may have been restored from anywhere. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/timestamp.h"
#include "hostpath.h"

#define SIDECAR_MAX (1u << 20)

static int read_all(int fd, char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, data + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got ? errno : EIO;
            return -1;
        }
        done += (size_t)got;
    }
    return 0;
}

int sidecar_load(int dir, const char *file, json_t **out, struct nacre_err *e)
{
    CLEANUP(fd_close) int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_errno(e, errno, "cannot read %s", file);
    if (!S_ISREG(status.st_mode) || status.st_size > SIDECAR_MAX)
        return err_set(e, NACRE_CORRUPT, "%s is not a file of at most %u bytes", file, SIDECAR_MAX);
    CLEANUP(mem_free) char *text = malloc((size_t)status.st_size + 1);
    if (!text)
        return err_no_memory(e, file);
    if (read_all(fd, text, (size_t)status.st_size) < 0)
        return err_errno(e, errno, "cannot read %s", file);
    json_error_t problem;
    json_t *json = json_loadb(text, (size_t)status.st_size, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(json)) {
        json_decref(json);
        return err_set(e, NACRE_CORRUPT, "%s is damaged: %s", file,
                       json ? "not a JSON object" : problem.text);
    }
    *out = json;
    return 0;
}

static int write_text(int dir, const char *file, const char *text, size_t size, struct nacre_err *e)
{
    CLEANUP(fd_close) int fd = openat(dir, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, errno, "cannot write %s", file);
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, text + done, size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_errno(e, errno, "cannot write %s", file);
        done += (size_t)put;
    }
    return fsync(fd) < 0 ? err_errno(e, errno, "cannot write %s", file) : 0;
}

int sidecar_store(int dir, const char *file, json_t *object, struct nacre_err *e)
{
    CLEANUP(mem_free) char *text = json_dumps(object, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (!text)
        return err_no_memory(e, file);
    size_t size = strlen(text);
    if (size > SIDECAR_MAX)
        return err_set(e, NACRE_INVALID, "%s would have %zu bytes, more than %u: too much metadata", file,
                       size, SIDECAR_MAX);
    char aside[ASIDE_NAME_SIZE];
    if (aside_name("+tmp-", aside, e) < 0)
        return -1;
    if (write_text(dir, aside, text, size, e) < 0) {
        unlinkat(dir, aside, 0);
        return -1;
    }
    if (renameat(dir, aside, dir, file) < 0 || fsync(dir) < 0) {
        err_errno(e, errno, "cannot replace %s", file);
        unlinkat(dir, aside, 0);
        return -1;
    }
    return 0;
}

int volume_sidecar_set(json_t *sidecar, const char *key, const char *value, struct nacre_err *e)
{
    json_t *metadata = json_object_get(sidecar, "metadata");
    if (!*key)
        return err_set(e, NACRE_INVALID, "a metadata key cannot be empty");
    if (!value) {
        json_object_del(metadata, key);
        return 0;
    }
    if (json_object_set_new(metadata, key, json_string(value)) < 0)
        return err_set(e, NACRE_INVALID, "metadata \"%.100s\" is not UTF-8", key);
    return 0;
}

int volume_sidecar_new(const struct nacre_volume_spec *spec, json_t **out, struct nacre_err *e)
{
    uint8_t random[16];
    char id[2 * sizeof random + 1];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(e, errno, "no random numbers");
    hex_encode(random, sizeof random, id);
    CLEANUP(json_free)
    json_t *json = json_pack("{s:i,s:s,s:I,s:i,s:{},s:{}}", "version", 1, "id", id, "created-ns",
                             (json_int_t)timestamp_now(), "next-snapshot", 1, "metadata", "pending");
    if (!json)
        return err_no_memory(e, "volume.json");
    for (size_t i = 0; spec && i < spec->metadata_count; i++)
        if (volume_sidecar_set(json, spec->metadata[i].key, spec->metadata[i].value, e) < 0)
            return -1;
    *out = MOVE(json);
    return 0;
}

static bool all_strings(json_t *object)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return false;
    json_object_foreach(object, key, value) if (!json_is_string(value)) return false;
    return true;
}

int volume_sidecar_load(const struct volume *v, json_t **out, struct nacre_err *e)
{
    CLEANUP(json_free) json_t *json = NULL;
    if (sidecar_load(v->dir, "volume.json", &json, e) < 0)
        return err_wrap(e, "hostpath/%s/%s", v->host->cluster, v->name);
    const char *id = json_string_value(json_object_get(json, "id"));
    json_t *version = json_object_get(json, "version");
    if (json_is_integer(version) && json_integer_value(version) > 1)
        return err_set(e, NACRE_UNSUPPORTED,
                       "hostpath/%s/%s: volume.json has version %lld, made by a newer nacre",
                       v->host->cluster, v->name, (long long)json_integer_value(version));
    uint8_t raw[16];
    if (!id || strlen(id) != 32 || !hex_decode(id, raw, sizeof raw) || json_integer_value(version) != 1 ||
        !json_is_integer(json_object_get(json, "created-ns")) ||
        json_integer_value(json_object_get(json, "next-snapshot")) < 1 ||
        json_integer_value(json_object_get(json, "next-snapshot")) > INT64_MAX / 2 ||
        !all_strings(json_object_get(json, "metadata")) || !all_strings(json_object_get(json, "pending")))
        return err_set(e, NACRE_CORRUPT,
                       "hostpath/%s/%s: volume.json is damaged: a field is missing or wrong",
                       v->host->cluster, v->name);
    *out = MOVE(json);
    return 0;
}

int volume_sidecar_store(const struct volume *v, json_t *sidecar, struct nacre_err *e)
{
    if (sidecar_store(v->dir, "volume.json", sidecar, e) == 0)
        return 0;
    return err_wrap(e, "hostpath/%s/%s", v->host->cluster, v->name);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Lock files, in the JSON that restic writes. */
#include "repository/lock_file.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"

#define JSON_MAX 65536

void lock_file_self(struct lock_file *out, bool exclusive)
{
    *out = (struct lock_file){.time_ns = timestamp_now(),
                              .exclusive = exclusive,
                              .pid = (int)getpid(),
                              .uid = geteuid(),
                              .gid = getegid()};
    self_hostname(out->hostname);
    self_username(out->username);
    self_pid_namespace(out->pid_namespace);
}

void lock_file_format(const struct lock_file *file, struct buf *out)
{
    char time[TIMESTAMP_SIZE];
    timestamp_format(file->time_ns, time);
    buf_printf(out, "{\"time\":\"%s\",\"exclusive\":%s,\"hostname\":", time,
               file->exclusive ? "true" : "false");
    json_append_string(out, file->hostname);
    buf_string(out, ",\"username\":");
    json_append_string(out, file->username);
    buf_printf(out, ",\"pid\":%d", file->pid);
    if (file->uid)
        buf_printf(out, ",\"uid\":%u", file->uid);
    if (file->gid)
        buf_printf(out, ",\"gid\":%u", file->gid);
    if (*file->pid_namespace) { /* of our own; restic passes over it */
        buf_string(out, ",\"pid_namespace\":");
        json_append_string(out, file->pid_namespace);
    }
    buf_char(out, '}');
}

int lock_file_parse(const void *json, size_t size, struct lock_file *out, struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *object = NULL;
    struct lock_file file = {0};
    const char *time = "", *hostname = "", *username = "", *pid_namespace = "";
    uint64_t pid = 0, uid = 0, gid = 0;
    if (json_parse_object(json, size, JSON_MAX, &object, e) < 0 ||
        json_get_string(object, "time", &time, e) < 0 ||
        json_get_bool(object, "exclusive", &file.exclusive, e) < 0 ||
        json_get_string(object, "hostname", &hostname, e) < 0 ||
        json_get_string(object, "username", &username, e) < 0 ||
        json_get_string(object, "pid_namespace", &pid_namespace, e) < 0 ||
        json_get_uint(object, "pid", INT32_MAX, &pid, e) < 0 ||
        json_get_uint(object, "uid", UINT32_MAX, &uid, e) < 0 ||
        json_get_uint(object, "gid", UINT32_MAX, &gid, e) < 0)
        return -1;
    if (!timestamp_parse(time, &file.time_ns))
        return err_set(e, NACRE_CORRUPT, "\"%.40s\" in it is not a time", time);
    snprintf(file.hostname, sizeof file.hostname, "%s", hostname);
    snprintf(file.username, sizeof file.username, "%s", username);
    snprintf(file.pid_namespace, sizeof file.pid_namespace, "%s", pid_namespace);
    file.pid = (int)pid;
    file.uid = (uint32_t)uid;
    file.gid = (uint32_t)gid;
    *out = file;
    return 0;
}

/* A number that was given to another process meanwhile counts as alive: the lock then waits for its age. */
static bool process_gone(const struct lock_file *file)
{
    char hostname[SELF_SIZE], pid_namespace[SELF_SIZE];
    self_hostname(hostname);
    self_pid_namespace(pid_namespace);
    if (*file->pid_namespace && strcmp(file->pid_namespace, pid_namespace) != 0)
        return false;
    return file->pid > 0 && strcmp(file->hostname, hostname) == 0 && kill(file->pid, 0) < 0 && errno == ESRCH;
}

bool lock_file_stale(const struct lock_file *file, int64_t modified_ns, int64_t now_ns)
{
    int64_t newest = file->time_ns > modified_ns ? file->time_ns : modified_ns;
    return newest < now_ns - LOCK_STALE_NS || process_gone(file);
}

void lock_file_holder(const struct lock_file *file, char out[LOCK_HOLDER_SIZE])
{
    snprintf(out, LOCK_HOLDER_SIZE, "%s@%s (pid %d)", *file->username ? file->username : "someone",
             *file->hostname ? file->hostname : "an unnamed host", file->pid);
}

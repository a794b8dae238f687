/* SPDX-License-Identifier: Apache-2.0 */
/* The token of the other identity, printed by a program that the credentials name.
 *
 * Whoever can write the credentials file could so run what he likes; therefore only with
 * GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1, as in Google's own programs. There is no shell: the command is
 * cut at its spaces. The program gets a process group of its own, which is killed when it takes too long; its
 * standard error is nacre's.
 * What it prints: https://google.aip.dev/auth/4117, {"version": 1, "success": true, "token_type": …,
 * "id_token" or "saml_response": …, "expiration_time": …}. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "access.h"
#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"

#define OUTPUT_MAX ((size_t)256 << 10)
#define WORDS_MAX 64
#define ALLOW "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
#define LOOK_MS 100 /* how often is looked whether to stop */

/* A string of a document that is going to be freed: copied and wiped. */
static void move_string(const char *text, struct buf *out)
{
    buf_string(out, text);
    OPENSSL_cleanse((char *)text, strlen(text));
}

int access_read_executed(const struct credentials *credentials, const void *data, size_t size, bool cached,
                         struct buf *out, struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *json = NULL;
    uint64_t version = 0, end = 0;
    bool success = false;
    const char *type = "", *token = NULL, *code = "", *message = "";
    struct nacre_err ignored;
    if (json_parse_object(data, size, OUTPUT_MAX, &json, &ignored) < 0 ||
        json_get_uint(json, "version", INT32_MAX, &version, &ignored) < 0 || version != 1 ||
        json_get_bool(json, "success", &success, &ignored) < 0 ||
        json_get_string(json, "token_type", &type, &ignored) < 0 ||
        json_get_uint(json, "expiration_time", INT64_MAX, &end, &ignored) < 0 ||
        json_get_string(json, "code", &code, &ignored) < 0 ||
        json_get_string(json, "message", &message, &ignored) < 0)
        return err_set(e, NACRE_DENIED, "the credentials' executable printed no answer of version 1");
    if (!success)
        return err_set(e, NACRE_DENIED, "the credentials' executable says: %.50s %.200s", code, message);
    bool saml = !strcmp(type, "urn:ietf:params:oauth:token-type:saml2");
    if (json_get_string(json, saml ? "saml_response" : "id_token", &token, &ignored) < 0 || !token ||
        !*token || strcmp(type, credentials->subject_type) != 0)
        return err_set(e, NACRE_DENIED, "the credentials' executable printed no token of type %s",
                       credentials->subject_type);
    if ((cached && !end) || (end && (int64_t)end <= (int64_t)time(NULL)))
        return err_set(e, NACRE_DENIED, "the credentials' executable printed a token that has expired");
    move_string(token, out);
    return 0;
}

/* What it left in its file the last time, when that is still good. */
static bool take_cached(const struct access *access, struct buf *out)
{
    CLEANUP(buf_wipe_free) struct buf text = {0};
    struct nacre_err ignored;
    const char *path = access->credentials->subject.output_file;
    CLEANUP(fd_close) int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *room = fd >= 0 ? buf_reserve(&text, OUTPUT_MAX) : NULL;
    ssize_t got = room ? read(fd, room, OUTPUT_MAX) : -1;
    if (got <= 0)
        return false;
    buf_commit(&text, (size_t)got);
    return access_read_executed(access->credentials, text.data, text.size, true, out, &ignored) == 0;
}

/* The program's environment: ours, and what it is to know. */
struct surroundings {
    struct buf own[5];
    char **list;
};

static void surroundings_free_at(struct surroundings *s)
{
    for (size_t i = 0; i < sizeof s->own / sizeof *s->own; i++)
        buf_free(&s->own[i]);
    free(s->list);
}

static bool surroundings_make(const struct credentials *c, struct surroundings *s)
{
    size_t count = 0, own = 0;
    while (environ[count])
        count++;
    s->list = calloc(count + 6, sizeof *s->list);
    buf_printf(&s->own[0], "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=%s", c->audience);
    buf_printf(&s->own[1], "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=%s", c->subject_type);
    buf_string(&s->own[2], "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0");
    if (c->email)
        buf_printf(&s->own[3], "GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=%s", c->email);
    if (c->subject.output_file)
        buf_printf(&s->own[4], "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=%s", c->subject.output_file);
    if (!s->list)
        return false;
    for (size_t i = 0; i < 5; i++) {
        if (buf_failed(&s->own[i]))
            return false;
        if (s->own[i].size)
            s->list[own++] = (char *)s->own[i].data;
    }
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "GOOGLE_EXTERNAL_ACCOUNT_", 24) != 0 ||
            !strncmp(environ[i], ALLOW, sizeof ALLOW - 1))
            s->list[own++] = environ[i];
    return true;
}

/* Starts argv with its output in a pipe; *end is where to read it. 0, or an errno. */
static int start(char *const argv[], char *const environment[], pid_t *pid, int *end)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    int error = posix_spawn(pid, argv[0], &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error)
        close(ends[0]);
    else
        *end = ends[0];
    return error;
}

/* Reads up to the end; stops at the deadline and on request. */
static int collect(const struct access *access, int fd, struct buf *out, struct nacre_err *e)
{
    int64_t deadline = timestamp_elapsed() + (int64_t)access->credentials->subject.timeout_ms * 1000000;
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (access->cancelled && access->cancelled())
            return err_set(e, NACRE_CANCELLED, "stopped on request");
        if (timestamp_elapsed() > deadline)
            return err_set(e, NACRE_DENIED, "the credentials' executable did not end within %u ms",
                           access->credentials->subject.timeout_ms);
        if (poll(&ready, 1, LOOK_MS) <= 0)
            continue;
        void *room = buf_reserve(out, 4096);
        ssize_t got = room ? read(fd, room, 4096) : -1;
        if (got < 0 && room && errno == EINTR)
            continue;
        if (got < 0 || out->size > OUTPUT_MAX)
            return err_set(e, NACRE_DENIED, "the output of the credentials' executable cannot be read");
        if (!got)
            return 0;
        buf_commit(out, (size_t)got);
    }
}

/* Ends it, if it has not ended, and gives its exit status; -1 when it was killed. */
static int finish(pid_t pid, bool stop)
{
    int status = 0;
    if (stop)
        kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const struct access *access, char *const argv[], struct buf *output, struct nacre_err *e)
{
    CLEANUP(surroundings_free) struct surroundings surroundings = {0};
    CLEANUP(fd_close) int fd = -1;
    pid_t pid = -1;
    if (!surroundings_make(access->credentials, &surroundings))
        return err_no_memory(e, "a program to run");
    int error = start(argv, surroundings.list, &pid, &fd);
    if (error)
        return err_set(e, NACRE_DENIED, "cannot run the credentials' executable %.200s: %s", argv[0],
                       strerrordesc_np(error));
    int result = collect(access, fd, output, e);
    int status = finish(pid, result < 0);
    if (result == 0 && buf_failed(output))
        return err_no_memory(e, "a token");
    if (result == 0 && status != 0)
        return err_set(e, NACRE_DENIED, "the credentials' executable %.200s failed with status %d", argv[0],
                       status);
    return result;
}

int access_execute(const struct access *access, struct buf *out, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf output = {0};
    CLEANUP(mem_free) char *command = strdup(access->credentials->subject.place);
    char *argv[WORDS_MAX + 1] = {0}, *rest = command;
    const char *allowed = getenv(ALLOW);
    size_t count = 0;
    if (!allowed || strcmp(allowed, "1") != 0)
        return err_set(e, NACRE_DENIED,
                       "the credentials name an executable; it is run only with " ALLOW
                       "=1 in the environment");
    if (!command)
        return err_no_memory(e, "a program to run");
    for (char *word; count < WORDS_MAX && (word = strsep(&rest, " "));)
        if (*word)
            argv[count++] = word;
    if (!count || rest)
        return err_set(e, NACRE_DENIED, "the credentials' executable has no command that can be run");
    if (take_cached(access, out))
        return 0;
    if (run(access, argv, &output, e) < 0)
        return -1;
    return access_read_executed(access->credentials, output.data, output.size, false, out, e);
}

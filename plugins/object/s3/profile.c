/* SPDX-License-Identifier: Apache-2.0 */
/* The files that all of Amazon's tools share: sections in brackets, "key = value" lines, comments that begin
 * with '#' or ';'. Indented lines belong to the key above them and are nothing that is needed here. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>

#include "common/err.h"
#include "credentials.h"

#define FILE_MAX ((size_t)1 << 20)

void profile_free(struct profile *profile)
{
    char *all[] = {profile->access_key, profile->secret_key, profile->session_token,
                   profile->region,     profile->endpoint,   profile->role_arn,
                   profile->token_file, profile->other,      profile->role_session_name};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i])
            OPENSSL_cleanse(all[i], strlen(all[i]));
        free(all[i]);
    }
    *profile = (struct profile){0};
}

/* A piece of the text, without blanks around it. */
struct piece {
    const char *at;
    size_t size;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct piece trimmed(const char *at, size_t size)
{
    while (size && is_blank(at[size - 1]))
        size--;
    while (size && is_blank(*at)) {
        at++;
        size--;
    }
    return (struct piece){at, size};
}

static bool piece_is(struct piece piece, const char *text)
{
    return piece.size == strlen(text) && !memcmp(piece.at, text, piece.size);
}

/* "[default]", "[NAME]"; in the config file "[default]", "[profile NAME]". */
static bool is_section(struct piece line, const char *name, bool config)
{
    const char *end = memchr(line.at, ']', line.size);
    if (!end)
        return false;
    struct piece title = trimmed(line.at + 1, (size_t)(end - line.at) - 1);
    if (config && strcmp(name, "default") != 0) {
        if (title.size < 8 || memcmp(title.at, "profile", 7) != 0 || !is_blank(title.at[7]))
            return false;
        title = trimmed(title.at + 7, title.size - 7);
    }
    return piece_is(title, name);
}

static int set_once(char **to, struct piece value, struct nacre_err *e)
{
    if (*to || !value.size || memchr(value.at, 0, value.size))
        return 0;
    *to = strndup(value.at, value.size);
    return *to ? 0 : err_no_memory(e, "a profile");
}

static int take(struct profile *profile, struct piece key, struct piece value, struct nacre_err *e)
{
    const struct {
        const char *key;
        char **to;
    } known[] = {
        {"aws_access_key_id", &profile->access_key},
        {"aws_secret_access_key", &profile->secret_key},
        {"aws_session_token", &profile->session_token},
        {"region", &profile->region},
        {"endpoint_url", &profile->endpoint},
        {"role_arn", &profile->role_arn},
        {"role_session_name", &profile->role_session_name},
        {"web_identity_token_file", &profile->token_file},
    };
    static const char *const others[] = {"credential_process", "sso_session", "sso_start_url",
                                         "source_profile", "credential_source"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (piece_is(key, known[i].key))
            return set_once(known[i].to, value, e);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (piece_is(key, others[i]))
            return set_once(&profile->other, key, e);
    return 0;
}

int profile_parse(const struct buf *text, const char *name, bool config, struct profile *out,
                  struct nacre_err *e)
{
    const char *at = text->size ? (const char *)text->data : "", *end = at + text->size;
    bool inside = false;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        struct piece line = trimmed(at, (size_t)(stop - at));
        bool indented = is_blank(*at);
        at = stop + 1;
        if (!line.size || *line.at == '#' || *line.at == ';')
            continue;
        if (*line.at == '[') {
            inside = is_section(line, name, config);
            out->found |= inside;
            continue;
        }
        const char *equals = memchr(line.at, '=', line.size);
        if (!inside || indented || !equals)
            continue;
        struct piece key = trimmed(line.at, (size_t)(equals - line.at));
        struct piece value = trimmed(equals + 1, (size_t)(line.at + line.size - equals) - 1);
        if (take(out, key, value, e) < 0)
            return -1;
    }
    return 0;
}

int secret_file_read(const char *path, size_t limit, struct buf *out, struct nacre_err *e)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_errno(e, errno, "cannot open %.300s", path);
    for (size_t all = 0;;) {
        char *room = buf_reserve(out, 4096);
        if (!room)
            return err_no_memory(e, "a file");
        ssize_t got = read(fd, room, 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, "cannot read %.300s", path);
        if (!got)
            return 0;
        all += (size_t)got;
        if (all > limit)
            return err_set(e, NACRE_INVALID, "%.300s has more than %zu bytes", path, limit);
        buf_commit(out, (size_t)got);
    }
}

/* asked: it was named, so it must be there. */
static int load_file(const char *path, bool asked, const char *name, bool config, struct profile *out,
                     struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf text = {0};
    struct nacre_err why;
    if (secret_file_read(path, FILE_MAX, &text, &why) < 0)
        return why.code == NACRE_ABSENT && !asked ? 0 : err_set(e, NACRE_DENIED, "%s", why.message);
    return profile_parse(&text, name, config, out, e);
}

static int load_shared(const char *variable, const char *below_home, const char *name, bool config,
                       struct profile *out, struct nacre_err *e)
{
    const char *path = getenv(variable), *home = getenv("HOME");
    if (path && *path)
        return load_file(path, true, name, config, out, e);
    CLEANUP(buf_free) struct buf found = {0};
    if (!home || !*home)
        return 0;
    buf_printf(&found, "%s/.aws/%s", home, below_home);
    if (buf_failed(&found))
        return err_no_memory(e, "a path");
    return load_file((const char *)found.data, false, name, config, out, e);
}

int profile_load(const char *name, const char *file, struct profile *out, struct nacre_err *e)
{
    if (file)
        return load_file(file, true, name, false, out, e);
    if (load_shared("AWS_SHARED_CREDENTIALS_FILE", "credentials", name, false, out, e) < 0)
        return -1;
    return load_shared("AWS_CONFIG_FILE", "config", name, true, out, e);
}

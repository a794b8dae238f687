/* SPDX-License-Identifier: Apache-2.0 */
/* The sources of keys in their order, and the text that threads share. */
#include "credentials.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/err.h"
#include "common/log.h"
#include "common/option.h"

/* Keys of files may be replaced by hand: read again after this. */
#define FILE_LIFE_S 3600
#define STATIC_LIFE_S (365 * INT64_C(86400))
#define CONTAINER_HOST "http://169.254.170.2" /* of a relative URI: the agent of ECS */

struct credentials {
    struct http *http;
    char *region;
    char *profile, *file; /* options, or NULL */
    bool instance_seen;   /* its metadata gave keys before. One thread at a time fetches */
};

void keys_free(struct keys *keys)
{
    if (keys->access)
        OPENSSL_cleanse(keys->access, keys->size);
    free(keys->access);
    *keys = (struct keys){0};
}

int keys_parse(const struct buf *text, struct keys *out, struct nacre_err *e)
{
    char *copy = malloc(text->size + 1);
    if (!copy)
        return err_no_memory(e, "credentials");
    memcpy(copy, text->size ? (const char *)text->data : "", text->size + 1);
    *out = (struct keys){.access = copy, .size = text->size};
    out->secret = strchr(copy, '\n');
    out->session = out->secret ? strchr(out->secret + 1, '\n') : NULL;
    if (!out->session) {
        keys_free(out);
        return err_set(e, NACRE_FAILED, "the shared credentials are not three lines");
    }
    *out->secret++ = '\0';
    *out->session++ = '\0';
    return 0;
}

void grant_free(struct grant *grant)
{
    buf_wipe_free(&grant->access);
    buf_wipe_free(&grant->secret);
    buf_wipe_free(&grant->session);
    grant->end = 0;
}

/* Nothing in them may begin a new line: of the shared text, or of a request's headers. */
static bool is_clean(const struct buf *text)
{
    for (size_t i = 0; i < text->size; i++)
        if (text->data[i] <= ' ' || text->data[i] >= 0x7f)
            return false;
    return true;
}

static int share(const struct grant *grant, struct buf *out, struct nacre_err *e)
{
    if (buf_failed(&grant->access) || buf_failed(&grant->secret) || buf_failed(&grant->session))
        return err_no_memory(e, "credentials");
    if (!grant->access.size || !grant->secret.size)
        return err_set(e, NACRE_DENIED, "the access key or the secret key is empty");
    if (!is_clean(&grant->access) || !is_clean(&grant->secret) || !is_clean(&grant->session))
        return err_set(e, NACRE_DENIED,
                       "a key or token has blanks, or what is no ASCII; was it copied whole?");
    buf_append(out, grant->access.data, grant->access.size);
    buf_char(out, '\n');
    buf_append(out, grant->secret.data, grant->secret.size);
    buf_char(out, '\n');
    buf_append(out, grant->session.data, grant->session.size);
    return 0;
}

int credentials_open(struct http *http, const char *region, const char *profile, const char *file,
                     struct credentials **out, struct nacre_err *e)
{
    struct credentials *credentials = calloc(1, sizeof *credentials);
    if (!credentials)
        return err_no_memory(e, "credentials");
    credentials->http = http;
    credentials->region = strdup(region);
    credentials->profile = profile ? strdup(profile) : NULL;
    credentials->file = file ? strdup(file) : NULL;
    if (!credentials->region || (profile && !credentials->profile) || (file && !credentials->file)) {
        credentials_free(credentials);
        return err_no_memory(e, "credentials");
    }
    *out = credentials;
    return 0;
}

void credentials_free(struct credentials *credentials)
{
    if (!credentials)
        return;
    free(credentials->region);
    free(credentials->profile);
    free(credentials->file);
    free(credentials);
}

/* Each source: 1 = it gave keys, 0 = it is not configured, -1 = it is, and failed. */

static int from_environment(struct credentials *c, struct grant *out, struct nacre_err *e)
{
    const char *access = option_environment("AWS_ACCESS_KEY_ID"),
               *secret = option_environment("AWS_SECRET_ACCESS_KEY");
    const char *session = option_environment("AWS_SESSION_TOKEN");
    (void)c;
    if (!access && !secret)
        return 0;
    if (!access || !secret)
        return err_set(e, NACRE_DENIED, "%s is set, but not %s",
                       access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    buf_string(&out->access, access);
    buf_string(&out->secret, secret);
    buf_string(&out->session, session ? session : "");
    out->life = STATIC_LIFE_S;
    return 1;
}

static int from_web_identity(struct credentials *c, struct grant *out, struct nacre_err *e)
{
    const struct web_identity who = {
        .token_file = option_environment("AWS_WEB_IDENTITY_TOKEN_FILE"),
        .role_arn = option_environment("AWS_ROLE_ARN"),
        .session_name = option_environment("AWS_ROLE_SESSION_NAME"),
        .region = c->region,
    };
    if (!who.token_file)
        return 0;
    if (!who.role_arn)
        return err_set(e, NACRE_DENIED, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but not AWS_ROLE_ARN");
    return grant_from_web_identity(c->http, &who, out, e) < 0 ? -1 : 1;
}

static int keys_of_profile(const struct credentials *c, const struct profile *profile, struct grant *out,
                           struct nacre_err *e)
{
    if (profile->role_arn && profile->token_file) {
        const struct web_identity who = {
            .token_file = profile->token_file,
            .role_arn = profile->role_arn,
            .session_name = profile->role_session_name,
            .region = c->region,
        };
        return grant_from_web_identity(c->http, &who, out, e);
    }
    if (!profile->access_key || !profile->secret_key)
        return err_set(e, NACRE_DENIED,
                       "it has no aws_access_key_id and aws_secret_access_key, and no role_arn with "
                       "web_identity_token_file%s%s",
                       profile->other ? "; nacre does not know " : "", profile->other ? profile->other : "");
    buf_string(&out->access, profile->access_key);
    buf_string(&out->secret, profile->secret_key);
    buf_string(&out->session, profile->session_token ? profile->session_token : "");
    out->life = FILE_LIFE_S;
    return 0;
}

static int from_profile(struct credentials *c, struct grant *out, struct nacre_err *e)
{
    CLEANUP(profile_free) struct profile profile = {0};
    const char *asked = c->profile ? c->profile : c->file ? NULL : option_environment("AWS_PROFILE");
    const char *name = asked ? asked : "default";
    if (profile_load(name, c->file, &profile, e) < 0)
        return -1;
    if (!profile.found) {
        if (!asked && !c->file)
            return 0;
        return err_set(e, NACRE_DENIED, "there is no profile \"%.100s\" in %.300s", name,
                       c->file ? c->file : "the shared credentials and config files");
    }
    /* A profile that holds but a region says nothing of who we are. */
    if (!asked && !c->file && !profile.access_key && !profile.secret_key && !profile.role_arn &&
        !profile.other)
        return 0;
    if (keys_of_profile(c, &profile, out, e) < 0)
        return err_wrap(e, "profile \"%.100s\"", name);
    return 1;
}

static int from_container(struct credentials *c, struct grant *out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf uri = {0};
    const char *full = option_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *relative = option_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    if (!full && !relative)
        return 0;
    buf_string(&uri, relative ? CONTAINER_HOST : full);
    buf_string(&uri, relative ? relative : "");
    if (buf_failed(&uri))
        return err_no_memory(e, "credentials");
    return grant_from_container(c->http, (const char *)uri.data, out, e) < 0 ? -1 : 1;
}

static int from_instance(struct credentials *c, struct grant *out, struct nacre_err *e)
{
    const char *disabled = option_environment("AWS_EC2_METADATA_DISABLED");
    if (disabled && !strcasecmp(disabled, "true"))
        return 0;
    if (grant_from_instance(c->http, out, e) == 0) {
        c->instance_seen = true;
        return 1;
    }
    if (e->code != NACRE_ABSENT)
        return -1;
    if (!c->instance_seen)
        return 0;
    e->code = NACRE_TRANSIENT;
    return -1;
}

static const struct {
    const char *name;
    int (*ask)(struct credentials *c, struct grant *out, struct nacre_err *e);
} sources[] = {
    {"the environment", from_environment},      {"the web identity", from_web_identity},
    {"the shared files", from_profile},         {"the container's agent", from_container},
    {"the instance's metadata", from_instance},
};

int credentials_fetch(void *ctx, struct buf *out, int64_t *seconds, struct nacre_err *e)
{
    struct credentials *c = ctx;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        CLEANUP(grant_free) struct grant grant = {0};
        if ((c->profile || c->file) && sources[i].ask != from_profile)
            continue;
        int found = sources[i].ask(c, &grant, e);
        if (found > 0)
            found = share(&grant, out, e) < 0 ? -1 : 1;
        if (found < 0)
            return err_wrap(e, "credentials of %s", sources[i].name);
        if (!found)
            continue;
        *seconds = grant.end ? grant.end - (int64_t)time(NULL) : grant.life ? grant.life : FILE_LIFE_S;
        if (*seconds <= 0)
            return err_set(e, NACRE_DENIED,
                           "credentials of %s have ended already; is this machine's clock right?",
                           sources[i].name);
        log_debug("s3: credentials come from %s", sources[i].name);
        return 0;
    }
    return err_set(e, NACRE_DENIED,
                   "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the location a "
                   "credentials-file or a profile (or anonymous: true for a public bucket)");
}

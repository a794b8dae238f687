/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are to the service: access key, secret, session token, and where they come from.
 *
 * Sources, in the order in which they are asked; the first that is configured decides, and its failure is an
 * error rather than a reason to go on to the next:
 *   1. the options `profile` or `credentials-file` of the location: that profile, nothing else
 *   2. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with AWS_SESSION_TOKEN
 *   3. AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN
 *   4. the profile AWS_PROFILE, or "default", of the shared files
 *   5. AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI
 *   6. the metadata service of the instance, unless AWS_EC2_METADATA_DISABLED is "true"
 * Names, order and formats are those of Amazon's SDKs and Tools Reference Guide.
 *
 * Token files are read anew each time, as whoever put them there replaces them. */
#ifndef OBJECT_S3_CREDENTIALS_H
#define OBJECT_S3_CREDENTIALS_H

#include <nacre/plugin.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "http/http.h"

/* One text holds the keys while threads share it (http/token.h): three lines. */
struct keys {
    char *access, *secret, *session; /* session: "" = none. All in one allocation, of `size` bytes */
    size_t size;
};
int keys_parse(const struct buf *text, struct keys *out, struct nacre_err *e);
void keys_free(struct keys *keys); /* wipes */
static inline void keys_free_at(struct keys *keys)
{
    keys_free(keys);
}

/* What a source gave. */
struct grant {
    struct buf access, secret, session;
    int64_t end;  /* Unix seconds; 0 = not said */
    int64_t life; /* where no end is said: use them for so many seconds; 0 = no opinion */
};
void grant_free(struct grant *grant); /* wipes */
static inline void grant_free_at(struct grant *grant)
{
    grant_free(grant);
}

struct credentials;

/* profile, file: the options, or NULL. http, region are kept. */
int credentials_open(struct http *http, const char *region, const char *profile, const char *file,
                     struct credentials **out, struct nacre_err *e);
void credentials_free(struct credentials *credentials); /* NULL is legal */

/* A token_fetch: ctx is a struct credentials. NACRE_DENIED when no source is configured. */
int credentials_fetch(void *ctx, struct buf *out, int64_t *seconds, struct nacre_err *e);

/* --- the shared files (profile.c) --- */

struct profile {
    bool found;
    char *access_key, *secret_key, *session_token;
    char *region, *endpoint;
    char *role_arn, *role_session_name, *token_file;
    char *other; /* the name of a way to get keys that nacre does not know, such as sso_session */
};
void profile_free(struct profile *profile); /* wipes */
static inline void profile_free_at(struct profile *profile)
{
    profile_free(profile);
}

/* Adds what the text says of a profile; what is set already stays. config: sections are called
 * "profile NAME", save "default". Lines that make no sense are passed over, as all tools do. */
int profile_parse(const struct buf *text, const char *name, bool config, struct profile *out,
                  struct nacre_err *e);

/* Reads a profile from the shared files; file: NULL = AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, then
 * AWS_CONFIG_FILE or ~/.aws/config; else that file alone. Files that are not there are no error, unless they
 * were asked for by option or environment. */
int profile_load(const char *name, const char *file, struct profile *out, struct nacre_err *e);

/* Appends the content of a file of at most `limit` bytes; errors name the path. */
int secret_file_read(const char *path, size_t limit, struct buf *out, struct nacre_err *e);

/* --- what services hand out (web_identity.c, instance.c) --- */

struct web_identity {
    const char *token_file, *role_arn, *session_name; /* session_name may be NULL */
    const char *region;
};
int grant_from_web_identity(struct http *http, const struct web_identity *who, struct grant *out,
                            struct nacre_err *e);
/* Reads the answer of AssumeRoleWithWebIdentity. NACRE_CORRUPT when it is none. */
int grant_from_xml(const void *data, size_t size, struct grant *out, struct nacre_err *e);

/* uri: whole. */
int grant_from_container(struct http *http, const char *uri, struct grant *out, struct nacre_err *e);
/* NACRE_ABSENT when there is no metadata service, or it has no role for this machine. */
int grant_from_instance(struct http *http, struct grant *out, struct nacre_err *e);
/* Reads the document that both hand out. NACRE_CORRUPT when it is none. */
int grant_from_json(const void *data, size_t size, struct grant *out, struct nacre_err *e);

#endif

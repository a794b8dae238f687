/* SPDX-License-Identifier: Apache-2.0 */
/* Who nacre is to Google: a key file, a user's login, an identity of elsewhere, or the machine's own.
 *
 * The files are Google's: of a service account ("service_account"), of `gcloud auth application-default
 * login` ("authorized_user"), of workload identity federation ("external_account",
 * https://google.aip.dev/auth/4117). Their secrets live here, are wiped when freed, and get into no message.
 */
#ifndef OBJECT_GCS_CREDENTIALS_H
#define OBJECT_GCS_CREDENTIALS_H

#include <openssl/evp.h>

#include <nacre/plugin.h>

#include "common/cleanup.h"

enum credentials_kind {
    CREDENTIALS_SERVICE_ACCOUNT,
    CREDENTIALS_USER,
    CREDENTIALS_EXTERNAL,
    CREDENTIALS_METADATA,
};

enum subject_kind { SUBJECT_FILE, SUBJECT_URL, SUBJECT_EXECUTABLE };

#define SUBJECT_HEADERS_MAX 16

/* Where the token of the other identity comes from. */
struct subject_source {
    enum subject_kind kind;
    char *place; /* path or URL; the executable's command, words separated by spaces */
    char *field; /* the token is this field of a JSON object; NULL = the text itself */
    char *headers[SUBJECT_HEADERS_MAX][2]; /* SUBJECT_URL: names and values */
    size_t header_count;
    char *output_file;   /* SUBJECT_EXECUTABLE: where it keeps its last answer; may be NULL */
    unsigned timeout_ms; /* the same */
};

struct credentials {
    enum credentials_kind kind;
    char *origin; /* for messages: "the key file /x.json" */
    char *email;  /* of the service account that requests are made as; NULL = not known */
    char *token_url;
    char *client_id, *client_secret, *refresh_token;
    char *key_id;
    EVP_PKEY *key;
    char *quota_project; /* who pays for the requests; may be NULL */

    char *audience, *subject_type, *workforce_project;
    char *impersonation_url; /* NULL = none */
    unsigned impersonation_seconds;
    struct subject_source subject;

    char *metadata_host;
    bool metadata_named; /* by GCE_METADATA_HOST: then it is there */
};

/* Reads such a file. NACRE_INVALID says what is wrong with it, after the origin. */
int credentials_parse(const void *data, size_t size, const char *origin, struct credentials **out,
                      struct nacre_err *e);
void credentials_free(struct credentials *credentials); /* wipes; NULL is legal */
CLEANUP_DEFINE(struct credentials *, credentials_free)

/* Finds them in the order of Google's own programs: `path` (the location's option, may be NULL), the file
 * that GOOGLE_APPLICATION_CREDENTIALS names, gcloud's, the metadata server (GCE_METADATA_HOST, or the address
 * that it has on Google's machines). *out is NULL when there are none.
 *
 * For an emulator only those that were named count: a login of gcloud that happens to be on the machine is
 * not sent to it, and no metadata server is looked for. */
int credentials_find(const char *path, bool emulator, struct credentials **out, struct nacre_err *e);

#endif

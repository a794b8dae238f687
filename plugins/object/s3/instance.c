/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from services of the machine itself: the metadata service of an EC2 instance (version 2: a session
 * token is fetched first), and the agents of ECS tasks and EKS pods. Never through a proxy. */
#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "common/err.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "credentials.h"

#define DOCUMENT_MAX ((size_t)64 << 10)
#define TIMEOUT_MS 5000
#define PROBE_MS 1500 /* elsewhere than on an instance nobody answers */
#define ROLES "/latest/meta-data/iam/security-credentials/"

static int take_field(const json_t *document, const char *key, struct buf *to, struct nacre_err *e)
{
    const char *text = NULL;
    if (json_get_string(document, key, &text, e) < 0)
        return -1;
    buf_string(to, text ? text : "");
    return 0;
}

int grant_from_json(const void *data, size_t size, struct grant *out, struct nacre_err *e)
{
    CLEANUP(json_value_free) json_t *document = NULL;
    const char *code = NULL, *end = NULL;
    int64_t end_ns;
    if (json_parse_object(data, size, DOCUMENT_MAX, &document, e) < 0 ||
        json_get_string(document, "Code", &code, e) < 0 ||
        json_get_string(document, "Expiration", &end, e) < 0 ||
        take_field(document, "AccessKeyId", &out->access, e) < 0 ||
        take_field(document, "SecretAccessKey", &out->secret, e) < 0 ||
        take_field(document, "Token", &out->session, e) < 0)
        return err_wrap(e, "the document of credentials");
    if (code && strcmp(code, "Success") != 0)
        return err_set(e, NACRE_DENIED, "the metadata service has no credentials for this role: %.100s",
                       code);
    if (!out->access.size || !out->secret.size)
        return err_set(e, NACRE_CORRUPT, "the document of credentials has none");
    if (end && !timestamp_parse(end, &end_ns))
        return err_set(e, NACRE_CORRUPT, "the end of the credentials is no time");
    out->end = end ? end_ns / 1000000000 : 0;
    return 0;
}

static int ask(struct http *http, const char *method, const char *url, const struct http_headers *headers,
               unsigned timeout_ms, struct http_response *response, struct nacre_err *e)
{
    const struct http_request request = {
        .method = method,
        .url = url,
        .headers = headers,
        .expected = NACRE_TO_END,
        .no_proxy = true,
        .timeout_ms = timeout_ms,
    };
    return http_perform(http, &request, response, e);
}

/* Keys are asked for in the clear only where nobody else listens. */
static bool is_trusted(const char *uri)
{
    static const char *const hosts[] = {"localhost",     "127.0.0.1",      "[::1]",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    if (!strncmp(uri, "https://", 8))
        return true;
    if (strncmp(uri, "http://", 7) != 0)
        return false;
    const char *host = uri + 7;
    size_t size = *host == '[' ? strcspn(host, "]/") + 1 : strcspn(host, ":/?#");
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (size == strlen(hosts[i]) && !strncasecmp(host, hosts[i], size))
            return strchr(":/?#", host[size]) != NULL; /* or the end */
    return false;
}

/* Adds the header Authorization when a token for the agent is given. */
static int authorize(struct http_headers *headers, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf token = {0};
    const char *path = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *text = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (path && *path) {
        if (secret_file_read(path, DOCUMENT_MAX, &token, e) < 0) {
            e->code = NACRE_DENIED;
            return -1;
        }
    } else if (text) {
        buf_string(&token, text);
    }
    while (token.size && token.data[token.size - 1] <= ' ')
        token.data[--token.size] = '\0';
    if (buf_failed(&token))
        return err_no_memory(e, "a token");
    if (!token.size)
        return 0;
    if (strpbrk((const char *)token.data, "\r\n"))
        return err_set(e, NACRE_DENIED, "the token for the container's agent has more than one line");
    http_header_add(headers, "Authorization", "%s", (const char *)token.data);
    return 0;
}

int grant_from_container(struct http *http, const char *uri, struct grant *out, struct nacre_err *e)
{
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(http_response_free) struct http_response response = {0};
    if (!is_trusted(uri))
        return err_set(e, NACRE_INVALID,
                       "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine");
    if (authorize(&headers, e) < 0 || ask(http, "GET", uri, &headers, TIMEOUT_MS, &response, e) < 0)
        return -1;
    if (response.status != 200) {
        http_fail(&response, "GET credentials", "", e);
        e->code = e->code == NACRE_ABSENT ? NACRE_DENIED : e->code;
        return -1;
    }
    return grant_from_json(response.body.data, response.body.size, out, e);
}

static const char *metadata_endpoint(void)
{
    const char *endpoint = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    return endpoint && *endpoint ? endpoint : "http://169.254.169.254";
}

/* GET of a path, into out. */
static int fetch(struct http *http, const struct http_headers *headers, const char *path, const char *more,
                 struct buf *out, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf url = {0};
    CLEANUP(http_response_free) struct http_response response = {0};
    const char *endpoint = metadata_endpoint();
    size_t size = strlen(endpoint);
    while (size && endpoint[size - 1] == '/')
        size--;
    buf_append(&url, endpoint, size);
    buf_string(&url, path);
    buf_string(&url, more);
    if (buf_failed(&url))
        return err_no_memory(e, "a URL");
    bool put = !strcmp(path, "/latest/api/token");
    if (ask(http, put ? "PUT" : "GET", (const char *)url.data, headers, put ? PROBE_MS : TIMEOUT_MS,
            &response, e) < 0)
        return -1;
    if (response.status != 200)
        return http_fail(&response, path, "", e);
    buf_append(out, response.body.data, response.body.size);
    return buf_failed(out) ? err_no_memory(e, "a token") : 0;
}

/* Opens a session: its token becomes a header. */
static int open_session(struct http *http, struct http_headers *headers, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf token = {0};
    CLEANUP(http_headers_free) struct http_headers asking = {0};
    http_header_add(&asking, "X-aws-ec2-metadata-token-ttl-seconds", "21600");
    if (fetch(http, &asking, "/latest/api/token", "", &token, e) < 0)
        return -1;
    if (!token.size || strpbrk((const char *)token.data, "\r\n"))
        return err_set(e, NACRE_CORRUPT, "the metadata service's session token is no token");
    http_header_add(headers, "X-aws-ec2-metadata-token", "%s", (const char *)token.data);
    return 0;
}

int grant_from_instance(struct http *http, struct grant *out, struct nacre_err *e)
{
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(buf_free) struct buf roles = {0};
    CLEANUP(buf_wipe_free) struct buf document = {0};
    if (open_session(http, &headers, e) < 0) {
        if (e->code == NACRE_TRANSIENT || e->code == NACRE_FAILED)
            e->code = NACRE_ABSENT; /* nobody there: not an instance */
        return -1;
    }
    if (fetch(http, &headers, ROLES, "", &roles, e) < 0)
        return -1; /* 404: an instance without a role */
    char *role = roles.size ? (char *)roles.data : NULL;
    if (role)
        role[strcspn(role, "\r\n")] = '\0';
    if (!role || !*role || strpbrk(role, "/?#% "))
        return err_set(e, NACRE_ABSENT, "this instance has no role");
    if (fetch(http, &headers, ROLES, role, &document, e) < 0)
        return -1;
    return grant_from_json(document.data, document.size, out, e);
}

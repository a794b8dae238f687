/* SPDX-License-Identifier: Apache-2.0 */
/* Keys for a token that somebody else vouches for: AssumeRoleWithWebIdentity of Amazon's Security Token
 * Service, which radosgw and MinIO offer, too (AWS_ENDPOINT_URL_STS). The token travels in the body, never in
 * the URL. */
#include <openssl/crypto.h>
#include <string.h>

#include "common/err.h"
#include "common/timestamp.h"
#include "credentials.h"
#include "http/encode.h"
#include "http/xml.h"

#define TOKEN_MAX ((size_t)64 << 10)
#define TIMEOUT_MS 30000
#define CREDENTIALS "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/"

static void append_endpoint(const char *region, struct buf *out)
{
    const char *url = getenv("AWS_ENDPOINT_URL_STS");
    if (!url || !*url)
        url = getenv("AWS_ENDPOINT_URL");
    if (url && *url) {
        size_t size = strlen(url);
        while (size && url[size - 1] == '/')
            size--;
        buf_append(out, url, size);
        buf_char(out, '/');
    } else {
        buf_printf(out, "https://sts.%s.amazonaws.com%s/", region, strncmp(region, "cn-", 3) ? "" : ".cn");
    }
}

static int append_form(const struct web_identity *who, struct buf *out, struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf token = {0};
    if (secret_file_read(who->token_file, TOKEN_MAX, &token, e) < 0) {
        e->code = NACRE_DENIED;
        return err_wrap(e, "the web identity token");
    }
    while (token.size && token.data[token.size - 1] <= ' ')
        token.data[--token.size] = '\0';
    if (!token.size)
        return err_set(e, NACRE_DENIED, "the web identity token in %.300s is empty", who->token_file);
    buf_string(out, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
    encode_percent(out, who->role_arn, false);
    buf_string(out, "&RoleSessionName=");
    encode_percent(out, who->session_name ? who->session_name : "nacre", false);
    buf_string(out, "&WebIdentityToken=");
    encode_percent(out, (const char *)token.data, false);
    return buf_failed(out) ? err_no_memory(e, "a request") : 0;
}

static int take_leaf(void *ctx, const char *path, const char *text, struct nacre_err *e)
{
    struct grant *grant = ctx;
    const char *last = path + sizeof CREDENTIALS - 1;
    int64_t end;
    if (strncmp(path, CREDENTIALS, sizeof CREDENTIALS - 1) != 0)
        return 0;
    if (!strcmp(last, "Expiration")) {
        if (!timestamp_parse(text, &end))
            return err_set(e, NACRE_CORRUPT, "the end of the credentials is no time");
        grant->end = end / 1000000000;
        return 0;
    }
    struct buf *to = !strcmp(last, "AccessKeyId")       ? &grant->access
                     : !strcmp(last, "SecretAccessKey") ? &grant->secret
                     : !strcmp(last, "SessionToken")    ? &grant->session
                                                        : NULL;
    if (to && !to->size)
        buf_string(to, text);
    return 0;
}

int grant_from_xml(const void *data, size_t size, struct grant *out, struct nacre_err *e)
{
    if (xml_read(data, size, take_leaf, NULL, out, e) < 0)
        return -1;
    if (!out->access.size || !out->secret.size || !out->session.size)
        return err_set(e, NACRE_CORRUPT, "the answer has no credentials");
    return 0;
}

static int refused(const struct http_response *response, struct nacre_err *e)
{
    CLEANUP(buf_free) struct buf detail = {0};
    xml_find(response->body.data, response->body.size, "ErrorResponse/Error/Code", &detail);
    buf_string(&detail, ": ");
    xml_find(response->body.data, response->body.size, "ErrorResponse/Error/Message", &detail);
    http_fail(response, "AssumeRoleWithWebIdentity", buf_failed(&detail) ? "" : (const char *)detail.data, e);
    if (e->code != NACRE_TRANSIENT && e->code != NACRE_THROTTLED)
        e->code = NACRE_DENIED;
    return -1;
}

int grant_from_web_identity(struct http *http, const struct web_identity *who, struct grant *out,
                            struct nacre_err *e)
{
    CLEANUP(buf_wipe_free) struct buf form = {0};
    CLEANUP(buf_free) struct buf url = {0};
    CLEANUP(http_headers_free) struct http_headers headers = {0};
    CLEANUP(http_response_free) struct http_response response = {0};
    append_endpoint(who->region, &url);
    if (buf_failed(&url))
        return err_no_memory(e, "a URL");
    if (append_form(who, &form, e) < 0)
        return -1;
    http_header_add(&headers, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    const struct nacre_input body = {.size = form.size, .data = form.data};
    const struct http_request request = {
        .method = "POST",
        .url = (const char *)url.data,
        .headers = &headers,
        .body = &body,
        .body_size = form.size,
        .expected = NACRE_TO_END,
        .timeout_ms = TIMEOUT_MS,
    };
    if (http_perform(http, &request, &response, e) < 0)
        return -1;
    if (response.status != 200)
        return refused(&response, e);
    return grant_from_xml(response.body.data, response.body.size, out, e);
}

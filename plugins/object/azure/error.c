/* SPDX-License-Identifier: Apache-2.0 */
/* What the service's errors mean, and what to do about them. It names them in the header x-ms-error-code,
 * also where an answer has no body (HEAD), and in XML.
 * https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "azure.h"
#include "common/err.h"
#include "common/timestamp.h"
#include "http/encode.h"
#include "http/xml.h"
#include "sas.h"

/* The service takes no signature that is older or newer than that. */
#define SKEW_MAX_S 900

struct failure {
    const struct azure_store *store;
    const struct azure_request *request;
    const struct http_response *response;
};

typedef void explainer(const struct failure *f, struct buf *out);

static void explain_container(const struct failure *f, struct buf *out)
{
    const char *container = f->store->url.bucket, *account = f->store->account;
    buf_printf(
        out,
        "there is no container %s in account %s; make it (az storage container create --account-name %s "
        "--name %s), or correct the URL",
        container, account, account, container);
}

static void say_time(int64_t seconds, struct buf *out)
{
    char text[TIMESTAMP_SIZE];
    timestamp_format_seconds(seconds * 1000000000, text);
    buf_string(out, text);
}

static void explain_sas(const struct failure *f, int64_t now, struct buf *out)
{
    const char *sas = (const char *)f->store->credential->secret.data;
    int64_t begin, end;
    if (sas_time(sas, "se", &end) && end <= now) {
        buf_string(out, "the shared access signature ended at ");
        say_time(end, out);
        buf_string(out, "; make a new one");
    } else if (sas_time(sas, "st", &begin) && begin > now) {
        buf_string(out, "the shared access signature begins only at ");
        say_time(begin, out);
    } else {
        buf_string(out, "the shared access signature is not valid: cut off when it was copied, of another "
                        "account, or its key or stored policy was changed since; make a new one");
    }
}

/* The clock first: a difference makes every signature wrong. */
static void explain_authentication(const struct failure *f, struct buf *out)
{
    CLEANUP(buf_free) struct buf date = {0};
    int64_t now = (int64_t)time(NULL), theirs = -1;
    if (http_response_header(f->response, "Date", &date) && date.size && !buf_failed(&date))
        theirs = decode_http_date((const char *)date.data);
    int64_t ahead = theirs < 0 ? 0 : now - theirs;
    if (llabs(ahead) >= SKEW_MAX_S)
        buf_printf(out,
                   "the clock of this machine is %lld s %s the service's, which allows %d s; set it right",
                   (long long)llabs(ahead), ahead > 0 ? "ahead of" : "behind", SKEW_MAX_S);
    else if (f->store->credential->kind == AZURE_SAS)
        explain_sas(f, theirs < 0 ? now : theirs, out);
    else if (f->store->credential->kind == AZURE_KEY)
        buf_printf(out, "the key is none of account %s: it was changed, or is another account's",
                   f->store->account);
    else
        buf_string(out, "the token was not accepted; check that tenant and client are the account's");
}

/* What the account itself says; emulators say it of signatures as well. */
static void explain_authorization(const struct failure *f, struct buf *out)
{
    buf_string(out, "the account's firewall or private endpoints keep this machine out, or ");
    explain_authentication(f, out);
}

static void explain_permission(const struct failure *f, struct buf *out)
{
    CLEANUP(buf_free) struct buf permissions = {0};
    switch (f->store->credential->kind) {
    case AZURE_SAS:
        if (!sas_field((const char *)f->store->credential->secret.data, "sp", &permissions))
            buf_string(&permissions, "?");
        buf_printf(out,
                   "the shared access signature has sp=%s, which lacks %s; make one with sp=rcwdl, or sp=rl "
                   "for reading only",
                   buf_failed(&permissions) ? "?" : (const char *)permissions.data, f->request->needs);
        break;
    case AZURE_KEY:
        buf_string(out, "the account's key is limited; give one without limits");
        break;
    default:
        buf_printf(
            out,
            "the identity needs the role \"%s\" on the container or its account; a new assignment takes "
            "some minutes to be known",
            strpbrk(f->request->needs, "cwd") ? "Storage Blob Data Contributor" : "Storage Blob Data Reader");
    }
}

/* `code` NACRE_OK: as the status says. */
static const struct rule {
    const char *name;
    enum nacre_code code;
    explainer *explain;
    const char *advice;
} rules[] = {
    {"BlobNotFound", NACRE_ABSENT, NULL, NULL},
    {"BlobAlreadyExists", NACRE_EXISTS, NULL, NULL},
    {"ContainerNotFound", NACRE_FAILED, explain_container, NULL},
    {"ContainerBeingDeleted", NACRE_FAILED, NULL,
     "the container is being deleted; wait some minutes and make it again, or use another"},
    {"ContainerDisabled", NACRE_DENIED, NULL, "the container is switched off"},
    {"ResourceNotFound", NACRE_FAILED, NULL, "there is no such account or container, or it is not public"},
    {"AuthenticationFailed", NACRE_DENIED, explain_authentication, NULL},
    {"InvalidAuthenticationInfo", NACRE_DENIED, explain_authentication, NULL},
    {"NoAuthenticationInformation", NACRE_DENIED, explain_authentication, NULL},
    {"AuthorizationPermissionMismatch", NACRE_DENIED, explain_permission, NULL},
    {"InsufficientAccountPermissions", NACRE_DENIED, explain_permission, NULL},
    {"UnauthorizedBlobOverwrite", NACRE_DENIED, explain_permission, NULL},
    {"AuthorizationFailure", NACRE_DENIED, explain_authorization, NULL},
    {"AuthorizationSourceIPMismatch", NACRE_DENIED, NULL,
     "the shared access signature is for other addresses (sip) than this machine's"},
    {"AuthorizationProtocolMismatch", NACRE_DENIED, NULL,
     "the shared access signature is for HTTPS only (spr); give an https endpoint"},
    {"AuthorizationServiceMismatch", NACRE_DENIED, NULL,
     "the shared access signature is not for blobs; make one with ss=b"},
    {"AuthorizationResourceTypeMismatch", NACRE_DENIED, NULL,
     "the shared access signature is not for containers and objects; make one with srt=co"},
    {"KeyBasedAuthenticationNotPermitted", NACRE_DENIED, NULL,
     "the account takes no keys and no signatures made with them; use a client secret, a federated token or "
     "a "
     "managed identity"},
    {"PublicAccessNotPermitted", NACRE_DENIED, NULL, "no credentials were sent; give some"},
    {"AccountIsDisabled", NACRE_DENIED, NULL,
     "the account is switched off: its subscription may have ended; look at it in the portal"},
    {"AccountRequiresHttps", NACRE_FAILED, NULL, "give an https endpoint"},
    {"AccountBeingCreated", NACRE_TRANSIENT, NULL, NULL},
    {"BlobArchived", NACRE_FAILED, NULL,
     "the object is in the archive tier; set it to hot or cool, which takes hours, and try again"},
    {"BlobBeingRehydrated", NACRE_FAILED, NULL,
     "the object comes back from the archive; try again in some hours"},
    {"BlobImmutableDueToPolicy", NACRE_DENIED, NULL,
     "the container has an immutability policy or a legal hold, which forbids to change or delete it"},
    {"LeaseIdMissing", NACRE_BUSY, NULL,
     "another program holds a lease on it; break the lease, or wait for its end"},
    {"SnapshotsPresent", NACRE_FAILED, NULL, "the blob has snapshots; delete them first"},
    {"InvalidBlobType", NACRE_FAILED, NULL,
     "it is no block blob: another program wrote it; delete it, or use another prefix"},
    {"RequestBodyTooLarge", NACRE_FAILED, NULL, "set a smaller block-size"},
    {"InvalidRange", NACRE_INVALID, NULL, NULL},
    /* Bytes were changed on their way. */
    {"Md5Mismatch", NACRE_TRANSIENT, NULL, "the bytes that arrived are not those that were sent"},
    {"ServerBusy", NACRE_THROTTLED, NULL, NULL},
    {"OperationTimedOut", NACRE_TRANSIENT, NULL, NULL},
    {"InternalError", NACRE_TRANSIENT, NULL, NULL},
    /* A racing writer committed its blocks, which drops all others. */
    {"InvalidBlockList", NACRE_TRANSIENT, NULL, "another program wrote the same object meanwhile"},
    {"ConditionNotMet", NACRE_EXISTS, NULL, NULL},
};

static const struct rule *rule_of(const char *name)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!strcmp(rules[i].name, name))
            return &rules[i];
    return NULL;
}

/* The first line of the service's own message: what follows are ids. */
static void add_message(const struct http_response *response, struct buf *out)
{
    CLEANUP(buf_free) struct buf message = {0};
    if (xml_find(response->body.data, response->body.size, "Error/Message", &message) && message.size &&
        !buf_failed(&message))
        buf_append(out, message.data, strcspn((const char *)message.data, "\r\n"));
}

/* A code that has no rule, or an answer of something that is not the service. */
static void judge_by_status(const struct failure *f, const struct buf *detail, struct nacre_err *e)
{
    bool conditional = f->request->headers && http_header_find(f->request->headers, "If-None-Match");
    /* What Azurite says of a checksum that does not fit. */
    if (f->response->status == 400 && strstr((const char *)detail->data, "contentMD5 doesn't match"))
        e->code = NACRE_TRANSIENT;
    if (e->code == NACRE_EXISTS && !conditional)
        e->code = NACRE_FAILED;
    if (e->code == NACRE_ABSENT && !f->request->name)
        e->code = NACRE_FAILED;
}

int azure_fail(const struct azure_store *store, const struct azure_request *request,
               const struct http_response *response, struct nacre_err *e)
{
    const struct failure f = {store, request, response};
    CLEANUP(buf_free) struct buf name = {0};
    CLEANUP(buf_free) struct buf detail = {0};
    char what[NACRE_OBJECT_NAME_MAX * 2 + 128];
    snprintf(what, sizeof what, "%s azblob://%s/%s%s", request->method, store->url.bucket, store->url.prefix,
             request->name ? request->name : "");
    buf_string(&name, "");
    if (!http_response_header(response, "x-ms-error-code", &name))
        xml_find(response->body.data, response->body.size, "Error/Code", &name);
    const struct rule *rule = buf_failed(&name) ? NULL : rule_of((const char *)name.data);
    buf_append(&detail, name.data, name.size);
    if (name.size && (!rule || rule->explain || rule->advice))
        buf_string(&detail, ": ");
    if (rule && rule->explain)
        rule->explain(&f, &detail);
    else if (rule)
        buf_string(&detail, rule->advice ? rule->advice : "");
    else
        add_message(response, &detail);
    if (buf_failed(&name) || buf_failed(&detail))
        return err_no_memory(e, "a service's answer");
    http_fail(response, what, detail.size ? (const char *)detail.data : "", e);
    if (rule)
        e->code = rule->code;
    else
        judge_by_status(&f, &detail, e);
    return -1;
}

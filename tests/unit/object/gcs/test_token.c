/* SPDX-License-Identifier: Apache-2.0 */
/* How each kind of credentials becomes a token, and what happens when it does not. */
#include "fixture.h"

#include <openssl/rsa.h>
#include <sys/stat.h>
#include <time.h>

#include "common/json.h"
#include "common/timestamp.h"
#include "http/encode.h"

#define OBJECT "/storage/v1/b/b/o/p%2Fx"
#define TOKEN(text) "{\"access_token\":\"" text "\",\"expires_in\":3600,\"token_type\":\"Bearer\"}"
#define FOUND "{\"size\":\"1\"}"

/* Base64url without padding. */
static void decode(const char *text, size_t size, struct buf *out)
{
    char plain[8192];
    size_t i = 0;
    assert_true(size + 4 < sizeof plain);
    for (; i < size; i++)
        plain[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    while (i % 4)
        plain[i++] = '=';
    assert_true(json_decode_base64(plain, i, out));
}

/* Splits a JWT, verifies its signature with the public key, and parses its claims. */
static json_t *verified(const char *jwt, EVP_PKEY *key)
{
    struct nacre_err e;
    CLEANUP(buf_free) struct buf header = {0};
    CLEANUP(buf_free) struct buf claims = {0};
    CLEANUP(buf_free) struct buf signature = {0};
    json_t *json = NULL;
    const char *first = strchr(jwt, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    assert_non_null(second);
    decode(jwt, (size_t)(first - jwt), &header);
    decode(first + 1, (size_t)(second - first - 1), &claims);
    decode(second + 1, strlen(second + 1), &signature);
    assert_string_equal((char *)header.data, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"key\\\"1\"}");
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(digest, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(digest, signature.data, signature.size, (const uint8_t *)jwt,
                                      (size_t)(second - jwt)),
                     1);
    EVP_MD_CTX_free(digest);
    assert_ok(json_parse_object(claims.data, claims.size, 10000, &json, &e));
    return json;
}

/* The file of a service account whose tokens come from the play's server. */
static const char *key_file(const char *url)
{
    return write_file(
        "key.json",
        "{\"type\":\"service_account\",\"client_email\":\"me@project\",\"private_key_id\":\"key\\\"1\","
        "\"private_key\":\"%s\",\"token_uri\":\"%s/token\"}",
        test_key_json(), url);
}

static struct nacre_object_store *open_with(const struct play *play, const char *path)
{
    struct nacre_err e;
    struct nacre_object_store *store = NULL;
    assert_ok(open_store(server_url(play->server), &store, &e, "credentials", path, NULL));
    return store;
}

static int look(struct nacre_object_store *store, struct nacre_err *e)
{
    struct nacre_object_info info;
    return store->ops->stat(store, "x", &info, e);
}

static void signed_by_the_key(void **state)
{
    struct nacre_err e;
    char audience[128];
    (void)state;
    PLAY(play, {"POST", "/token", "Content-Type: application/x-www-form-urlencoded", 200, "", TOKEN("t0ken")},
         {"GET", OBJECT, "Authorization: Bearer t0ken", 200, "", FOUND},
         {"GET", OBJECT, "Authorization: Bearer t0ken", 200, "", FOUND});
    CLEANUP(store_close)
    struct nacre_object_store *store = open_with(&play, key_file(server_url(play.server)));
    assert_ok(look(store, &e));
    assert_ok(look(store, &e));
    play_check(&play);
    static const char start[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    const char *form = (const char *)play.bodies[0].data;
    assert_memory_equal(form, start, sizeof start - 1);
    CLEANUP(json_value_free) json_t *claims = verified(form + sizeof start - 1, test_key());
    snprintf(audience, sizeof audience, "%s/token", server_url(play.server));
    assert_string_equal(json_string_value(json_object_get(claims, "iss")), "me@project");
    assert_string_equal(json_string_value(json_object_get(claims, "aud")), audience);
    assert_string_equal(json_string_value(json_object_get(claims, "scope")),
                        "https://www.googleapis.com/auth/devstorage.read_write");
    json_int_t issued = json_integer_value(json_object_get(claims, "iat"));
    assert_true(issued <= time(NULL) && issued > time(NULL) - 600);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), issued + 3600);
    assert_null(strstr(logged(), "t0ken"));
    assert_null(strstr(logged(), form + sizeof start - 1));
}

/* Ten seconds after it was fetched at the earliest is a refused token worth another; here the refusal stands,
 * and says what to do. */
static void refused_at_once(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", "/token", NULL, 200, "", TOKEN("t0ken")}, {"GET", OBJECT, NULL, 401, "", ""});
    CLEANUP(store_close)
    struct nacre_object_store *store = open_with(&play, key_file(server_url(play.server)));
    assert_fails(look(store, &e), NACRE_DENIED, "key.json gave is refused");
    assert_null(strstr(e.message, "t0ken"));
    play_check(&play);
}

static void read_only(void **state)
{
    struct nacre_err e;
    const struct nacre_input input = {.size = 1, .data = "x"};
    (void)state;
    PLAY(play, {"POST", "/token", NULL, 200, "", TOKEN("t0ken")},
         {"POST", "/upload/", "Authorization: Bearer t0ken", 403, "", ""});
    CLEANUP(store_close)
    struct nacre_object_store *store = open_with(&play, key_file(server_url(play.server)));
    assert_fails(store->ops->put(store, "x", &input, &e), NACRE_DENIED,
                 "needs storage.objects.create and storage.objects.delete on gs://b: grant it "
                 "roles/storage.objectAdmin");
    assert_non_null(strstr(e.message, "me@project"));
    play_check(&play);
}

/* Whatever the token service answers, it is never the fate of an object. */
static void token_refusals(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum nacre_code code;
        const char *words;
    } cases[] = {
        {400, "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT Signature.\"}", NACRE_DENIED,
         "make a new key"},
        {401, "{\"error\":\"invalid_client\"}", NACRE_DENIED, "invalid_client"},
        {404, "", NACRE_DENIED, "HTTP 404"},
        {409, "", NACRE_DENIED, "HTTP 409"},
        {500, "", NACRE_TRANSIENT, "HTTP 500"},
        {503, "", NACRE_THROTTLED, "HTTP 503"},
        {200, "<html>", NACRE_TRANSIENT, "no JSON"},
        {200, "{\"access_token\":\"two words\"}", NACRE_DENIED, "no usable token"},
        {200, "{\"access_token\":\"a\\r\\nX-Evil: 1\"}", NACRE_DENIED, "no usable token"},
        {200, "{}", NACRE_DENIED, "no usable token"},
        {200, "{\"access_token\":\"a\",\"expires_in\":\"soon\"}", NACRE_DENIED, "expires_in"},
    };
    struct nacre_err e;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        PLAY(play, {"POST", "/token", NULL, cases[i].status, "", cases[i].body});
        CLEANUP(store_close)
        struct nacre_object_store *store = open_with(&play, key_file(server_url(play.server)));
        assert_fails(look(store, &e), cases[i].code, cases[i].words);
        assert_non_null(strstr(e.message, "key.json"));
        play_check(&play);
    }
}

static void clock_skew(void **state)
{
    struct nacre_err e;
    (void)state;
    for (int side = -1; side <= 1; side += 2) {
        char date[HTTP_DATE_SIZE], header[64];
        encode_http_date((int64_t)time(NULL) - side * 7200, date);
        snprintf(header, sizeof header, "Date: %s\r\n", date);
        PLAY(play, {"POST", "/token", NULL, 400, header,
                    "{\"error\":\"invalid_grant\",\"error_description\":\"Check your iat and exp values\"}"});
        CLEANUP(store_close)
        struct nacre_object_store *store = open_with(&play, key_file(server_url(play.server)));
        assert_fails(look(store, &e), NACRE_DENIED, side > 0 ? "seconds ahead" : "seconds behind");
        assert_non_null(strstr(e.message, "this machine's clock is 7"));
    }
}

static void user(void **state)
{
    struct nacre_err e;
    (void)state;
    PLAY(play, {"POST", "/token", NULL, 200, "", TOKEN("t0ken")},
         {"GET", OBJECT, "x-goog-user-project: payer", 200, "", FOUND},
         {"POST", "/token", NULL, 400, "", "{\"error\":\"invalid_grant\"}"});
    const char *path =
        write_file("user.json",
                   "{\"type\":\"authorized_user\",\"client_id\":\"i d\",\"client_secret\":\"s3cret&\","
                   "\"refresh_token\":\"r3fresh/\",\"quota_project_id\":\"payer\","
                   "\"token_uri\":\"%s/token\"}",
                   server_url(play.server));
    CLEANUP(store_close) struct nacre_object_store *store = open_with(&play, path);
    CLEANUP(store_close) struct nacre_object_store *other = open_with(&play, path);
    assert_ok(look(store, &e));
    assert_string_equal(
        (char *)play.bodies[0].data,
        "grant_type=refresh_token&client_id=i%20d&client_secret=s3cret%26&refresh_token=r3fresh%2F");
    assert_fails(look(other, &e), NACRE_DENIED, "gcloud auth application-default login");
    assert_null(strstr(e.message, "s3cret"));
    assert_null(strstr(logged(), "r3fresh"));
    play_check(&play);
}

/* An external account's file with that source. */
static const char *external_file(const struct play *play, const char *source, const char *more)
{
    return write_file(
        "external.json",
        "{\"type\":\"external_account\",\"audience\":\"//iam/pool\",\"subject_token_type\":"
        "\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"%s/sts\",\"credential_source\":%s%s}",
        server_url(play->server), source, more);
}

#define EXCHANGED(subject, scope)                                                                            \
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience=%2F%2Fiam%2Fpool&scope="  \
    "https%3A%2F%2Fwww.googleapis.com%2Fauth%2F" scope                                                       \
    "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&subject_token_type="      \
    "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token=" subject

static void external_of_a_file(void **state)
{
    struct nacre_err e;
    char source[400];
    (void)state;
    PLAY(play, {"POST", "/sts", "!Authorization", 200, "", TOKEN("t0ken")},
         {"GET", OBJECT, "Authorization: Bearer t0ken", 200, "", FOUND}, {"POST", "/sts", NULL, 400, "", ""});
    snprintf(source, sizeof source, "{\"file\":\"%s\"}", write_file("subject", "\n subj3ct \n"));
    CLEANUP(store_close)
    struct nacre_object_store *store = open_with(&play, external_file(&play, source, ""));
    CLEANUP(store_close)
    struct nacre_object_store *other = open_with(&play, external_file(&play, source, ""));
    assert_ok(look(store, &e));
    assert_string_equal((char *)play.bodies[0].data, EXCHANGED("subj3ct", "devstorage.read_write"));
    assert_fails(look(other, &e), NACRE_DENIED, "provider must accept");
    play_check(&play);
    write_file("subject", " \n");
    CLEANUP(store_close)
    struct nacre_object_store *empty = open_with(&play, external_file(&play, source, ""));
    assert_fails(look(empty, &e), NACRE_DENIED, "no subject token");
    snprintf(source, sizeof source, "{\"file\":\"/nonexistent/token\"}");
    CLEANUP(store_close) struct nacre_object_store *none = open_with(&play, external_file(&play, source, ""));
    assert_fails(look(none, &e), NACRE_DENIED, "/nonexistent/token");
}

/* From a URL as JSON, then on to a service account. */
static void external_impersonates(void **state)
{
    struct nacre_err e;
    char source[400], more[400], answer[256], end[TIMESTAMP_SIZE];
    (void)state;
    timestamp_format_seconds(timestamp_now() + INT64_C(3600000000000), end);
    snprintf(answer, sizeof answer, "{\"accessToken\":\"sa-t0ken\",\"expireTime\":\"%s\"}", end);
    PLAY(play, {"GET", "/subject", "Metadata: true", 200, "", "{\"token\":\"subj3ct\",\"x\":1}"},
         {"POST", "/sts", "Authorization: Basic aWQ6czNjcmV0", 200, "", TOKEN("federated")},
         {"POST", "/v1/serviceAccounts/sa@p:generateAccessToken", "Authorization: Bearer federated", 200, "",
          answer},
         {"GET", OBJECT, "Authorization: Bearer sa-t0ken", 200, "", FOUND});
    const char *url = server_url(play.server);
    snprintf(source, sizeof source,
             "{\"url\":\"%s/subject\",\"headers\":{\"Metadata\":\"true\"},\"format\":{\"type\":\"json\","
             "\"subject_token_field_name\":\"token\"}}",
             url);
    snprintf(more, sizeof more,
             ",\"client_id\":\"id\",\"client_secret\":\"s3cret\",\"service_account_impersonation_url\":"
             "\"%s/v1/serviceAccounts/sa@p:generateAccessToken\"",
             url);
    CLEANUP(store_close)
    struct nacre_object_store *store = open_with(&play, external_file(&play, source, more));
    assert_ok(look(store, &e));
    play_check(&play);
    assert_string_equal((char *)play.bodies[1].data, EXCHANGED("subj3ct", "cloud-platform"));
    assert_string_equal((char *)play.bodies[2].data,
                        "{\"scope\":[\"https://www.googleapis.com/auth/devstorage.read_write\"],"
                        "\"lifetime\":\"3600s\"}");
}

#define EXECUTED(more)                                                                                       \
    "{\"version\":1,\"success\":true,\"token_type\":\"urn:ietf:params:oauth:token-type:jwt\"" more "}"

static void external_of_an_executable(void **state)
{
    struct nacre_err e;
    char source[600], script[300], output[300], path[300];
    (void)state;
    PLAY(play, {"POST", "/sts", NULL, 200, "", TOKEN("t0ken")}, {"GET", OBJECT, NULL, 200, "", FOUND},
         {"POST", "/sts", NULL, 200, "", TOKEN("t0ken")}, {"GET", OBJECT, NULL, 200, "", FOUND});
    snprintf(output, sizeof output, "%s/output", scratch());
    snprintf(script, sizeof script, "%s",
             write_file("run",
                        "#!/bin/sh\n[ $# = 2 ] && [ \"$GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE\" = //iam/pool ] && "
                        "[ \"$GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE\" = 0 ] && "
                        "echo '" EXECUTED(",\"id_token\":\"'$1$2'\"") "'\n"));
    chmod(script, 0700);
    snprintf(
        source, sizeof source,
        "{\"executable\":{\"command\":\"%s  subj $x;3ct\",\"timeout_millis\":5000,\"output_file\":\"%s\"}}",
        script, output);
    snprintf(path, sizeof path, "%s", external_file(&play, source, ""));
    CLEANUP(store_close) struct nacre_object_store *store = open_with(&play, path);
    assert_fails(look(store, &e), NACRE_DENIED, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1");
    setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1", 1);
    assert_ok(look(store, &e));
    assert_string_equal((char *)play.bodies[0].data, EXCHANGED("subj%24x%3B3ct", "devstorage.read_write"));
    write_file("output", EXECUTED(",\"id_token\":\"cached\",\"expiration_time\":%ld"),
               (long)time(NULL) + 1000);
    CLEANUP(store_close) struct nacre_object_store *second = open_with(&play, path);
    assert_ok(look(second, &e));
    assert_string_equal((char *)play.bodies[2].data, EXCHANGED("cached", "devstorage.read_write"));
    play_check(&play);
}

/* An executable that fails, says no, prints something else, or does not end. */
static void bad_executables(void **state)
{
    static const struct {
        const char *script, *words;
    } cases[] = {
        {"exit 3", "failed with status 3"},
        {"echo hello", "no answer of version 1"},
        {"echo '{\"version\":1,\"success\":false,\"code\":\"401\",\"message\":\"not you\"}'", "401 not you"},
        {"echo '" EXECUTED("") "'", "no token of type"},
        {"echo '" EXECUTED(",\"id_token\":\"x\",\"expiration_time\":1000") "'", "expired"},
        {"kill -9 $$", "failed with status -1"},
        {"sleep 100 & sleep 100", "did not end within 5000 ms"},
    };
    struct nacre_err e;
    char source[600];
    (void)state;
    setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct step none[1] = {{0}};
        CLEANUP(play_stop) struct play play = {.steps = none};
        play_start(&play);
        const char *script = write_file("bad", "#!/bin/sh\n%s\n", cases[i].script);
        chmod(script, 0700);
        snprintf(source, sizeof source, "{\"executable\":{\"command\":\"%s\",\"timeout_millis\":5000}}",
                 script);
        CLEANUP(store_close)
        struct nacre_object_store *store = open_with(&play, external_file(&play, source, ""));
        assert_fails(look(store, &e), NACRE_DENIED, cases[i].words);
        play_check(&play);
    }
}

static void metadata(void **state)
{
    struct nacre_err e;
    struct nacre_object_store *store = NULL;
    (void)state;
    PLAY(play,
         {"GET", "/computeMetadata/v1/instance/service-accounts/default/token", "Metadata-Flavor: Google",
          200, "", TOKEN("t0ken")},
         {"GET", OBJECT, "Authorization: Bearer t0ken", 200, "", FOUND},
         {"GET", "/computeMetadata/v1/instance/service-accounts/default/token", NULL, 404, "", ""});
    setenv("GCE_METADATA_HOST", server_url(play.server) + strlen("http://"), 1);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* not for the machine's own services */
    setenv("no_proxy", "", 1);
    assert_ok(open_store(server_url(play.server), &store, &e, "proxy", "none", NULL));
    assert_ok(look(store, &e));
    store_close(store);
    assert_ok(open_store(server_url(play.server), &store, &e, "proxy", "none", NULL));
    assert_fails(look(store, &e), NACRE_DENIED, "no service account");
    store_close(store);
    play_check(&play);
}

/* The emulator's variable: nobody's credentials by chance, those that were named. */
static void emulator(void **state)
{
    struct nacre_err e;
    struct nacre_object_store *store = NULL;
    (void)state;
    PLAY(play, {"GET", OBJECT, "!Authorization", 200, "", FOUND},
         {"POST", "/token", NULL, 200, "", TOKEN("t0ken")},
         {"GET", OBJECT, "Authorization: Bearer t0ken", 200, "", FOUND});
    setenv("STORAGE_EMULATOR_HOST", server_url(play.server) + strlen("http://"), 1);
    assert_ok(open_store(NULL, &store, &e, NULL));
    assert_ok(look(store, &e));
    store_close(store);
    setenv("GOOGLE_APPLICATION_CREDENTIALS", key_file(server_url(play.server)), 1);
    assert_ok(open_store(NULL, &store, &e, NULL));
    assert_ok(look(store, &e));
    store_close(store);
    play_check(&play);
}

/* A session of another host does not get the token. */
static void token_stays_at_home(void **state)
{
    struct nacre_err e;
    static const char body[262145];
    const struct nacre_input input = {.size = sizeof body, .data = body};
    struct nacre_object_store *store = NULL;
    (void)state;
    PLAY(other, {"PUT", "/session", "!Authorization", 403, "", ""},
         {"DELETE", "/session", "!Authorization", 499, "", ""});
    char location[128];
    snprintf(location, sizeof location, "Location: %s/session\r\n", server_url(other.server));
    PLAY(play, {"POST", "/token", NULL, 200, "", TOKEN("t0ken")},
         {"POST", "/upload/", "Authorization: Bearer t0ken", 200, location, ""});
    assert_ok(open_store(server_url(play.server), &store, &e, "credentials",
                         key_file(server_url(play.server)), "upload-threshold", "262144", NULL));
    assert_fails(store->ops->put(store, "x", &input, &e), NACRE_DENIED, "cannot write");
    store_close(store);
    play_check(&play);
    play_check(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(signed_by_the_key, clean_environment),
        cmocka_unit_test_setup(refused_at_once, clean_environment),
        cmocka_unit_test_setup(read_only, clean_environment),
        cmocka_unit_test_setup(token_refusals, clean_environment),
        cmocka_unit_test_setup(clock_skew, clean_environment),
        cmocka_unit_test_setup(user, clean_environment),
        cmocka_unit_test_setup(external_of_a_file, clean_environment),
        cmocka_unit_test_setup(external_impersonates, clean_environment),
        cmocka_unit_test_setup(external_of_an_executable, clean_environment),
        cmocka_unit_test_setup(bad_executables, clean_environment),
        cmocka_unit_test_setup(metadata, clean_environment),
        cmocka_unit_test_setup(emulator, clean_environment),
        cmocka_unit_test_setup(token_stays_at_home, clean_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

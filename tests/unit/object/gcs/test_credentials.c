/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials files, where they are looked for, and that nothing secret of them is said. */
#include "fixture.h"

#include <sys/stat.h>

#define USER                                                                                                 \
    "{\"type\":\"authorized_user\",\"client_id\":\"id\",\"client_secret\":\"s3cret\","                       \
    "\"refresh_token\":\"r3fresh\",\"quota_project_id\":\"payer\"}"
#define EXTERNAL                                                                                             \
    "\"type\":\"external_account\",\"audience\":\"//iam/x\",\"subject_token_type\":\"urn:jwt\","             \
    "\"token_url\":\"https://sts.googleapis.com/v1/token\""

static int parse(const char *text, struct credentials **out, struct nacre_err *e)
{
    *out = NULL;
    return credentials_parse(text, strlen(text), "the file", out, e);
}

static void service_account(void **state)
{
    struct nacre_err e;
    char text[6000];
    CLEANUP(credentials_free) struct credentials *c = NULL;
    (void)state;
    snprintf(
        text, sizeof text,
        "{\"type\":\"service_account\",\"client_email\":\"a@b\",\"private_key_id\":\"k1\",\"private_key\":"
        "\"%s\"}",
        test_key_json());
    assert_ok(parse(text, &c, &e));
    assert_int_equal(c->kind, CREDENTIALS_SERVICE_ACCOUNT);
    assert_string_equal(c->email, "a@b");
    assert_string_equal(c->key_id, "k1");
    assert_string_equal(c->token_url, "https://oauth2.googleapis.com/token");
    assert_int_equal(EVP_PKEY_eq(c->key, test_key()), 1);
}

static void user(void **state)
{
    struct nacre_err e;
    CLEANUP(credentials_free) struct credentials *c = NULL;
    (void)state;
    assert_ok(parse(USER, &c, &e));
    assert_int_equal(c->kind, CREDENTIALS_USER);
    assert_string_equal(c->refresh_token, "r3fresh");
    assert_string_equal(c->quota_project, "payer");
}

static void external(void **state)
{
    struct nacre_err e;
    CLEANUP(credentials_free) struct credentials *c = NULL;
    (void)state;
    assert_ok(
        parse("{" EXTERNAL ",\"credential_source\":{\"url\":\"http://169.254.169.254/t\",\"headers\":{\"A\":"
              "\"b c\"},\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"tok\"}},"
              "\"service_account_impersonation_url\":\"https://iam/x/serviceAccounts/"
              "sa@p.iam:generateAccessToken\",\"service_account_impersonation\":{\"token_lifetime_seconds\""
              ":1200}}",
              &c, &e));
    assert_int_equal(c->kind, CREDENTIALS_EXTERNAL);
    assert_int_equal(c->subject.kind, SUBJECT_URL);
    assert_string_equal(c->subject.field, "tok");
    assert_int_equal(c->subject.header_count, 1);
    assert_string_equal(c->subject.headers[0][1], "b c");
    assert_string_equal(c->email, "sa@p.iam");
    assert_int_equal(c->impersonation_seconds, 1200);
}

static void bad_files(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "no JSON"},
        {"[]", "no JSON"},
        {"{\"private_key\":\"p4ssword\"", "no JSON"},
        {"p4ssword", "no JSON"},
        {"{}", "no \"type\""},
        {"{\"type\":\"gdch\"}", "its type is \"gdch\""},
        {"{\"type\":\"service_account\"}", "client_email"},
        {"{\"type\":\"service_account\",\"client_email\":\"\"}", "client_email"},
        {"{\"type\":\"service_account\",\"client_email\":\"a\",\"private_key\":\"p4ssword\"}", "no RSA key"},
        {"{\"type\":\"authorized_user\",\"client_id\":\"id\"}", "client_secret"},
        {"{\"type\":\"authorized_user\",\"client_id\":7}", "client_id"},
        {"{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"p4ssword\",\"refresh_token\":"
         "\"r\","
         "\"token_uri\":\"http://evil/\"}",
         "no https"},
        {"{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"p4ssword\",\"refresh_token\":"
         "\"r\","
         "\"token_uri\":\"http://localhost.evil/\"}",
         "no https"},
        {"{" EXTERNAL "}", "credential_source"},
        {"{" EXTERNAL ",\"credential_source\":{}}", "url"},
        {"{" EXTERNAL ",\"credential_source\":{\"environment_id\":\"aws1\"}}", "cannot use"},
        {"{" EXTERNAL ",\"credential_source\":{\"file\":\"f\",\"format\":{\"type\":\"xml\"}}}",
         "neither text nor"},
        {"{" EXTERNAL ",\"credential_source\":{\"file\":\"f\",\"format\":{\"type\":\"json\"}}}",
         "subject_token_field_name"},
        {"{" EXTERNAL ",\"credential_source\":{\"url\":\"f\",\"headers\":{\"a\":\"b\\r\\nc: d\"}}}",
         "headers"},
        {"{" EXTERNAL ",\"credential_source\":{\"executable\":{}}}", "command"},
        {"{" EXTERNAL ",\"credential_source\":{\"executable\":{\"command\":\"x\",\"timeout_millis\":1}}}",
         "5000"},
        {"{" EXTERNAL ",\"service_account_impersonation_url\":\"http://x\"}", "no https"},
    };
    struct nacre_err e;
    struct credentials *c;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(cases[i].text, &c, &e), -1);
        assert_true(e.code == NACRE_INVALID || e.code == NACRE_UNSUPPORTED);
        if (!strstr(e.message, cases[i].words) || strncmp(e.message, "the file: ", 10) != 0)
            fail_msg("%s: %s", cases[i].text, e.message);
        assert_null(strstr(e.message, "p4ssword"));
        assert_null(c);
    }
}

static void check_found(const char *path, bool emulator, const char *origin)
{
    struct nacre_err e;
    CLEANUP(credentials_free) struct credentials *c = NULL;
    assert_ok(credentials_find(path, emulator, &c, &e));
    if (!origin)
        assert_null(c);
    else if (!c || !strstr(c->origin, origin))
        fail_msg("%s instead of %s", c ? c->origin : "nothing", origin);
}

/* Each place is looked at only when those before it give nothing. */
static void order(void **state)
{
    struct nacre_err e;
    struct credentials *c = NULL;
    char path[256];
    (void)state;
    check_found(NULL, false, "the metadata server 169.254.169.254");
    check_found(NULL, true, NULL);
    setenv("GCE_METADATA_HOST", "127.0.0.1:1", 1);
    check_found(NULL, false, "the metadata server 127.0.0.1:1");
    check_found(NULL, true, "the metadata server 127.0.0.1:1");
    unsetenv("GCE_METADATA_HOST");

    snprintf(path, sizeof path, "%s/.config", scratch());
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/.config/gcloud", scratch());
    mkdir(path, 0700);
    write_file(".config/gcloud/application_default_credentials.json", "%s", USER);
    check_found(NULL, false, ".config/gcloud/application_default_credentials.json");
    check_found(NULL, true, NULL);
    setenv("CLOUDSDK_CONFIG", scratch(), 1);
    check_found(NULL, false, "the metadata server");
    write_file("application_default_credentials.json", "%s", USER);
    check_found(NULL, false, "/application_default_credentials.json");

    setenv("GOOGLE_APPLICATION_CREDENTIALS", write_file("named.json", "%s", USER), 1);
    check_found(NULL, false, "named.json");
    check_found(NULL, true, "named.json");
    check_found(write_file("option.json", "%s", USER), false, "option.json");
    setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/x.json", 1);
    assert_fails(credentials_find(NULL, false, &c, &e), NACRE_INVALID,
                 "cannot read /nonexistent/x.json, which GOOGLE_APPLICATION_CREDENTIALS names");
    assert_fails(credentials_find("/nonexistent/y.json", false, &c, &e), NACRE_INVALID, "option credentials");
    assert_fails(credentials_find(write_file("bad.json", "{}"), false, &c, &e), NACRE_INVALID, "bad.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(service_account),
        cmocka_unit_test(user),
        cmocka_unit_test(external),
        cmocka_unit_test(bad_files),
        cmocka_unit_test_setup(order, clean_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Where keys come from, in which order, and that none of it is shown. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "credentials.h"
#include "fixture.h"

#define TOKEN "eyJ.test-secret.token"

static char directory[] = "/tmp/nacre-s3-XXXXXX";

/* A file in the directory of the test; its path. */
static const char *write_file(const char *name, const char *text)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static void remove_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}

/* Everybody in one: the bucket, the token service, the container's agent, the metadata service. Notes who
 * wrote to the bucket: "ACCESS KEY/SESSION TOKEN". */
struct service {
    char writer[128];
    unsigned granted;  /* how often keys were handed out */
    bool refuse_first; /* the bucket says that the first keys have expired */
    bool deny, no_role;
    unsigned life; /* of keys, seconds; 0 = ended yesterday */
};

static void grant_json(struct service *service, struct answer *answer)
{
    char body[512];
    service->granted++;
    snprintf(body, sizeof body,
             "{\"Code\": \"Success\", \"AccessKeyId\": \"ASIA%u\", \"SecretAccessKey\": \"test-secret\", "
             "\"Token\": \"session%u\", \"Expiration\": \"%s\"}",
             service->granted, service->granted,
             service->life ? "2099-01-01T00:00:00Z" : "2020-01-01T00:00:00Z");
    answer_text(answer, 200, "", body);
}

static void serve_sts(struct service *service, const struct served *served, struct answer *answer)
{
    assert_string_equal(served->body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
                                      "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=nacre"
                                      "&WebIdentityToken=" TOKEN);
    if (service->deny) {
        answer_text(answer, 403, "",
                    "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not "
                    "you</Message></Error></ErrorResponse>");
        return;
    }
    service->granted++;
    answer_text(answer, 200, "",
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                "<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>web</SessionToken>"
                "<SecretAccessKey>test-secret</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration>"
                "<AccessKeyId>ASIAWEB</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
                "</AssumeRoleWithWebIdentityResponse>");
}

static void serve_metadata(struct service *service, const struct served *served, struct answer *answer)
{
    char token[32] = "";
    served_header(served, "X-aws-ec2-metadata-token", token, sizeof token);
    if (!strcmp(served->target, "/latest/api/token")) {
        assert_string_equal(served->method, "PUT");
        assert_true(served_header(served, "X-aws-ec2-metadata-token-ttl-seconds", token, sizeof token));
        answer_text(answer, 200, "", "instance-token");
    } else if (strcmp(token, "instance-token") != 0) {
        answer_text(answer, 401, "", "");
    } else if (service->no_role) {
        answer_text(answer, 404, "", "");
    } else if (!strcmp(served->target, "/latest/meta-data/iam/security-credentials/")) {
        answer_text(answer, 200, "", "the-role");
    } else {
        assert_string_equal(served->target, "/latest/meta-data/iam/security-credentials/the-role");
        grant_json(service, answer);
    }
}

static void serve_bucket(struct service *service, const struct served *served, struct answer *answer)
{
    char authorization[256] = "", session[64] = "";
    served_header(served, "Authorization", authorization, sizeof authorization);
    served_header(served, "x-amz-security-token", session, sizeof session);
    const char *key = strstr(authorization, "Credential=");
    assert_non_null(key);
    snprintf(service->writer, sizeof service->writer, "%.*s/%s", (int)strcspn(key + 11, "/"), key + 11,
             session);
    if (service->refuse_first && strstr(service->writer, "ASIA1"))
        answer_text(answer, 400, "", "<Error><Code>ExpiredToken</Code></Error>");
    else
        answer_text(answer, 200, "", "");
}

static void serve(void *ctx, const struct served *served, struct answer *answer)
{
    struct service *service = ctx;
    char authorization[64] = "";
    if (!strcmp(served->target, "/"))
        serve_sts(service, served, answer);
    else if (!strncmp(served->target, "/latest/", 8))
        serve_metadata(service, served, answer);
    else if (!strcmp(served->target, "/agent")) {
        assert_true(served_header(served, "Authorization", authorization, sizeof authorization));
        assert_string_equal(authorization, "agent-token");
        grant_json(service, answer);
    } else
        serve_bucket(service, served, answer);
}

struct fixture {
    struct service service;
    struct server *server;
};

static int set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof *fx);
    assert_non_null(fx);
    fixture_environment();
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    setenv("HOME", directory, 1);
    fx->service.life = 3600;
    fx->server = server_start(serve, &fx->service);
    *state = fx;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;
    server_stop(fx->server);
    free(fx);
    remove_file(".aws/credentials");
    remove_file(".aws/config");
    return 0;
}

/* Who writes when the environment and the options are as they are. */
static void expect_writer(struct fixture *fx, const struct nacre_option *options, size_t count,
                          const char *expected)
{
    struct nacre_err e = {0};
    struct nacre_object_store *store = fixture_open(fx->server, options, count, &e);
    if (!store || fixture_put(store, "x", "abc", &e) < 0)
        fail_msg("%s", e.message);
    assert_string_equal(fx->service.writer, expected);
    store->ops->close(store);
}

static void expect_failure(struct fixture *fx, const struct nacre_option *options, size_t count,
                           enum nacre_code code, const char *words)
{
    struct nacre_err e = {0};
    struct nacre_object_store *store = fixture_open(fx->server, options, count, &e);
    assert_non_null(store);
    assert_int_equal(fixture_put(store, "x", "abc", &e), -1);
    if (e.code != code || !strstr(e.message, words) || strstr(e.message, "test-secret"))
        fail_msg("%s: %s", err_code_name(e.code), e.message);
    store->ops->close(store);
}

static void test_none(void **state)
{
    expect_failure(*state, NULL, 0, NACRE_DENIED, "no credentials: set AWS_ACCESS_KEY_ID");
    setenv("AWS_ACCESS_KEY_ID", "AKIA", 1);
    expect_failure(*state, NULL, 0, NACRE_DENIED, "AWS_ACCESS_KEY_ID is set, but not AWS_SECRET_ACCESS_KEY");
    setenv("AWS_SECRET_ACCESS_KEY", "test-secret\n", 1);
    expect_failure(*state, NULL, 0, NACRE_DENIED, "was it copied whole?");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
}

static void test_order(void **state)
{
    const struct nacre_option profile = {"profile", "two"};
    write_file(".aws/credentials", "[default]\naws_access_key_id=ONE\naws_secret_access_key=test-secret\n"
                                   "[two]\n aws_access_key_id = no\naws_access_key_id = TWO\r\n"
                                   "aws_secret_access_key = test-secret\r\naws_session_token = T2\n");
    write_file(".aws/config", "[profile three]\naws_access_key_id=THREE\naws_secret_access_key=test-secret\n"
                              "[profile four]\nsso_session = corp\n");
    expect_writer(*state, NULL, 0, "ONE/");
    setenv("AWS_PROFILE", "three", 1);
    expect_writer(*state, NULL, 0, "THREE/");
    expect_writer(*state, &profile, 1, "TWO/T2");
    setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test-secret", 1);
    expect_writer(*state, NULL, 0, "ENV/");
    expect_writer(*state, &profile, 1, "TWO/T2"); /* an option of the location stands above all */
    char path[256];
    snprintf(path, sizeof path, "%s",
             write_file("own", "# of this location\n[default]\naws_access_key_id = OWN\n"
                               "aws_secret_access_key = test-secret\n"));
    const struct nacre_option file[] = {{"credentials-file", path}, {"profile", "none"}};
    expect_writer(*state, file, 1, "OWN/");
    expect_failure(*state, file, 2, NACRE_DENIED, "there is no profile \"none\" in ");
    const struct nacre_option four = {"profile", "four"};
    expect_failure(*state, &four, 1, NACRE_DENIED, "nacre does not know sso_session");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    remove_file("own");
}

static void test_web_identity(void **state)
{
    struct fixture *fx = *state;
    setenv("AWS_ENDPOINT_URL_STS", server_url(fx->server), 1);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write_file("token", TOKEN "\n"), 1);
    expect_failure(fx, NULL, 0, NACRE_DENIED, "but not AWS_ROLE_ARN");
    setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
    expect_writer(fx, NULL, 0, "ASIAWEB/web");
    fx->service.deny = true;
    expect_failure(fx, NULL, 0, NACRE_DENIED, "AccessDenied: Not you");
    fx->service.deny = false;
    unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
    unsetenv("AWS_ROLE_ARN");
    char config[512];
    snprintf(config, sizeof config,
             "[profile w]\nrole_arn = arn:aws:iam::1:role/r\nweb_identity_token_file = %s/token\n",
             directory);
    write_file(".aws/config", config);
    const struct nacre_option profile = {"profile", "w"};
    expect_writer(fx, &profile, 1, "ASIAWEB/web");
    remove_file("token");
    expect_failure(fx, &profile, 1, NACRE_DENIED, "the web identity token");
}

static void test_container(void **state)
{
    struct fixture *fx = *state;
    char uri[128];
    snprintf(uri, sizeof uri, "%s/agent", server_url(fx->server));
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri, 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "agent-token", 1);
    expect_writer(fx, NULL, 0, "ASIA1/session1");
    unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write_file("agent", "agent-token\n"), 1);
    expect_writer(fx, NULL, 0, "ASIA2/session2");
    fx->service.life = 0;
    expect_failure(fx, NULL, 0, NACRE_DENIED, "have ended already");
    static const char *const elsewhere[] = {"http://example.com/agent", "http://127.0.0.1.example.com/agent",
                                            "http://127.0.0.1@example.com/", "file:///etc/passwd"};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", elsewhere[i], 1);
        expect_failure(fx, NULL, 0, NACRE_INVALID, "neither https nor an address of this machine");
    }
    remove_file("agent");
}

static void test_instance(void **state)
{
    struct fixture *fx = *state;
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server_url(fx->server), 1);
    expect_writer(fx, NULL, 0, "ASIA1/session1");
    fx->service.no_role = true;
    expect_failure(fx, NULL, 0, NACRE_DENIED, "no credentials");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
    expect_failure(fx, NULL, 0, NACRE_DENIED, "no credentials"); /* nobody there: no instance */
}

/* Keys that the service says have expired are fetched anew, and the request is made again, once. A refusal of
 * keys that are seconds old stands: hence the wait. */
static void test_expired_keys_are_replaced(void **state)
{
    struct fixture *fx = *state;
    struct nacre_err e = {0};
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server_url(fx->server), 1);
    struct nacre_object_store *store = fixture_open(fx->server, NULL, 0, &e);
    assert_non_null(store);
    assert_int_equal(fixture_put(store, "x", "abc", &e), 0);
    fx->service.refuse_first = true;
    assert_int_equal(fixture_put(store, "x", "abc", &e), -1);
    assert_int_equal(e.code, NACRE_DENIED);
    sleep(11);
    assert_int_equal(fixture_put(store, "x", "abc", &e), 0);
    assert_string_equal(fx->service.writer, "ASIA2/session2");
    assert_int_equal(fx->service.granted, 2);
    store->ops->close(store);
}

static void test_profiles(void **state)
{
    (void)state;
    static const char text[] =
        "; a comment\nregion = outside\n[ profile a ]\nregion = one = two\nregion = later\n"
        "endpoint_url\n[profile ab]\nregion=ab\n[default]\nregion=default\n[a]\nregion=plain\n"
        "[profile a]\nrole_arn=r\ns3 =\n  aws_access_key_id = nested\n[broken\nregion = b";
    static const struct {
        const char *name;
        bool config;
        const char *region;
    } cases[] = {{"a", true, "one = two"}, {"ab", true, "ab"}, {"default", true, "default"},
                 {"a", false, "plain"},    {"b", true, NULL},  {"", true, NULL},
                 {"profile", false, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct profile profile = {0};
        struct nacre_err e = {0};
        struct buf copy = {0};
        buf_string(&copy, text);
        assert_int_equal(profile_parse(&copy, cases[i].name, cases[i].config, &profile, &e), 0);
        assert_int_equal(profile.found, cases[i].region != NULL);
        if (cases[i].region)
            assert_string_equal(profile.region, cases[i].region);
        assert_null(profile.access_key);
        profile_free(&profile);
        buf_free(&copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_web_identity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_container, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_instance, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expired_keys_are_replaced, set_up, tear_down),
        cmocka_unit_test(test_profiles),
    };
    char path[64];
    if (!mkdtemp(directory))
        return 99;
    snprintf(path, sizeof path, "%s/.aws", directory);
    mkdir(path, 0700);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(path);
    rmdir(directory);
    return failed;
}

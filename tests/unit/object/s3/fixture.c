/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <stdio.h>

char fixture_warning[1024];
extern const struct nacre_object_store_plugin nacre_object_store_plugin;

void fixture_environment(void)
{
    static const char *const names[] = {"AWS_PROFILE",
                                        "AWS_REGION",
                                        "AWS_DEFAULT_REGION",
                                        "AWS_SESSION_TOKEN",
                                        "AWS_SHARED_CREDENTIALS_FILE",
                                        "AWS_CONFIG_FILE",
                                        "AWS_WEB_IDENTITY_TOKEN_FILE",
                                        "AWS_ROLE_ARN",
                                        "AWS_ROLE_SESSION_NAME",
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                        "AWS_ENDPOINT_URL",
                                        "AWS_ENDPOINT_URL_S3",
                                        "AWS_ENDPOINT_URL_STS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("HOME", "/nonexistent", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    setenv("AWS_ACCESS_KEY_ID", "AKIDTEST", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test-secret", 1);
}

static void note(enum nacre_log_level level, const char *message)
{
    if (level == NACRE_LOG_WARNING)
        snprintf(fixture_warning, sizeof fixture_warning, "%s", message);
    assert_null(strstr(message, "secret"));
}

struct nacre_object_store *fixture_open(const struct server *server, const struct nacre_option *options,
                                        size_t count, struct nacre_err *e)
{
    struct nacre_option all[16] = {{"endpoint", server_url(server)}, {"proxy", "none"}};
    assert_in_range(count, 0, 14);
    if (count)
        memcpy(all + 2, options, count * sizeof *options);
    const struct nacre_config config = {
        .size = sizeof config, .options = all, .option_count = count + 2, .log = note};
    struct nacre_object_store *store = NULL;
    *fixture_warning = '\0';
    return nacre_object_store_plugin.open("s3://bucket/pre", &config, &store, e) == 0 ? store : NULL;
}

int fixture_put(struct nacre_object_store *store, const char *name, const char *text, struct nacre_err *e)
{
    const struct nacre_input input = {.size = strlen(text), .data = text};
    return store->ops->put(store, name, &input, e);
}

int fixture_put_if_absent(struct nacre_object_store *store, const char *name, const char *text,
                          struct nacre_err *e)
{
    const struct nacre_input input = {.size = strlen(text), .data = text};
    return store->ops->put_if_absent(store, name, &input, e);
}

static int append(void *ctx, const void *data, size_t size, struct nacre_err *e)
{
    (void)e;
    buf_append(ctx, data, size);
    return 0;
}

int fixture_get(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
                struct buf *out, struct nacre_err *e)
{
    return store->ops->get(store, name, offset, length, append, out, e);
}

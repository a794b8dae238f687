/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is read, and for every mistake file, line, column and what is expected. And
 * what clusters make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cluster.h"
#include "cli/settings.h"

static struct nacre_err e;

static struct settings *parse(const char *text)
{
    struct settings *settings = NULL;
    e = (struct nacre_err){0};
    if (settings_parse(text, strlen(text), "c.yaml", &settings, &e) < 0)
        return NULL;
    return settings;
}

static struct settings *accepts(const char *text)
{
    struct settings *settings = parse(text);
    if (!settings)
        fail_msg("%s", e.message);
    return settings;
}

static void refuses(const char *text, const char *message)
{
    struct settings *settings = parse(text);
    if (settings)
        fail_msg("accepted: %s", text);
    assert_int_equal(e.code, NACRE_INVALID);
    if (!strstr(e.message, message))
        fail_msg("\"%s\" does not say \"%s\"", e.message, message);
}

static void reads(void **state)
{
    (void)state;
    struct settings *s =
        accepts("clusters:\n"
                "  east:  {conf: /path/east.conf, keyring: /path/east.keyring, user: admin}\n"
                "  local: {driver: hostpath, path: /srv/volumes}\n"
                "locations:\n"
                "  default: {url: \"file:///srv/backups\", password-file: /etc/nacre/password}\n"
                "  second:\n"
                "    url: file:///x\n"
                "    retry-tries: 5\n");
    assert_int_equal(s->cluster_count, 2);
    assert_string_equal(settings_value(settings_cluster(s, "east"), "user"), "admin");
    assert_string_equal(settings_value(settings_cluster(s, "local"), "driver"), "hostpath");
    assert_null(settings_value(settings_cluster(s, "local"), "user"));
    assert_null(settings_cluster(s, "west"));
    assert_string_equal(settings_value(settings_location(s, "second"), "retry-tries"), "5");
    assert_int_equal(settings_location(s, "second")->line, 6);
    settings_free(s);
}

static void reads_nothing(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "# comment\n", "---\n", "~\n", "clusters:\nlocations: ~\n", "{}"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct settings *s = accepts(empty[i]);
        assert_int_equal(s->cluster_count + s->location_count, 0);
        settings_free(s);
    }
}

static void says_where(void **state)
{
    (void)state;
    refuses("clusters: {}\ncluster: {}\n", "c.yaml:2:1: unknown key \"cluster\"");
    refuses("clusters: {}\nclusters: {}\n", "c.yaml:2:1: key \"clusters\" is there twice");
    refuses("clusters:\n  a: {conf: x}\n  a: {conf: y}\n", "c.yaml:3:3: name \"a\" is there twice");
    refuses("clusters:\n  a:\n    conf: x\n    conf: y\n", "c.yaml:4:5: key \"conf\" is there twice");
    refuses("clusters: [a, b]\n", "c.yaml:1:11: \"clusters\" must be a map");
    refuses("clusters:\n  a: b\n", "c.yaml:2:6: \"a\" must be a map");
    refuses("clusters:\n  a: {conf: [x]}\n", "c.yaml:2:13: the value of \"conf\" must be text");
    refuses("clusters:\n  a: {conf: }\n", "\"conf\" has no value");
    refuses("clusters:\n  a: {Conf: x}\n", "c.yaml:2:7: key \"Conf\"");
    refuses("clusters:\n  a/b: {conf: x}\n", "c.yaml:2:3: name \"a/b\"");
    refuses("clusters:\n  [a]: {conf: x}\n", "a name must be a word");
    refuses("locations:\n  d: {password-file: x}\n", "c.yaml:2:3: location \"d\" needs a url");
    refuses("locations:\n  d: {url: /srv/x}\n", "c.yaml:2:3: location \"d\" needs a url");
    refuses("locations:\n  d: {url: \"a://b\", password-file: x, password-command: y}\n",
            "exclude each other");
    refuses("- a\n", "the file must be a map");
    refuses("clusters: {a: {conf: x}\n", "c.yaml:2:1:");
    refuses("clusters:\n\ta: b\n", "c.yaml:2:1:");
    refuses("clusters: {}\n---\nlocations: {}\n", "c.yaml:3:1: a second document");
    refuses("clusters: *x\n", "c.yaml:1:11:");
    refuses("clusters: {a: {conf: \"x\\0y\"}}\n", "NUL");
    refuses("clusters: {a: {conf: \"\xff\"}}\n", "UTF-8");
}

static void is_bounded(void **state)
{
    (void)state;
    static char text[SETTINGS_BYTES_MAX + 100];
    memset(text, '#', sizeof text - 1);
    refuses(text, "larger than");

    size_t used = (size_t)snprintf(text, sizeof text, "clusters:\n");
    for (unsigned i = 0; i <= SETTINGS_ENTRIES_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "  c%u: {conf: x}\n", i);
    refuses(text, "too many entries");

    used = (size_t)snprintf(text, sizeof text, "clusters:\n  a:\n");
    for (unsigned i = 0; i <= SETTINGS_KEYS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "    k%u: x\n", i);
    refuses(text, "too many keys");

    memset(text, '[', 100000);
    text[100000] = 0;
    refuses(text, "nested too deeply");
}

static void options_of(const char *settings_text, const char *volume, const char *expected)
{
    struct settings *s = accepts(settings_text);
    struct volume_ref ref;
    char conf[CLUSTER_CONF_SIZE], got[512] = "";
    struct nacre_option *options = NULL;
    size_t count = 0;
    assert_int_equal(volume_ref_parse(volume, &ref, &e), 0);
    if (cluster_options(s, &ref, conf, &options, &count, &e) < 0) {
        if (!strstr(e.message, expected))
            fail_msg("\"%s\" does not say \"%s\"", e.message, expected);
        assert_int_equal(e.code, NACRE_INVALID);
    } else {
        for (size_t i = 0; i < count; i++) {
            size_t used = strlen(got);
            snprintf(got + used, sizeof got - used, "%s=%s ", options[i].key, options[i].value);
        }
        assert_string_equal(got, expected);
    }
    free(options);
    settings_free(s);
}

static void drivers_fit(void **state)
{
    (void)state;
    const char *text =
        "clusters:\n  east: {conf: /e}\n  host: {driver: hostpath, path: /v}\n  bad: {cluster: x}\n";
    options_of(text, "rbd/east/p/i", "cluster=east conf=/e ");
    options_of(text, "cephfs/east/f/g/s", "cluster=east conf=/e ");
    options_of(text, "hostpath/host/v", "cluster=host path=/v ");
    options_of(text, "hostpath/east/v", "has driver rbd (the default), not hostpath");
    options_of(text, "rbd/host/p/i", "(c.yaml:3) has driver hostpath, not rbd");
    options_of(text, "rbd/bad/p/i", "not for the configuration");
    options_of(text, "hostpath/none/v", "cluster \"none\" is not in c.yaml; add it");
    options_of(text, "rbd/no-such-cluster/p/i", "there is no /etc/ceph/no-such-cluster.conf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads), cmocka_unit_test(reads_nothing),
                                       cmocka_unit_test(says_where), cmocka_unit_test(is_bounded),
                                       cmocka_unit_test(drivers_fit)};
    return cmocka_run_group_tests_name("cli-settings", tests, NULL, NULL);
}

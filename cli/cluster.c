/* SPDX-License-Identifier: Apache-2.0 */
/* From DRIVER/CLUSTER to an open driver. A cluster that the configuration does not name is looked for where
 * Ceph keeps its own: /etc/ceph/CLUSTER.conf. */
#include "cli/cluster.h"

#include <string.h>

#include "cli/settings.h"
#include "common/err.h"
#include "plugins/find.h"
#include "plugins/load.h"

struct opened {
    char driver_name[32], cluster[64];
    struct nacre_driver *driver;
};

struct clusters {
    struct opened *items;
    size_t count;
};

struct clusters *clusters_new(void)
{
    return calloc(1, sizeof(struct clusters));
}

void clusters_free(struct clusters *clusters)
{
    if (!clusters)
        return;
    for (size_t i = 0; i < clusters->count; i++)
        driver_close(clusters->items[i].driver);
    free(clusters->items);
    free(clusters);
}

/* An entry without a driver is a Ceph cluster, which both rbd and cephfs know how to use. */
static int check_driver(const struct settings *settings, const struct settings_entry *entry,
                        const struct volume_ref *ref, struct nacre_err *e)
{
    const char *driver = settings_value(entry, "driver");
    bool fits =
        driver ? !strcmp(driver, ref->driver) : !strcmp(ref->driver, "rbd") || !strcmp(ref->driver, "cephfs");
    if (fits)
        return 0;
    return err_set(e, NACRE_INVALID, "cluster \"%s\" (%s:%u) has driver %s%s, not %s", ref->cluster,
                   settings->file, entry->line, driver ? driver : "rbd", driver ? "" : " (the default)",
                   ref->driver);
}

static int add(struct nacre_option *options, size_t *count, const char *key, const char *value)
{
    options[(*count)++] = (struct nacre_option){key, value};
    return 0;
}

int cluster_options(const struct settings *settings, const struct volume_ref *ref,
                    char conf[CLUSTER_CONF_SIZE], struct nacre_option **options, size_t *count,
                    struct nacre_err *e)
{
    const struct settings_entry *entry = settings_cluster(settings, ref->cluster);
    CLEANUP(mem_free) struct nacre_option *list = calloc(SETTINGS_KEYS_MAX + 2, sizeof *list);
    if (!list)
        return err_no_memory(e, "the cluster's options");
    size_t used = 0;
    add(list, &used, "cluster", ref->cluster);
    if (entry && check_driver(settings, entry, ref, e) < 0)
        return -1;
    for (size_t i = 0; entry && i < entry->option_count; i++) {
        if (!strcmp(entry->options[i].key, "cluster"))
            return err_set(e, NACRE_INVALID,
                           "cluster \"%s\" (%s:%u): the key \"cluster\" is not for the "
                           "configuration: the entry's name is the cluster",
                           ref->cluster, settings->file, entry->line);
        if (strcmp(entry->options[i].key, "driver") != 0)
            add(list, &used, entry->options[i].key, entry->options[i].value);
    }
    if (!entry) {
        bool ceph = !strcmp(ref->driver, "rbd") || !strcmp(ref->driver, "cephfs");
        snprintf(conf, CLUSTER_CONF_SIZE, "/etc/ceph/%s.conf", ref->cluster);
        if (!ceph || access(conf, F_OK) < 0)
            return err_set(e, NACRE_INVALID, "cluster \"%s\" is not in %s%s%s; add it (see nacre.yaml(5))",
                           ref->cluster, settings->file ? settings->file : "any configuration",
                           ceph ? ", and there is no " : "", ceph ? conf : "");
        add(list, &used, "conf", conf);
    }
    *options = MOVE(list);
    *count = used;
    return 0;
}

/* Whether there is such a driver comes before whether there is such a cluster. */
static int check_installed(const char *driver, struct nacre_err *e)
{
    CLEANUP(plugin_files_free) struct plugin_files files = {0};
    struct nacre_driver *none;
    if (plugin_files_find("volume", &files, e) < 0)
        return -1;
    for (size_t i = 0; i < files.count; i++)
        if (!strcmp(files.items[i].name, driver))
            return 0;
    return plugin_open_driver(driver, NULL, 0, &none, e); /* says which there are */
}

int clusters_open(struct clusters *clusters, struct cli *cli, const struct volume_ref *ref,
                  struct nacre_driver **out, struct nacre_err *e)
{
    for (size_t i = 0; i < clusters->count; i++) {
        struct opened *o = &clusters->items[i];
        if (!strcmp(o->driver_name, ref->driver) && !strcmp(o->cluster, ref->cluster)) {
            *out = o->driver;
            return 0;
        }
    }
    struct settings *settings;
    CLEANUP(mem_free) struct nacre_option *options = NULL;
    char conf[CLUSTER_CONF_SIZE];
    size_t count = 0;
    if (check_installed(ref->driver, e) < 0 || cli_settings(cli, &settings, e) < 0 ||
        cluster_options(settings, ref, conf, &options, &count, e) < 0)
        return -1;
    struct opened *grown = reallocarray(clusters->items, clusters->count + 1, sizeof *grown);
    if (!grown)
        return err_no_memory(e, "a cluster");
    clusters->items = grown;
    struct opened *o = &grown[clusters->count];
    *o = (struct opened){0};
    snprintf(o->driver_name, sizeof o->driver_name, "%s", ref->driver);
    snprintf(o->cluster, sizeof o->cluster, "%s", ref->cluster);
    if (plugin_open_driver(ref->driver, options, count, &o->driver, e) < 0)
        return err_wrap(e, "cluster \"%s\"", ref->cluster);
    clusters->count++;
    *out = o->driver;
    return 0;
}

int clusters_open_lifecycle(struct clusters *clusters, struct cli *cli, const struct volume_ref *ref,
                            struct nacre_driver **out, struct nacre_err *e)
{
    if (clusters_open(clusters, cli, ref, out, e) < 0)
        return -1;
    return (*out)->lifecycle
               ? 0
               : err_set(e, NACRE_UNSUPPORTED, "volume driver %s cannot manage volumes", ref->driver);
}

int clusters_open_block(struct clusters *clusters, struct cli *cli, const struct volume_ref *ref,
                        struct nacre_driver **out, struct nacre_err *e)
{
    if (clusters_open_lifecycle(clusters, cli, ref, out, e) < 0)
        return -1;
    return (*out)->block
               ? 0
               : err_set(e, NACRE_UNSUPPORTED, "volume driver %s has no block volumes", ref->driver);
}

int volume_argument(const char *text, enum snapshot_part snapshot, struct volume_ref *out,
                    struct nacre_err *e)
{
    if (volume_ref_parse(text, out, e) < 0)
        return -1;
    if (snapshot == SNAPSHOT_NEEDED && !*out->snap)
        return err_set(e, NACRE_INVALID, "%.256s: a snapshot is meant: VOLUME@SNAP", text);
    if (snapshot == SNAPSHOT_NONE && *out->snap)
        return err_set(e, NACRE_INVALID, "%.256s: a volume is meant, without @%s", text, out->snap);
    return 0;
}

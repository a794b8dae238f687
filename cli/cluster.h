/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers on clusters, opened on first use and shared: one handle per driver and cluster in a run, so that
 * volumes of one cluster can be taken together. */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "cli/cli.h"
#include "plugins/volume_ref.h"

struct clusters;
struct clusters *clusters_new(void); /* NULL = out of memory */
void clusters_free(struct clusters *clusters);
CLEANUP_DEFINE(struct clusters *, clusters_free)

/* The driver of a volume; *out belongs to clusters. NACRE_INVALID when the cluster's entry of the
 * configuration says another driver, or there is no such cluster. */
int clusters_open(struct clusters *clusters, struct cli *cli, const struct volume_ref *ref,
                  struct nacre_driver **out, struct nacre_err *e);

/* As clusters_open, and the facet is there. */
int clusters_open_lifecycle(struct clusters *clusters, struct cli *cli, const struct volume_ref *ref,
                            struct nacre_driver **out, struct nacre_err *e);
int clusters_open_block(struct clusters *clusters, struct cli *cli, const struct volume_ref *ref,
                        struct nacre_driver **out, struct nacre_err *e);

/* The options a driver is opened with, from the configuration or Ceph's convention; *options: free(), its
 * strings are borrowed from config, ref and conf. For clusters_open and its test. conf: room for a path. */
#define CLUSTER_CONF_SIZE 128
int cluster_options(const struct settings *settings, const struct volume_ref *ref,
                    char conf[CLUSTER_CONF_SIZE], struct nacre_option **options, size_t *count,
                    struct nacre_err *e);

/* Parses argument number `at` as DRIVER/CLUSTER/PATH, with or without @SNAP as `snapshot` says. */
enum snapshot_part { SNAPSHOT_NONE, SNAPSHOT_NEEDED, SNAPSHOT_ALLOWED };
int volume_argument(const char *text, enum snapshot_part snapshot, struct volume_ref *out,
                    struct nacre_err *e);

#endif

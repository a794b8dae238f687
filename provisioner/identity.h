/* SPDX-License-Identifier: Apache-2.0 */
/* The CSI Identity service: who this driver is, what it can do, and whether it is able to. */
#ifndef PROVISIONER_IDENTITY_H
#define PROVISIONER_IDENTITY_H

#include "provisioner/server.h"

/* What all services know of this driver: the `ctx` of every method. */
struct driver_settings {
    const char *csi_name;      /* as StorageClasses name it */
    const char *volume_driver; /* the plugin: rbd, cephfs, hostpath */
    const char *node_id;
    const char *cluster_config; /* path; NULL = none */
    bool controller, node;
};

int identity_plugin_info(void *ctx, const uint8_t *request, size_t size, struct buf *response,
                         struct nacre_err *e);
int identity_plugin_capabilities(void *ctx, const uint8_t *request, size_t size, struct buf *response,
                                 struct nacre_err *e);
int identity_probe(void *ctx, const uint8_t *request, size_t size, struct buf *response, struct nacre_err *e);

/* 0 when the driver can work: its plugin is installed and loads, its configuration can be read. Else why not.
 */
int identity_ready(const struct driver_settings *settings, struct nacre_err *e);

#endif

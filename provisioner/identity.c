/* SPDX-License-Identifier: Apache-2.0 */
/* Identity. A capability is claimed when its service works, not before. Probe looks anew each time: a plugin
 * that was uninstalled or a configuration that became unreadable is what it is there to find. */
#include "provisioner/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "csi.pb-c.h"
#include "plugins/load.h"
#include "provisioner/message.h"

int identity_plugin_info(void *ctx, const uint8_t *request, size_t size, struct buf *response,
                         struct nacre_err *e)
{
    const struct driver_settings *settings = ctx;
    if (message_check(&csi__v1__get_plugin_info_request__descriptor, request, size, e) < 0)
        return -1;
    Csi__V1__GetPluginInfoResponse__ManifestEntry driver =
        CSI__V1__GET_PLUGIN_INFO_RESPONSE__MANIFEST_ENTRY__INIT;
    driver.key = (char *)"volume-driver";
    driver.value = (char *)settings->volume_driver;
    Csi__V1__GetPluginInfoResponse__ManifestEntry *manifest[] = {&driver};
    Csi__V1__GetPluginInfoResponse info = CSI__V1__GET_PLUGIN_INFO_RESPONSE__INIT;
    info.name = (char *)settings->csi_name;
    info.vendor_version = (char *)NACRE_VERSION;
    info.manifest = manifest;
    info.n_manifest = 1;
    return message_append(&info.base, response, e);
}

int identity_plugin_capabilities(void *ctx, const uint8_t *request, size_t size, struct buf *response,
                                 struct nacre_err *e)
{
    (void)ctx;
    if (message_check(&csi__v1__get_plugin_capabilities_request__descriptor, request, size, e) < 0)
        return -1;
    const Csi__V1__GetPluginCapabilitiesResponse none = CSI__V1__GET_PLUGIN_CAPABILITIES_RESPONSE__INIT;
    return message_append(&none.base, response, e);
}

struct wanted {
    const char *name;
    bool found;
    char problem[NACRE_MESSAGE_SIZE];
};

static int look_for(void *ctx, const struct plugin_info *info)
{
    struct wanted *wanted = ctx;
    if (strcmp(info->kind, "volume") != 0 || strcmp(info->name, wanted->name) != 0)
        return 0;
    wanted->found = true;
    snprintf(wanted->problem, sizeof wanted->problem, "%s", info->problem ? info->problem : "");
    return 1;
}

int identity_ready(const struct driver_settings *settings, struct nacre_err *e)
{
    struct wanted wanted = {.name = settings->volume_driver};
    if (plugin_each(look_for, &wanted, e) < 0)
        return -1;
    if (!wanted.found)
        return err_set(e, NACRE_BUSY,
                       "no volume driver \"%s\" is installed; nacre plugin get lists those that are",
                       settings->volume_driver);
    if (*wanted.problem)
        return err_set(e, NACRE_BUSY, "the volume driver cannot be used: %s", wanted.problem);
    if (!settings->cluster_config)
        return 0;
    CLEANUP(fd_close) int fd = open(settings->cluster_config, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(e, errno, "cannot read the configuration %s", settings->cluster_config);
        e->code = NACRE_BUSY;
        return -1;
    }
    return 0;
}

/* Not ready is FAILED_PRECONDITION: the specification's word for a driver that needs someone to look after
 * it. */
int identity_probe(void *ctx, const uint8_t *request, size_t size, struct buf *response, struct nacre_err *e)
{
    if (message_check(&csi__v1__probe_request__descriptor, request, size, e) < 0 ||
        identity_ready(ctx, e) < 0)
        return -1;
    Csi__V1__BoolValue yes = CSI__V1__BOOL_VALUE__INIT;
    yes.value = true;
    Csi__V1__ProbeResponse ready = CSI__V1__PROBE_RESPONSE__INIT;
    ready.ready = &yes;
    return message_append(&ready.base, response, e);
}

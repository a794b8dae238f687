/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatch table: every method that this driver answers. A service is added by a file of its own and its
 * lines here; what is not here is UNIMPLEMENTED. */
#include "provisioner/methods.h"

#include "provisioner/identity.h"

const struct method csi_methods[] = {
    {"/csi.v1.Identity/GetPluginInfo", identity_plugin_info},
    {"/csi.v1.Identity/GetPluginCapabilities", identity_plugin_capabilities},
    {"/csi.v1.Identity/Probe", identity_probe},
    {NULL, NULL},
};

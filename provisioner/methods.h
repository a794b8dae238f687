/* SPDX-License-Identifier: Apache-2.0 */
/* What nacre-csi answers; ctx is a struct driver_settings. */
#ifndef PROVISIONER_METHODS_H
#define PROVISIONER_METHODS_H

#include "provisioner/server.h"

extern const struct method csi_methods[];

#endif

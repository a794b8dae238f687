/* SPDX-License-Identifier: Apache-2.0 */
/* The edge where nacre's error codes become gRPC statuses. */
#ifndef PROVISIONER_STATUS_H
#define PROVISIONER_STATUS_H

#include <grpc/status.h>
#include <nacre/plugin.h>

/* As the CSI specification uses them: sidecars retry UNAVAILABLE, ABORTED, CANCELLED and DEADLINE_EXCEEDED,
 * and take everything else as final, so a code that may go away by itself must map to one of these. */
grpc_status_code status_of(enum nacre_code code);

#endif

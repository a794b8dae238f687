/* SPDX-License-Identifier: Apache-2.0 */
/* The tar file of a backup: the Kubernetes objects that it holds, below resources/. */
#ifndef KUBERNETES_TAR_H
#define KUBERNETES_TAR_H

#include <nacre/plugin.h>

#include "common/buf.h"

/* Appends the tar file of a backup that holds no Kubernetes objects, not yet compressed: metadata/version
 * alone, by which Velero knows the format (1.1.0). modified_ns: the time of its entry. */
int tar_without_resources(int64_t modified_ns, struct buf *out, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gzip in memory: how Velero keeps every object but velero-backup.json. */
#ifndef KUBERNETES_GZIP_H
#define KUBERNETES_GZIP_H

#include <nacre/plugin.h>

#include "common/buf.h"

/* Appends data as one gzip member, without a time or a name: equal input gives equal bytes. */
int gzip_pack(const void *data, size_t size, struct buf *out, struct nacre_err *e);

/* Appends the plain bytes of one or more members. NACRE_CORRUPT for what is not gzip, is cut off, fails its
 * checksum, or has more than `limit` plain bytes. */
int gzip_unpack(const void *data, size_t size, size_t limit, struct buf *out, struct nacre_err *e);

#endif

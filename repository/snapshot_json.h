/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a snapshot's JSON; snapshot_parse is the other direction. */
#ifndef REPOSITORY_SNAPSHOT_JSON_H
#define REPOSITORY_SNAPSHOT_JSON_H

#include "common/buf.h"
#include "repository/snapshot.h"

void snapshot_json(struct buf *out, const struct snapshot *snapshot);

#endif

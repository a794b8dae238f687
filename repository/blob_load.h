/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one blob by its id: for trees and other single reads. The restore engine plans by pack instead. */
#ifndef REPOSITORY_BLOB_LOAD_H
#define REPOSITORY_BLOB_LOAD_H

#include "repository/index.h"

/* Appends the plain bytes to out. NACRE_CORRUPT when the index does not have it ("lost") or its bytes are
 * wrong; when several packs hold it, each is tried. */
int blob_load(struct repo *repo, struct index *index, enum blob_type type, const struct id *id,
              struct buf *out, struct nacre_err *e);

#endif

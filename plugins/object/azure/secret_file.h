/* SPDX-License-Identifier: Apache-2.0 */
/* Files that hold one secret. */
#ifndef OBJECT_AZURE_SECRET_FILE_H
#define OBJECT_AZURE_SECRET_FILE_H

#include <nacre/plugin.h>

#include "common/buf.h"

/* Appends the text of a file of at most 64 KiB without white space at its ends. NACRE_INVALID when it cannot
 * be read, is empty or has a NUL; the path is in the message. *out is to be wiped. */
int secret_file_read(const char *path, struct buf *out, struct nacre_err *e);

#endif

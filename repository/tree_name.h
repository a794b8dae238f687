/* SPDX-License-Identifier: Apache-2.0 */
/* Names in trees: any bytes of a file name as text, the way Go's strconv.Quote writes them, without the
 * quotes. (The text is then a JSON string, which escapes it once more.) */
#ifndef REPOSITORY_TREE_NAME_H
#define REPOSITORY_TREE_NAME_H

#include "common/buf.h"

void tree_name_quote(struct buf *out, const char *name, size_t size);

/* Appends the raw bytes; false when text is not what Go's strconv.Unquote accepts between double quotes. */
bool tree_name_unquote(const char *text, size_t size, struct buf *out);

/* True for what is quoted as itself (except backslash and double quote). */
bool tree_rune_printable(uint32_t rune);

#endif

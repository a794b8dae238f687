/* SPDX-License-Identifier: Apache-2.0 */
/* What is needed of XML answers: the texts of elements, in order. expat parses. */
#ifndef OBJECT_HTTP_XML_H
#define OBJECT_HTTP_XML_H

#include <nacre/plugin.h>

#include "common/buf.h"

/* Called at the end of each element that holds no other: its path without namespaces, such as
 * "ListBucketResult/Contents/Key", and its text (entities decoded). 0, or -1 with *e set. */
typedef int xml_leaf(void *ctx, const char *path, const char *text, struct nacre_err *e);

/* Called at the end of every other element. */
typedef int xml_end(void *ctx, const char *path, struct nacre_err *e);

/* NACRE_CORRUPT when data is no well-formed XML, has a document type, or is deeper than 16 levels. `end` may
 * be NULL. */
int xml_read(const void *data, size_t size, xml_leaf *leaf, xml_end *end, void *ctx, struct nacre_err *e);

/* Appends the text of the first leaf with that path to out; false when there is none, or no XML at all. */
bool xml_find(const void *data, size_t size, const char *path, struct buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Results on standard output: a document as JSON or YAML for programs, a table or text for people. With -o
 * json or yaml nothing but the document is written there. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>

#include "cli/cli.h"
#include "common/buf.h"

/* Prints a document as JSON or YAML, as the run's -o says (which is not the table). */
int output_document(const struct cli *cli, const json_t *document, struct nacre_err *e);

/* Flushes standard output: a full disk or a closed pipe must not pass for success. */
int output_finish(struct nacre_err *e);

/* For building documents: jansson's functions accept NULL and report it at the end. */
json_t *output_text(const char *text); /* invalid UTF-8 is replaced; NULL or "" = null */
json_t *output_time(int64_t ns);       /* RFC 3339, whole seconds; 0 = null */
json_t *output_number(uint64_t value); /* NACRE_UNKNOWN and beyond int64_t = null */
json_t *output_options(const struct nacre_option *options, size_t count); /* an object */

/* Text from elsewhere (a repository, a cluster) for a terminal: control characters become '?', so that a
 * name cannot move the cursor or fake a line. Appends. */
void output_clean(struct buf *out, const char *text);

/* A job's log: cleaned line by line, or {"log": "…"}. */
int output_log(const struct cli *cli, const struct buf *log, struct nacre_err *e);

/* A table: columns as wide as their widest cell, two spaces between. */
struct table;
struct table *table_new(const char *const *headers, size_t columns); /* NULL = out of memory */
void table_free(struct table *table);
CLEANUP_DEFINE(struct table *, table_free)
void table_align_right(struct table *table, size_t column);
/* One row; as many texts as columns, which are copied; NULL or "" is shown as "-". */
void table_row(struct table *table, const char *const *cells);
void table_print(struct table *table);

/* `Name:  value` lines of a description; "" or NULL is left out. */
void output_field(const char *name, const char *value);
void output_field_size(const char *name, uint64_t bytes); /* "1.5 GiB (1610612736 bytes)" */
void output_field_time(const char *name, int64_t ns);

#endif

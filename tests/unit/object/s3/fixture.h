/* SPDX-License-Identifier: Apache-2.0 */
/* A store on a server of the test's own. */
#ifndef S3_TEST_FIXTURE_H
#define S3_TEST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nacre/object_store.h>

#include "common/buf.h"
#include "common/err.h"
#include "server.h"

/* Nothing of the environment of whoever runs the test; keys "AKIDTEST" and "test-secret". */
void fixture_environment(void);

/* Opens s3://bucket/pre at the server, with further options; NULL with *e set when that fails. */
struct nacre_object_store *fixture_open(const struct server *server, const struct nacre_option *options,
                                        size_t count, struct nacre_err *e);

/* The last warning that a store gave, "" when there was none. */
extern char fixture_warning[1024];

int fixture_put(struct nacre_object_store *store, const char *name, const char *text, struct nacre_err *e);
int fixture_put_if_absent(struct nacre_object_store *store, const char *name, const char *text,
                          struct nacre_err *e);
int fixture_get(struct nacre_object_store *store, const char *name, uint64_t offset, uint64_t length,
                struct buf *out, struct nacre_err *e);

#endif

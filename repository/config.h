/* SPDX-License-Identifier: Apache-2.0 */
/* The config file of a repository: sealed JSON, never compressed. */
#ifndef REPOSITORY_CONFIG_H
#define REPOSITORY_CONFIG_H

#include <nacre/plugin.h>

#include "common/buf.h"
#include "repository/id.h"

#define CONFIG_VERSION_MAX 2
#define CONFIG_SIZE_MAX 65536

struct config {
    unsigned version;
    char id[ID_HEX_SIZE];
    uint64_t polynomial;
};

/* A new repository's: random id and polynomial. */
int config_random(struct config *out, unsigned version, struct nacre_err *e);
void config_format(const struct config *config, struct buf *out);

/* NACRE_UNSUPPORTED for a version from the future, NACRE_CORRUPT for anything else that is no config. */
int config_parse(const void *json, size_t size, struct config *out, struct nacre_err *e);

#endif

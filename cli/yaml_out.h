/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON document as YAML. */
#ifndef CLI_YAML_OUT_H
#define CLI_YAML_OUT_H

#include <jansson.h>
#include <stdio.h>

#include <nacre/plugin.h>

int yaml_out(FILE *file, const json_t *document, struct nacre_err *e);

#endif

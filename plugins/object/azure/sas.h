/* SPDX-License-Identifier: Apache-2.0 */
/* What a shared access signature says of itself: for messages only, the service decides.
 * https://learn.microsoft.com/rest/api/storageservices/create-service-sas */
#ifndef OBJECT_AZURE_SAS_H
#define OBJECT_AZURE_SAS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

/* Appends the decoded value of a parameter such as "sp"; false when there is none. */
bool sas_field(const char *sas, const char *name, struct buf *out);

/* A parameter that is a time ("se", "st") in Unix seconds; false when there is none, or it is none. Seconds,
 * and the time of day altogether, may be left out. */
bool sas_time(const char *sas, const char *name, int64_t *seconds);

#endif

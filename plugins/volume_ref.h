/* SPDX-License-Identifier: Apache-2.0 */
/* A volume as users write it: DRIVER/CLUSTER/PATH[@SNAP]. */
#ifndef PLUGINS_VOLUME_REF_H
#define PLUGINS_VOLUME_REF_H

#include <nacre/volume.h>

struct volume_ref {
    char driver[32];
    char cluster[64];
    char path[512];
    char snap[NACRE_SNAPSHOT_NAME_MAX + 1]; /* "" = none */
};

/* NACRE_INVALID with the form that is expected. Path segments are not empty, "." or "..". */
int volume_ref_parse(const char *text, struct volume_ref *out, struct nacre_err *e);

/* Long enough for any reference. */
#define VOLUME_REF_SIZE 800
void volume_ref_format(const struct volume_ref *ref, char out[VOLUME_REF_SIZE]);

/* True when the name can be a snapshot's. */
bool volume_snapshot_name_valid(const char *name);

#endif

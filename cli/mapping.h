/* SPDX-License-Identifier: Apache-2.0 */
/* --volume-mapping SRC=DST: where the volumes of a backup go. SRC is a volume of the backup, the end of one
 * (whole segments: `image` or `pool/image` of rbd/east/pool/image) that means only one, the beginning of some
 * (rbd/east/pool: what follows is appended to DST), or `*`, when there is only one volume. The longest SRC
 * that matches a volume decides; a rule that matches nothing is a mistake, and said to be one. */
#ifndef CLI_MAPPING_H
#define CLI_MAPPING_H

#include "plugins/volume_ref.h"

struct mapping_rule {
    const char *text; /* SRC=DST, as it was given */
    char source[VOLUME_REF_SIZE];
    char target[VOLUME_REF_SIZE];
};

/* Cuts SRC=DST at its last '='. The text is borrowed. */
int mapping_rule_parse(const char *text, struct mapping_rule *out, struct nacre_err *e);

/* True when `name` is the volume or path, or its end in whole segments. */
bool mapping_names(const char *name, const char *volume);

/* The number of the one of `volumes` that name means; NACRE_ABSENT, listing what there is, or NACRE_INVALID
 * when several would be meant. */
int mapping_select(const char *name, const char *const *volumes, size_t count, size_t *out,
                   struct nacre_err *e);

/* targets[i] is where volumes[i] goes: by the rules, else to its own place. native[i] false: volumes[i] is a
 * path in a snapshot that something else made, which has no place of its own. */
int mapping_apply(const struct mapping_rule *rules, size_t rule_count, const char *const *volumes,
                  const bool *native, size_t count, struct volume_ref *targets, struct nacre_err *e);

#endif

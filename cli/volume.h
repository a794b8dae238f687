/* SPDX-License-Identifier: Apache-2.0 */
/* What the volume commands share: showing a volume, and the options of one that is made. */
#ifndef CLI_VOLUME_H
#define CLI_VOLUME_H

#include <jansson.h>

#include "cli/cluster.h"

extern const struct option option_size, option_property, option_metadata;

/* The spec of a volume to be made, from --property and --metadata. */
struct volume_request {
    struct nacre_volume_spec spec;
    struct nacre_option *properties, *metadata;
    char *property_text, *metadata_text;
};
int volume_request_read(const struct cli *cli, struct volume_request *out, struct nacre_err *e);
void volume_request_free(struct volume_request *request);
static inline void volume_request_free_at(struct volume_request *request)
{
    volume_request_free(request);
}

/* The volume as a document. ref says its driver and cluster; the path is the info's. */
json_t *volume_document(const struct volume_ref *ref, const struct nacre_volume_info *info);

/* Whether a restore into the volume did not finish; mark is then the repository snapshot's id. False also
 * when the cluster does not answer. */
#define VOLUME_MARK_SIZE 128
bool volume_unfinished(struct nacre_driver *driver, const char *path, char mark[static VOLUME_MARK_SIZE]);

/* Reads the volume and prints it, as describe does. */
int volume_show(struct cli *cli, struct nacre_driver *driver, const struct volume_ref *ref,
                struct nacre_err *e);

/* For commands that have nothing to show: a line for people, the document {"volume": …} for programs. */
int volume_done(struct cli *cli, const struct volume_ref *ref, const char *what, struct nacre_err *e);

#endif

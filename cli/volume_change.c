/* SPDX-License-Identifier: Apache-2.0 */
/* nacre volume create, expand, clone, delete. */
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/volume.h"
#include "common/err.h"

const struct option option_size = {
    .name = "size", .argument = "SIZE", .help = "size of the volume, such as 10GiB (powers of 1024)"};
const struct option option_property = {.name = "property",
                                       .argument = "KEY=VALUE",
                                       .help =
                                           "a property of the driver's, such as object-size=8388608 of rbd",
                                       .flags = OPTION_REPEAT};
const struct option option_metadata = {.name = "metadata",
                                       .argument = "KEY=VALUE",
                                       .help = "metadata of your own to keep on the volume",
                                       .flags = OPTION_REPEAT};

int volume_request_read(const struct cli *cli, struct volume_request *out, struct nacre_err *e)
{
    *out = (struct volume_request){0};
    struct nacre_volume_spec *spec = &out->spec;
    if (cli_pairs(cli, &option_property, &out->properties, &spec->property_count, &out->property_text, e) <
            0 ||
        cli_pairs(cli, &option_metadata, &out->metadata, &spec->metadata_count, &out->metadata_text, e) < 0)
        return -1;
    for (size_t i = 0; i < spec->metadata_count; i++)
        if (!strncmp(out->metadata[i].key, "nacre.", 6))
            return err_set(e, NACRE_INVALID, "--metadata %.64s: keys that begin with nacre. are nacre's own",
                           out->metadata[i].key);
    spec->properties = out->properties;
    spec->metadata = out->metadata;
    return 0;
}

void volume_request_free(struct volume_request *request)
{
    free(request->properties);
    free(request->metadata);
    free(request->property_text);
    free(request->metadata_text);
    *request = (struct volume_request){0};
}

int volume_done(struct cli *cli, const struct volume_ref *ref, const char *what, struct nacre_err *e)
{
    char name[VOLUME_REF_SIZE];
    volume_ref_format(ref, name);
    if (cli->format == CLI_TABLE) {
        CLEANUP(buf_free) struct buf clean = {0};
        output_clean(&clean, name);
        printf("%s: %s\n", clean.data ? (const char *)clean.data : "", what);
        return 0;
    }
    json_t *document = json_pack("{s:o,s:s}", "volume", output_text(name), "result", what);
    int result = output_document(cli, document, e);
    json_decref(document);
    return result;
}

static int run_create(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    CLEANUP(volume_request_free) struct volume_request request = {0};
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    if (!clusters)
        return err_no_memory(e, "the clusters");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_NONE, &ref, e) < 0 ||
        volume_request_read(cli, &request, e) < 0 || cli_size(cli, &option_size, &request.spec.bytes, e) < 0)
        return -1;
    if (!request.spec.bytes)
        return err_set(e, NACRE_INVALID,
                       "--size is missing or zero: a volume needs one, such as --size 10GiB");
    if (clusters_open_lifecycle(clusters, cli, &ref, &driver, e) < 0 ||
        driver->lifecycle->create(driver, ref.path, &request.spec, e) < 0)
        return -1;
    return cli->format == CLI_TABLE ? volume_done(cli, &ref, "created", e)
                                    : volume_show(cli, driver, &ref, e);
}

static int run_expand(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    uint64_t bytes = 0;
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    if (!clusters)
        return err_no_memory(e, "the clusters");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_NONE, &ref, e) < 0 ||
        cli_size(cli, &option_size, &bytes, e) < 0)
        return -1;
    if (!bytes)
        return err_set(e, NACRE_INVALID, "--size is missing or zero: say how large the volume is to be");
    if (clusters_open_lifecycle(clusters, cli, &ref, &driver, e) < 0 ||
        driver->lifecycle->expand(driver, ref.path, bytes, e) < 0)
        return -1;
    return cli->format == CLI_TABLE ? volume_done(cli, &ref, "expanded", e)
                                    : volume_show(cli, driver, &ref, e);
}

static int run_clone(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref source, target;
    struct nacre_driver *driver;
    CLEANUP(volume_request_free) struct volume_request request = {0};
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    if (!clusters)
        return err_no_memory(e, "the clusters");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_ALLOWED, &source, e) < 0 ||
        volume_argument(cli_argument(cli, 1), SNAPSHOT_NONE, &target, e) < 0 ||
        volume_request_read(cli, &request, e) < 0 || cli_size(cli, &option_size, &request.spec.bytes, e) < 0)
        return -1;
    if (strcmp(source.driver, target.driver) != 0 || strcmp(source.cluster, target.cluster) != 0)
        return err_set(
            e, NACRE_INVALID,
            "a clone stays in its cluster: %s/%s is not %s/%s; between clusters, use nacre backup and "
            "nacre restore",
            target.driver, target.cluster, source.driver, source.cluster);
    if (clusters_open_lifecycle(clusters, cli, &source, &driver, e) < 0 ||
        driver->lifecycle->clone(driver, source.path, *source.snap ? source.snap : NULL, target.path,
                                 &request.spec, e) < 0)
        return -1;
    return cli->format == CLI_TABLE ? volume_done(cli, &target, "created", e)
                                    : volume_show(cli, driver, &target, e);
}

static int run_delete(struct cli *cli, struct nacre_err *e)
{
    struct volume_ref ref;
    struct nacre_driver *driver;
    struct nacre_volume_info *info;
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    if (!clusters)
        return err_no_memory(e, "the clusters");
    if (volume_argument(cli_argument(cli, 0), SNAPSHOT_NONE, &ref, e) < 0 ||
        clusters_open_lifecycle(clusters, cli, &ref, &driver, e) < 0)
        return -1;
    /* A name that is not there is said before anything is asked. */
    if (driver->lifecycle->get(driver, ref.path, &info, e) < 0)
        return -1;
    driver->lifecycle->free_info(driver, info);
    if (cli_confirm(cli, e, "delete volume %s and all that is on it", cli_argument(cli, 0)) < 0 ||
        driver->lifecycle->remove(driver, ref.path, e) < 0)
        return -1;
    return volume_done(cli, &ref, "deleted", e);
}

const struct command command_volume_create = {
    .group = "volume",
    .name = "create",
    .arguments = "VOLUME",
    .least = 1,
    .most = 1,
    .summary = "Make a thin volume that reads as zeros",
    .details = "Properties of rbd: features, object-size, stripe-unit, stripe-count, data-pool.",
    .options = (const struct option *const[]){&option_size, &option_property, &option_metadata, NULL},
    .run = run_create,
};

const struct command command_volume_expand = {
    .group = "volume",
    .name = "expand",
    .arguments = "VOLUME",
    .least = 1,
    .most = 1,
    .summary = "Grow a volume",
    .details = "",
    .options = (const struct option *const[]){&option_size, NULL},
    .run = run_expand,
};

const struct command command_volume_clone = {
    .group = "volume",
    .name = "clone",
    .arguments = "SOURCE[@SNAP] VOLUME",
    .least = 2,
    .most = 2,
    .summary = "Make a volume from another one of the same cluster, or from a snapshot of it",
    .details = "Copy-on-write where the cluster can. The source may be deleted afterwards.",
    .options = (const struct option *const[]){&option_size, &option_property, &option_metadata, NULL},
    .run = run_clone,
};

const struct command command_volume_delete = {
    .group = "volume",
    .name = "delete",
    .arguments = "VOLUME",
    .least = 1,
    .most = 1,
    .summary = "Delete a volume and all that is on it",
    .details =
        "Returns at once. What snapshots and clones of the volume still need is kept aside until they go.",
    .options = (const struct option *const[]){&option_yes, NULL},
    .run = run_delete,
};

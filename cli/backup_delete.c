/* SPDX-License-Identifier: Apache-2.0 */
/* nacre backup delete: the catalogue entry first, so that nobody begins to restore what is going; then the
 * backup's snapshots in the repository; then, best effort, the bases that it left on the volumes. Run again
 * after an interruption, it finishes what is left, also when the entry is gone already. */
#include <inttypes.h>
#include <string.h>

#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/location.h"
#include "cli/output.h"
#include "cli/quantity.h"
#include "common/cancel.h"
#include "common/err.h"
#include "common/log.h"
#include "kubernetes/catalogue.h"
#include "repository/snapshot.h"
#include "snapshot/take.h"

struct deletion {
    struct cli *cli;
    const char *name;
    struct location *location;
    struct repo *repo; /* NULL: there is none */
    struct snapshot_list snapshots;
    bool listed; /* in the catalogue */
    uint64_t removed, bases;
};

static bool belongs(const struct deletion *d, const struct snapshot *snapshot)
{
    const char *backup = snapshot_tag_value(snapshot, "backup");
    return backup && !strcmp(backup, d->name);
}

/* A volume's newest snapshot in the repository is the one whose base is on the volume. */
static bool is_newest(const struct deletion *d, const struct snapshot *snapshot, const char *volume)
{
    for (size_t i = 0; i < d->snapshots.count; i++) {
        const struct snapshot *other = d->snapshots.items[i];
        const char *other_volume = snapshot_tag_value(other, "volume");
        if (other != snapshot && other->time_ns >= snapshot->time_ns && !belongs(d, other) && other_volume &&
            !strcmp(other_volume, volume))
            return false;
    }
    return true;
}

static void remove_base(struct deletion *d, struct clusters *clusters, const struct snapshot *snapshot)
{
    const char *volume = snapshot_tag_value(snapshot, "volume");
    const char *base = snapshot_tag_value(snapshot, "source-snapshot");
    char own[16 + SNAPSHOT_REPO_DIGITS];
    struct volume_ref ref;
    struct nacre_driver *driver;
    struct nacre_err e;
    snprintf(own, sizeof own, "nacre-%.*s-", SNAPSHOT_REPO_DIGITS, repo_id(d->repo));
    if (!volume || !base || strncmp(base, own, strlen(own)) != 0 || !volume_snapshot_name_valid(base) ||
        !is_newest(d, snapshot, volume) || volume_ref_parse(volume, &ref, &e) < 0)
        return;
    if (clusters_open_lifecycle(clusters, d->cli, &ref, &driver, &e) < 0 ||
        driver->lifecycle->snapshot_remove(driver, ref.path, base, &e) < 0) {
        if (e.code != NACRE_ABSENT)
            log_warning("the snapshot %s stays on %s: %s", base, volume, e.message);
        return;
    }
    d->bases++;
}

static int remove_snapshots(struct deletion *d, struct nacre_err *e)
{
    CLEANUP(lock_release) struct lock *lock = NULL;
    CLEANUP(clusters_free) struct clusters *clusters = clusters_new();
    if (!clusters)
        return err_no_memory(e, "the clusters");
    if (location_lock(d->cli, d->location, d->repo, false, &lock, e) < 0)
        return -1;
    if (d->listed && catalogue_backup_remove(d->location->store, d->name, e) < 0)
        return -1;
    for (size_t i = 0; i < d->snapshots.count; i++) {
        const struct snapshot *snapshot = d->snapshots.items[i];
        if (!belongs(d, snapshot))
            continue;
        if (cancel_check(e) < 0 || lock_check(lock, e) < 0)
            return -1;
        if (snapshot_remove(d->repo, &snapshot->id, e) < 0 && e->code != NACRE_ABSENT)
            return -1;
        d->removed++;
        remove_base(d, clusters, snapshot);
    }
    return 0;
}

static int look(struct deletion *d, struct nacre_err *e)
{
    struct catalogue_backup *backup = NULL;
    if (location_open(d->cli, LOCATION_WRITE, &d->location, e) < 0)
        return -1;
    if (!catalogue_backup_read(d->location->store, d->name, &backup, e))
        d->listed = true;
    else if (e->code == NACRE_CORRUPT)
        d->listed = true; /* a damaged entry can be deleted, too */
    else if (e->code != NACRE_ABSENT)
        return -1;
    catalogue_backup_free(backup);
    if (location_open_repository(d->cli, d->location, &d->repo, e) < 0) {
        if (e->code != NACRE_ABSENT || !d->listed)
            return -1;
        log_warning("%s: deleting the catalogue entry only", e->message);
        return 0;
    }
    if (snapshot_list_load(d->repo, &d->snapshots, e) < 0)
        return -1;
    size_t found = 0;
    for (size_t i = 0; i < d->snapshots.count; i++)
        found += belongs(d, d->snapshots.items[i]);
    if (!found && !d->listed)
        return err_set(e, NACRE_ABSENT,
                       "there is none of this name in %s, nor anything of it in the repository",
                       d->location->name);
    return 0;
}

static int report(struct deletion *d, struct nacre_err *e)
{
    if (d->cli->format == CLI_TABLE) {
        char snapshots[QUANTITY_SIZE];
        count_format(d->removed, "repository snapshot", snapshots);
        printf("%s: deleted (%s; the space is freed by a later prune)\n", d->name, snapshots);
        return 0;
    }
    json_t *document =
        json_pack("{s:s,s:s,s:o,s:o}", "name", d->name, "result", "deleted", "snapshotsRemoved",
                  output_number(d->removed), "basesRemoved", output_number(d->bases));
    int result = output_document(d->cli, document, e);
    json_decref(document);
    return result;
}

static int run(struct cli *cli, struct nacre_err *e)
{
    struct deletion d = {.cli = cli, .name = cli_argument(cli, 0)};
    int result = catalogue_name_check(d.name, e);
    if (!result)
        result = look(&d, e);
    if (!result)
        result = cli_confirm(cli, e, "delete backup %s and the snapshots that belong to it", d.name);
    if (!result)
        result = d.repo ? remove_snapshots(&d, e) : catalogue_backup_remove(d.location->store, d.name, e);
    if (!result)
        result = report(&d, e);
    snapshot_list_free(&d.snapshots);
    repo_free(d.repo);
    location_free(d.location);
    return result < 0 ? err_wrap(e, "backup \"%s\"", d.name) : 0;
}

const struct command command_backup_delete = {
    .group = "backup",
    .name = "delete",
    .arguments = "NAME",
    .least = 1,
    .most = 1,
    .summary = "Delete a backup",
    .details =
        "Removes its entry from the catalogue and its snapshots from the repository, and, if it was a "
        "volume's latest backup, the snapshot that it left on the volume. The space in the repository is "
        "freed when the repository is pruned (nacre has no prune yet; restic prune does it).",
    .options = (const struct option *const[]){&option_yes, LOCATION_OPTIONS, REPOSITORY_OPTIONS, NULL},
    .run = run,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of the volumes themselves, as a backup needs them: several of one moment, and one kept on each
 * source as the base of the next incremental backup.
 *
 * The name of such a snapshot says whose it is: nacre-<first 12 digits of the repository's id>-<UTC
 * time>-<host hash>.<pid>. One whose owner holds no lock in the repository any more, and which is not the
 * base of a later backup, was left by a run that died, and is removed by the next run. */
#ifndef SNAPSHOT_TAKE_H
#define SNAPSHOT_TAKE_H

#include <nacre/volume.h>

#define SNAPSHOT_REPO_DIGITS 12
#define SNAPSHOT_HOST_DIGITS 8

/* Whose a snapshot is, as its name says. */
struct snapshot_owner {
    const char *name; /* the snapshot's; borrowed */
    char host_hash[SNAPSHOT_HOST_DIGITS + 1];
    int pid;
};

/* A name for this process, now; never the same twice. repository_id: hex. */
void snapshot_name_make(const char *repository_id, char out[NACRE_SNAPSHOT_NAME_MAX + 1]);

/* False when the name is not one that snapshot_name_make made for this repository. owner may be NULL. */
bool snapshot_name_parse(const char *name, const char *repository_id, struct snapshot_owner *owner);

/* The eight digits of a host in snapshot names. */
void snapshot_host_hash(const char *hostname, char out[SNAPSHOT_HOST_DIGITS + 1]);
/* Those of this host. */
void snapshot_host_hash_own(char out[SNAPSHOT_HOST_DIGITS + 1]);

/* Takes `snap` of each volume. Volumes of one driver are taken as a group where it can; grouped[i] says
 * whether volume i was. results[i].code is NACRE_OK where it succeeded. A group that cannot be taken is taken
 * one by one, with a warning in the log. Returns -1 only when nothing could be tried. */
struct snapshot_source {
    struct nacre_driver *driver; /* equal pointers = one cluster */
    const char *path;
};
int snapshot_take(const struct snapshot_source *sources, size_t count, const char *snap,
                  struct nacre_err *results, bool *grouped, struct nacre_err *e);

/* Removes the snapshots of this repository on the volume, except `keep` (NULL = none) and those whose owner
 * is alive. The volume's snapshots are listed before the first call of alive, so that an owner who is not
 * yet alive then has taken none of them. Best effort: failures are warnings. */
typedef bool snapshot_alive(void *ctx, const struct snapshot_owner *owner);
void snapshot_remove_leftovers(struct nacre_driver *driver, const char *path, const char *repository_id,
                               const char *keep, snapshot_alive *alive, void *ctx);

#endif

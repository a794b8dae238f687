/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands. */
#include "cli/commands.h"

#include <stddef.h>

const struct command *const commands[] = {
    &command_volume_create,
    &command_volume_list,
    &command_volume_describe,
    &command_volume_expand,
    &command_volume_clone,
    &command_volume_delete,
    &command_snapshot_create,
    &command_snapshot_list,
    &command_snapshot_delete,
    &command_snapshot_diff,
    &command_backup_create,
    &command_backup_get,
    &command_backup_describe,
    &command_backup_logs,
    &command_backup_delete,
    &command_restore_create,
    &command_restore_get,
    &command_restore_describe,
    &command_restore_logs,
    &command_restore_delete,
    &command_backup_location_create,
    &command_backup_location_get,
    &command_backup_location_describe,
    &command_backup_location_check,
    &command_backup_location_set,
    &command_backup_location_delete,
    &command_repo_init,
    &command_repo_info,
    &command_repo_check,
    &command_repo_unlock,
    &command_repo_list,
    &command_repo_cat,
    &command_key_list,
    &command_key_add,
    &command_key_remove,
    &command_key_passwd,
    &command_plugin_get,
    &command_dump,
    &command_completion,
    &command_version,
    &command_help,
    NULL,
};

static const struct command_group volume = {"volume", "Volumes in their clusters"};
static const struct command_group snapshot = {"snapshot", "Snapshots of volumes"};
static const struct command_group backup = {"backup", "Backups"};
static const struct command_group restore = {"restore", "Restores"};
static const struct command_group backup_location = {"backup-location", "Where backups are kept"};
static const struct command_group repo = {"repo", "The repository of a location"};
static const struct command_group key = {"key", "Passwords of a repository"};
static const struct command_group plugin = {"plugin", "Plugins"};

const struct command_group *const command_groups[] = {&volume, &snapshot, &backup, &restore, &backup_location,
                                                      &repo,   &key,      &plugin, NULL};

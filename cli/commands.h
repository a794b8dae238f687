/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, each defined in the file of its verb. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command command_volume_create, command_volume_list, command_volume_describe,
    command_volume_expand, command_volume_clone, command_volume_delete;
extern const struct command command_snapshot_create, command_snapshot_list, command_snapshot_delete,
    command_snapshot_diff;
extern const struct command command_backup_create, command_backup_get, command_backup_describe,
    command_backup_logs, command_backup_delete;
extern const struct command command_backup_location_create, command_backup_location_get,
    command_backup_location_describe, command_backup_location_check, command_backup_location_set,
    command_backup_location_delete;
extern const struct command command_restore_create, command_restore_get, command_restore_describe,
    command_restore_logs, command_restore_delete;
extern const struct command command_dump;
extern const struct command command_repo_init, command_repo_info, command_repo_check, command_repo_unlock,
    command_repo_list, command_repo_cat;
extern const struct command command_key_list, command_key_add, command_key_remove, command_key_passwd;
extern const struct command command_plugin_get, command_completion, command_version, command_help;

/* Not in the table: found by its name only. */
extern const struct command command_commands;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the locations of a configuration that people wrote: all that is not changed stays byte for byte as
 * it is, comments and layout included. What an edit made of the text is parsed again and must mean the old
 * configuration with the change and nothing else; otherwise, and for the rarer forms of YAML, the edit is
 * refused, saying what to write by hand. */
#ifndef CLI_SETTINGS_EDIT_H
#define CLI_SETTINGS_EDIT_H

#include "cli/settings.h"
#include "common/buf.h"

enum settings_verb {
    SETTINGS_ADD,    /* a location with these options */
    SETTINGS_SET,    /* options of a location: replaced or added */
    SETTINGS_DROP,   /* options of a location, by their keys; one that is not there is no error */
    SETTINGS_REMOVE, /* a location */
};

struct settings_edit {
    enum settings_verb verb;
    const char *location;
    const struct nacre_option *options;
    size_t option_count;
};

/* Applies one edit to the text of a configuration; `file` is for messages. *text is replaced on success and
 * as before on failure. NACRE_INVALID: the text is no configuration, or would be none any more (with what is
 * wrong then). NACRE_ABSENT: there is no such location. NACRE_EXISTS: ADD, and there is one.
 * NACRE_UNSUPPORTED: the text has a form that is not edited safely. */
int settings_edit_text(struct buf *text, const char *file, const struct settings_edit *edit,
                       struct nacre_err *e);

/* The same on a file: settings_path's. It is replaced as a whole, with its mode and owner, so that a reader
 * or a crash finds the old one or the new one; two programs that edit at once do so one after the other. A
 * file that is not there is made by an ADD, readable by its owner alone. Several edits are one replacement.
 * Nothing that was in force is lost: what else the caller knows of the file, it knows from before. */
int settings_edit_file(const char *path, const struct settings_edit *edits, size_t count,
                       struct nacre_err *e);

#endif

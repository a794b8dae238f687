/* SPDX-License-Identifier: Apache-2.0 */
/* A location, opened: the object store with its wrappers, and the repository and catalogue that lie in it. */
#ifndef CLI_LOCATION_H
#define CLI_LOCATION_H

#include "cli/cli.h"
#include "cli/settings.h"
#include "plugins/store.h"
#include "repository/lock.h"

struct location {
    const struct settings_entry *entry; /* NULL: the location is a URL. Borrowed from the configuration */
    char *name;                         /* the entry's, or the URL without credentials */
    char *url;                          /* without credentials: for messages */
    struct nacre_object_store *store;
    bool read_only;
    unsigned connections; /* requests at once */
};

/* Options that commands with a location take; those with a repository take the second list as well. */
extern const struct option option_location, option_connections, option_limit_upload, option_limit_download;
#define TRANSFER_OPTIONS &option_connections, &option_limit_upload, &option_limit_download
#define LOCATION_OPTIONS &option_location, TRANSFER_OPTIONS
extern const struct option option_repository, option_password_file, option_password_command, option_no_cache,
    option_retry_lock;
#define REPOSITORY_OPTIONS                                                                                   \
    &option_repository, &option_password_file, &option_password_command, &option_no_cache, &option_retry_lock

enum location_use {
    LOCATION_READ,
    LOCATION_WRITE, /* NACRE_DENIED for a read-only one, before anything is read */
    LOCATION_CHECK, /* to read what the store has, and not what a cache thinks that it has */
    LOCATION_PROBE, /* to find out what is wrong: no cache, few tries; writes unless it is read-only */
};

/* Opens what --location names, the default location when it was not given. Of a read-only one the store
 * refuses to write. */
int location_open(struct cli *cli, enum location_use use, struct location **out, struct nacre_err *e);

/* Opens one of the configuration. */
int location_open_entry(struct cli *cli, const struct settings_entry *entry, enum location_use use,
                        struct location **out, struct nacre_err *e);

void location_free(struct location *location);
CLEANUP_DEFINE(struct location *, location_free)

/* Opens the repository of a location, with a password from where it may come. *out borrows the location. */
int location_open_repository(struct cli *cli, struct location *location, struct repo **out,
                             struct nacre_err *e);

/* Makes one. version 1 or 2. */
int location_init_repository(struct cli *cli, struct location *location, unsigned version, struct repo **out,
                             struct nacre_err *e);

/* A lock, waited for as long as --retry-lock says. None, *out = NULL, in a read-only location, where it
 * cannot be written: what reads there does without. */
int location_lock(struct cli *cli, const struct location *location, struct repo *repo, bool exclusive,
                  struct lock **out, struct nacre_err *e);
int location_retry_seconds(struct cli *cli, unsigned *out, struct nacre_err *e);

/* The directory of caches, made if need be; NULL when there is to be none. free() */
char *location_cache_dir(struct cli *cli);

/* A URL for messages, without what may be a secret: what stands before '@' in its host part, and its query.
 * free() */
char *location_url_clean(const char *url);

#endif

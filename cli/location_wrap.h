/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a location, with all that lies around it. */
#ifndef CLI_LOCATION_WRAP_H
#define CLI_LOCATION_WRAP_H

#include "cli/location.h"

/* Opens location->store; of the location, name, entry, read_only and connections are set already. */
int location_open_store(struct cli *cli, struct location *location, enum location_use use, const char *url,
                        struct nacre_err *e);

#endif

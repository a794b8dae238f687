/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping secrets in this process. Passwords and keys are wiped where they are used; what is in use must not
 * get out by a crash or through /proc. */
#ifndef CLI_SECRETS_H
#define CLI_SECRETS_H

#include <stdbool.h>

/* No core dump of this process and its children, whatever the machine does with cores. Once, at the start. */
void secrets_forbid_core(void);

/* From the first secret on: other processes of this user can neither trace this one nor read its memory. For
 * a user who is not root the files in /proc/self, and so /dev/fd/N, can then not be opened any more. */
void secrets_seclude(void);

/* A descriptor that a path names one of this process's own by (/dev/stdin, /dev/stdout, /dev/fd/N),
 * duplicated: such a path cannot be opened after secrets_seclude. -1: it is none, or the descriptor is
 * closed. */
int secrets_own_fd(const char *path);

/* True for a key of the configuration whose value is a secret, rather than where to find one. */
bool secrets_key(const char *key);

#endif

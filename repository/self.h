/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs this program, for key files and locks: printable ASCII, never empty. */
#ifndef REPOSITORY_SELF_H
#define REPOSITORY_SELF_H

#define SELF_SIZE 256

void self_hostname(char out[SELF_SIZE]);
void self_username(char out[SELF_SIZE]);

/* The name space that this process's number belongs to: two containers may share a host name, and a number
 * says nothing from one to the other. "" where the kernel does not tell. */
void self_pid_namespace(char out[SELF_SIZE]);

#endif

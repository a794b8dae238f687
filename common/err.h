/* SPDX-License-Identifier: Apache-2.0 */
/* Setting and wrapping errors. The shape and the codes are those of the plugin ABI, so that an error crosses
 * it unchanged. Detect once, with the facts: err_set. Add where it happened going up: err_wrap. Map to exit
 * codes or gRPC statuses at the edge only. All return -1, so that one can `return err_set(…)`. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <nacre/plugin.h>

int err_set(struct nacre_err *e, enum nacre_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "…: " in front of the message; the code stays. When it does not fit, the front wins. */
int err_wrap(struct nacre_err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "…: <what errno says>", with the code that the errno stands for (ENOENT: absent, ENOSPC: no space, …). */
int err_errno(struct nacre_err *e, int error_number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Out of memory, with what it was for. */
int err_no_memory(struct nacre_err *e, const char *what);

/* The code that an errno stands for; and a word for a code, such as "absent". */
enum nacre_code err_code_of_errno(int error_number);
const char *err_code_name(enum nacre_code code);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Errors on the caller's stack: formatting into a fixed message never fails. */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct nacre_err *e, enum nacre_code code, const char *format, ...)
{
    char message[NACRE_MESSAGE_SIZE]; /* arguments may point into e->message */
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    e->code = code;
    e->retry_after_ms = 0;
    memcpy(e->message, message, sizeof message);
    return -1;
}

int err_wrap(struct nacre_err *e, const char *format, ...)
{
    char message[NACRE_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof message)
        snprintf(message + used, sizeof message - (size_t)used, ": %s", e->message);
    memcpy(e->message, message, sizeof message);
    return -1;
}

enum nacre_code err_code_of_errno(int error_number)
{
    switch (error_number) {
    case 0:
        return NACRE_OK;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return NACRE_ABSENT;
    case EEXIST:
        return NACRE_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return NACRE_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return NACRE_NO_SPACE;
    case EBUSY:
    case ETXTBSY:
        return NACRE_BUSY;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
        return NACRE_INVALID;
    case EOPNOTSUPP:
    case ENOSYS:
        return NACRE_UNSUPPORTED;
    case EAGAIN:
    case EINTR:
    case ETIMEDOUT:
    case ESHUTDOWN:
    case ENOTCONN:
    case ECONNREFUSED:
    case ECONNRESET:
        return NACRE_TRANSIENT;
    case ECANCELED:
        return NACRE_CANCELLED;
    default:
        return NACRE_FAILED;
    }
}

int err_errno(struct nacre_err *e, int error_number, const char *format, ...)
{
    char message[NACRE_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    char reason[128];
    return err_set(e, err_code_of_errno(error_number), "%s: %s", message,
                   strerror_r(error_number, reason, sizeof reason));
}

int err_no_memory(struct nacre_err *e, const char *what)
{
    return err_set(e, NACRE_FAILED, "out of memory for %s", what);
}

const char *err_code_name(enum nacre_code code)
{
    static const char *const names[] = {
        [NACRE_OK] = "ok",
        [NACRE_FAILED] = "failed",
        [NACRE_INVALID] = "invalid",
        [NACRE_ABSENT] = "absent",
        [NACRE_EXISTS] = "exists",
        [NACRE_DENIED] = "denied",
        [NACRE_CORRUPT] = "corrupt",
        [NACRE_TRANSIENT] = "transient",
        [NACRE_THROTTLED] = "throttled",
        [NACRE_NO_SPACE] = "no space",
        [NACRE_BUSY] = "busy",
        [NACRE_LOCKED] = "locked",
        [NACRE_WRONG_PASSWORD] = "wrong password",
        [NACRE_UNSUPPORTED] = "unsupported",
        [NACRE_CANCELLED] = "cancelled",
        [NACRE_PARTIAL] = "partial",
    };
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "unknown";
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One flat switch, so that a new code cannot be forgotten: the compiler asks for it. */
#include "provisioner/status.h"

grpc_status_code status_of(enum nacre_code code)
{
    switch (code) {
    case NACRE_OK:
        return GRPC_STATUS_OK;
    case NACRE_INVALID:
        return GRPC_STATUS_INVALID_ARGUMENT;
    case NACRE_ABSENT:
        return GRPC_STATUS_NOT_FOUND;
    case NACRE_EXISTS:
        return GRPC_STATUS_ALREADY_EXISTS;
    case NACRE_DENIED:
        return GRPC_STATUS_PERMISSION_DENIED;
    case NACRE_NO_SPACE:
        return GRPC_STATUS_RESOURCE_EXHAUSTED;
    case NACRE_BUSY:
        return GRPC_STATUS_FAILED_PRECONDITION;
    case NACRE_LOCKED:
        return GRPC_STATUS_ABORTED;
    case NACRE_TRANSIENT:
    case NACRE_THROTTLED:
    case NACRE_CANCELLED: /* this program was asked to stop; the next one will do it */
        return GRPC_STATUS_UNAVAILABLE;
    case NACRE_UNSUPPORTED:
        return GRPC_STATUS_UNIMPLEMENTED;
    case NACRE_WRONG_PASSWORD:
        return GRPC_STATUS_UNAUTHENTICATED;
    case NACRE_CORRUPT:
        return GRPC_STATUS_DATA_LOSS;
    case NACRE_FAILED:
    case NACRE_PARTIAL:
        return GRPC_STATUS_INTERNAL;
    }
    return GRPC_STATUS_UNKNOWN;
}

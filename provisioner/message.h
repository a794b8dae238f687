/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to and from bytes, with protobuf-c. */
#ifndef PROVISIONER_MESSAGE_H
#define PROVISIONER_MESSAGE_H

#include <nacre/plugin.h>
#include <protobuf-c/protobuf-c.h>

#include "common/buf.h"
#include "common/cleanup.h"

/* NULL with NACRE_INVALID when the bytes are no such message. Freed with message_free. */
ProtobufCMessage *message_parse(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size,
                                struct nacre_err *e);
void message_free(ProtobufCMessage *message);
CLEANUP_DEFINE(ProtobufCMessage *, message_free)

/* For a request whose fields do not matter: that it is one. */
int message_check(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size,
                  struct nacre_err *e);

int message_append(const ProtobufCMessage *message, struct buf *out, struct nacre_err *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Messages. The size of a request is bounded by gRPC (4 MiB); protobuf-c allocates in proportion to it. */
#include "provisioner/message.h"

#include "common/err.h"

ProtobufCMessage *message_parse(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size,
                                struct nacre_err *e)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, size, data);
    if (!message)
        err_set(e, NACRE_INVALID, "the request is not a valid %s", type->short_name);
    return message;
}

void message_free(ProtobufCMessage *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

int message_check(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t size,
                  struct nacre_err *e)
{
    CLEANUP(message_free) ProtobufCMessage *message = message_parse(type, data, size, e);
    return message ? 0 : -1;
}

int message_append(const ProtobufCMessage *message, struct buf *out, struct nacre_err *e)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *at = buf_reserve(out, size);
    if (!at)
        return err_no_memory(e, "a response");
    protobuf_c_message_pack(message, at);
    buf_commit(out, size);
    return 0;
}

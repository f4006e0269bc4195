// Bytes in messages of a call (BytesMessage: sessions in a call, ssh agents) to a socket and back.
#pragma once

#include "grpc/connection.h"

namespace berth::buildkit {

/// Until the caller ends, which ends the socket, too; the other way ends alone. `tasks` outlives
/// the connection.
async::Task<> carry_bytes(grpc::Call call, UniqueFd socket, async::TaskGroup& tasks,
                          grpc::Role role);

}  // namespace berth::buildkit

// Attaching clients to process 1. A running container's shim takes the client at once; else the
// client waits for the next start. Engine thread only.
#pragma once

#include "engine/containers/state.h"

namespace berth::engine {

StreamKind check_attach_request(const Container& container, const AttachRequest& request);
async::Task<void> attach_client(ContainerState& state, ContainerPtr container,
                                AttachRequest request, UniqueFd client, std::string early);
/// Writes all of `bytes` to a client that may be slow. Throws Error when it is gone.
async::Task<void> write_to_client(BorrowedFd client, std::string bytes);

}  // namespace berth::engine

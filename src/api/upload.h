// Requests whose body is bytes that a worker reads while they come (docker cp, load, import). A
// client that goes away stops the work.
#pragma once

#include <functional>
#include <stop_token>

#include "api/call.h"
#include "base/unique_fd.h"

namespace berth::api {

/// The request's body into a socket, up to its end or until the worker wants no more.
async::Task<> pump_body(Call& call, UniqueFd into);

/// Reads (blocking, on a worker) from the descriptor, which it owns.
using UploadWork = std::function<async::Task<>(UniqueFd body, std::stop_token stop)>;

/// Returns when the body was read and the work ended; the reply is the caller's. Rethrows the
/// work's failure.
async::Task<> run_with_body(Call& call, UploadWork work);

}  // namespace berth::api

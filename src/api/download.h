// Replies whose body is bytes that a worker makes while they are sent (save, export, archive). The
// status is chosen by the first byte: an error before it has an HTTP status of its own, a later one
// cuts the connection, so that no client takes half an archive for a whole one. A client that goes
// away stops the work.
#pragma once

#include <functional>
#include <stop_token>

#include "api/call.h"
#include "base/unique_fd.h"

namespace berth::api {

/// Writes (blocking, on a worker) to the descriptor, which it owns, and closes it at the end.
using DownloadWork = std::function<async::Task<>(UniqueFd into, std::stop_token stop)>;

/// Returns when the work ended and the reply is sent.
async::Task<> reply_with_download(Call& call, http::Headers headers, DownloadWork work);

}  // namespace berth::api

// Replies that report progress as NDJSON while work goes on (pull, load, import). The status is
// chosen by the first progress object: an error before it has an HTTP status of its own, a later
// one is the last line of the stream. A client that goes away stops the work.
#pragma once

#include <functional>
#include <stop_token>

#include "api/call.h"
#include "engine/images.h"

namespace berth::api {

/// The object that says so at the end of a stream. Without a code, as by dockerd: the CLI would
/// exit with it.
nlohmann::json failure_object(const Error& error);

using ProgressWork = std::function<async::Task<>(engine::ProgressSink sink, std::stop_token stop)>;

/// Runs `work` and sends what it tells the sink. Returns when the work ended and the reply is sent.
async::Task<> reply_with_progress(Call& call, ProgressWork work);

/// The request's body as a blocking descriptor, filled while `work` reads it. `work` gets the
/// descriptor's ownership and closes it when it wants no more.
using BodyWork =
    std::function<async::Task<>(UniqueFd body, engine::ProgressSink sink, std::stop_token stop)>;
async::Task<> reply_with_progress_of_body(Call& call, BodyWork work);

}  // namespace berth::api

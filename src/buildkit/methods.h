// The methods that clients call over POST /grpc, one function each. What they throw is the status
// of the call.
#pragma once

#include <span>
#include <string_view>
#include <utility>

#include "buildkit/service.h"

namespace berth::buildkit {

using Method = async::Task<> (*)(Service&, grpc::Call);

using Methods = std::span<const std::pair<std::string_view, Method>>;

/// By the names of their calls.
Methods control_methods();
Methods bridge_methods();
Methods history_methods();

/// The one worker: this machine (types.WorkerRecord).
grpc::WireWriter worker_record();

/// Throws Error{unsupported} for a request with steps in BuildKit's own form (LLB).
void refuse_definition(const SolveRequest& request);
/// Runs a Dockerfile and keeps the result; its reference, as a frontend.Result.
async::Task<std::string> solve_frontend(Service& service, std::shared_ptr<Build> build,
                                        SolveRequest request);
/// Gives the result what the exporters ask for (names in the image store); their response.
async::Task<Attributes> export_result(Service& service, std::shared_ptr<Build> build,
                                      std::string image);

}  // namespace berth::buildkit

// The methods that clients call over POST /grpc, one function each. What they throw is the status
// of the call.
#pragma once

#include <string_view>

#include "buildkit/service.h"

namespace berth::buildkit {

using Method = async::Task<> (*)(Service&, grpc::Call);

/// Nothing for a name that is not served.
Method find_control_method(std::string_view name);
Method find_bridge_method(std::string_view name);
Method find_history_method(std::string_view name);

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

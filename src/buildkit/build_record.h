// The record of a build (BuildKit's BuildHistoryRecord) and its log: pieces of progress, each with
// its size in front. Both are kept as they go over the wire. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "buildkit/messages.h"

namespace berth::buildkit {

struct StepCounts final {
    int total = 0, cached = 0, completed = 0, warnings = 0;
};

struct BuildRecord final {
    std::string ref;
    std::string frontend;
    Attributes options;
    std::vector<Typed> exporters;
    int code = 0;  // of the failure, as gRPC has them; 0: none
    std::string error;
    Timestamp created, completed;  // zero: it runs
    std::string log_digest;        // empty: there is none
    std::int64_t log_size = 0;
    Attributes response;  // of the exporters
    int generation = 0;   // how often it was changed
    bool pinned = false;
    StepCounts steps;
};

std::string encode(const BuildRecord& record);
BuildRecord decode_record(std::string_view bytes);

/// One piece of a log.
void add_to_log(std::string& log, std::string_view piece);
/// The log as encoded StatusResponses of a good size. Throws Error{invalid} for a damaged one.
std::vector<std::string> read_log(std::string_view log);

}  // namespace berth::buildkit

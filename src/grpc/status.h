// How a gRPC call ended, as its trailers say it, and what that is as an Error. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace berth::grpc {

enum class Code {
    ok = 0,
    cancelled = 1,
    unknown = 2,
    invalid_argument = 3,
    deadline_exceeded = 4,
    not_found = 5,
    already_exists = 6,
    permission_denied = 7,
    resource_exhausted = 8,
    unimplemented = 12,
    internal = 13,
    unavailable = 14,
    unauthenticated = 16,
};

struct Status final {
    Code code = Code::ok;
    std::string message;
};

/// Failures that clients tell apart have their own code; any other is `unknown`, whose text they
/// print without a prefix.
Status status_of(const Error& error);
Error error_of(const Status& status);

/// The header grpc-message: UTF-8 with %XX for what a header cannot hold.
std::string encode_message(std::string_view text);
std::string decode_message(std::string_view text);

}  // namespace berth::grpc

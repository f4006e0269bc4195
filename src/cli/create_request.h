// `berth run` flags to the body of POST /containers/create. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cli/flags.h"

namespace berth::cli {

/// The flags of `run` and `create` that describe the container.
std::span<const Flag> container_flags();
/// Throws Error{invalid} naming the flag and what it expects.
nlohmann::json create_request(const Flags& flags);

struct PortBinding final {
    std::string host_ip;
    std::string host_port;       // empty: chosen by the engine
    std::string container_port;  // "80/tcp"
    bool operator==(const PortBinding&) const = default;
};
/// [[ip:]host:]container[/proto], single ports or ranges of the same length.
std::vector<PortBinding> parse_publish(const std::string& text);
/// "64m" -> bytes.
std::int64_t parse_bytes(std::string_view flag, const std::string& text);

}  // namespace berth::cli

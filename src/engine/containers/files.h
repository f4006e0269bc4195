// The texts of a container's /etc/hosts and /etc/resolv.conf, and which log options the shim gets.
// Pure.
#pragma once

#include <string>

#include "engine/model/record.h"
#include "engine/settings.h"
#include "shim/protocol.h"

namespace berth::engine {

std::string hosts_text(const model::ContainerRecord& record, const Settings& settings);
/// From the host's own file: loopback servers are left out, since they are not reachable.
std::string resolv_conf_text(const model::ContainerRecord& record, const Settings& settings,
                             const std::string& host_text);
/// Throws Error{invalid} for unreadable sizes and numbers.
shim::LogConfig log_config(const model::ContainerRecord& record, const std::string& path);
/// "10m" in bytes, -1 for no limit. Throws Error{invalid}.
std::int64_t size_from(const std::string& text);
/// "ctrl-p,ctrl-q" as key bytes. Throws Error{invalid}.
std::string detach_key_bytes(const std::string& keys);

}  // namespace berth::engine

// Where a container's log goes and from where it is read back: what the shim is told, and which
// files a reader opens. Resolving a syslog service's name blocks; the rest is pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/containers/log_records.h"
#include "engine/model/record.h"
#include "shim/protocol.h"

namespace berth::engine {

/// Where journald listens.
constexpr const char* kJournalSocket = "/run/systemd/journal/socket";

/// `directory` is the container's own. Throws Error{invalid} for unreadable sizes and numbers,
/// Error{unavailable} when a name of the syslog service is not found.
shim::LogConfig log_config(const model::ContainerRecord& record, const std::string& directory);
/// The second log that makes `docker logs` work for drivers that cannot be read.
std::optional<shim::LogConfig> log_copy_config(const model::ContainerRecord& record,
                                               const std::string& directory);

struct LogFiles final {
    std::string path;  // of the newest one
    LogFormat format = LogFormat::json_lines;
};
/// Nothing for a driver without a file of ours.
std::optional<LogFiles> log_files(const model::ContainerRecord& record,
                                  const std::string& directory);

/// "10m" in bytes, -1 for no limit. Throws Error{invalid}.
std::int64_t size_from(const std::string& text);

}  // namespace berth::engine

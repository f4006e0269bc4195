// Records of container logs: how each kind of log file holds them, and the form that clients read.
// Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "engine/containers.h"

namespace berth::engine {

/// How a log file holds its records.
enum class LogFormat {
    json_lines,  // driver json-file: one JSON object a line
    local,       // driver local: see shim/log_local.h
};

struct LogRecord final {
    std::string text;
    bool from_stderr = false;
    std::string attributes;  // as --details shows them
    Timestamp at;
};

/// "k=v,k=v", escaped: what --details shows.
std::string details_text(const std::map<std::string, std::string>& attributes);
/// One line of a json-file log; nothing for a damaged one.
std::optional<LogRecord> parse_log_record(std::string_view line);
/// What stands between the two lengths of a record of the driver local; nothing for a damaged one.
std::optional<LogRecord> parse_local_record(std::string_view entry);

/// Bytes of the length before and behind a record of the driver local.
constexpr std::size_t kLocalLength = 4;
/// Longer ones are damaged: a line has 16 KiB at most.
constexpr std::size_t kMaxLocalRecord = 1U << 20;
std::size_t local_length(std::string_view four_bytes);

struct FirstRecord final {
    std::size_t size = 0;             // in the file
    std::optional<LogRecord> record;  // nothing: damaged
};
/// The record that `bytes` begin with; nothing while it is not whole.
std::optional<FirstRecord> first_record(LogFormat format, std::string_view bytes);

struct LogSelection final {
    bool stdout_ = true, stderr_ = true;
    bool timestamps = false, details = false;
    Timestamp since, until;  // zero: open
    std::optional<std::size_t> tail;
    StreamKind kind = StreamKind::multiplexed;
};

/// The record's bytes for the client; empty when it is not selected.
std::string render(const LogRecord& record, const LogSelection& selection);

}  // namespace berth::engine

// Reads a json-file log: records of the present file and of the rotated ones before it, chosen by
// stream, number and time, put into the form that clients read. Blocking file access, small
// pieces; no state but its own. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "engine/containers.h"

namespace berth::engine {

struct LogRecord final {
    std::string text;
    bool from_stderr = false;
    std::string attributes;  // as --details shows them
    std::string time;        // as it stands in the file
    Timestamp at;
};

/// One line of the file; nothing for a damaged one.
std::optional<LogRecord> parse_log_record(std::string_view line);

struct LogSelection final {
    bool stdout_ = true, stderr_ = true;
    bool timestamps = false, details = false;
    Timestamp since, until;  // zero: open
    std::optional<std::size_t> tail;
    StreamKind kind = StreamKind::multiplexed;
};

/// The record's bytes for the client; empty when it is not selected.
std::string render(const LogRecord& record, const LogSelection& selection);

class LogReader final {
  public:
    /// `path` may not exist yet.
    LogReader(std::string path, LogSelection selection);
    /// Up to about 64 KiB of what is there; empty when nothing more is there now.
    std::string read();
    /// True once a record later than `until` was seen.
    bool past_end() const { return past_end_; }

  private:
    void open_files();
    void apply_tail();
    bool read_more();
    bool next_file();
    std::string take_lines();

    std::string path_;
    LogSelection selection_;
    std::deque<std::string> older_;  // rotated files still to be read, oldest first
    UniqueFd file_;
    std::string pending_;  // an incomplete line
    std::size_t skip_ = 0;
    bool opened_ = false;
    bool on_live_file_ = false;
    bool past_end_ = false;
};

}  // namespace berth::engine

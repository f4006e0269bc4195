// Reads a json-file log: records of the present file and of the rotated ones before it, chosen by
// stream, number and time, put into the form that clients read. Blocking file access in pieces of
// kReadBudget, for a worker; no state but its own. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
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

/// "k=v,k=v", escaped: what --details shows.
std::string details_text(const std::map<std::string, std::string>& attributes);
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

/// How much of the files one read() looks at: milliseconds of work.
constexpr std::size_t kReadBudget = 1U << 20;

struct LogPiece final {
    std::string bytes;  // for the client; may be empty though there is more
    bool more = false;  // false: nothing more is there now
};

class LogReader final {
  public:
    /// `path` may not exist yet.
    LogReader(std::string path, LogSelection selection);
    /// Up to about 64 KiB of what is there.
    LogPiece read();
    /// True once a record later than `until` was seen.
    bool past_end() const { return past_end_; }

  private:
    /// Where --tail begins, found from the end backwards.
    struct TailSearch final {
        std::size_t file = 0;        // of files_, newest first
        off_t position = 0;          // what is before it was not looked at
        std::size_t lines_left = 0;  // of those that were asked for
    };

    void open_files();
    void search_file(std::size_t file);
    void search_tail(std::size_t& budget);
    void begin_at(off_t position);
    bool read_more();
    bool next_file();
    std::string take_lines();

    std::string path_;
    LogSelection selection_;
    std::vector<UniqueFd> files_;  // still to be read, newest first; file_ is not among them
    std::optional<TailSearch> search_;
    UniqueFd file_;
    std::string pending_;  // an incomplete line
    bool opened_ = false;
    bool past_end_ = false;
};

}  // namespace berth::engine

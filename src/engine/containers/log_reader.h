// Reads a container's log files: records of the present file and of the rotated ones before it,
// compressed or not, chosen by stream, number and time, put into the form that clients read.
// Blocking file access in pieces of kReadBudget, for a worker; no state but its own. Not
// thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "engine/containers/log_records.h"
#include "engine/containers/log_setup.h"
#include "engine/containers/log_tail.h"

namespace berth::engine {

/// How much of the files one read() looks at: milliseconds of work.
constexpr std::size_t kReadBudget = 1U << 20;

struct LogPiece final {
    std::string bytes;  // for the client; may be empty though there is more
    bool more = false;  // false: nothing more is there now
};

class LogReader final {
  public:
    /// The files may not exist yet.
    LogReader(LogFiles files, LogSelection selection);
    /// Up to about 64 KiB of what is there.
    LogPiece read();
    /// True once a record later than `until` was seen.
    bool past_end() const { return past_end_; }

  private:
    struct File final {
        UniqueFd fd;
        bool compressed = false;
    };

    void open_files();
    void open_newer_than(BorrowedFd known);
    File open_rotated(int number) const;
    bool older_than_wanted(const File& file) const;
    BorrowedFd plain(File& file);
    bool read_more();
    bool next_file();
    std::string take_records();

    LogFiles log_;
    LogSelection selection_;
    std::vector<File> files_;  // still to be read, newest first; file_ is not among them
    std::optional<LogTail> tail_;
    UniqueFd file_;
    std::string pending_;  // an incomplete record
    bool opened_ = false;
    bool past_end_ = false;
};

}  // namespace berth::engine

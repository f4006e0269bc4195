// Finds where the last N records of a log begin, from the newest file backwards, in steps that
// fit a budget of bytes to look at. Blocking file access; not thread-safe.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>

#include "base/unique_fd.h"
#include "engine/containers/log_records.h"

namespace berth::engine {

class LogTail final {
  public:
    /// `open` gives file number 0 (the newest), 1 and so on; borrowed from the caller.
    using Open = std::function<BorrowedFd(std::size_t number)>;
    LogTail(LogFormat format, std::size_t records, std::size_t files, Open open);

    struct Place final {
        std::size_t file = 0;
        off_t position = 0;
    };
    /// Nothing when the budget ends before the place is found; then call again.
    std::optional<Place> search(std::size_t& budget);

  private:
    void enter(std::size_t file);
    std::optional<Place> step_lines(std::size_t& budget);
    std::optional<Place> step_local(std::size_t& budget);
    Place all_of_file() const { return {file_, 0}; }

    LogFormat format_;
    std::size_t left_;  // records of those that were asked for
    std::size_t files_;
    Open open_;
    std::size_t file_ = 0;
    BorrowedFd fd_;
    off_t position_ = 0;             // what is before it was not looked at
    std::size_t left_at_entry_ = 0;  // to begin with the file again
    int tries_ = 0;
};

}  // namespace berth::engine

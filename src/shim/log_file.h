// The json-file log on disk: appends records and rotates by size. Records of one flush() are
// written together, since a system call for each line is what slows a chatty container down.
// Compression runs in a short-lived child. Throws Error naming the file; the shim is the one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"
#include "shim/protocol.h"

namespace berth::shim {

class LogFile final {
  public:
    /// Opens or makes config.path for appending.
    explicit LogFile(LogConfig config);

    /// Keeps one whole record until flush(), or until a good deal waits.
    void append(std::string_view record);
    /// Throws too when a rotation failed meanwhile: then the old file goes on, past its size.
    void flush();

  private:
    void write_waiting();
    void rotate();
    void drop_tail(std::size_t unwritten);
    void open();

    LogConfig config_;
    UniqueFd file_;
    std::int64_t size_ = 0;  // of the file and of what waits
    std::string waiting_;
    std::optional<Error> rotation_error_;
    UniqueFd compressing_;  // pidfd of the child that compresses
};

}  // namespace berth::shim

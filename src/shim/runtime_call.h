// Runs one verb of the OCI runtime without blocking the loop, and finds the text of its error: the
// last error line of its --log file, else the last line on its stderr. Each call uses files of
// its own in the shim's directory and removes them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "shim/protocol.h"
#include "shim/reaper.h"

namespace berth::shim {

struct RuntimeCall final {
    std::vector<std::string> arguments;  // verb, its flags, id
    BorrowedFd stdin_end, stdout_end;    // absent: /dev/null
    BorrowedFd stderr_end;               // absent: kept for the error text
};

struct RuntimeResult final {
    int exit_code = 0;
    std::string error;  // not empty when exit_code is not 0
};

class RuntimeCaller final {
  public:
    /// Borrows all; `directory` is the shim's.
    RuntimeCaller(Reaper& reaper, const ShimConfig& config, std::string directory)
        : reaper_(reaper), config_(config), directory_(std::move(directory)) {}

    /// Throws Error when the runtime cannot be started.
    void run(const RuntimeCall& call, std::function<void(const RuntimeResult&)> done);

  private:
    Reaper& reaper_;
    const ShimConfig& config_;
    std::string directory_;
    unsigned next_ = 0;
};

/// The message of the last record of level error or fatal in a runtime's JSON log; empty: none.
std::string last_error_record(const std::string& log_text);
/// The process id in a --pid-file. Throws Error{invalid} when it holds none.
pid_t read_pid_file(const std::string& path);
/// The last line that is not blank.
std::string last_line(const std::string& text);

}  // namespace berth::shim

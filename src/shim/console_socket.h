// Receives a terminal's master from the OCI runtime: the runtime connects to --console-socket and
// sends one descriptor. One object for one process; the socket file is removed with it.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace berth::shim {

class ConsoleSocket final {
  public:
    /// Listens at DIRECTORY/NAME. Throws Error.
    ConsoleSocket(const std::string& directory, const std::string& name);
    ~ConsoleSocket();
    ConsoleSocket(const ConsoleSocket&) = delete;
    ConsoleSocket& operator=(const ConsoleSocket&) = delete;

    /// What the runtime's flag says: relative to the directory (which is the runtime's working
    /// directory) when the whole path is longer than a socket's address may be.
    const std::string& argument() const { return argument_; }
    /// The master, after the runtime succeeded. Throws Error when it sent none.
    UniqueFd take_master();

  private:
    std::string path_;
    std::string argument_;
    UniqueFd listener_;
};

}  // namespace berth::shim

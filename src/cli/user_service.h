// How the engine is kept running for a user: as a systemd user service where there is a user
// manager, else as a background process with a pid file and a log of its own.
#pragma once

#include <string>

#include "linux/pid_fd.h"

namespace berth::cli {

class UserService final {
  public:
    /// Reads HOME and the XDG directories. Throws Error{invalid} without HOME.
    UserService();

    /// Whether `systemctl --user` reaches a manager.
    bool has_systemd() const { return !systemctl_.empty(); }
    /// Starts the engine, now and (with systemd) at each login. Says in words what it did.
    std::string start();
    /// Stops and forgets it; harmless when there is none. Containers are stopped by the engine.
    void stop();
    /// The end of the engine's log, for a start that failed.
    std::string log_tail() const;
    /// False when the process that start() began has ended already.
    bool alive() const;

  private:
    void systemctl(std::initializer_list<const char*> arguments) const;
    linux_os::PidFd background_process() const;

    std::string unit_path_;
    std::string state_directory_;
    std::string systemctl_;    // full path; empty without a user manager
    linux_os::PidFd started_;  // in the background, by this object
};

}  // namespace berth::cli

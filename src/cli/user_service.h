// How the engine is kept running for a user: as berth.socket and berth.service of the user's
// systemd where there is one, else as a background process with a pid file and a log of its own.
#pragma once

#include <string>
#include <vector>

#include "cli/run_program.h"
#include "linux/pid_fd.h"

namespace berth::cli {

/// Whether the unit files on disk are those that this version writes.
enum class UnitState { absent, outdated, current };

class UserService final {
  public:
    /// Reads HOME and the XDG directories. Throws Error{invalid} without HOME.
    UserService();

    /// Whether `systemctl --user` reaches a manager.
    bool has_systemd() const { return !systemctl_.empty(); }
    UnitState unit_state() const;
    /// Whether an engine that start() made is there (or its socket, which starts it).
    bool running() const;
    /// Starts the engine, now and (with systemd) at each login. Says in words what it did; calling
    /// it again changes nothing that is as it should be.
    std::string start();
    /// Stops and forgets it; harmless when there is none. Containers are stopped by the engine.
    void stop();
    /// The end of the engine's log, for a start that failed.
    std::string log_tail() const;
    /// False when the process that start() began has ended already.
    bool alive() const;
    /// $XDG_STATE_HOME/berth.
    const std::string& state_directory() const { return state_directory_; }

  private:
    ProgramResult ask_systemctl(std::vector<std::string> arguments) const;
    void systemctl(std::vector<std::string> arguments) const;
    bool is_active(const char* unit) const;
    bool write_units() const;
    std::string start_units();
    std::string start_in_background();
    void stop_background() const;
    linux_os::PidFd background_process() const;

    std::string unit_directory_;
    std::string state_directory_;
    std::string systemctl_;    // full path; empty without a user manager
    linux_os::PidFd started_;  // in the background, by this object
};

}  // namespace berth::cli

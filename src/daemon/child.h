// One child of the supervisor, berth-network or berth-engine: its process, its channel and when it
// is started again. Single-threaded; owned by the Supervisor.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/restarts.h"
#include "linux/pid_fd.h"

namespace berth::daemon {

class Child final {
  public:
    /// `record` is the file that names the process for a later supervisor.
    Child(std::string program, std::string record);

    /// Spawns the program, which waits for the `configure` message. Throws Error.
    void start(const linux_os::PidFd& holder);
    void configure(const nlohmann::json& message, const std::vector<BorrowedFd>& fds);
    /// Takes over a living process of a former supervisor; false when there is none.
    bool adopt();
    /// True once the process is gone; reaps it.
    bool ended();
    /// Forgets the process and plans its next start.
    void plan_restart();
    void forget();
    void signal(int number) const;
    /// False when it is not running or does not listen any more.
    bool send(const nlohmann::json& message) const;
    void close_channel() { channel_.reset(); }

    const std::string& program() const { return program_; }
    bool running() const { return static_cast<bool>(process_); }
    /// Kills it; its end then is no failure.
    void kill_for_restart();
    /// Its end says nothing of a new one: taken over from a former supervisor, or killed by us.
    bool may_end() const { return origin_ == Origin::adopted || killed_for_restart_; }
    const linux_os::PidFd& process() const { return process_; }
    BorrowedFd channel() const { return channel_; }
    const std::optional<SteadyTime>& start_at() const { return start_at_; }
    const std::string& how_it_ended() const { return how_it_ended_; }

    bool ready = false;

  private:
    enum class Origin { spawned, adopted };
    std::string program_;
    std::string record_;
    linux_os::PidFd process_;
    Origin origin_ = Origin::spawned;
    bool killed_for_restart_ = false;
    UniqueFd channel_;
    Restarts restarts_;
    std::optional<SteadyTime> start_at_;
    std::string how_it_ended_;
};

}  // namespace berth::daemon

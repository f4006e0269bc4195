// The supervisor: keeps holder, network process and engine alive and ends them in order.
// Order at start: (old engine gone) -> holder adopted or made -> network and engine in parallel ->
// both ready: READY=1. Order at the end: engine (SIGTERM, stops containers) -> network -> holder,
// the last two only when no container is left. One thread, one poll loop.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "daemon/child.h"
#include "daemon/config.h"
#include "daemon/delegation.h"
#include "daemon/listeners.h"
#include "systemd/notify.h"

namespace berth::daemon {

class Supervisor final {
  public:
    /// Reads the configuration again for SIGHUP. Throws Error.
    using Reload = std::function<Config()>;

    /// Blocks the signals that it handles; construct before any child is started.
    Supervisor(Config config, systemd::Notifier notifier, Reload reload);
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// Runs until a wanted shutdown ended or the start failed; gives the exit status.
    /// Throws Error when a prerequisite is missing.
    int run(std::vector<UniqueFd> inherited_sockets);

  private:
    enum class Phase { starting, ready, stopping_engine, stopping_rest, done };

    void end_former_engine();
    void bring_up_holder();
    void start_children();
    void begin_delegation();
    void finish_delegation();
    void start_network();
    void start_engine();
    void configure_engine();
    void loop();
    int next_timeout() const;
    void on_deadlines();
    void on_signal();
    void on_stop_signal(int number);
    void on_reload();
    void on_message(Child& child);
    void on_child_end(Child& child);
    void on_holder_end();
    bool holder_is_dying() const;
    linux_os::PidFd make_holder_anew();
    void fail_start(const std::string& message);
    void announce_when_ready();
    std::string status_line() const;
    void stop_rest();
    void finish();
    void remove_files();

    Config config_;
    systemd::Notifier notifier_;
    Reload reload_;
    UniqueFd signals_;
    SteadyTime born_;
    std::vector<Listener> listeners_;
    linux_os::PidFd holder_;
    bool holder_adopted_ = false;
    Child network_;
    Child engine_;
    Delegation delegation_;
    bool wants_network_ = true;
    Phase phase_ = Phase::starting;
    std::string status_;  // the engine's words
    int stop_signals_ = 0;
    int exit_status_ = 0;
    std::optional<SteadyTime> deadline_;  // of the running step of the shutdown
};

}  // namespace berth::daemon

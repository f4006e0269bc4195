// A private bus with an org.freedesktop.systemd1 and an org.freedesktop.login1 that do what the
// test says: for faults, which a real manager does not show on demand. tests/vm has the real one.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "linux/pid_fd.h"

namespace berth::test {

/// How the pretended services behave; the test sets it before it asks.
struct Behaviour final {
    std::string job_result = "done";  // empty: the job never ends
    int exists = 0;                   // so many times StartTransientUnit says UnitExists
    bool knows_oom_policy = true;
    bool removes = true;   // after UnitExists the unit goes
    std::string job_type;  // of the unit of every process; empty: no job
    std::string state = "running";
    std::string linger_refusal;  // the D-Bus error of SetUserLinger; empty: it is done
};

enum class Services { absent, present };

class BusWorld final {
  public:
    explicit BusWorld(Services services, Behaviour behaviour = {});
    ~BusWorld();

    /// The properties of the scope that was made last, as text; and "name", "mode".
    std::map<std::string, std::string> scope();
    std::string directory() const { return directory_; }
    std::string address() const { return "unix:path=" + directory_ + "/bus"; }

    Behaviour behaviour;
    std::map<std::string, std::string> seen;  // by the services' thread, under `mutex`
    std::mutex mutex;

  private:
    void serve();

    std::string directory_;
    linux_os::PidFd daemon_;
    Pipe stop_;
    std::thread thread_;
};

}  // namespace berth::test

// A private installation for one test: a copy of berthd with this test program beside it under the
// names berth-engine and berth-network (fake_child.cc), and directories of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "linux/pid_fd.h"

namespace berth::test {

/// main() of the fake berth-engine and berth-network.
int run_fake_child(const std::string& name);

class World final {
  public:
    World();
    ~World();  // ends what is left of it

    struct Daemon {
        linux_os::PidFd process;
        UniqueFd output;  // stderr
    };
    Daemon start(const std::vector<std::string>& flags = {},
                 const std::vector<std::string>& environment = {});
    /// Reads the output until `text` came; what was read. Fails the test after the deadline.
    std::string read_until(Daemon& daemon, const std::string& text);
    /// Starts and waits for the end: status and output.
    std::pair<int, std::string> run(const std::vector<std::string>& flags = {},
                                    const std::vector<std::string>& environment = {});
    /// Sends a word to the fake engine through the API socket and gives its answer.
    std::string ask(const std::string& word) const;

    const std::string& directory() const { return directory_; }
    std::string runtime() const { return directory_ + "/run"; }
    std::string exec_root() const { return runtime() + "/berth"; }
    pid_t recorded(const std::string& name) const;

  private:
    std::string directory_;
};

/// False when the deadline passed.
bool wait_gone(pid_t pid);
bool wait_gone(const linux_os::PidFd& process);

}  // namespace berth::test

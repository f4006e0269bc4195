// One supervisor a run-time directory: `lock` is flock'd while it lives and says who it is, so that
// a second start can name it. Also the pid file that dockerd's flag asks for.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "daemon/config.h"

namespace berth::daemon {

class InstanceLock final {
  public:
    /// Takes the lock and writes the pid file. Throws Error{conflict} naming pid and socket of the
    /// supervisor that holds it.
    explicit InstanceLock(const Config& config);
    InstanceLock(const InstanceLock&) = delete;
    InstanceLock& operator=(const InstanceLock&) = delete;
    /// Removes both files.
    ~InstanceLock();

  private:
    std::string path_;
    std::string pidfile_;
    UniqueFd fd_;
};

}  // namespace berth::daemon

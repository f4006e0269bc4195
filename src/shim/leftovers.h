// The processes of a container that has no pid namespace of its own: the kernel does not end them
// with process 1. Those of a shared namespace may become children of a stranger, so they are told
// by the container's mount namespace, which is held for that long: its number cannot come again.
// A process that left for another mount namespace is not found.
#pragma once

#include <sys/types.h>

#include "base/unique_fd.h"

namespace berth::shim {

class Leftovers final {
  public:
    /// Nothing ever to end.
    Leftovers() = default;
    /// Of the container whose process 1 is `process`; of none when that has a pid namespace of its
    /// own, or is in our mount namespace. Throws Error when the process is gone.
    static Leftovers of(pid_t process);

    /// Sends SIGKILL to each. False when none was left; else call again a little later.
    bool kill() const;

  private:
    UniqueFd mounts_;
};

}  // namespace berth::shim

// Starts a program of ours (or one named by full path) as a child: a vfork-style clone, so that no
// address space is copied and threads of the caller do not matter. No shell, no PATH look-up.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "linux/pid_fd.h"

namespace berth::linux_os {

struct SpawnRequest final {
    std::string program;                   // absolute path
    std::vector<std::string> arguments;    // argv, argv[0] included
    std::vector<std::string> environment;  // "KEY=value", the whole environment of the child
    std::string directory;                 // working directory; empty: the caller's
    /// Descriptors of the child: {ours, theirs}. Standard streams that are not named are
    /// /dev/null. All else is closed by CLOEXEC.
    std::vector<std::pair<BorrowedFd, int>> fds;
    bool new_session = false;         // setsid(2)
    std::optional<int> death_signal;  // PR_SET_PDEATHSIG; tied to the calling thread
    BorrowedFd cgroup;                // CLONE_INTO_CGROUP when set
};

/// Throws Error with the errno of the step that failed (exec errors included).
PidFd spawn(const SpawnRequest& request);

/// The caller's environment as a list.
std::vector<std::string> current_environment();

/// The full path of a program of the host: in PATH, or in the usual places where there is none; ""
/// when it is nowhere.
std::string find_program(const std::string& name);

/// Finds a program of ours: beside the running binary (build directory), else ../libexec/berth/,
/// else ../bin/. Throws Error{not_found} naming the places that were tried.
std::string find_own_program(const std::string& name);

}  // namespace berth::linux_os

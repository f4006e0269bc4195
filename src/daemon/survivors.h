// Containers that outlived their supervisor: shims whose socket answers.
#pragma once

#include <string>
#include <vector>

#include "linux/pid_fd.h"

namespace berth::daemon {

/// The shims below `exec_root`/c that live. Unreadable entries are passed over.
std::vector<linux_os::PidFd> living_shims(const std::string& exec_root);

}  // namespace berth::daemon

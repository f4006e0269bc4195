// `holder.json` and `network.json`: which process plays a part, in a form that a later supervisor
// can verify: a pid alone may name a stranger after a crash or a reboot.
#pragma once

#include <optional>
#include <string>

#include "linux/pid_fd.h"

namespace berth::rootlesskit {

/// Writes {pid,start_time,boot_id} of a living process. Throws Error.
void write_process_record(const std::string& path, const linux_os::PidFd& process);
/// The recorded process, when it still lives; nothing for an absent, damaged or outdated record.
std::optional<linux_os::PidFd> read_process_record(const std::string& path);

}  // namespace berth::rootlesskit

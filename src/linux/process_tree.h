// The processes of a container where no cgroup tells them, and what /proc says of each. Snapshots:
// processes come and go meanwhile, so each answer may lack one that is new and name one that has
// just ended.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::linux_os {

/// `root` and all that descend from it, parents before their children.
std::vector<pid_t> process_tree(pid_t root);

/// Process 1 of a container with its descendants and with its execs: these are other children of
/// its parent (a subreaper, the shim) that are in its mount namespace. In a shared pid namespace
/// those that lost their parent count to the namespace's owner.
std::vector<pid_t> container_tree(pid_t process1);

/// SIGKILL to a process and all below it. They are stopped first, so that none forks away.
void kill_tree(pid_t root);

/// One process's share of the machine; times in clock ticks, with those of children it reaped.
struct ProcessFigures final {
    std::string name;  // as the kernel knows it
    char state = '?';
    pid_t parent = 0;
    int terminal = 0;  // device number
    std::uint64_t user_ticks = 0, system_ticks = 0;
    std::uint64_t threads = 0;
    std::uint64_t start_ticks = 0;  // since boot
};
/// The text of /proc/PID/stat; nothing when it is none. Pure.
std::optional<ProcessFigures> parse_process_stat(std::string_view text);
/// Nothing when the process is gone.
std::optional<ProcessFigures> figures_of(pid_t process);

}  // namespace berth::linux_os

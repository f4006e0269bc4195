#include <csignal>

#include "base/error.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

namespace berth::runtime {

int kill(const Settings& settings, const Arguments& arguments) {
    if (arguments.positional.empty() || arguments.positional.size() > 2)
        throw Error(ErrorKind::invalid, "kill: a container ID and at most a signal are needed");
    const std::string& id = arguments.positional[0];
    const int signal =
        arguments.positional.size() == 2 ? parse_signal(arguments.positional[1]) : SIGTERM;
    const auto directory = StateDirectory::open(settings.root, id);
    const ContainerState state = directory.load();
    if (arguments.options.has("all") && signal == SIGKILL && !state.cgroup.empty())
        if (const auto cgroup = linux_os::Cgroup::open(state.cgroup)) cgroup->kill_all();
    const auto process = open_process(state);
    if (process && process->signal(signal)) return 0;
    if (arguments.options.has("all")) return 0;
    // Matched by containerd's shim.
    throw Error(ErrorKind::not_found, "container not running");
}

}  // namespace berth::runtime

#include <csignal>

#include "base/error.h"
#include "base/file.h"
#include "linux/message_socket.h"
#include "runtime/create.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

namespace berth::runtime {
namespace {

void kill_and_wait(const ContainerState& state) {
    if (!state.cgroup.empty())
        if (const auto cgroup = linux_os::Cgroup::open(state.cgroup)) {
            cgroup->kill_all();
            if (cgroup->frozen()) cgroup->thaw();
        }
    const auto process = open_process(state);
    if (!process || !process->signal(SIGKILL)) return;
    constexpr int kTimeoutMs = 10'000;
    if (!linux_os::wait_readable(process->fd(), kTimeoutMs))
        throw Error(ErrorKind::unavailable, "container \"{}\" does not die", state.id);
}

}  // namespace

int remove(const Settings& settings, const Arguments& arguments) {
    const std::string id = container_id(arguments);
    const bool force = arguments.options.has("force");
    if (force && !exists(settings.root + "/" + id)) return 0;
    const auto directory = StateDirectory::open(settings.root, id);
    if (force && !exists(directory.file("state.json"))) {
        directory.remove();  // a creation that was killed half way
        return 0;
    }
    const ContainerState state = directory.load();
    const Status status = status_of(directory, state);
    if (!force && (status == Status::running || status == Status::paused))
        throw Error(ErrorKind::conflict, "cannot delete container \"{}\" that is not stopped: {}",
                    id, to_string(status));
    if (status != Status::stopped) kill_and_wait(state);
    delete_stopped(settings, id);
    return 0;
}

}  // namespace berth::runtime

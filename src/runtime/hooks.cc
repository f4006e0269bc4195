#include "runtime/hooks.h"

#include <csignal>

#include "base/error.h"
#include "base/file.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"

namespace berth::runtime {
namespace {

void run_hook(const oci::Hook& hook, const std::string& state) {
    Pipe input = Pipe::make();
    linux_os::SpawnRequest request;
    request.program = hook.path;
    request.arguments = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
    request.environment = hook.env;
    request.fds = {{input.read.borrow(), 0}, {BorrowedFd{2}, 2}};
    const linux_os::PidFd process = linux_os::spawn(request);
    input.read.reset();
    try {
        write_all(input.write, state);  // fits a pipe; a hook need not read it
    } catch (const Error&) {
    }
    input.write.reset();
    constexpr int kForever = -1;
    const int timeout_ms = hook.timeout ? *hook.timeout * 1000 : kForever;
    if (!linux_os::wait_readable(process.fd(), timeout_ms)) {
        process.signal(SIGKILL);
        process.reap();
        throw Error(ErrorKind::internal, "hook {} ran longer than {} s", hook.path, *hook.timeout);
    }
    const linux_os::ExitStatus status = process.reap();
    if (status.code != 0)
        throw Error(ErrorKind::internal, "hook {} failed with exit code {}", hook.path,
                    status.code);
}

}  // namespace

void run_hooks(const std::vector<oci::Hook>& hooks, std::string_view phase,
               const std::string& state) {
    for (const oci::Hook& hook : hooks) try {
            run_hook(hook, state);
        } catch (Error& error) {
            throw error.while_("error running {} hook", phase);
        }
}

}  // namespace berth::runtime

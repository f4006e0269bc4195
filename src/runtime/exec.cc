#include <linux/sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <limits.h>
#include <csignal>

#include "base/error.h"
#include "base/file.h"
#include "base/number.h"
#include "linux/namespaces.h"
#include "linux/rooted_path.h"
#include "runtime/child.h"
#include "runtime/console_socket.h"
#include "runtime/create.h"
#include "runtime/launch.h"
#include "runtime/state.h"
#include "runtime/verbs.h"

namespace berth::runtime {
namespace {

/// CVE-2026-30892: a whole number and nothing else.
std::uint32_t parse_id(std::string_view text) {
    if (const auto id = whole_number<std::uint32_t>(text)) return *id;
    throw Error(ErrorKind::invalid, "--user: \"{}\" is not a numeric id", text);
}

void apply_user(oci::User& user, const std::string& text) {
    const auto colon = text.find(':');
    user.uid = parse_id(std::string_view(text).substr(0, colon));
    if (colon != std::string::npos) user.gid = parse_id(std::string_view(text).substr(colon + 1));
}

/// The process from `--process`, or the container's own with the changes of the flags.
oci::Process process_of(const Arguments& arguments, const oci::Spec& spec) {
    const Options& options = arguments.options;
    if (options.has("process")) {
        oci::Process process = oci::parse_process(read_file(options.value("process")));
        if (options.has("tty")) process.terminal = true;
        return process;
    }
    if (!spec.process) throw Error(ErrorKind::invalid, "exec: the container has no process");
    oci::Process process = *spec.process;
    process.args.assign(arguments.positional.begin() + 1, arguments.positional.end());
    process.terminal = options.has("tty");
    process.cwd = options.value("cwd", process.cwd);
    for (const std::string& variable : options.all("env")) process.env.push_back(variable);
    if (options.has("user")) apply_user(process.user, options.value("user"));
    for (const std::string& group : options.all("additional-gids"))
        process.user.additional_gids.push_back(parse_id(group));
    for (const std::string& name : options.all("cap")) {
        if (!process.capabilities) process.capabilities = oci::Capabilities{};
        for (auto* set : {&process.capabilities->bounding, &process.capabilities->effective,
                          &process.capabilities->permitted})
            set->push_back(name);
    }
    if (options.has("no-new-privs")) process.no_new_privileges = true;
    oci::validate(process);
    return process;
}

linux_os::PidFd running_process(const StateDirectory& directory, const ContainerState& state,
                                const Options& options) {
    const Status status = status_of(directory, state);
    if (status == Status::paused && !options.has("ignore-paused"))
        throw Error(ErrorKind::conflict, "cannot exec in a paused container");
    auto process = open_process(state);
    if (!process) throw Error(ErrorKind::conflict, "cannot exec in a stopped container");
    return std::move(*process);
}

std::uint64_t flags_to_join(const oci::Spec& spec) {
    std::uint64_t flags = 0;
    for (const oci::Namespace& entry : spec.linux_part.namespaces)
        flags |= linux_os::namespace_flag(entry.type);
    return flags;
}

std::optional<linux_os::Cgroup> cgroup_of(const ContainerState& state, const Options& options) {
    if (state.cgroup.empty()) return std::nullopt;
    const std::string below = options.value("cgroup");
    if (below.starts_with('/') || linux_os::climbs_out(below))
        throw Error(ErrorKind::invalid, "--cgroup: \"{}\" leads out of the container's cgroup",
                    below);
    auto cgroup = linux_os::Cgroup::open(below.empty() ? state.cgroup : state.cgroup + "/" + below);
    if (!cgroup && !below.empty())
        throw Error(ErrorKind::not_found, "--cgroup: \"{}\" does not exist", below);
    return cgroup;
}

/// After Ready only execve is left: end of file is its success.
void wait_until_executed(const Launched& launched) {
    send(launched.channel, Go{});
    expect<Ready>(launched.channel);
    const ChannelMessage last = receive(launched.channel);
    if (!std::holds_alternative<Closed>(last)) throw_unexpected(last);
}

/// The container may have moved its processes down and passed controllers on (systemd does): then
/// nobody enters its own cgroup any more, and that of process 1 is taken.
Launched launch_in_cgroup(LaunchRequest& request, const ContainerState& state) {
    try {
        return launch(request);
    } catch (const Error& error) {
        if (!request.cgroup || error.errno_value() != EBUSY) throw;
    }
    const std::string text = read_file(fmt::format("/proc/{}/cgroup", state.pid));
    const auto at = text.rfind("0::");
    if (at == std::string::npos) throw Error(ErrorKind::internal, "process 1 has no cgroup");
    const std::string path = text.substr(at + 3, text.find('\n', at) - at - 3);
    const auto cgroup = linux_os::Cgroup::open(linux_os::Cgroup::hierarchy().value_or("") + path);
    if (!cgroup) throw Error(ErrorKind::not_found, "cgroup {} of process 1 is gone", path);
    request.cgroup = cgroup->fd();
    return launch(request);
}

}  // namespace

int exec(const Settings& settings, const Arguments& arguments) {
    if (arguments.positional.empty())
        throw Error(ErrorKind::invalid, "exec: a container ID is needed");
    const Options& options = arguments.options;
    const auto directory = StateDirectory::open(settings.root, arguments.positional[0]);
    const ContainerState state = directory.load();
    const linux_os::PidFd target = running_process(directory, state, options);
    const oci::Spec spec = directory.load_spec();
    ExecRequest child;
    child.process = process_of(arguments, spec);
    child.joins_user_namespace = spec.linux_part.find_namespace("user") != nullptr;
    if (spec.linux_part.seccomp)
        child.seccomp = obtain_seccomp(*spec.linux_part.seccomp, settings.root + "/seccomp");
    UniqueFd console;
    if (child.process.terminal) {
        if (!options.has("console-socket"))
            throw Error(ErrorKind::invalid, "process.terminal: needs --console-socket");
        console = connect_console_socket(options.value("console-socket"));
    }
    child.console = console;
    child.preserved_fds = preserved_fds(options);
    const auto cgroup = cgroup_of(state, options);
    LaunchRequest request;
    request.join_process = target.fd();
    request.join_flags = flags_to_join(spec);
    if (cgroup) request.cgroup = cgroup->fd();
    request.kept.emplace(1, child.console);
    for (unsigned number = 0; number < child.preserved_fds; ++number)
        request.kept->push_back(BorrowedFd(static_cast<int>(3 + number)));
    request.body = [&child](BorrowedFd channel) { run_exec_child(child, channel); };
    Launched launched = launch_in_cgroup(request, state);
    try {
        wait_until_executed(launched);
        if (options.has("pid-file"))
            write_pid_file(options.value("pid-file"), launched.process.pid());
    } catch (...) {
        launched.process.signal(SIGKILL);
        launched.process.reap();
        throw;
    }
    return options.has("detach") ? 0 : launched.process.reap().code;
}

}  // namespace berth::runtime

#include "runtime/create.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "linux/message_socket.h"
#include "linux/rooted_path.h"
#include "runtime/child.h"
#include "runtime/console_socket.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/resources.h"
#include "runtime/state.h"

namespace berth::runtime {
namespace {

std::string absolute(const std::string& path) {
    if (path.starts_with('/')) return path;
    char here[PATH_MAX];
    if (!::getcwd(here, sizeof here)) throw_errno("finding the working directory");
    return std::string(here) + "/" + path;
}

/// Everything that create holds until the container stands; undone when it does not.
struct Creation final {
    StateDirectory directory;
    oci::Spec spec;
    Plan plan;
    ContainerState state;
    std::optional<linux_os::Cgroup> cgroup;
    std::optional<Launched> launched;
};

void undo(Creation& creation) {
    if (creation.launched) {
        creation.launched->process.signal(SIGKILL);
        creation.launched->process.reap();
    }
    if (creation.cgroup) creation.cgroup->remove();
    creation.directory.remove();
}

Creation begin(const Settings& settings, const Arguments& arguments) {
    const std::string id = container_id(arguments);
    check_container_id(id);
    const std::string bundle =
        linux_os::clean_path(absolute(arguments.options.value("bundle", ".")));
    const std::string config = arguments.options.value("config", "config.json");
    const std::string text = read_file(config.starts_with('/') ? config : bundle + "/" + config);
    oci::Spec spec = oci::parse_spec(text);
    Plan plan = make_plan(spec);
    ContainerState state;
    state.id = id;
    state.bundle = bundle;
    state.rootfs = spec.root.path.starts_with('/') ? spec.root.path : bundle + "/" + spec.root.path;
    state.created = rfc3339(Timestamp::now());
    state.annotations = spec.annotations;
    StateDirectory directory = StateDirectory::make(settings.root, id);
    Creation creation{
        std::move(directory), std::move(spec), std::move(plan), std::move(state), {}, {}};
    try {
        creation.directory.save_spec(text);
    } catch (...) {
        creation.directory.remove();
        throw;
    }
    return creation;
}

/// Makes the cgroup and limits it before anybody is inside. Without one everything works but the
/// limits, so only a specification without limits goes on.
void make_cgroup(Creation& creation, const Settings& settings) {
    const oci::Linux& part = creation.spec.linux_part;
    if (!settings.uses_cgroups || part.cgroups_path.empty()) return;
    const std::string path = cgroup_path(part.cgroups_path, creation.state.id);
    const auto writes = cgroup_settings(part.resources);
    creation.cgroup = linux_os::Cgroup::make(path);
    if (!creation.cgroup) {
        if (!writes.empty())
            throw Error(ErrorKind::unavailable,
                        "linux.resources: cgroup {} cannot be made: none is delegated", path);
        return;
    }
    creation.state.cgroup = creation.cgroup->directory();
    creation.plan.own_cgroup = true;
    creation.cgroup->apply(writes);
}

void set_oom_score(const oci::Spec& spec) {
    if (!spec.process || !spec.process->oom_score_adj) return;
    const UniqueFd file{::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)};
    const std::string text = std::to_string(*spec.process->oom_score_adj);
    // The child inherits it. Below our own score only the host's root may go: not worth failing.
    if (file && ::write(file.get(), text.data(), text.size()) < 0 && errno != EACCES)
        throw_errno("process.oomScoreAdj {}", text);
}

/// Offsets can only be written before the first process enters the time namespace, so the
/// namespace is unshared here for the children to come.
void make_time_namespace(Creation& creation) {
    if (creation.spec.linux_part.time_offsets.empty()) return;
    if (creation.plan.creates(CLONE_NEWUSER))
        throw Error(ErrorKind::unsupported,
                    "linux.timeOffsets: not together with a new user namespace");
    if (::unshare(CLONE_NEWTIME) < 0) throw_errno("making a time namespace");
    std::string text;
    for (const auto& [clock, offset] : creation.spec.linux_part.time_offsets)
        text += fmt::format("{} {} {}\n", clock, offset.secs, offset.nanosecs);
    write_all(open_file("/proc/self/timens_offsets", O_WRONLY), text);
    creation.plan.new_namespaces &= ~static_cast<std::uint64_t>(CLONE_NEWTIME);
}

/// With a cgroup that nobody asked limits of, entering it may fail: one whose common ancestor with
/// ours is not writable (no delegation) is given up.
Launched launch_in_cgroup(Creation& creation, LaunchRequest& request) {
    if (!creation.cgroup) return launch(request);
    request.cgroup = creation.cgroup->fd();
    try {
        return launch(request);
    } catch (const Error& error) {
        const bool refused = error.errno_value() == EACCES || error.errno_value() == EOPNOTSUPP;
        if (!refused || !cgroup_settings(creation.spec.linux_part.resources).empty()) throw;
    }
    creation.cgroup->remove();
    creation.cgroup.reset();
    creation.state.cgroup.clear();
    creation.plan.own_cgroup = false;
    request.cgroup = {};
    return launch(request);
}

UniqueFd connect_console(const Options& options, const oci::Spec& spec) {
    const std::string path = options.value("console-socket");
    const bool terminal = spec.process && spec.process->terminal;
    if (!terminal) return {};
    if (path.empty()) throw Error(ErrorKind::invalid, "process.terminal: needs --console-socket");
    return connect_console_socket(path);
}

void serve_child(Creation& creation) {
    const oci::Hooks& hooks = creation.spec.hooks;
    const BorrowedFd channel = creation.launched->channel;
    if (creation.plan.creates(CLONE_NEWUSER))
        write_id_maps(creation.state.pid, creation.spec.linux_part);
    send(channel, Go{});
    for (;;) {
        const ChannelMessage message = receive(channel);
        if (std::holds_alternative<Ready>(message)) return;
        if (!std::holds_alternative<HooksDue>(message)) throw_unexpected(message);
        const std::string state = dump_json(state_json(creation.state, Status::creating));
        run_hooks(hooks.prestart, "prestart", state);
        run_hooks(hooks.create_runtime, "createRuntime", state);
        send(channel, HooksDone{});
    }
}

void build(Creation& creation, const Settings& settings, const Arguments& arguments) {
    ChildRequest child;
    const UniqueFd console = connect_console(arguments.options, creation.spec);
    const UniqueFd listener = linux_os::listen_messages(creation.directory.start_socket());
    // Now: the working directory becomes the bundle.
    const std::string pid_file = absolute(arguments.options.value("pid-file"));
    child.spec = &creation.spec;
    child.plan = &creation.plan;
    child.rootfs = creation.state.rootfs;
    child.hook_state = dump_json(state_json(creation.state, Status::creating));
    child.console = console;
    child.listener = listener;
    child.preserved_fds = preserved_fds(arguments.options);
    if (creation.spec.linux_part.seccomp)
        child.seccomp =
            obtain_seccomp(*creation.spec.linux_part.seccomp, settings.root + "/seccomp");
    make_cgroup(creation, settings);
    set_oom_score(creation.spec);
    make_time_namespace(creation);
    // Unprivileged writers of id maps need to see the child as their own; it becomes
    // non-dumpable by itself then, before it makes anything that others could enter.
    const bool maps = creation.plan.creates(CLONE_NEWUSER);
    if (!maps && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) throw_errno("becoming non-dumpable");
    if (::chdir(creation.state.bundle.c_str()) < 0) throw_errno("bundle {}", creation.state.bundle);
    LaunchRequest request;
    request.new_namespaces = creation.plan.new_namespaces;
    request.joins = creation.plan.joins;
    request.body = [&child](BorrowedFd channel) { run_child(child, channel); };
    creation.launched = launch_in_cgroup(creation, request);
    creation.state.pid = creation.launched->process.pid();
    creation.state.start_time = linux_os::process_start_time(creation.state.pid).value_or(0);
    serve_child(creation);
    creation.directory.save(creation.state);
    write_pid_file(pid_file, creation.state.pid);
}

}  // namespace

linux_os::PidFd create_container(const Settings& settings, const Arguments& arguments) {
    Creation creation = begin(settings, arguments);
    try {
        build(creation, settings, arguments);
    } catch (...) {
        undo(creation);
        throw;
    }
    return std::move(creation.launched->process);
}

unsigned preserved_fds(const Options& options) {
    const long number = options.number("preserve-fds").value_or(0);
    if (number < 0 || number > 1024)
        throw Error(ErrorKind::invalid, "--preserve-fds: {} is out of range", number);
    for (int fd = 3; fd < 3 + number; ++fd)
        if (::fcntl(fd, F_GETFD) < 0)
            throw Error(ErrorKind::invalid, "--preserve-fds: descriptor {} is not open", fd);
    return static_cast<unsigned>(number);
}

void write_pid_file(const std::string& path, pid_t pid) {
    if (path.ends_with('/')) return;  // no --pid-file
    replace_file(path, std::to_string(pid), 0644, Durability::process);
}

void delete_stopped(const Settings& settings, const std::string& id) {
    const StateDirectory directory = StateDirectory::open(settings.root, id);
    const ContainerState state = directory.load();
    if (!state.cgroup.empty())
        if (const auto cgroup = linux_os::Cgroup::open(state.cgroup)) cgroup->remove();
    const oci::Spec spec = directory.load_spec();
    directory.remove();
    if (spec.hooks.poststop.empty()) return;
    try {
        run_hooks(spec.hooks.poststop, "poststop", dump_json(state_json(state, Status::stopped)));
    } catch (const Error& error) {
        // The container is gone already: a failed poststop hook is only worth a warning.
        ::dprintf(2, "%s\n", error.what());
    }
}

void start_container(const Settings& settings, const std::string& id) {
    const StateDirectory directory = StateDirectory::open(settings.root, id);
    const ContainerState state = directory.load();
    const Status status = status_of(directory, state);
    if (status != Status::created)
        throw Error(ErrorKind::conflict, "cannot start container \"{}\" in the {} state", id,
                    to_string(status));
    const UniqueFd connection = linux_os::connect_messages(directory.start_socket());
    // One starter only: the one who takes the socket's name away.
    if (::unlink(directory.start_socket().c_str()) < 0)
        throw Error(ErrorKind::conflict, "container \"{}\" is being started already", id);
    send(connection, Go{});
    const ChannelMessage answer = receive(connection);
    if (!std::holds_alternative<Closed>(answer)) throw_unexpected(answer);
    const oci::Spec spec = directory.load_spec();
    if (spec.hooks.poststart.empty()) return;
    try {
        run_hooks(spec.hooks.poststart, "poststart", dump_json(state_json(state, Status::running)));
    } catch (...) {
        if (const auto process = open_process(state)) process->signal(SIGKILL);
        throw;
    }
}

int create(const Settings& settings, const Arguments& arguments) {
    create_container(settings, arguments);
    return 0;
}

int start(const Settings& settings, const Arguments& arguments) {
    start_container(settings, container_id(arguments));
    return 0;
}

}  // namespace berth::runtime

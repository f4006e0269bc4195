#include "runtime/child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "linux/message_socket.h"
#include "linux/namespaces.h"
#include "linux/terminal.h"
#include "runtime/channel.h"
#include "runtime/hooks.h"
#include "runtime/process_setup.h"
#include "runtime/rootfs.h"

namespace berth::runtime {
namespace {

/// Root of a user namespace that was just made or joined.
void become_namespace_root() {
    if (::setgroups(0, nullptr) < 0 && errno != EPERM) throw_errno("dropping groups");
    if (::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0)
        throw_errno("becoming root of the user namespace");
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) throw_errno("becoming non-dumpable");
}

void set_names(const oci::Spec& spec) {
    if (!spec.hostname.empty() && ::sethostname(spec.hostname.data(), spec.hostname.size()) < 0)
        throw_errno("setting the hostname {}", spec.hostname);
    if (!spec.domainname.empty() &&
        ::setdomainname(spec.domainname.data(), spec.domainname.size()) < 0)
        throw_errno("setting the domainname {}", spec.domainname);
}

/// One message with the master, the slave's path as payload: what conmon and containerd expect.
void send_console(BorrowedFd console, const linux_os::Terminal& terminal) {
    if (linux_os::send_message(console, "/dev/ptmx", {terminal.master.borrow()}) !=
        linux_os::SendResult::sent)
        throw Error(ErrorKind::internal, "the console socket does not take the terminal");
}

void use_terminal(const linux_os::Terminal& terminal, BorrowedFd console,
                  const oci::Process& process) {
    if (process.console_size)
        linux_os::set_terminal_size(terminal.master,
                                    {process.console_size->height, process.console_size->width});
    if (::fchown(terminal.slave.get(), process.user.uid, static_cast<gid_t>(-1)) < 0)
        throw_errno("owner of the terminal");
    send_console(console, terminal);
    linux_os::take_terminal(terminal.slave);
}

void run_hook_rendezvous(const oci::Hooks& hooks, BorrowedFd channel) {
    if (hooks.prestart.empty() && hooks.create_runtime.empty()) return;
    send(channel, HooksDue{});
    expect<HooksDone>(channel);
}

std::optional<linux_os::Terminal> make_root(const ChildRequest& request, BorrowedFd channel) {
    const oci::Spec& spec = *request.spec;
    std::optional<linux_os::Terminal> terminal;
    if (!request.plan->creates(CLONE_NEWNS)) {
        run_hook_rendezvous(spec.hooks, channel);
        return terminal;
    }
    Rootfs root = Rootfs::enter(request.rootfs, *request.plan);
    root.mount_all(*request.plan);
    root.make_devices(*request.plan);
    root.write_sysctls(spec.linux_part.sysctl);
    if (spec.process && spec.process->terminal) terminal = root.make_console();
    run_hook_rendezvous(spec.hooks, channel);
    root.protect_paths(spec.linux_part);
    run_hooks(spec.hooks.create_container, "createContainer", request.hook_state);
    root.pivot(*request.plan);
    if (spec.root.readonly) root.make_root_readonly();
    return terminal;
}

/// Blocks until `start` connects and says so; other connections are closed.
UniqueFd wait_for_start(BorrowedFd listener) {
    for (;;) {
        UniqueFd connection = linux_os::accept_messages(listener);
        if (connection && std::holds_alternative<Go>(receive(connection))) return connection;
    }
}

/// 127 and 126 are what a shell answers for these failures, and what docker run exits with.
int exit_code_of(const Error& error) {
    if (error.errno_value() == ENOENT) return 127;
    return error.errno_value() == EACCES || error.errno_value() == ENOEXEC ? 126 : 1;
}

[[noreturn]] void execute_at_start(const ChildRequest& request, const PreparedProgram& program) {
    const UniqueFd connection = wait_for_start(request.listener);
    try {
        run_hooks(request.spec->hooks.start_container, "startContainer", request.hook_state);
        execute(program, request.seccomp, request.preserved_fds);
    } catch (const Error& error) {
        send(connection, failure_of(error));
        ::_exit(exit_code_of(error));
    }
}

void make_working_streams(const oci::Process& process) {
    if (::setsid() < 0 && errno != EPERM) throw_errno("making a session");
    give_streams(process.user);
}

}  // namespace

void run_child(const ChildRequest& request, BorrowedFd channel) {
    const oci::Spec& spec = *request.spec;
    const Plan& plan = *request.plan;
    expect<Go>(channel);
    if (plan.creates(CLONE_NEWUSER) || plan.joins_type("user")) become_namespace_root();
    ::umask(0);
    if (plan.creates(CLONE_NEWNET)) linux_os::bring_loopback_up();
    std::optional<linux_os::Terminal> terminal = make_root(request, channel);
    if (!spec.process) throw Error(ErrorKind::invalid, "process: is needed");
    make_working_streams(*spec.process);
    if (terminal) use_terminal(*terminal, request.console, *spec.process);
    terminal.reset();
    set_names(spec);
    apply_rlimits(spec.process->rlimits);
    make_working_directory(spec.process->cwd);
    const PreparedProgram program = become_user(*spec.process, request.seccomp);
    if (!send(channel, Ready{})) ::_exit(1);  // nobody would ever start or delete us
    UniqueFd(channel.get()).reset();
    execute_at_start(request, program);
}

void run_exec_child(const ExecRequest& request, BorrowedFd channel) {
    expect<Go>(channel);
    if (request.joins_user_namespace) become_namespace_root();
    ::umask(0);
    make_working_streams(request.process);
    if (request.process.terminal) {
        UniqueFd ptmx{::open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC)};
        if (!ptmx) throw_errno("opening /dev/pts/ptmx");
        use_terminal(linux_os::open_terminal(std::move(ptmx)), request.console, request.process);
    }
    apply_rlimits(request.process.rlimits);
    const PreparedProgram program = become_user(request.process, request.seccomp);
    send(channel, Ready{});
    execute(program, request.seccomp, request.preserved_fds);
}

}  // namespace berth::runtime

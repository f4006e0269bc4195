// Execs. Once an exec's process has ended, its output is read to the end of file, or for 2 s when
// a descendant in the background holds the streams open: the exit code must become known, and
// `exec sh -c 'server &'` must return. Later output of the descendant is read and dropped.
#include <csignal>
#include <utility>

#include "base/file.h"
#include "linux/process_tree.h"
#include "shim/shim.h"

namespace berth::shim {
namespace {

// Ended execs that `state` still tells of, for an engine that connects late.
constexpr std::size_t kMaxEndedExecs = 32;

}  // namespace

void Shim::exec(Origin origin, ExecRequest& request, std::vector<UniqueFd> fds) {
    if (status_ != ProcessStatus::running)
        throw Error(ErrorKind::conflict, "the container is not running");
    if (find_exec(request.exec_id))
        throw Error(ErrorKind::conflict, "exec {} exists already", request.exec_id);
    if (fds.size() > 1) throw Error(ErrorKind::invalid, "exec takes one descriptor");

    Exec& exec = execs_.emplace_back();
    exec.id = request.exec_id;
    const std::string name = fmt::format("exec-{}", next_exec_++);
    exec.file_stem = path(name.c_str());
    exec.options = std::move(request.streams);
    if (request.ends_with_connection) exec.keeper = origin.connection;
    if (!fds.empty()) exec.client = std::move(fds.front());
    exec.handled = true;  // nothing to report until the process exists
    try {
        ProcessStreams::Settings settings = stream_settings(request.terminal);
        settings.input_end = InputEnd::closes_process_stdin;
        settings.on_detach = [this, id = exec.id] { control_.broadcast(DetachedEvent{id}); };
        exec.streams = std::make_unique<ProcessStreams>(loop_, std::move(settings));
        RuntimeCall call;
        ProcessStreams::ChildEnds ends;
        call.arguments = {"exec",     "--process",  exec.file_stem + ".json",
                          "--detach", "--pid-file", exec.file_stem + ".pid"};
        if (request.terminal) {
            exec.console = std::make_unique<ConsoleSocket>(directory_, name + ".sock");
            call.arguments.insert(call.arguments.end(),
                                  {"--console-socket", exec.console->argument()});
        } else {
            const bool input = exec.client && exec.options.stdin_stream;
            ends = exec.streams->make_pipes(input ? ProcessStreams::Stdin::pipe
                                                  : ProcessStreams::Stdin::null);
        }
        call.arguments.push_back(config_.id);
        call.stdin_end = ends.stdin_end;
        call.stdout_end = ends.stdout_end;
        call.stderr_end = ends.stderr_end;
        replace_file(exec.file_stem + ".json", request.process_json, 0600, Durability::process);
        runtime_.run(call, [this, origin, &exec](const RuntimeResult& result) {
            finish_exec(origin, exec, result);
            reaper_.end_unknown();
        });
        reaper_.begin_unknown();
    } catch (...) {
        discard_exec(exec);
        throw;
    }
}

void Shim::finish_exec(Origin origin, Exec& exec, const RuntimeResult& result) {
    remove_tree(exec.file_stem + ".json");
    try {
        if (result.exit_code != 0) {
            const std::string said = last_line(exec.streams->read_leftover());
            const bool vague = result.error.starts_with("runtime exec ended") && !said.empty();
            throw Error(ErrorKind::internal, "{}", vague ? said : result.error);
        }
        exec.pid = read_pid_file(exec.file_stem + ".pid");
        remove_tree(exec.file_stem + ".pid");
        if (reaper_.is_unreaped(exec.pid)) exec.process = linux_os::PidFd::open(exec.pid);
        if (exec.console) exec.streams->set_terminal(exec.console->take_master());
        exec.console.reset();
        if (exec.client) exec.streams->attach(std::move(exec.client), std::move(exec.options));
    } catch (const Error& error) {
        if (exec.process) (void)exec.process.signal(SIGKILL);
        refuse(origin, error);
        discard_exec(exec);
        return try_leave();
    }
    exec.running = true;
    exec.handled = false;
    Reply reply;
    reply.pid = exec.pid;
    answer(origin, std::move(reply));
    exec.streams->open();
    reaper_.expect(exec.pid,
                   [this, &exec](linux_os::ExitStatus status) { exec_exited(exec, status); });
    if (exec.running && status_ == ProcessStatus::exited && exec.process)
        (void)exec.process.signal(SIGKILL);
    if (exec.running && exec.keeper && !control_.connections().contains(*exec.keeper))
        linux_os::kill_tree(exec.pid);
}

void Shim::end_kept_execs(Control::ConnectionId connection) {
    for (const Exec& exec : execs_)
        if (exec.running && exec.keeper == connection) linux_os::kill_tree(exec.pid);
}

void Shim::exec_exited(Exec& exec, linux_os::ExitStatus status) {
    exec.running = false;
    exec.exit_code = status.code;
    exec.streams->drain([this, &exec] {
        control_.broadcast(ExecExitEvent{exec.id, exec.exit_code});
        acks_.wait(exec.id, control_.connections(), [this, &exec] { exec_handled(exec); });
    });
}

void Shim::exec_handled(Exec& exec) {
    exec.handled = true;
    if (status_ == ProcessStatus::exited) exec.streams->abandon_output();
    exec.streams->finish_clients([this, &exec] {
        // The streams are still on the stack.
        loop_.after(std::chrono::milliseconds{0}, [this, &exec] {
            exec.streams.reset();
            forget_old_execs();
            try_leave();
        });
    });
    try_leave();
}

// The container is gone, and so are its execs, except those that share a pid namespace with others.
void Shim::end_execs() {
    for (Exec& exec : execs_) {
        if (exec.running && exec.process) (void)exec.process.signal(SIGKILL);
        if (exec.handled && exec.pid != 0 && exec.streams) exec.streams->abandon_output();
    }
}

void Shim::forget_old_execs() {
    std::size_t ended = 0;
    for (const Exec& exec : execs_)
        if (exec.pid != 0 && exec.handled && !exec.streams) ++ended;
    for (auto exec = execs_.begin(); exec != execs_.end() && ended > kMaxEndedExecs;) {
        if (exec->pid != 0 && exec->handled && !exec->streams) {
            exec = execs_.erase(exec);
            --ended;
        } else {
            ++exec;
        }
    }
}

Shim::Exec* Shim::find_exec(const std::string& id) {
    for (Exec& exec : execs_)
        if (exec.id == id) return &exec;
    return nullptr;
}

void Shim::discard_exec(Exec& exec) {
    remove_tree(exec.file_stem + ".json");
    remove_tree(exec.file_stem + ".pid");
    execs_.remove_if([&](const Exec& each) { return &each == &exec; });
}

}  // namespace berth::shim

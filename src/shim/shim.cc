#include "shim/shim.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <ranges>
#include <utility>

#include "base/file.h"
#include "base/log.h"

// Requests and the life of process 1; execs are in shim_exec.cc.
namespace berth::shim {
namespace {

// shim.log lies in memory: a problem that repeats must not fill it.
constexpr int kMaxProblems = 200;
constexpr int kLeftoverTries = 200;
constexpr std::chrono::milliseconds kLeftoverWait{10};

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

Shim::Shim(EventLoop& loop, std::string directory, ShimConfig config)
    : loop_(loop),
      directory_(std::move(directory)),
      config_(std::move(config)),
      reaper_(loop),
      runtime_(reaper_, config_, directory_),
      acks_(loop),
      control_(loop, {[this](auto id, RequestMessage message, std::vector<UniqueFd> fds) {
                          handle({id, message.seq}, std::move(message), std::move(fds));
                      },
                      [this](auto id) { connection_closed(id); },
                      [this](const std::string& problem) { report(problem); }}) {
    mounts_.emplace_back(reaper_, config_.rootfs, directory_ + "/rootfs", "the root directory");
    for (const PreparedMount& each : config_.mounts)
        mounts_.emplace_back(reaper_, each.mount, each.target,
                             each.mount.subpath.empty() ? each.target : each.mount.subpath);
    loop_.on_error([this](const char* problem) { report(problem); });
    try {
        log_ = make_log_driver(loop_, config_);
    } catch (Error& error) {  // told to whoever creates the container
        log_failure_ = error.while_("failed to initialize logging driver");
    }
    if (config_.spool_dir.empty())
        config_.spool_dir =
            config_.log.driver == "json-file" ? directory_of(config_.log.path) : directory_;
    ProcessStreams::Settings settings = stream_settings(config_.terminal);
    settings.log = log_.get();
    settings.input_end = config_.stdin_once ? InputEnd::closes_process_stdin : InputEnd::is_ignored;
    settings.on_detach = [this] { control_.broadcast(DetachedEvent{}); };
    streams_ = std::make_unique<ProcessStreams>(loop_, std::move(settings));
    // Made now, so that a client may attach before the process exists.
    if (!config_.terminal)
        child_ends_ = streams_->make_pipes(config_.open_stdin ? ProcessStreams::Stdin::pipe
                                                              : ProcessStreams::Stdin::null);
}

void Shim::begin(UniqueFd connection) {
    control_.listen(path("shim.sock"));
    control_.add(std::move(connection));
}

ProcessStreams::Settings Shim::stream_settings(bool terminal) {
    ProcessStreams::Settings settings;
    settings.terminal = terminal;
    settings.spool_directory = config_.spool_dir;
    settings.on_problem = [this](const std::string& problem) { report(problem); };
    return settings;
}

// shim.log comes to be with the first problem.
void Shim::report(const std::string& problem) {
    if (++problems_ > kMaxProblems) return;
    if (problems_ == 1) {
        const UniqueFd file{
            ::open(path("shim.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
        if (file) ::dup3(file.get(), STDERR_FILENO, O_CLOEXEC);
    }
    log::error("{}", problem);
}

void Shim::handle(Origin origin, RequestMessage message, std::vector<UniqueFd> fds) {
    try {
        dispatch(origin, message.request, std::move(fds));
    } catch (const Error& error) {
        refuse(origin, error);
    }
}

void Shim::dispatch(Origin origin, Request& request, std::vector<UniqueFd> fds) {
    if (std::holds_alternative<CreateRequest>(request)) return create(origin);
    if (std::holds_alternative<StartRequest>(request)) return start(origin);
    if (std::holds_alternative<StateRequest>(request)) return report_state(origin);
    if (std::holds_alternative<ShutdownRequest>(request)) return shut_down(origin);
    if (auto* wanted = std::get_if<AttachRequest>(&request))
        return attach(origin, *wanted, std::move(fds));
    if (auto* wanted = std::get_if<ExecRequest>(&request))
        return exec(origin, *wanted, std::move(fds));
    if (auto* wanted = std::get_if<ResizeRequest>(&request)) return resize(origin, *wanted);
    if (auto* wanted = std::get_if<SignalRequest>(&request)) return signal(origin, *wanted);
    if (auto* ack = std::get_if<ExitAck>(&request))
        return acks_.acknowledged(origin.connection, ack->exec_id);
    streams_->close_stdin();  // CloseStdinRequest
    answer(origin);
}

void Shim::answer(Origin origin, Reply reply, const std::vector<BorrowedFd>& fds) {
    reply.seq = origin.seq;
    control_.send(origin.connection, reply, fds);
}

void Shim::refuse(Origin origin, const Error& error) {
    Reply reply;
    reply.error = error;
    answer(origin, std::move(reply));
}

bool Shim::alive() const {
    return status_ == ProcessStatus::created || status_ == ProcessStatus::running;
}

void Shim::create(Origin origin) {
    if (create_attempted_ || cleaning_)
        throw Error(ErrorKind::conflict, "the container was created already");
    if (log_failure_) throw *log_failure_;
    create_attempted_ = creating_ = true;
    mount_from(mounts_.begin(), origin);
}

void Shim::mount_from(std::list<Rootfs>::iterator at, Origin origin) {
    at->mount([this, at, origin](std::optional<Error> error) {
        if (error) return fail_create(origin, *error);
        if (std::next(at) != mounts_.end()) return mount_from(std::next(at), origin);
        try {
            run_create(origin);
        } catch (const Error& failure) {
            fail_create(origin, failure);
        }
    });
}

void Shim::run_create(Origin origin) {
    RuntimeCall call;
    call.arguments = {"create", "--bundle", config_.bundle, "--pid-file", path("init.pid")};
    if (config_.terminal) {
        console_ = std::make_unique<ConsoleSocket>(directory_, "console.sock");
        call.arguments.insert(call.arguments.end(), {"--console-socket", console_->argument()});
    }
    call.arguments.push_back(config_.id);
    const ProcessStreams::ChildEnds ends = std::move(child_ends_);
    call.stdin_end = ends.stdin_end;
    call.stdout_end = ends.stdout_end;
    call.stderr_end = ends.stderr_end;
    runtime_.run(call, [this, origin](const RuntimeResult& result) {
        try {
            finish_create(origin, result);
        } catch (const Error& error) {
            fail_create(origin, error);
        }
        reaper_.end_unknown();
    });
    reaper_.begin_unknown();  // process 1 may end before its pid is read
}

void Shim::finish_create(Origin origin, const RuntimeResult& result) {
    if (result.exit_code != 0) {
        const std::string said = last_line(streams_->read_leftover());
        const bool vague = result.error.starts_with("runtime create ended") && !said.empty();
        throw Error(ErrorKind::internal, "{}", vague ? said : result.error);
    }
    const pid_t pid = read_pid_file(path("init.pid"));
    if (!reaper_.is_unreaped(pid))
        throw Error(ErrorKind::internal, "the container's process ended before it was started");
    process_ = linux_os::PidFd::open(pid);
    if (console_) {
        streams_->set_terminal(console_->take_master());
        console_.reset();
        if (config_.console_height != 0 && config_.console_width != 0)
            streams_->resize(config_.console_height, config_.console_width);
    }
    const UniqueFd network = open_file(fmt::format("/proc/{}/ns/net", pid), O_RDONLY);
    leftovers_ = Leftovers::of(pid);
    watch_memory();
    status_ = ProcessStatus::created;
    creating_ = false;
    Reply reply;
    reply.pid = pid;
    answer(origin, std::move(reply), {process_.fd(), network.borrow()});
    streams_->open();
    reaper_.expect(pid, [this](linux_os::ExitStatus status) { process_exited(status); });
    if (shutdown_ || control_.connections().empty()) (void)process_.signal(SIGKILL);
}

// Before the process runs, and after the runtime has made its cgroup.
void Shim::watch_memory() {
    try {
        oom_.emplace(loop_, config_.cgroup_dir, [this] { control_.broadcast(OomEvent{}); });
    } catch (const Error& error) {  // no inotify instance is left: the exit still tells
        report(error.message());
    }
}

bool Shim::oom_killed() const { return oom_ && oom_->killed(); }

void Shim::fail_create(Origin origin, const Error& error) {
    creating_ = false;
    console_.reset();
    refuse(origin, error);
    if (shutdown_ || control_.connections().empty()) clean_up();
}

void Shim::start(Origin origin) {
    if (status_ != ProcessStatus::created)
        throw Error(ErrorKind::conflict, "the container is {}", to_string(status_));
    RuntimeCall call;
    call.arguments = {"start", config_.id};
    runtime_.run(call, [this, origin](const RuntimeResult& result) {
        starting_ = false;
        if (result.exit_code != 0) {
            refuse(origin, Error(ErrorKind::internal, "{}", result.error));
        } else {
            status_ = ProcessStatus::running;
            answer(origin);
        }
        if (const auto early = std::exchange(early_exit_, std::nullopt)) process_exited(*early);
    });
    starting_ = true;
}

void Shim::attach(Origin origin, AttachRequest& request, std::vector<UniqueFd> fds) {
    if (fds.size() != 1) throw Error(ErrorKind::invalid, "attach needs one descriptor");
    if (status_ == ProcessStatus::exited)
        throw Error(ErrorKind::conflict, "the container has exited");
    streams_->attach(std::move(fds.front()), std::move(request.streams));
    answer(origin);
}

void Shim::resize(Origin origin, const ResizeRequest& request) {
    ProcessStreams* streams = streams_.get();
    if (request.exec_id) {
        Exec* exec = find_exec(*request.exec_id);
        if (!exec || !exec->running)
            throw Error(ErrorKind::not_found, "exec {} is not running", *request.exec_id);
        streams = exec->streams.get();
    } else if (!alive()) {
        throw Error(ErrorKind::not_found, "the container is not running");
    }
    streams->resize(request.height, request.width);
    answer(origin);
}

void Shim::signal(Origin origin, const SignalRequest& request) {
    if (!alive()) throw Error(ErrorKind::not_found, "the container is not running");
    if (!request.all) {
        if (!process_.signal(request.number))
            throw Error(ErrorKind::not_found, "the container is not running");
        return answer(origin);
    }
    RuntimeCall call;
    call.arguments = {"kill", "--all", config_.id, std::to_string(request.number)};
    runtime_.run(call, [this, origin](const RuntimeResult& result) {
        if (result.exit_code == 0) return answer(origin);
        refuse(origin,
               Error(alive() ? ErrorKind::internal : ErrorKind::not_found, "{}", result.error));
    });
}

void Shim::report_state(Origin origin) {
    StateReply state;
    state.status = status_;
    state.pid = alive() ? process_.pid() : 0;
    state.exit_code = exit_.exit_code;
    state.exited_at = exit_.exited_at;
    state.oom = exit_.oom || (alive() && oom_killed());
    for (const Exec& exec : execs_)
        if (exec.pid != 0) state.execs.push_back({exec.id, exec.pid, exec.running, exec.exit_code});
    Reply reply;
    reply.state = std::move(state);
    answer(origin, std::move(reply));
}

void Shim::shut_down(Origin origin) {
    if (shutdown_) throw Error(ErrorKind::conflict, "the shim is shutting down already");
    shutdown_ = origin;
    if (alive())
        (void)process_.signal(SIGKILL);
    else if (status_ == ProcessStatus::preparing && !creating_)
        clean_up();
}

void Shim::connection_closed(Control::ConnectionId connection) {
    acks_.closed(connection);
    end_kept_execs(connection);
    // Without an engine and without a container there is nothing to stay for.
    if (status_ == ProcessStatus::preparing && !creating_ && control_.connections().empty())
        clean_up();
}

void Shim::process_exited(linux_os::ExitStatus status) {
    if (starting_) {  // the reply to start comes before the exit event
        early_exit_ = status;
        return;
    }
    status_ = ProcessStatus::exited;
    exit_ = {status.code, Timestamp::now().ns, false, ""};
    end_execs();
    end_leftovers(kLeftoverTries, [this] { drain_output(); });
}

// What process 1 left running, when the kernel did not end that with it. A process that does not
// die of SIGKILL must not hold up the exit for ever.
void Shim::end_leftovers(int tries, std::function<void()> done) {
    if (tries == 0 || !leftovers_.kill()) {
        leftovers_ = {};  // it holds the container's mounts
        return done();
    }
    loop_.after(kLeftoverWait, [this, tries, then = std::move(done)]() mutable {
        end_leftovers(tries - 1, std::move(then));
    });
}

void Shim::drain_output() {
    streams_->drain([this] {
        streams_->abandon_output();
        record_exit();
        control_.broadcast(ExitEvent{exit_.exit_code, exit_.exited_at, exit_.oom});
        acks_.wait(std::nullopt, control_.connections(), [this] {
            streams_->finish_clients([this] { try_leave(); });
            clean_up();
        });
    });
}

void Shim::record_exit() {
    try {
        exit_.oom = oom_killed();
        exit_.boot_id = linux_os::boot_id();
        replace_file(path("exit.json"), encode(exit_), 0600, Durability::process);
    } catch (const Error& error) {
        report(error.message());
    }
}

void Shim::clean_up() {
    if (std::exchange(cleaning_, true)) return;
    if (!create_attempted_) return cleaned();
    RuntimeCall call;
    call.arguments = {"delete"};
    // A create that failed, and a shutdown, may leave anything or nothing behind.
    if (shutdown_ || status_ != ProcessStatus::exited) call.arguments.emplace_back("--force");
    call.arguments.push_back(config_.id);
    try {
        runtime_.run(call, [this](const RuntimeResult& result) {
            if (result.exit_code != 0) report("deleting the container: " + result.error);
            cleaned();
        });
    } catch (const Error& error) {
        report(error.message());
        cleaned();
    }
}

void Shim::cleaned() {
    for (Rootfs& mount : std::views::reverse(mounts_)) mount.unmount();
    cleaned_ = true;
    if (status_ == ProcessStatus::preparing) {
        streams_->abandon_output();
        streams_->finish_clients([this] { try_leave(); });
    }
    try_leave();
}

void Shim::try_leave() {
    if (!cleaned_) return;
    bool clients = streams_->has_clients();
    for (const Exec& exec : execs_) {
        if (!exec.handled) return;
        clients = clients || (exec.streams && exec.streams->has_clients());
    }
    if (const auto origin = std::exchange(shutdown_, std::nullopt)) answer(*origin);
    control_.close_all();
    if (!clients) loop_.stop();
}

}  // namespace berth::shim

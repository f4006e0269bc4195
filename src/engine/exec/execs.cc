#include "engine/execs.h"

#include <nlohmann/json.hpp>

#include "base/frames.h"
#include "base/id.h"
#include "base/json.h"
#include "engine/containers/attach.h"
#include "engine/containers/exit.h"
#include "engine/containers/files.h"
#include "engine/containers/links.h"
#include "engine/containers/prepare.h"
#include "engine/containers/start.h"
#include "engine/containers/state.h"
#include "engine/exec/output.h"
#include "linux/process_tree.h"
#include "linux/socket_pair.h"

namespace berth::engine {

using nlohmann::json;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::minutes kKept{5};
// Of a removed container: its client is just about to ask for the exit code.
constexpr std::chrono::seconds kKeptBriefly{10};
// Those that are due nearly together go together.
constexpr std::chrono::seconds kTogether{10};
constexpr std::chrono::seconds kResizeWait{10};
constexpr int kContainerEnded = 137;
// Longer than the shim waits for what holds a killed command's output open.
constexpr std::chrono::seconds kKillWait{5};

struct Exec final {
    std::string id;
    std::string container_id;
    std::weak_ptr<Container> container;  // gone with its removal
    ExecConfig config;
    bool started = false;  // a start was asked for
    bool running = false;
    pid_t pid = 0;
    std::string process;  // the OCI process object, from its start
    Timestamp run;        // of the container: when that started
    std::optional<int> exit_code;
    SteadyTime due = SteadyTime::max();  // to be forgotten
    async::Condition changed;
    shim::Framing framing = shim::Framing::multiplexed;
    // Of a command that the engine itself runs:
    bool own = false;
    bool given_up = false;  // nobody waits for it any more
    async::Event launched;  // or failed
    std::optional<Error> failure;

    void belongs_to(const ContainerPtr& owner) {
        container = owner;
        container_id = owner->id();
    }
};
using ExecPtr = std::shared_ptr<Exec>;

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

void check_running(const Container& container) {
    const model::Status status = container.record.state.status;
    if (status == model::Status::paused)
        throw Error(ErrorKind::conflict,
                    "container {} is paused, unpause the container before exec",
                    container.record.id);
    if (status == model::Status::restarting)
        throw Error(ErrorKind::conflict,
                    "container {} is restarting, wait until the container is running",
                    container.record.id);
    if (status != model::Status::running || !container.shim)
        throw Error(ErrorKind::conflict, "container {} is not running", container.record.id);
}

ContainerPtr running_container(const Exec& exec) {
    ContainerPtr container = exec.container.lock();
    if (!container)
        throw Error(ErrorKind::conflict, "container {} is not running", exec.container_id);
    check_running(*container);
    return container;
}

/// dockerd's text, with its blank behind a command without arguments.
std::string action_text(const char* action, const ExecConfig& config) {
    return fmt::format("{}: {} {}", action, config.cmd.front(),
                       joined({config.cmd.begin() + 1, config.cmd.end()}));
}

/// An error inside the stream: plain with a terminal, else a frame of stdout, as in dockerd.
std::string error_bytes(const std::string& message, bool tty) {
    const std::string text = message + "\r\n";
    return tty ? text : frame_header(1, text.size()) + text;
}

shim::ExecRequest exec_request(const Exec& exec, std::string process, std::string early,
                               bool attached) {
    shim::ExecRequest request;
    request.exec_id = exec.id;
    request.process_json = std::move(process);
    request.terminal = exec.config.tty;
    request.streams.stdin_stream = attached && exec.config.attach_stdin;
    request.streams.stdout_stream = attached && exec.config.attach_stdout;
    request.streams.stderr_stream = attached && exec.config.attach_stderr;
    request.streams.framing = exec.framing;
    if (exec.config.tty && exec.config.attach_stdin)
        request.streams.detach_keys = detach_key_bytes(exec.config.detach_keys);
    request.streams.prefix = std::move(early);
    request.ends_with_connection = exec.own;
    return request;
}

/// Its errors begin as those of Docker's runtime, for who looks for these words.
async::Task<pid_t> start_process(Container& container, shim::ExecRequest request,
                                 BorrowedFd client) {
    try {
        co_return co_await container.shim->exec(std::move(request), client);
    } catch (Error& error) {
        throw error.while_(
            "OCI runtime exec failed: exec failed: unable to start container process");
    }
}

}  // namespace

struct ExecState final {
    explicit ExecState(ContainerState& state) : containers(state) {}

    ContainerState& containers;
    std::map<std::string, ExecPtr> execs;
    std::map<std::string, ExecPtr> launching;  // of our own, by container
    bool forgetting = false;
    async::Condition due_earlier;

    ExecPtr find(const std::string& id) const {
        const auto found = execs.find(id);
        if (found == execs.end())
            throw Error(ErrorKind::not_found, "No such exec instance: {}", id);
        return found->second;
    }

    void publish(const Exec& exec, const std::string& action,
                 std::map<std::string, std::string> attributes = {}) const {
        attributes.emplace("execID", exec.id);
        if (const ContainerPtr container = exec.container.lock())
            containers.publish(*container, action, std::move(attributes));
    }

    void finish(Exec& exec, int code) {
        if (exec.exit_code) return;
        exec.running = false;
        exec.exit_code = code;
        if (const ContainerPtr container = exec.container.lock())
            container->exec_ids.erase(exec.id);
        exec.changed.notify_all();
        publish(exec, "exec_die", {{"exitCode", std::to_string(code)}});
        forget_after(exec, kKept);
    }

    void container_ended(Container& container) {
        for (const auto& [id, exec] : execs) {
            if (exec->container_id != container.id()) continue;
            if (exec->running) finish(*exec, kContainerEnded);
            exec->changed.notify_all();
            forget_after(*exec, kKept);  // one that was never started, too
        }
        container.exec_ids.clear();
    }

    void container_removed(const Container& container) {
        for (const auto& [id, exec] : execs)
            if (exec->container_id == container.id()) forget_after(*exec, kKeptBriefly);
        due_earlier.notify_all();
    }

    void forget_after(Exec& exec, std::chrono::seconds span) {
        exec.due = std::min(exec.due, steady_clock::now() + span);
        if (std::exchange(forgetting, true)) return;
        containers.deps.context.tasks.spawn("end of execs", forget_due());
    }

    async::Task<> forget_due() {
        for (;;) {
            const SteadyTime now = steady_clock::now();
            std::erase_if(execs, [&](const auto& entry) { return entry.second->due <= now; });
            SteadyTime next = SteadyTime::max();
            for (const auto& [id, exec] : execs) next = std::min(next, exec->due);
            if (next == SteadyTime::max()) break;
            co_await due_earlier.wait_until(next + kTogether);
        }
        forgetting = false;
    }

    ExecPtr add(ContainerPtr container, ExecConfig config);
    void adopt(ContainerPtr container, const shim::ExecState& found);
    async::Task<void> prepare(ExecPtr exec);
    async::Task<void> launch(ExecPtr exec, BorrowedFd client, std::string early);
    async::Task<void> fail(ExecPtr exec, Error failure);
    async::Task<void> launch_own(ExecPtr exec, UniqueFd client);
    async::Task<async::Wake> wait_launched(ExecPtr exec, SteadyTime deadline);
    async::Task<ExecOutcome> run(ContainerPtr container, std::vector<std::string> command,
                                 SteadyTime deadline, std::size_t output_limit);
};

// Its client still reads the output and asks for the exit code at its end.
void ExecState::adopt(ContainerPtr container, const shim::ExecState& found) {
    auto exec = std::make_shared<Exec>();
    exec->id = found.exec_id;
    exec->belongs_to(container);
    exec->started = true;
    exec->running = found.running;
    exec->pid = found.pid;
    if (found.running) {
        container->exec_ids.insert(exec->id);
    } else {
        exec->exit_code = found.exit_code;
        forget_after(*exec, kKept);
    }
    execs.emplace(exec->id, exec);
}

ExecPtr ExecState::add(ContainerPtr container, ExecConfig config) {
    auto exec = std::make_shared<Exec>();
    exec->id = random_hex_id();
    exec->belongs_to(container);
    exec->config = std::move(config);
    if (exec->config.tty) exec->framing = shim::Framing::raw;
    container->exec_ids.insert(exec->id);
    execs.emplace(exec->id, exec);
    publish(*exec, action_text("exec_create", exec->config));
    return exec;
}

/// What the process shall be; an unknown user is found out here.
async::Task<void> ExecState::prepare(ExecPtr exec) {
    std::optional<Error> failure;
    try {
        const ContainerPtr container = running_container(*exec);
        exec->run = container->state().started_at;
        ExecWork work{.record = container->record,
                      .settings = containers.settings(),
                      .storage = containers.deps.context.storage,
                      .directory = containers.directory(container->id()),
                      .config = exec->config,
                      .links = present_links(containers, container->record)};
        exec->process = co_await containers.deps.context.pool.run(std::move(work));
    } catch (...) {
        failure = async::to_error(std::current_exception());
    }
    if (failure) co_await fail(exec, *failure);
}

/// Starts the process; a failure becomes the exec's exit code and is thrown.
async::Task<void> ExecState::launch(ExecPtr exec, BorrowedFd client, std::string early) {
    std::optional<Error> failure;
    try {
        const ContainerPtr container = running_container(*exec);
        shim::ExecRequest request = exec_request(*exec, std::move(exec->process), std::move(early),
                                                 static_cast<bool>(client));
        // Before the process, as in dockerd: a short one may end before the shim's answer is here.
        publish(*exec, action_text("exec_start", exec->config));
        exec->pid = co_await start_process(*container, std::move(request), client);
        // A short process may have ended before this line.
        exec->running = !exec->exit_code.has_value();
        exec->changed.notify_all();
    } catch (...) {
        failure = async::to_error(std::current_exception());
    }
    if (failure) co_await fail(exec, *failure);
}

/// Books the failure of a start, and throws it.
async::Task<void> ExecState::fail(ExecPtr exec, Error failure) {
    const ContainerPtr container = exec->container.lock();
    const bool other_run =
        container && exec->run.ns != 0 && container->state().started_at != exec->run;
    bool over = !container || other_run || failure.kind() == ErrorKind::unavailable;
    if (!over && start_failure_code(failure.message()) == 128) over = co_await ends_now(container);
    if (over)
        failure = Error(ErrorKind::conflict, "container {} is not running", exec->container_id);
    const int code = start_failure_code(failure.message());
    finish(*exec, code == 128 ? 126 : code);
    throw failure;
}

/// Goes on when its caller gave up: a launch cannot be taken back.
async::Task<void> ExecState::launch_own(ExecPtr exec, UniqueFd client) {
    launching[exec->container_id] = exec;
    try {
        co_await prepare(exec);
        co_await launch(exec, client, "");
    } catch (...) {
        exec->failure = async::to_error(std::current_exception());
    }
    launching.erase(exec->container_id);
    exec->launched.set();
    if (!exec->given_up || !exec->running) co_return;
    auto kill = [pid = exec->pid] { linux_os::kill_tree(pid); };
    co_await containers.deps.context.pool.run(std::move(kill));
}

async::Task<async::Wake> ExecState::wait_launched(ExecPtr exec, SteadyTime deadline) {
    if (exec->launched.is_set()) co_return async::Wake::notified;
    co_return co_await exec->launched.wait_until(deadline);
}

async::Task<ExecOutcome> ExecState::run(ContainerPtr container, std::vector<std::string> command,
                                        SteadyTime deadline, std::size_t output_limit) {
    check_running(*container);
    ExecOutcome late;
    late.timed_out = true;
    // One that is stuck in its launch is enough.
    if (const auto earlier = launching.find(container->id()); earlier != launching.end())
        if (co_await wait_launched(earlier->second, deadline) == async::Wake::deadline)
            co_return late;
    ExecConfig config;
    config.attach_stdout = config.attach_stderr = true;
    config.cmd = std::move(command);
    const ExecPtr exec = add(container, std::move(config));
    exec->framing = shim::Framing::raw;
    exec->own = true;
    // Nobody asks for it later: it is forgotten at once.
    const std::shared_ptr<void> forget(nullptr, [this, container, exec](void*) {
        exec->given_up = true;
        container->exec_ids.erase(exec->id);
        execs.erase(exec->id);
    });
    auto [ours, theirs] = linux_os::stream_socket_pair(linux_os::Blocking::no);
    containers.deps.context.tasks.spawn("probe", launch_own(exec, std::move(theirs)));
    if (co_await wait_launched(exec, deadline) == async::Wake::deadline) co_return late;
    if (exec->failure) throw *exec->failure;
    const auto output = std::make_shared<CollectedOutput>(std::move(ours), output_limit);
    ExecOutcome outcome;
    const async::Finish finish = co_await async::finish_by(deadline, collect(output));
    outcome.timed_out = finish == async::Finish::deadline;
    if (outcome.timed_out) {
        auto kill = [pid = exec->pid] { linux_os::kill_tree(pid); };
        if (exec->running) co_await containers.deps.context.pool.run(std::move(kill));
        co_await async::finish_by(steady_clock::now() + kKillWait, collect(output));
    }
    outcome.exit_code = exec->exit_code.value_or(kContainerEnded);
    outcome.output = std::move(output->text);
    co_return outcome;
}

Execs::Execs(ContainerState& containers) : state_(std::make_unique<ExecState>(containers)) {
    ExecState* state = state_.get();
    containers.on_exec_exit = [state](const shim::ExecExitEvent& event) {
        const auto found = state->execs.find(event.exec_id);
        if (found != state->execs.end()) state->finish(*found->second, event.exit_code);
    };
    containers.on_exec_detached = [state](const std::string& id) {
        const auto found = state->execs.find(id);
        if (found != state->execs.end()) state->publish(*found->second, "exec_detach");
    };
    containers.on_exec_found = [state](ContainerPtr container, const shim::ExecState& found) {
        state->adopt(std::move(container), found);
    };
    containers.on_container_exit = [state](Container& c) { state->container_ended(c); };
    containers.on_container_removed = [state](const Container& c) { state->container_removed(c); };
    containers.run_exec = [state](ContainerPtr container, std::vector<std::string> command,
                                  SteadyTime deadline, std::size_t output_limit) {
        return state->run(std::move(container), std::move(command), deadline, output_limit);
    };
}

Execs::~Execs() {
    state_->containers.on_exec_exit = nullptr;
    state_->containers.on_exec_detached = nullptr;
    state_->containers.on_exec_found = nullptr;
    state_->containers.on_container_exit = nullptr;
    state_->containers.on_container_removed = nullptr;
    state_->containers.run_exec = nullptr;
}

async::Task<std::string> Execs::create(std::string ref, ExecConfig config) {
    const ContainerPtr container = state_->containers.find(ref);
    if (config.cmd.empty() || config.cmd.front().empty())
        throw Error(ErrorKind::invalid, "No exec command specified");
    check_running(*container);
    detach_key_bytes(config.detach_keys);
    co_return state_->add(container, std::move(config))->id;
}

async::Task<StreamKind> Execs::begin(std::string id, ExecStart request) {
    const ExecPtr exec = state_->find(id);
    if (exec->exit_code) throw Error(ErrorKind::conflict, "exec command {} has already run", id);
    if (exec->started) throw Error(ErrorKind::conflict, "exec command {} is already running", id);
    running_container(*exec);
    exec->started = true;
    if (request.console_size) exec->config.console_size = request.console_size;
    co_await state_->prepare(exec);
    co_return exec->config.tty ? StreamKind::raw : StreamKind::multiplexed;
}

async::Task<void> Execs::start_detached(std::string id) {
    const ExecPtr exec = state_->find(id);
    try {
        co_await state_->launch(exec, BorrowedFd(), "");
    } catch (const Error& error) {
        const int code = exec->exit_code.value_or(126);
        const bool fault = code == 127 || start_failure_code(error.message()) == 126;
        if (fault) throw Error::with_text(ErrorKind::invalid, error.message());
        throw;
    }
}

async::Task<void> Execs::start_attached(std::string id, UniqueFd client, std::string early) {
    const ExecPtr exec = state_->find(id);
    std::string message;
    try {
        co_await state_->launch(exec, client, std::move(early));
        co_return;
    } catch (const Error& error) {
        message = error.message();
    }
    if (message.size() > 60000) message.resize(60000);
    co_await write_to_client(client, error_bytes(message, exec->config.tty));
}

async::Task<void> Execs::resize(std::string id, std::uint32_t height, std::uint32_t width) {
    const ExecPtr exec = state_->find(id);
    const SteadyTime deadline = steady_clock::now() + kResizeWait;
    ContainerPtr container = running_container(*exec);
    while (!exec->running && !exec->exit_code) {
        const async::Wake wake = co_await exec->changed.wait_until(deadline);
        if (wake == async::Wake::deadline)
            throw Error(ErrorKind::internal, "timeout waiting for exec session ready");
        container = running_container(*exec);
    }
    if (!exec->running) throw Error(ErrorKind::conflict, "exec {} is not running", id);
    shim::ResizeRequest request;
    request.exec_id = id;
    request.height = static_cast<std::uint16_t>(height);
    request.width = static_cast<std::uint16_t>(width);
    co_await container->shim->resize(std::move(request));
}

json Execs::inspect(const std::string& id) const {
    const ExecPtr exec = state_->find(id);
    const ExecConfig& config = exec->config;
    // Of an adopted one the command is not known.
    std::vector<std::string> arguments = config.cmd;
    const std::string entrypoint = arguments.empty() ? "" : arguments.front();
    if (!arguments.empty()) arguments.erase(arguments.begin());
    json process = {{"tty", config.tty},
                    {"entrypoint", entrypoint},
                    {"arguments", arguments},
                    {"privileged", config.privileged}};
    if (!config.user.empty()) process["user"] = config.user;
    return {{"ID", exec->id},
            {"Running", exec->running},
            {"ExitCode", exec->exit_code ? json(*exec->exit_code) : json()},
            {"ProcessConfig", std::move(process)},
            {"OpenStdin", config.attach_stdin},
            {"OpenStderr", config.attach_stderr},
            {"OpenStdout", config.attach_stdout},
            {"CanRemove", false},
            {"ContainerID", exec->container_id},
            {"DetachKeys", config.detach_keys},
            {"Pid", exec->pid}};
}

}  // namespace berth::engine

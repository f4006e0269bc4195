#include "engine/containers/shim_client.h"

#include <fcntl.h>

#include <cstring>

#include <nlohmann/json.hpp>

#include "async/fd_wait.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"

namespace berth::engine {

namespace {

/// Takes the exit status, so that no zombie stays.
async::Task<> reap(linux_os::PidFd child, std::shared_ptr<async::Event> gone) {
    // A wait may end early: only a status that was taken says that the shim has gone.
    while (!child.try_reap()) co_await async::wait_exit(child);
    gone->set();
}

/// A shim that stays in the engine's cgroup works as well, but ends with the engine's unit.
linux_os::PidFd spawn_in(const std::string& cgroup, linux_os::SpawnRequest& request) {
    if (cgroup.empty()) return linux_os::spawn(request);
    const UniqueFd place(open(cgroup.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    request.cgroup = place;
    try {
        if (place) return linux_os::spawn(request);
    } catch (const Error& error) {
        if (error.errno_value() != EACCES && error.errno_value() != ENODEV) throw;
    }
    log::warn("the shim cannot be started in {}: {}", cgroup, std::strerror(errno));
    request.cgroup = {};
    return linux_os::spawn(request);
}

void dispatch(const ShimHandlers& handlers, const nlohmann::json& body) {
    const shim::FromShim message = shim::parse_from_shim(dump_json(body));
    if (const auto* exit = std::get_if<shim::ExitEvent>(&message)) handlers.on_exit(*exit);
    if (const auto* exit = std::get_if<shim::ExecExitEvent>(&message)) handlers.on_exec_exit(*exit);
    if (std::holds_alternative<shim::OomEvent>(message)) handlers.on_oom();
    if (const auto* keys = std::get_if<shim::DetachedEvent>(&message)) handlers.on_detached(*keys);
}

}  // namespace

ShimClient::ShimClient(async::Executor executor, UniqueFd socket, ShimHandlers handlers)
    : handlers_(std::move(handlers)), gone_(std::make_shared<async::Event>()) {
    async::MessageChannel::Handlers events;
    // Copies: a handler may destroy this client.
    events.on_event = [copy = handlers_](async::ChannelMessage message) {
        dispatch(copy, message.body());
    };
    events.on_closed = [this] {
        if (!own_child_) gone_->set();
        const auto closed = handlers_.on_closed;
        closed();
    };
    channel_ = std::make_unique<async::MessageChannel>(executor, std::move(socket), "shim",
                                                       std::move(events));
}

std::unique_ptr<ShimClient> ShimClient::spawn(async::Executor executor, async::TaskGroup& tasks,
                                              const std::string& directory,
                                              const std::string& cgroup, ShimHandlers handlers) {
    static const std::string kProgram = linux_os::find_own_program("berth-shim");
    auto [ours, theirs] = linux_os::message_socket_pair();
    const UniqueFd log = open_file(directory + "/shim.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    linux_os::SpawnRequest request;
    request.program = kProgram;
    request.arguments = {"berth-shim", "--dir", directory};
    request.environment = linux_os::current_environment();
    request.fds = {{log.borrow(), 2}, {theirs.borrow(), shim::kControlFd}};
    request.new_session = true;
    linux_os::PidFd child = spawn_in(cgroup, request);
    std::unique_ptr<ShimClient> client(
        new ShimClient(std::move(executor), std::move(ours), std::move(handlers)));
    client->own_child_ = true;
    client->pid_ = child.pid();
    tasks.spawn("reap shim", reap(std::move(child), client->gone_));
    return client;
}

std::unique_ptr<ShimClient> ShimClient::connect(async::Executor executor,
                                                const std::string& directory,
                                                ShimHandlers handlers) {
    UniqueFd socket = linux_os::connect_messages(directory + "/shim.sock");
    return std::unique_ptr<ShimClient>(
        new ShimClient(std::move(executor), std::move(socket), std::move(handlers)));
}

async::Task<async::ChannelMessage> ShimClient::call(shim::Request request,
                                                    std::vector<BorrowedFd> fds) {
    nlohmann::json message =
        parse_json(shim::encode(shim::RequestMessage{.seq = 0, .request = std::move(request)}));
    message.erase("seq");
    co_return co_await channel_->request(std::move(message), std::move(fds));
}

async::Task<CreatedProcess> ShimClient::create() {
    shim::Request request = shim::CreateRequest{};
    async::ChannelMessage reply = co_await call(std::move(request));
    if (reply.fds.size() != 2)
        throw Error(ErrorKind::internal, "shim: reply to create has {} descriptors, expected 2",
                    reply.fds.size());
    CreatedProcess process;
    process.pid = static_cast<pid_t>(JsonReader(reply.body()).integer("pid"));
    process.pidfd = std::move(reply.fds[0]);
    process.network_namespace = std::move(reply.fds[1]);
    co_return process;
}

async::Task<void> ShimClient::start() {
    shim::Request request = shim::StartRequest{};
    co_await call(std::move(request));
}

async::Task<void> ShimClient::attach(shim::StreamOptions streams, BorrowedFd client) {
    std::vector<BorrowedFd> fds;
    fds.push_back(client);
    shim::Request request = shim::AttachRequest{std::move(streams)};
    co_await call(std::move(request), std::move(fds));
}

async::Task<pid_t> ShimClient::exec(shim::ExecRequest request, BorrowedFd client) {
    std::vector<BorrowedFd> fds;
    if (client) fds.push_back(client);
    shim::Request wanted = std::move(request);
    const async::ChannelMessage reply = co_await call(std::move(wanted), std::move(fds));
    co_return static_cast<pid_t>(JsonReader(reply.body()).integer("pid"));
}

async::Task<void> ShimClient::resize(shim::ResizeRequest request) {
    shim::Request wanted = std::move(request);
    co_await call(std::move(wanted));
}

async::Task<void> ShimClient::signal(int number) {
    shim::Request request = shim::SignalRequest{.number = number, .all = false};
    co_await call(std::move(request));
}

async::Task<shim::StateReply> ShimClient::state() {
    shim::Request request = shim::StateRequest{};
    const async::ChannelMessage reply = co_await call(std::move(request));
    shim::FromShim message = shim::parse_from_shim(dump_json(reply.body()));
    const auto* parsed = std::get_if<shim::Reply>(&message);
    if (parsed == nullptr || !parsed->state)
        throw Error(ErrorKind::internal, "shim: reply to state without a state");
    co_return *parsed->state;
}

async::Task<void> ShimClient::shutdown() {
    shim::Request request = shim::ShutdownRequest{};
    co_await call(std::move(request));
}

void ShimClient::acknowledge(shim::ExitAck ack) {
    nlohmann::json message = parse_json(shim::encode(shim::RequestMessage{0, std::move(ack)}));
    message.erase("seq");
    channel_->notify(message);
}

async::Task<async::Wake> ShimClient::wait_gone(SteadyTime deadline) {
    const std::shared_ptr<async::Event> gone = gone_;
    co_return co_await gone->wait_until(deadline);
}

}  // namespace berth::engine

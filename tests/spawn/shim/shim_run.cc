#include "shim_run.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"

namespace berth::shim {
namespace {

void write_file(const char* path, const std::string& text) {
    const UniqueFd file = open_file(path, O_WRONLY);
    write_all(file, text);
}

Entered enter_namespaces() {
    const std::string uid = std::to_string(::geteuid()), gid = std::to_string(::getegid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return {false, "no user namespace: " + errno_text(errno)};
    try {
        write_file("/proc/self/setgroups", "deny");
        write_file("/proc/self/uid_map", "0 " + uid + " 1");
        write_file("/proc/self/gid_map", "0 " + gid + " 1");
    } catch (const Error& error) {
        return {false, error.message()};
    }
    return {true, ""};
}

}  // namespace

Entered enter_namespaces_once() {
    static const Entered entered = enter_namespaces();
    return entered;
}

ClientPair::ClientPair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        throw_errno("making a socket pair");
    ours.reset(fds[0]);
    theirs.reset(fds[1]);
}

void ClientPair::write(std::string_view bytes) const { write_all(ours, bytes); }

void ClientPair::half_close() const { ::shutdown(ours.get(), SHUT_WR); }

std::string ClientPair::read_to_end() const { return read_until({}); }

std::string ClientPair::read_until(std::string_view text) const {
    std::string result;
    char buffer[65536];
    while (linux_os::wait_readable(ours, kPatienceMs)) {
        const ssize_t count = ::recv(ours.get(), buffer, sizeof buffer, 0);
        if (count < 0) throw_errno("reading as a client");
        if (count == 0) return result;
        result.append(buffer, static_cast<std::size_t>(count));
        if (!text.empty() && result.find(text) != std::string::npos) return result;
    }
    throw Error(ErrorKind::internal, "nothing to read after {} bytes", result.size());
}

void ShimRun::SetUp() {
    const Entered entered = enter_namespaces_once();
    if (!entered.ok) GTEST_SKIP() << entered.reason;
    if (::access("/usr/bin/python3", X_OK) < 0) GTEST_SKIP() << "no python3 for the fake runtime";
    ::signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/shim-run-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory = name;
    for (const char* child : {"/root", "/source"}) make_directories(directory + child);
    config.id = random_hex_id();
    config.runtime_program = FAKE_RUNTIME;
    config.runtime_root = directory + "/root";
    config.bundle = directory;
    config.rootfs.path = directory + "/source";
    config.log.path = directory + "/container-json.log";
}

// A shim that still lives has a container that would outlive the test.
void ShimRun::shut_down() {
    try {
        if (!control) connect_again();
        send(ShutdownRequest{});
        for (;;) (void)receive();
    } catch (const Error&) {
        control.reset();
    }
}

void ShimRun::TearDown() {
    if (shim && shim.alive()) shut_down();
    if (shim && shim.alive() && !linux_os::wait_readable(shim.fd(), 3000)) shim.signal(SIGKILL);
    if (shim) (void)shim.reap();
    if (!directory.empty()) remove_tree(directory);
}

void ShimRun::begin(const std::vector<std::string>& arguments) {
    const nlohmann::json spec{{"process", {{"args", arguments}, {"terminal", config.terminal}}}};
    replace_file(directory + "/config.json", dump_json(spec), 0600, Durability::process);
    replace_file(directory + "/shim.json", encode(config), 0600, Durability::process);
    auto [ours, theirs] = linux_os::message_socket_pair();
    control = std::move(ours);
    linux_os::SpawnRequest request;
    request.program = linux_os::find_own_program("berth-shim");
    request.arguments = {"berth-shim", "--dir", directory};
    request.environment = linux_os::current_environment();
    request.fds = {{theirs.borrow(), kControlFd}};
    request.new_session = true;
    shim = linux_os::spawn(request);
}

void ShimRun::create_and_start() {
    const Reply created = ask(CreateRequest{}).reply;
    ASSERT_FALSE(created.error) << created.error->message();
    const Reply started = ask(StartRequest{}).reply;
    ASSERT_FALSE(started.error) << started.error->message();
}

void ShimRun::connect_again() {
    control.reset();
    control = linux_os::connect_messages(directory + "/shim.sock");
}

void ShimRun::acknowledge(const FromShim& event) {
    ExitAck ack;
    if (const auto* exec_exit = std::get_if<ExecExitEvent>(&event))
        ack.exec_id = exec_exit->exec_id;
    if (!std::holds_alternative<DetachedEvent>(event))
        linux_os::send_message(control, encode(RequestMessage{0, ack}));
}

Replied ShimRun::receive() {
    if (!linux_os::wait_readable(control, kPatienceMs))
        throw Error(ErrorKind::internal, "the shim said nothing");
    linux_os::Received received = linux_os::receive_message(control);
    if (received.state != linux_os::ReceiveState::message)
        throw Error(ErrorKind::internal, "the shim closed the connection");
    FromShim message = parse_from_shim(received.message.text);
    if (auto* reply = std::get_if<Reply>(&message))
        return {std::move(*reply), std::move(received.message.fds)};
    acknowledge(message);
    events_.push_back(std::move(message));
    return {};
}

void ShimRun::send(Request request, const std::vector<BorrowedFd>& fds) {
    linux_os::send_message(control, encode(RequestMessage{++seq_, std::move(request)}), fds);
}

Replied ShimRun::ask(Request request, const std::vector<BorrowedFd>& fds) {
    send(std::move(request), fds);
    for (;;) {
        Replied replied = receive();
        if (replied.reply.seq == seq_) return replied;
    }
}

Reply ShimRun::attach(const ClientPair& client, StreamOptions options) {
    return ask(AttachRequest{std::move(options)}, {client.theirs.borrow()}).reply;
}

Reply ShimRun::exec(const std::string& id, const std::vector<std::string>& arguments,
                    const ClientPair& client, StreamOptions options, bool terminal) {
    ExecRequest request;
    request.exec_id = id;
    request.process_json = dump_json({{"args", arguments}, {"terminal", terminal}});
    request.terminal = terminal;
    request.streams = std::move(options);
    return ask(std::move(request), {client.theirs.borrow()}).reply;
}

FromShim ShimRun::next_event() {
    while (events_.empty()) (void)receive();
    FromShim event = std::move(events_.front());
    events_.pop_front();
    return event;
}

ExitEvent ShimRun::wait_exit() {
    for (;;) {
        const FromShim event = next_event();
        if (const auto* exit = std::get_if<ExitEvent>(&event)) return *exit;
    }
}

ExecExitEvent ShimRun::wait_exec_exit() {
    for (;;) {
        const FromShim event = next_event();
        if (const auto* exit = std::get_if<ExecExitEvent>(&event)) return *exit;
    }
}

bool ShimRun::shim_ends() { return linux_os::wait_readable(shim.fd(), kPatienceMs); }

std::string ShimRun::log_text() const {
    std::string text;
    const std::string log = read_file(config.log.path, 256U << 20);
    for (std::size_t from = 0; from < log.size();) {
        const std::size_t end = log.find('\n', from);
        text += nlohmann::json::parse(log.substr(from, end - from)).at("log").get<std::string>();
        from = end + 1;
    }
    return text;
}

std::string pattern(std::size_t size) {
    std::string bytes(size, '\0');
    std::uint32_t state = 1;
    for (char& byte : bytes) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<char>(state >> 24U);
    }
    return bytes;
}

}  // namespace berth::shim

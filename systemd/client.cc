#include "systemd/client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"

namespace berth::systemd {

using nlohmann::json;
using std::chrono::milliseconds;

namespace {

std::string variable(const char* name) {
    const char* value = ::secure_getenv(name);
    return value ? value : "";
}

// The path of the first "unix:path=" of a bus address; empty for anything else.
std::string socket_of(const std::string& address) {
    constexpr std::string_view kPrefix = "unix:path=";
    if (!address.starts_with(kPrefix)) return "";
    const auto end = address.find_first_of(",;");
    return address.substr(kPrefix.size(), end == std::string::npos ? end : end - kPrefix.size());
}

// A machine without the bus must not pay for a program that finds that out.
void check_user_bus() {
    const std::string address = variable("DBUS_SESSION_BUS_ADDRESS");
    const std::string directory = variable("XDG_RUNTIME_DIR");
    if (address.empty() && directory.empty())
        throw Error(ErrorKind::unavailable,
                    "no D-Bus user bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is "
                    "set");
    const std::string socket = address.empty() ? directory + "/bus" : socket_of(address);
    if (!socket.empty() && ::access(socket.c_str(), W_OK) < 0)
        throw Error(ErrorKind::unavailable, "no D-Bus user bus: {}: {}", socket, errno_text(errno));
}

void check_system_bus() {
    const std::string address = variable("DBUS_SYSTEM_BUS_ADDRESS");
    const std::string socket = address.empty() ? "/run/dbus/system_bus_socket" : socket_of(address);
    if (!socket.empty() && ::access(socket.c_str(), W_OK) < 0)
        throw Error(ErrorKind::unavailable, "no D-Bus system bus: {}: {}", socket,
                    errno_text(errno));
}

json ask(json request, milliseconds patience) {
    Call call(std::move(request));
    return call.finish(patience);
}

json user_request(const char* type) {
    check_user_bus();
    return {{"type", type}};
}

json linger_request(const char* type) {
    check_system_bus();
    return {{"type", type}, {"uid", ::getuid()}};
}

}  // namespace

Call::Call(json request) {
    request["v"] = 1;
    request["seq"] = 1;
    auto [ours, theirs] = linux_os::message_socket_pair();
    linux_os::SpawnRequest program;
    program.program = linux_os::find_own_program("berth-systemd");
    program.arguments = {"berth-systemd"};
    program.environment = linux_os::current_environment();
    program.fds = {{BorrowedFd{STDERR_FILENO}, STDERR_FILENO}, {theirs, kRequestFd}};
    process_ = linux_os::spawn(program);
    channel_ = std::move(ours);
    linux_os::send_message(channel_, dump_json(request));
}

Call::~Call() {
    if (!process_) return;
    try {
        process_.signal(SIGKILL);
        (void)process_.reap();
    } catch (const Error&) {
        // Reaped elsewhere: nothing is left to end.
    }
}

json Call::finish(milliseconds patience) {
    if (!linux_os::wait_readable(channel_, static_cast<int>(patience.count())))
        throw Error(ErrorKind::unavailable, "systemd did not answer within {} ms",
                    patience.count());
    const auto received = linux_os::receive_message(channel_);
    if (received.state != linux_os::ReceiveState::message)
        throw Error(ErrorKind::unavailable, "berth-systemd ended without an answer");
    const json reply = parse_json(received.message.text);
    const JsonReader reader(reply);
    if (!reader.has("error")) return reply;
    const JsonReader error = reader.object("error");
    throw Error::with_text(error_kind_from(error.string("kind")), error.string("message"),
                           static_cast<int>(error.integer("errno")));
}

Call begin_scope(const Scope& scope) {
    json request = user_request("start_scope");
    request["scope"] = to_json(scope);
    return Call(std::move(request));
}

std::string finish_scope(Call call, milliseconds patience) {
    const json reply = call.finish(patience);
    return JsonReader(reply).string("control_group");
}

std::string start_scope(const Scope& scope, milliseconds patience) {
    return finish_scope(begin_scope(scope), patience);
}

void stop_unit(const std::string& name, milliseconds patience) {
    json request = user_request("stop_unit");
    request["name"] = name;
    (void)ask(std::move(request), patience);
}

UnitJob unit_job(pid_t pid, milliseconds patience) {
    json request = user_request("unit_job");
    request["pid"] = pid;
    return unit_job_from_json(ask(std::move(request), patience));
}

ManagerFacts manager_facts(milliseconds patience) {
    return manager_facts_from_json(ask(user_request("manager_facts"), patience));
}

Linger linger(milliseconds patience) {
    const json reply = ask(linger_request("linger"), patience);
    return JsonReader(reply).boolean("on", false) ? Linger::on : Linger::off;
}

void set_linger(Linger wanted, milliseconds patience) {
    json request = linger_request("set_linger");
    request["on"] = wanted == Linger::on;
    (void)ask(std::move(request), patience);
}

}  // namespace berth::systemd

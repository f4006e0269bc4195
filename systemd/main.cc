// berth-systemd: takes one request on descriptor 3, does it over D-Bus, replies and ends. It alone
// links the D-Bus library; what it asks for is in bus.h.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/message_socket.h"
#include "systemd/bus.h"

namespace {

using namespace berth;
using nlohmann::json;

// Nobody waits longer; a bus that hangs must leave no process behind.
constexpr unsigned kLifetimeSeconds = 60;

std::vector<std::string> controllers_of(const std::string& control_group) {
    const auto hierarchy = linux_os::Cgroup::hierarchy();
    if (!hierarchy) return {};
    const auto text =
        read_file_if_exists(*hierarchy + control_group + "/cgroup.controllers").value_or("");
    const auto words = words_of(text);
    return {words.begin(), words.end()};
}

systemd::ManagerFacts manager_facts() {
    systemd::ManagerFacts facts = systemd::bus::manager_facts();
    facts.controllers = controllers_of(facts.control_group);
    return facts;
}

json answer_to(const json& request) {
    const JsonReader reader(request);
    const std::string type = reader.string("type");
    const auto uid = static_cast<uid_t>(reader.integer("uid"));
    using systemd::Linger;
    if (type == "start_scope") {
        const systemd::Scope scope = systemd::scope_from_json(reader.object("scope").value());
        return {{"control_group", systemd::bus::start_scope(scope)}};
    }
    if (type == "stop_unit") {
        systemd::bus::stop_unit(reader.string("name"));
        return json::object();
    }
    if (type == "unit_job")
        return systemd::to_json(systemd::bus::unit_job(static_cast<pid_t>(reader.integer("pid"))));
    if (type == "manager_facts") return systemd::to_json(manager_facts());
    if (type == "linger") return {{"on", systemd::bus::linger(uid) == Linger::on}};
    if (type == "set_linger") {
        systemd::bus::set_linger(uid, reader.boolean("on", true) ? Linger::on : Linger::off);
        return json::object();
    }
    throw Error(ErrorKind::invalid, "berth-systemd: unknown request \"{}\"", type);
}

json reply_to(const std::string& text) {
    json reply{{"v", 1}, {"type", "reply"}, {"seq", 1}};
    try {
        reply.update(answer_to(parse_json(text)));
    } catch (const Error& error) {
        reply["error"] = {{"kind", to_string(error.kind())},
                          {"message", error.message()},
                          {"errno", error.errno_value()}};
    } catch (const std::exception& error) {
        reply["error"] = {{"kind", "unavailable"}, {"message", error.what()}};
    }
    return reply;
}

}  // namespace

int main() {
    ::alarm(kLifetimeSeconds);
    const BorrowedFd channel{systemd::kRequestFd};
    try {
        const auto request = linux_os::receive_message(channel);
        if (request.state != linux_os::ReceiveState::message) return 1;
        linux_os::send_message(channel, dump_json(reply_to(request.message.text)));
        // Not by way of destructors: what else the bus says concerns nobody.
        ::_exit(0);
    } catch (const std::exception& error) {
        fmt::print(stderr, "berth-systemd: {}\n", error.what());
        return 1;
    }
}

#include "runtime/channel.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "linux/message_socket.h"

namespace berth::runtime {
namespace {

using nlohmann::json;

json encode(const Go&) { return {{"type", "go"}}; }
json encode(const HooksDue&) { return {{"type", "hooks_due"}}; }
json encode(const HooksDone&) { return {{"type", "hooks_done"}}; }
json encode(const Ready&) { return {{"type", "ready"}}; }
json encode(const Closed&) { return {{"type", "closed"}}; }
json encode(const Forked& message) { return {{"type", "forked"}, {"pid", message.pid}}; }
json encode(const Failed& message) {
    return {{"type", "failed"},
            {"kind", to_string(message.kind)},
            {"message", message.message},
            {"errno", message.errno_value}};
}

}  // namespace

bool send(BorrowedFd channel, const ChannelMessage& message) {
    const std::string text =
        std::visit([](const auto& one) { return dump_json(encode(one)); }, message);
    return linux_os::send_message(channel, text) == linux_os::SendResult::sent;
}

ChannelMessage receive(BorrowedFd channel) {
    const linux_os::Received received = linux_os::receive_message(channel);
    if (received.state != linux_os::ReceiveState::message) return Closed{};
    const json document = parse_json(received.message.text);
    const JsonReader reader(document, "message");
    const std::string type = reader.string("type");
    if (type == "go") return Go{};
    if (type == "hooks_due") return HooksDue{};
    if (type == "hooks_done") return HooksDone{};
    if (type == "ready") return Ready{};
    if (type == "forked") return Forked{static_cast<pid_t>(reader.integer("pid"))};
    if (type == "failed")
        return Failed{error_kind_from(reader.string("kind")), reader.string("message"),
                      static_cast<int>(reader.integer("errno"))};
    throw Error(ErrorKind::invalid, "unknown message \"{}\" from the container's process", type);
}

Failed failure_of(const Error& error) {
    return {error.kind(), error.message(), error.errno_value()};
}

void throw_unexpected(const ChannelMessage& message) {
    if (const auto* failed = std::get_if<Failed>(&message))
        throw Error::with_text(failed->kind, failed->message, failed->errno_value);
    if (std::holds_alternative<Closed>(message))
        throw Error(ErrorKind::internal, "the container's process ended during its set-up");
    throw Error(ErrorKind::internal, "the container's process is out of step");
}

}  // namespace berth::runtime

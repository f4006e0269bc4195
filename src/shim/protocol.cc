#include "shim/protocol.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"

namespace berth::shim {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};
// clang before 17 does not deduce an aggregate's arguments.
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

json message(std::string_view type) { return json{{"v", kVersion}, {"type", type}}; }

void check_version(const JsonReader& reader, std::string_view what) {
    const std::int64_t version = reader.integer("v");
    if (version != kVersion)
        throw Error(ErrorKind::unsupported, "{} of version {} is unknown: this is version {}", what,
                    version, kVersion);
}

template <typename Number>
Number number(const JsonReader& reader, std::string_view key, Number fallback = 0) {
    const std::int64_t value = reader.integer(key, fallback);
    if (!std::in_range<Number>(value))
        throw Error(ErrorKind::invalid, "{}: {} is out of range", reader.path_of(key), value);
    return static_cast<Number>(value);
}

std::optional<std::string> optional_string(const JsonReader& reader, std::string_view key) {
    if (!reader.has(key)) return std::nullopt;
    return reader.string(key);
}

std::string required(const JsonReader& reader, std::string_view key) {
    std::string value = reader.string(key);
    if (value.empty()) throw Error(ErrorKind::invalid, "{} is missing", reader.path_of(key));
    return value;
}

std::string_view name_of(RootfsKind kind) {
    switch (kind) {
        case RootfsKind::overlay:
            return "overlay";
        case RootfsKind::fuse_overlayfs:
            return "fuse-overlayfs";
        case RootfsKind::path:
            return "path";
    }
    return "path";
}

RootfsKind rootfs_kind_from(std::string_view name) {
    for (const RootfsKind kind :
         {RootfsKind::overlay, RootfsKind::fuse_overlayfs, RootfsKind::path})
        if (name_of(kind) == name) return kind;
    throw Error(ErrorKind::invalid, "rootfs.kind: unknown kind {}", name);
}

json to_json(const RootfsMount& rootfs) {
    return {{"kind", name_of(rootfs.kind)},
            {"lowerdirs", rootfs.lowerdirs},
            {"upperdir", rootfs.upperdir},
            {"workdir", rootfs.workdir},
            {"path", rootfs.path},
            {"program", rootfs.program},
            {"uid_mapping", rootfs.uid_mapping},
            {"subpath", rootfs.subpath},
            {"process", rootfs.process},
            {"gid_mapping", rootfs.gid_mapping}};
}

RootfsMount rootfs_from(const JsonReader& reader) {
    RootfsMount rootfs;
    rootfs.kind = rootfs_kind_from(reader.string("kind"));
    rootfs.lowerdirs = reader.strings("lowerdirs");
    rootfs.upperdir = reader.string("upperdir");
    rootfs.workdir = reader.string("workdir");
    rootfs.path = reader.string("path");
    rootfs.program = reader.string("program");
    rootfs.uid_mapping = reader.string("uid_mapping");
    rootfs.subpath = reader.string("subpath");
    rootfs.process = number<pid_t>(reader, "process");
    rootfs.gid_mapping = reader.string("gid_mapping");
    if (rootfs.kind == RootfsKind::path && rootfs.path.empty())
        throw Error(ErrorKind::invalid, "rootfs.path is missing");
    if (rootfs.kind != RootfsKind::path && rootfs.lowerdirs.empty())
        throw Error(ErrorKind::invalid, "rootfs.lowerdirs is empty");
    if (rootfs.kind == RootfsKind::fuse_overlayfs && rootfs.program.empty())
        throw Error(ErrorKind::invalid, "rootfs.program is missing");
    return rootfs;
}

json to_json(const LogConfig& log) {
    return {{"driver", log.driver},
            {"path", log.path},
            {"max_size", log.max_size},
            {"max_file", log.max_file},
            {"compress", log.compress},
            {"attrs", log.attributes},
            {"non_blocking", log.non_blocking},
            {"max_buffer", log.max_buffer},
            {"syslog",
             {{"facility", log.syslog.facility},
              {"format", log.syslog.format},
              {"tag", log.syslog.tag}}},
            {"tls",
             {{"name", log.tls.name},
              {"verified", log.tls.verified},
              {"authorities", log.tls.authorities},
              {"certificate", log.tls.certificate},
              {"key", log.tls.key}}}};
}

LogConfig log_from(const JsonReader& reader) {
    LogConfig log;
    log.driver = reader.string("driver", log.driver);
    log.path = reader.string("path");
    log.max_size = reader.integer("max_size", -1);
    log.max_file = number<int>(reader, "max_file", 1);
    log.compress = reader.boolean("compress", false);
    log.attributes = reader.string_map("attrs");
    log.non_blocking = reader.boolean("non_blocking", false);
    log.max_buffer = reader.integer("max_buffer", log.max_buffer);
    if (log.max_buffer < 0)
        throw Error(ErrorKind::invalid, "log.max_buffer: {} is negative", log.max_buffer);
    if (reader.find("syslog") != nullptr) {
        const JsonReader syslog = reader.object("syslog");
        log.syslog = {number<int>(syslog, "facility", 3), syslog.string("format"),
                      syslog.string("tag")};
    }
    const JsonReader tls = reader.object("tls");
    log.tls = {tls.string("name"), tls.boolean("verified", true), tls.string("authorities"),
               tls.string("certificate"), tls.string("key")};
    constexpr std::array<std::string_view, 5> kDrivers{"json-file", "local", "journald", "syslog",
                                                       "none"};
    if (std::ranges::find(kDrivers, log.driver) == kDrivers.end())
        throw Error(ErrorKind::invalid, "log.driver: unknown driver {}", log.driver);
    if (log.driver != "none" && log.path.empty())
        throw Error(ErrorKind::invalid, "log.path is missing");
    return log;
}

// In the order of Framing.
constexpr std::array<std::string_view, 3> kFramings{"raw", "multiplexed", "websocket"};

void add_streams(json& target, const StreamOptions& streams) {
    target["stdin"] = streams.stdin_stream;
    target["stdout"] = streams.stdout_stream;
    target["stderr"] = streams.stderr_stream;
    target["framing"] = kFramings.at(static_cast<std::size_t>(streams.framing));
    if (!streams.detach_keys.empty()) target["detach_keys"] = to_hex(streams.detach_keys);
    if (!streams.prefix.empty()) target["prefix"] = to_hex(streams.prefix);
}

StreamOptions streams_from(const JsonReader& reader) {
    StreamOptions streams;
    streams.stdin_stream = reader.boolean("stdin", false);
    streams.stdout_stream = reader.boolean("stdout", false);
    streams.stderr_stream = reader.boolean("stderr", false);
    const std::string framing = reader.string("framing", "multiplexed");
    const auto* found = std::ranges::find(kFramings, framing);
    if (found == kFramings.end()) throw Error(ErrorKind::invalid, "unknown framing {}", framing);
    streams.framing = static_cast<Framing>(found - kFramings.begin());
    streams.detach_keys = from_hex(reader.string("detach_keys"));
    streams.prefix = from_hex(reader.string("prefix"));
    return streams;
}

json request_json(const Request& request) {
    return std::visit(Overloaded{
                          [](const CreateRequest&) { return message("create"); },
                          [](const StartRequest&) { return message("start"); },
                          [](const AttachRequest& attach) {
                              json result = message("attach");
                              add_streams(result, attach.streams);
                              return result;
                          },
                          [](const ExecRequest& exec) {
                              json result = message("exec");
                              result["exec_id"] = exec.exec_id;
                              result["process"] = parse_json(exec.process_json);
                              result["terminal"] = exec.terminal;
                              if (exec.ends_with_connection) result["ends_with_connection"] = true;
                              add_streams(result, exec.streams);
                              return result;
                          },
                          [](const ResizeRequest& resize) {
                              json result = message("resize");
                              if (resize.exec_id) result["exec_id"] = *resize.exec_id;
                              result["height"] = resize.height;
                              result["width"] = resize.width;
                              return result;
                          },
                          [](const SignalRequest& signal) {
                              json result = message("signal");
                              result["signal"] = signal.number;
                              result["all"] = signal.all;
                              return result;
                          },
                          [](const CloseStdinRequest&) { return message("close_stdin"); },
                          [](const StateRequest&) { return message("state"); },
                          [](const ShutdownRequest&) { return message("shutdown"); },
                          [](const ExitAck& ack) {
                              json result = message("exit_ack");
                              if (ack.exec_id) result["exec_id"] = *ack.exec_id;
                              return result;
                          },
                      },
                      request);
}

Request request_from(const JsonReader& reader) {
    const std::string type = reader.string("type");
    if (type == "create") return CreateRequest{};
    if (type == "start") return StartRequest{};
    if (type == "attach") return AttachRequest{streams_from(reader)};
    if (type == "exec") {
        const json* process = reader.find("process");
        if (!process || !process->is_object())
            throw Error(ErrorKind::invalid, "process: expected an object");
        return ExecRequest{required(reader, "exec_id"), dump_json(*process),
                           reader.boolean("terminal", false), streams_from(reader),
                           reader.boolean("ends_with_connection", false)};
    }
    if (type == "resize")
        return ResizeRequest{optional_string(reader, "exec_id"),
                             number<std::uint16_t>(reader, "height"),
                             number<std::uint16_t>(reader, "width")};
    if (type == "signal")
        return SignalRequest{number<int>(reader, "signal"), reader.boolean("all", false)};
    if (type == "close_stdin") return CloseStdinRequest{};
    if (type == "state") return StateRequest{};
    if (type == "shutdown") return ShutdownRequest{};
    if (type == "exit_ack") return ExitAck{optional_string(reader, "exec_id")};
    throw Error(ErrorKind::unsupported, "unknown message type {}", type);
}

ProcessStatus status_from(std::string_view name) {
    for (const ProcessStatus status : {ProcessStatus::preparing, ProcessStatus::created,
                                       ProcessStatus::running, ProcessStatus::exited})
        if (to_string(status) == name) return status;
    throw Error(ErrorKind::invalid, "status: unknown status {}", name);
}

void add_state(json& target, const StateReply& state) {
    target["status"] = to_string(state.status);
    target["pid"] = state.pid;
    target["exit_code"] = state.exit_code;
    target["exited_at"] = state.exited_at;
    target["oom"] = state.oom;
    json execs = json::array();
    for (const ExecState& exec : state.execs)
        execs.push_back({{"exec_id", exec.exec_id},
                         {"pid", exec.pid},
                         {"running", exec.running},
                         {"exit_code", exec.exit_code}});
    target["execs"] = std::move(execs);
}

StateReply state_from(const JsonReader& reader) {
    StateReply state;
    state.status = status_from(reader.string("status"));
    state.pid = number<pid_t>(reader, "pid");
    state.exit_code = number<int>(reader, "exit_code");
    state.exited_at = reader.integer("exited_at");
    state.oom = reader.boolean("oom", false);
    for (const JsonReader& exec : reader.objects("execs"))
        state.execs.push_back({exec.string("exec_id"), number<pid_t>(exec, "pid"),
                               exec.boolean("running", false), number<int>(exec, "exit_code")});
    return state;
}

json reply_json(const Reply& reply) {
    json result = message("reply");
    result["seq"] = reply.seq;
    if (reply.pid != 0) result["pid"] = reply.pid;
    if (reply.state) add_state(result, *reply.state);
    if (reply.error)
        result["error"] = {{"kind", to_string(reply.error->kind())},
                           {"message", reply.error->message()},
                           {"errno", reply.error->errno_value()}};
    return result;
}

Reply reply_from(const JsonReader& reader) {
    Reply reply;
    reply.seq = number<std::uint64_t>(reader, "seq");
    if (reader.has("error")) {
        const JsonReader error = reader.object("error");
        reply.error = Error::with_text(error_kind_from(error.string("kind")),
                                       error.string("message"), number<int>(error, "errno"));
    } else if (reader.has("status")) {
        reply.state = state_from(reader);
    }
    reply.pid = number<pid_t>(reader, "pid");
    return reply;
}

int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    throw Error(ErrorKind::invalid, "'{}' is not a hexadecimal digit", digit);
}

}  // namespace

std::string encode(const ShimConfig& config) {
    json result{{"v", kVersion},
                {"id", config.id},
                {"runtime",
                 {{"program", config.runtime_program},
                  {"arguments", config.runtime_arguments},
                  {"root", config.runtime_root}}},
                {"bundle", config.bundle},
                {"rootfs", to_json(config.rootfs)},
                {"log", to_json(config.log)},
                {"terminal", config.terminal},
                {"open_stdin", config.open_stdin},
                {"stdin_once", config.stdin_once},
                {"console_height", config.console_height},
                {"console_width", config.console_width},
                {"cgroup_dir", config.cgroup_dir},
                {"spool_dir", config.spool_dir}};
    for (const PreparedMount& mount : config.mounts)
        result["mounts"].push_back({{"mount", to_json(mount.mount)}, {"target", mount.target}});
    if (config.log_copy) result["log_copy"] = to_json(*config.log_copy);
    return dump_json(result);
}

ShimConfig parse_shim_config(std::string_view text) {
    const json value = parse_json(text);
    const JsonReader reader(value);
    check_version(reader, "shim.json");
    ShimConfig config;
    config.id = required(reader, "id");
    const JsonReader runtime = reader.object("runtime");
    config.runtime_program = required(runtime, "program");
    config.runtime_arguments = runtime.strings("arguments");
    config.runtime_root = required(runtime, "root");
    config.bundle = required(reader, "bundle");
    config.rootfs = rootfs_from(reader.object("rootfs"));
    for (const JsonReader& mount : reader.objects("mounts"))
        config.mounts.push_back({rootfs_from(mount.object("mount")), required(mount, "target")});
    config.log = log_from(reader.object("log"));
    if (reader.find("log_copy") != nullptr) config.log_copy = log_from(reader.object("log_copy"));
    config.terminal = reader.boolean("terminal", false);
    config.open_stdin = reader.boolean("open_stdin", false);
    config.stdin_once = reader.boolean("stdin_once", false);
    config.console_height = number<std::uint16_t>(reader, "console_height");
    config.console_width = number<std::uint16_t>(reader, "console_width");
    config.cgroup_dir = reader.string("cgroup_dir");
    config.spool_dir = reader.string("spool_dir");
    return config;
}

std::string encode(const RequestMessage& message) {
    json result = request_json(message.request);
    result["seq"] = message.seq;
    return dump_json(result);
}

RequestMessage parse_request(std::string_view text) {
    const json value = parse_json(text);
    const JsonReader reader(value);
    check_version(reader, "message");
    return {number<std::uint64_t>(reader, "seq"), request_from(reader)};
}

std::string_view to_string(ProcessStatus status) {
    switch (status) {
        case ProcessStatus::preparing:
            return "preparing";
        case ProcessStatus::created:
            return "created";
        case ProcessStatus::running:
            return "running";
        case ProcessStatus::exited:
            return "exited";
    }
    return "exited";
}

std::string encode(const FromShim& from_shim) {
    const json result = std::visit(Overloaded{[](const Reply& reply) { return reply_json(reply); },
                                              [](const ExitEvent& event) {
                                                  json value = message("exit");
                                                  value["exit_code"] = event.exit_code;
                                                  value["exited_at"] = event.exited_at;
                                                  value["oom"] = event.oom;
                                                  return value;
                                              },
                                              [](const ExecExitEvent& event) {
                                                  json value = message("exec_exit");
                                                  value["exec_id"] = event.exec_id;
                                                  value["exit_code"] = event.exit_code;
                                                  return value;
                                              },
                                              [](const OomEvent&) { return message("oom"); },
                                              [](const DetachedEvent& event) {
                                                  json value = message("detached");
                                                  if (event.exec_id)
                                                      value["exec_id"] = *event.exec_id;
                                                  return value;
                                              }},
                                   from_shim);
    return dump_json(result);
}

FromShim parse_from_shim(std::string_view text) {
    const json value = parse_json(text);
    const JsonReader reader(value);
    check_version(reader, "message");
    const std::string type = reader.string("type");
    if (type == "reply") return reply_from(reader);
    if (type == "exit")
        return ExitEvent{number<int>(reader, "exit_code"), reader.integer("exited_at"),
                         reader.boolean("oom", false)};
    if (type == "exec_exit")
        return ExecExitEvent{required(reader, "exec_id"), number<int>(reader, "exit_code")};
    if (type == "oom") return OomEvent{};
    if (type == "detached") return DetachedEvent{optional_string(reader, "exec_id")};
    throw Error(ErrorKind::unsupported, "unknown message type {}", type);
}

std::string encode(const ExitRecord& record) {
    return dump_json({{"v", kVersion},
                      {"exit_code", record.exit_code},
                      {"exited_at", record.exited_at},
                      {"oom", record.oom},
                      {"boot_id", record.boot_id}});
}

ExitRecord parse_exit_record(std::string_view text) {
    const json value = parse_json(text);
    const JsonReader reader(value);
    check_version(reader, "exit.json");
    return {number<int>(reader, "exit_code"), reader.integer("exited_at"),
            reader.boolean("oom", false), reader.string("boot_id")};
}

std::string to_hex(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string hex;
    hex.reserve(bytes.size() * 2);
    for (const char byte : bytes) {
        const auto value = static_cast<unsigned char>(byte);
        hex.push_back(kDigits[value >> 4U]);
        hex.push_back(kDigits[value & 15U]);
    }
    return hex;
}

std::string from_hex(std::string_view hex) {
    if (hex.size() % 2 != 0)
        throw Error(ErrorKind::invalid, "hexadecimal text of odd length {}", hex.size());
    std::string bytes;
    bytes.reserve(hex.size() / 2);
    for (std::size_t i = 0; i < hex.size(); i += 2)
        bytes.push_back(static_cast<char>(hex_digit(hex[i]) * 16 + hex_digit(hex[i + 1])));
    return bytes;
}

}  // namespace berth::shim
